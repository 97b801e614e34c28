"""What the papers say: paper.yaml, as it is read and refused, and those of the five studies."""

import pytest
from ruamel.yaml import YAML

from conftest import ROOT
from made_up_studies import CITATION, OPEN, PAPERS, VALUES, assert_refused, paper
from rontgen.core import checks, nested, papers, params, readings, runs
from rontgen.core.errors import RontgenError
from rontgen.core.papers import load_papers
from rontgen.core.params import SplitProfile
from rontgen.core.settings import LEAKFREE, Counts

RAW = params.read(ROOT / "params.yaml")
PLACE = "Section 3.1, line 97"
STATED = {"stated": PLACE}
DEPARTS = {"departs": "It would not train.", "says": "0.9", "place": PLACE}


def ours(why, *values):
    return {"ours": why, "range": list(values) or ["one"]}


# ---- the five papers


def test_every_run_has_its_published_numbers():
    trained = {study.trained(run): name for name, study in PAPERS.studies.items() for run in study.runs}
    assert trained == {name: run.study for name, run in VALUES.runs.items() if not name.endswith(LEAKFREE)}


NAMED = [(name, reading) for name, study in PAPERS.studies.items() for reading in study.readings]


@pytest.mark.parametrize(("name", "reading"), NAMED)
def test_a_reading_gives_each_of_its_runs_the_settings_that_it_names(name, reading):
    study = PAPERS.studies[name]
    for run in study.readings[reading].runs:
        changes = {"profile": "paper"} | readings.changes(study, VALUES, run, reading, 1)
        values = params.validate(params.changed(RAW, changes))
        checks.check_runs(values)
        before, after = (runs.load_run(run, some).settings for some in (VALUES, values))
        for key, value in study.readings[reading].set.items():
            expected = YAML(typ="safe").load(readings.text(value))
            assert nested.find(after, key) == expected != nested.find(before, key)


def test_the_parts_of_an_archive_are_all_of_it():
    counts = {archive: count for dataset in VALUES.datasets.values() for archive, count in dataset.counts.items()}
    assert PAPERS.archives
    for archive, labels in PAPERS.archives.items():
        assert {label: sum(parts.values()) for label, parts in labels.items()} == counts[archive]


def test_every_archive_has_a_source_and_images_under_terms_a_label_that_there_is():
    labels = {archive: some for dataset in VALUES.datasets.values() for archive, some in dataset.labels.items()}
    assert set(PAPERS.sources) == set(labels)
    for archive, restricted in PAPERS.restricted.items():
        assert restricted.keys() <= set(labels[archive]), archive


# ---- files

FILE = f"""\
citation: {{title: Judul, english: Title, authors: [], venue: "", year: null, text_sha256: {"0" * 64}}}
about: It compares.
origins: {{fixed.b: {{ours: own, range: [1]}}}}
runs:
  a_run:
    - {{metric: test.accuracy, value: 0.90, place: Table 1}}
    - {{metric: test.test_images, value: 100, place: Table 1}}
readings:
  a_reading: {{why: x, runs: [a_run], set: {{train.learning_rate: 1e-5, augment.validation: true}}}}
"""
COMMON = """\
archives: {}
restricted: {tb: {Tuberculosis: {images: 2800, terms: under an agreement}}}
sources: {}
origins: {fixed.a: {ours: common, range: [1]}, fixed.b: {ours: common, range: [1]}}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a_study").mkdir()
    (tmp_path / "a_study/paper.yaml").write_text(FILE)
    (tmp_path / "common.yaml").write_text(COMMON)
    return tmp_path


def test_values_are_as_they_are_written(folder):
    study = load_papers(folder).studies["a_study"]
    assert [cell.value for cell in study.runs["a_run"]] == ["0.90", "100"]
    assert study.readings["a_reading"].set == {"train.learning_rate": "1e-5", "augment.validation": "true"}
    assert study.citation.text == "No author given (no year given). Judul."
    found = load_papers(folder).restricted["tb"]["Tuberculosis"]
    assert (found.images, found.terms) == (2800, "under an agreement")


def test_every_study_has_the_common_origins_but_for_its_own(folder):
    origins = load_papers(folder).studies["a_study"].origins
    assert {key: origin.ours for key, origin in origins.items()} == {"fixed.a": "common", "fixed.b": "own"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.90", "high", "runs.a_run.0: expected a number"),
        ("about: It compares.\n", "", "about: expected a value, received nothing"),
        ("- {", "- {[", "is not valid YAML"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_its_file(folder, old, new, message):
    (folder / "a_study/paper.yaml").write_text(FILE.replace(old, new))
    with pytest.raises(RontgenError, match=message) as caught:
        load_papers(folder)
    assert str(caught.value).startswith(f"{folder}/a_study/paper.yaml") and "\n" not in str(caught.value)


def test_a_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(RontgenError, match=r"common\.yaml not found"):
        load_papers(tmp_path)


# ---- the citation


def test_a_paper_is_cited_in_one_line():
    cited = CITATION | {"title": "Judul", "authors": ["A. Satu", "B. Dua"], "venue": "Jurnal 3", "year": "2025"}
    assert paper(citation=cited).citation.text == "A. Satu, B. Dua (2025). Judul. Jurnal 3."


@pytest.mark.parametrize(("key", "value"), [("text_sha256", "0" * 63), ("title", "")])
def test_a_citation_without_its_text_or_title_is_refused(key, value):
    assert_refused(rf"^citation\.{key}: expected", citation=CITATION | {key: value})


# ---- origins


@pytest.mark.parametrize(
    ("origin", "is_open"),
    [
        (STATED, False),
        (DEPARTS, False),
        (DEPARTS | {"range": ["none", "smote"]}, True),
        (ours("x", "none"), False),
        (ours("x", "none", "smote"), True),
        ({"ours": "x", "range": {"low": "1", "high": "2", "log": "true"}}, True),
    ],
)
def test_a_setting_is_open_where_another_value_could_have_been_chosen(origin, is_open):
    assert paper(origins={"balance": origin}).origins["balance"].is_open is is_open


@pytest.mark.parametrize("place", ["page 3", "Section 3.1", "line 97", "Section 3, line x", "section 3, line 9"])
@pytest.mark.parametrize(("origin", "key"), [(STATED, "stated"), (DEPARTS, "place")])
def test_a_place_without_a_line_is_refused(origin, key, place):
    message = rf"^origins\.balance: expected a section and a line.*received '{place}'"
    assert_refused(message, origins={"balance": origin | {key: place}})


OF_ONE_KIND = "expected one of stated, ours and departs, received"
RANGE = "expected a range where the setting is ours, and none where it is stated"


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ({"says": "x"}, f"{OF_ONE_KIND} none"),
        (STATED | ours("x"), f"{OF_ONE_KIND} stated and ours"),
        (DEPARTS | ours("x"), f"{OF_ONE_KIND} ours and departs"),
        (DEPARTS | {"says": ""}, "expected what the paper says beside why we depart from it, as says"),
        ({"ours": "x"}, RANGE),
        ({"ours": "x", "range": []}, RANGE),
        (STATED | {"range": ["none"]}, RANGE),
        (ours("x") | {"why": "y"}, r"\.why: .*received 'y'"),
    ],
)
def test_an_origin_is_of_one_kind_with_what_it_needs(origin, message):
    assert_refused(rf"^origins\.balance.*{message}", origins={"balance": origin})


LAYERED = paper(
    runs=("a_run", "b_run"),
    origins={"train": ours("all"), "train.epochs": ours("own"), "split": ours("all", "x", "y"), "balance": ours("all")},
    origins_of={"b_run": {"train.epochs": ours("of b"), "train.fine_tune": ours("of b too")}},
)


@pytest.mark.parametrize(
    ("run", "key", "why"),
    [
        ("a_run", "train.epochs", "own"),
        ("a_run", "train.fine_tune.epochs", "all"),
        ("a_run", "train", "all"),
        ("b_run", "train.epochs", "of b"),
        ("b_run", "train.fine_tune.epochs", "of b too"),
        ("b_run", "train.batch_size", "all"),
        ("b_run_leakfree", "train.epochs", "of b"),
        ("a_run", "trained", None),
        ("a_run", "epochs", None),
    ],
)
def test_the_longest_key_that_is_the_setting_or_a_section_above_it_counts(run, key, why):
    origin = LAYERED.origin(run, key)
    assert (origin.ours if origin else None) == why


def test_the_settings_of_a_run_that_are_open_are_those_with_other_values():
    origins = {"balance": OPEN, "dataset": ours("x")}
    study = paper(("a_run", "b_run"), origins=origins, origins_of={"b_run": {"balance": ours("x")}})
    assert list(study.open_settings("a_run")) == list(study.open_settings("a_run_leakfree")) == ["balance"]
    assert study.open_settings("b_run") == {}


@pytest.mark.parametrize(
    ("treatment", "label", "open_label"),
    [
        ("protocol", "as stated", "our completion"),
        ("own_preprocessing", "own preprocessing", "own preprocessing"),
        ("protocol+scale=0.4", "as stated, scale 0.4", "our completion, scale 0.4"),
        ("smote+a=1+b=true", "smote, a 1, b true", "smote, a 1, b true"),
    ],
)
def test_the_protocol_is_our_completion_where_the_text_leaves_a_setting_open(treatment, label, open_label):
    assert paper(["a_run"], origins={"balance": ours("x")}).label("a_run", treatment) == label
    assert paper(["a_run"], origins={"balance": OPEN}).label("a_run", treatment) == open_label


def test_departures_say_what_the_paper_says_where_and_why_not():
    study = paper(("a_run", "b_run"), origins={"balance": OPEN}, origins_of={"b_run": {"train.learning_rate": DEPARTS}})
    expected = [f"train.learning_rate: the paper says 0.9 ({PLACE}). It would not train."]
    assert study.departures("b_run") == study.departures("b_run_leakfree") == expected
    assert study.departures("a_run") == []


def test_a_study_without_its_paper_is_named():
    other = PAPERS.model_copy(update={"studies": {"jitet": PAPERS.studies["jitet"]}})
    with pytest.raises(RontgenError, match=r"^studies/covid_hybrid: expected a paper.yaml, received none"):
        checks.check_origins(other, VALUES)


@pytest.mark.parametrize(("key", "gone"), [("balance", "balance"), ("train.fine_tune.epochs", "train.fine_tune")])
def test_a_setting_without_an_origin_is_named(key, gone):
    study = PAPERS.studies["jitet"]
    left = {name: origin for name, origin in study.origins.items() if name != gone and not name.startswith(f"{gone}.")}
    study = study.model_copy(update={"origins": left})
    other = PAPERS.model_copy(update={"studies": PAPERS.studies | {"jitet": study}})
    message = f"^studies/jitet/paper.yaml: expected where {key} of jitet_mobilenetv2 comes from, received no origin"
    with pytest.raises(RontgenError, match=message):
        checks.check_origins(other, VALUES)


def test_what_the_profile_caps_needs_no_origin():
    cap = SplitProfile(max_per_class=Counts(train=24, validation=12, test=8))
    capped = VALUES.profiles["paper"].model_copy(update={"split": cap})
    checks.check_origins(PAPERS, VALUES.model_copy(update={"profiles": VALUES.profiles | {"paper": capped}}))


def test_the_settings_that_need_an_origin_are_single_ones_without_seeds_or_the_profile_s():
    needed = {"dataset": "covid", "split": {"counts": {"train": 4}}, "augment": None}
    needed |= {"model": {"layers": 1, "recurrent_units": [8, 4]}, "train": {"epochs": 3}}
    others = {"split": {"seed": 7}, "train": {"seed": 7}, "model": {"name": "cnn1", "family": "cnn"}}
    others |= {"max_per_class": {"train": 24}, "batch_norm_momentum": None, "threads": 8}
    assert papers.leaves(others) == {}
    assert papers.leaves(needed) == {
        "dataset": "covid",
        "split.counts.train": 4,
        "augment": None,
        "model.layers": 1,
        "model.recurrent_units": [8, 4],
        "train.epochs": 3,
    }


# ---- readings, and how runs hang together

READING = {"why": "x", "runs": ["a_run"], "set": {"balance": "none"}}
ORDERING = {"says": "x", "place": "y", "metric": "test.accuracy", "order": "falling", "pairs": [["a_run", "a_run"]]}
SAME = {"why": "x", "place": PLACE, "runs": ["a_run"]}


def test_a_row_has_the_readings_of_the_run_that_is_trained_for_it():
    study = paper(("a_run", "b_run", "c_run"), trained_as={"b_run": "a_run"}, readings={"one": READING})
    assert study.readings_of("b_run") == ["protocol", "one", "random_completion"]
    assert study.readings_of("c_run") == ["protocol", "random_completion"]


def test_a_run_without_leaks_may_be_read_otherwise_too():
    reading = READING | {"runs": ["a_run", "a_run_leakfree"]}
    assert paper(["a_run"], readings={"a": reading}).readings["a"].runs == reading["runs"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("readings", {"protocol": READING}, "expected names such as own_preprocessing, received 'protocol'"),
        ("readings", {"Own-way": READING}, "expected names such as own_preprocessing, received 'Own-way'"),
        ("readings", {"a": READING | {"runs": ["b_run"]}}, "readings.a: expected one of a_run, received 'b_run'"),
        ("readings", {"a": READING | {"runs": []}}, "readings.a.runs: expected .*at least 1"),
        ("readings", {"a": READING | {"why": ""}}, "readings.a.why: expected .*at least 1"),
        ("readings", {"a": READING | {"set": {}}}, "readings.a.set: expected .*at least 1"),
        ("trained_as", {"a_run": "a_run"}, "trained_as.a_run: expected one of none, received 'a_run'"),
        ("trained_as", {"b_run": "a_run"}, "trained_as: expected one of a_run, received 'b_run'"),
        ("origins_of", {"b_run": {}}, "origins_of: expected one of a_run, received 'b_run'"),
        ("orderings", [ORDERING | {"pairs": [["a_run", "b_run"]]}], "test.accuracy: expected one of a_run, .*'b_run'"),
        ("orderings", [ORDERING | {"metric": "test.roc_auc"}], "test.roc_auc: expected one of none, .*'a_run'"),
        ("orderings", [ORDERING | {"pairs": []}], "orderings.0.pairs: expected .*at least 1"),
        ("orderings", [ORDERING | {"condition": "of all"}], "orderings.0.condition: expected .*received 'of all'"),
        ("same_test_images", SAME | {"runs": ["b_run"]}, "same_test_images: expected one of a_run, .*'b_run'"),
        ("same_test_images", SAME | {"place": "Section 3"}, "same_test_images.place: expected .*'Section 3'"),
        ("claims", [{"says": "x", "place": "y"}], "claims.0.examined: expected a value, received nothing"),
        ("excluded", [{"what": "x", "place": "y"}], "excluded.0.why: expected a value, received nothing"),
        ("author", "x", "author: .*received 'x'"),
    ],
)
def test_a_mistake_in_how_a_study_is_read_is_named(key, value, message):
    assert_refused(message, ["a_run"], **{key: value})
