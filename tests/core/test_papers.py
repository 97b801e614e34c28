"""What the papers say: paper.yaml, as it is read and refused, and those of the five studies."""

import pytest
from ruamel.yaml import YAML

from conftest import ROOT
from made_up_studies import OPEN, PAPERS, VALUES, cell, paper
from rontgen.core import checks, papers, params, readings, runs
from rontgen.core.cells import Cell
from rontgen.core.errors import RontgenError
from rontgen.core.papers import load_papers
from rontgen.core.params import SplitProfile
from rontgen.core.settings import LEAKFREE, Counts

RAW = params.read(ROOT / "params.yaml")

ACCURACY = "metric: test.accuracy, value: 0.90, place: Table 1"
IMAGES = "metric: test.test_images, value: 100, place: Table 1"
HEAD = f"""\
citation: {{title: Judul, english: Title, authors: [], venue: "", year: null, text_sha256: {"0" * 64}}}
about: It compares.
"""
COMMON = "archives: {}\nrestricted: {}\nsources: {}\norigins: {}\n"


def write(folder, cells=(ACCURACY,), of_study=(), more="", head=HEAD, common=COMMON):
    """Write and load a study with one run; it states the number of test images unless the cells do."""
    path = folder / "a_study/paper.yaml"
    path.parent.mkdir(exist_ok=True)
    cells = [*cells, *([] if any("test.test_images" in cell for cell in cells) else [IMAGES])]
    lines = [*([more] if more else []), "cells:" if of_study else "cells: []", *(f"  - {{{one}}}" for one in of_study)]
    lines += ["runs:", "  a_run:", *(f"    - {{{one}}}" for one in cells)]
    path.write_text(head + "\n".join(lines) + "\n")
    (folder / "common.yaml").write_text(common)
    return load_papers(folder).studies["a_study"]


def refused(folder, message, *cells, **values):
    """Check that a study with a mistake is refused in one line that names its file."""
    with pytest.raises(RontgenError, match=message) as caught:
        write(folder, cells or (ACCURACY,), **values)
    assert "a_study/paper.yaml" in str(caught.value) and "\n" not in str(caught.value)


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
        settings = runs.load_run(run, values).settings
        before = runs.load_run(run, VALUES).settings
        for key, text in study.readings[reading].set.items():
            found, old = settings, before
            for part in key.split("."):
                found, old = found[part], old[part]
            assert found == YAML(typ="safe").load(readings.text(text)) != old


def test_the_parts_of_an_archive_are_all_of_it():
    counts = {archive: count for dataset in VALUES.datasets.values() for archive, count in dataset.counts.items()}
    assert PAPERS.archives
    for archive, labels in PAPERS.archives.items():
        assert {label: sum(parts.values()) for label, parts in labels.items()} == counts[archive]


def test_images_under_terms_are_of_a_label_that_there_is():
    known = {archive: labels for dataset in VALUES.datasets.values() for archive, labels in dataset.labels.items()}
    for archive, labels in PAPERS.restricted.items():
        assert labels.keys() <= set(known[archive]), archive


def test_every_archive_has_a_source():
    assert set(PAPERS.sources) == {archive for dataset in VALUES.datasets.values() for archive in dataset.archives}


# ---- published numbers


@pytest.mark.parametrize(
    ("cell", "number", "low", "high"),
    [
        ("metric: test.macro.f1, value: 0.90", 0.90, 0.895, 0.905),
        ("metric: test.macro.f1, value: 1.00", 1, 0.995, 1),
        ("metric: test.macro.f1, value: 0.00", 0, 0, 0.005),
        ("metric: test.parameters, value: 2.26e6", 2_260_000, 2_255_000, 2_265_000),
        ("metric: test.log_loss, value: 9", 9, 8.5, 9.5),
        ("metric: test.test_images, value: 592", 592, 592, 592),
        ("metric: time.seconds, value: 7:39:20", 27560, 27559.5, 27560.5),
        ("metric: train.epochs, value: 15, relation: at_most", 15, 0, 15),
        ("metric: test.macro.f1, value: 0.90, relation: at_least", 0.90, 0.90, 1),
        ("metric: train.epochs, value: 15, relation: at_least", 15, 15, 10**12),
        ("metric: test.model_megabytes, value: 9, relation: about", 9, 8.1, 9.9),
        ("metric: test.macro.f1, value: 0.95, relation: about", 0.95, 0.855, 1),
        ("metric: train.final.train_loss, value: 0.05, relation: between, to: 0.08", 0.05, 0.05, 0.08),
    ],
)
def test_a_number_stands_for_all_that_print_as_it(tmp_path, cell, number, low, high):
    found = write(tmp_path, [ACCURACY, cell + ", place: x"]).runs["a_run"]
    one = next(each for each in found if each.metric in cell)
    assert (float(one.number), float(one.low), float(one.high)) == (number, low, high)


def test_a_share_of_the_split_is_stated_in_whole_percents():
    one = Cell(**cell("data.share.train", "0.9"))
    assert (float(one.low), float(one.high)) == (0.895, 0.905)


@pytest.mark.parametrize(
    ("relation", "text"),
    [
        ({}, "15"),
        ({"relation": "at_most"}, "at most 15"),
        ({"relation": "at_least"}, "at least 15"),
        ({"relation": "about"}, "about 15"),
        ({"relation": "between", "to": "20"}, "15 to 20"),
    ],
)
def test_a_number_says_how_it_was_meant(relation, text):
    assert Cell(**cell("train.epochs", 15, **relation)).text == text


@pytest.mark.parametrize("epoch", ["kept_epoch", "best_accuracy_epoch", "best_loss_epoch"])
def test_an_epoch_is_a_count(epoch):
    assert Cell(**cell(f"train.{epoch}", 13)).high == 13
    with pytest.raises(ValueError, match=f"expected a whole number for train.{epoch}"):
        Cell(**cell(f"train.{epoch}", "13.0"))


def test_synthetic_images_and_the_first_epoch_may_be_published(tmp_path):
    first = "metric: train.first.validation_loss, value: 0.3, place: x"
    study = write(tmp_path, [ACCURACY, first], ["metric: data.synthetic.NORMAL, value: 2690, place: x"])
    assert [one.value for one in (study.cells[0], study.runs["a_run"][1])] == ["2690", "0.3"]


def test_a_metric_that_a_study_has_not_is_named(tmp_path):
    refused(tmp_path, "received 'test.accuracy'", of_study=["metric: test.accuracy, value: 1, place: x"])


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("metric: test.acuracy, value: 1, place: x", "received 'test.acuracy'"),
        ("metric: my.test.accuracy, value: 1, place: x", "received 'my.test.accuracy'"),
        ("metric: train.middle.train_loss, value: 1, place: x", "received 'train.middle.train_loss'"),
        ("metric: train.best_epoch, value: 1, place: x", "received 'train.best_epoch'"),
        ("metric: data.images, value: 1, place: x", "received 'data.images'"),
        ("metric: setting.train.epochs, value: 1, place: x", "received 'setting.train.epochs'"),
        ("metric: test.accuracy, value: high, place: x", "a_run.0: expected a number.*received 'high'"),
        ("metric: test.accuracy, value: nan, place: x", "received 'nan'"),
        ("metric: test.accuracy, value: 97, place: x", "expected a share of 1.*received '97'"),
        ("metric: train.epochs, value: 2.5, place: x", "expected a whole number.*received '2.5'"),
        ("metric: test.accuracy, value: 1", "a_run.0.place: expected a value, received nothing"),
        ("metric: test.log_loss, value: 1, place: x", "a_run: expected a cell test.accuracy"),
        ("metric: test.log_loss, value: -1, place: x", "no number below zero.*received '-1'"),
        ("metric: [, value: 1", "not valid YAML"),
        (f"{ACCURACY}, remark: x", "a_run.0.remark: .*received 'x'"),
        (f"{ACCURACY}, relation: more", "a_run.0.relation: expected 'equal'.*received 'more'"),
        (f"{ACCURACY}, relation: between", "expected a number.*received '0.90' to ''"),
        (f"{ACCURACY}, relation: between, to: 0.90", "expected a number.*received '0.90' to '0.90'"),
    ],
)
def test_a_mistake_in_a_number_is_named(tmp_path, cell, message):
    refused(tmp_path, message, cell)


def test_a_metric_that_is_there_twice_is_named(tmp_path):
    refused(tmp_path, "one cell per metric, test.accuracy has more", ACCURACY, ACCURACY)


def test_an_accuracy_says_of_how_many_images_it_is(tmp_path):
    write(tmp_path)
    path = tmp_path / "a_study/paper.yaml"
    path.write_text(path.read_text().replace(f"    - {{{IMAGES}}}\n", ""))
    with pytest.raises(RontgenError, match=r"a_run: expected a cell test\.test_images"):
        load_papers(tmp_path)


def test_a_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(RontgenError, match=r"common\.yaml not found"):
        load_papers(tmp_path)


# ---- the citation


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ('authors: [], venue: "", year: null', "No author given (no year given). Judul."),
        ("authors: [A. Satu, B. Dua], venue: Jurnal 3, year: 2025", "A. Satu, B. Dua (2025). Judul. Jurnal 3."),
    ],
)
def test_a_paper_is_cited_in_one_line(tmp_path, more, text):
    head = HEAD.replace('authors: [], venue: "", year: null', more)
    assert write(tmp_path, head=head).citation.text == text


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [("0" * 64, "0" * 63, "citation.text_sha256"), ("Judul", '""', "citation.title"), ("It compares.", '""', "about")],
)
def test_a_citation_without_its_text_or_title_is_refused(tmp_path, old, new, key):
    refused(tmp_path, rf"paper\.yaml: {key}: expected", head=HEAD.replace(old, new))


# ---- origins

PLACE = "Section 3.1, line 97"


def of_balance(origin):
    return f"origins: {{balance: {{{origin}}}}}"


@pytest.mark.parametrize(
    ("entry", "is_open"),
    [
        (f'stated: "{PLACE}", says: x', False),
        (f'departs: x, says: y, place: "{PLACE}"', False),
        (f'departs: x, says: y, place: "{PLACE}", range: [none, smote]', True),
        ("ours: x, range: [none]", False),
        ("ours: x, range: [none, smote]", True),
        ("ours: x, range: {low: 1, high: 2}", True),
    ],
)
def test_a_setting_is_open_where_another_value_could_have_been_chosen(tmp_path, entry, is_open):
    assert write(tmp_path, more=of_balance(entry)).origins["balance"].is_open is is_open


@pytest.mark.parametrize(
    "place",
    [
        "Abstract, line 17",
        "Chapter III, lines 1636-1685",
        "Section 2, lines 101-103; Section 3, line 141",
        "Table 1, lines 128-134",
        "Figure 5, line 128",
        "Section 3, line 97, where the second sentence has it",
    ],
)
def test_a_place_is_a_part_of_the_text_and_its_lines(tmp_path, place):
    assert write(tmp_path, more=of_balance(f'stated: "{place}"')).origins["balance"].stated == place


@pytest.mark.parametrize("place", ["page 3", "Section 3.1", "line 97", "Section 3, line x", "section 3, line 9"])
@pytest.mark.parametrize("kind", ["stated: {}", "departs: x, says: y, place: {}"])
def test_a_place_without_a_line_is_refused(tmp_path, kind, place):
    message = rf"origins\.balance: expected a section and a line.*received '{place}'"
    refused(tmp_path, message, more=of_balance(kind.format(f'"{place}"')))


OF_ONE_KIND = "expected one of stated, ours and departs, received"
RANGE = "expected a range where the setting is ours, and none where it is stated"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("says: x", f"{OF_ONE_KIND} none"),
        ('ours: ""', f"{OF_ONE_KIND} none"),
        (f'stated: "{PLACE}", ours: x, range: [none]', f"{OF_ONE_KIND} stated and ours"),
        (f'stated: "{PLACE}", departs: x, says: y', f"{OF_ONE_KIND} stated and departs"),
        ("ours: x, range: [none], departs: y", f"{OF_ONE_KIND} ours and departs"),
        ("departs: x, says: y", "received ''"),
        (f'departs: x, place: "{PLACE}"', "expected what the paper says beside why we depart from it, as says"),
        ("ours: x", RANGE),
        ("ours: x, range: []", RANGE),
        (f'stated: "{PLACE}", range: [none]', RANGE),
        ("ours: x, range: {low: 1}", "range"),
        ("ours: x, range: {low: 1, high: 2, log: maybe}", "range"),
        ("ours: x, range: none", "range"),
        ("ours: x, range: [none], why: y", r"\.why: .*received 'y'"),
    ],
)
def test_an_origin_is_of_one_kind_with_what_it_needs(tmp_path, entry, message):
    refused(tmp_path, rf"origins\.balance.*{message}", more=of_balance(entry))


def ours(why, *values):
    return {"ours": why, "range": list(values) or ["one"]}


LAYERED = paper(
    runs=("a_run", "b_run"),
    origins={"train": ours("all"), "train.epochs": ours("own"), "split": ours("all", "x", "y"), "balance": ours("all")},
    origins_of={"b_run": {"train.epochs": ours("of b"), "train.fine_tune": ours("of b too")}},
)


@pytest.mark.parametrize(
    ("run", "key", "why"),
    [
        ("a_run", "train.epochs", "own"),
        ("a_run", "train.batch_size", "all"),
        ("a_run", "train.fine_tune.epochs", "all"),
        ("a_run", "train", "all"),
        ("b_run", "train.epochs", "of b"),
        ("b_run", "train.fine_tune.epochs", "of b too"),
        ("b_run", "train.batch_size", "all"),
        ("b_run_leakfree", "train.epochs", "of b"),
        ("a_run", "trained", None),
        ("a_run", "train_epochs", None),
        ("a_run", "epochs", None),
        ("a_run", "image.size", None),
    ],
)
def test_the_longest_key_that_is_the_setting_or_a_section_above_it_counts(run, key, why):
    origin = LAYERED.origin(run, key)
    assert (origin.ours if origin else None) == why


def test_every_study_has_the_common_origins_but_for_its_own(tmp_path):
    entry = "{ours: common, range: [1]}"
    common = COMMON.replace("origins: {}", f"origins: {{fixed.a: {entry}, fixed.b: {entry}}}")
    study = write(tmp_path, more="origins: {fixed.b: {ours: own, range: [1]}}", common=common)
    assert {key: origin.ours for key, origin in study.origins.items()} == {"fixed.a": "common", "fixed.b": "own"}
    assert set(write(tmp_path, common=common).origins) == {"fixed.a", "fixed.b"}


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
        ("random_completion", "random completion", "random completion"),
    ],
)  # fmt: skip
def test_the_protocol_is_our_completion_where_the_text_leaves_a_setting_open(treatment, label, open_label):
    assert paper(["a_run"]).label("a_run", treatment) == label
    assert paper(["a_run"], origins={"balance": ours("x")}).label("a_run", treatment) == label
    assert paper(["a_run"], origins={"balance": OPEN}).label("a_run", treatment) == open_label


def test_departures_say_what_the_paper_says_where_and_why_not():
    departs = {"departs": "It would not train.", "says": "0.9", "place": PLACE}
    study = paper(("a_run", "b_run"), origins={"balance": OPEN}, origins_of={"b_run": {"train.learning_rate": departs}})
    expected = [f"train.learning_rate: the paper says 0.9 ({PLACE}). It would not train."]
    assert study.departures("b_run") == study.departures("b_run_leakfree") == expected
    assert study.departures("a_run") == []


def test_a_study_without_its_paper_is_named():
    other = PAPERS.model_copy(update={"studies": {"jitet": PAPERS.studies["jitet"]}})
    with pytest.raises(RontgenError, match=r"^studies/covid_hybrid: expected a paper.yaml, received none"):
        checks.check_origins(other, VALUES)


@pytest.mark.parametrize(
    ("key", "gone"),
    [("balance", "balance"), ("train.fine_tune.epochs", "train.fine_tune"), ("weights", "weights")],
)
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
    settings = {
        "dataset": "covid",
        "split": {"policy": "balanced", "counts": {"train": 4}, "seed": 7},
        "max_per_class": {"train": 24},
        "model": {"name": "cnn1", "family": "cnn", "layers": 1, "recurrent_units": [8, 4]},
        "augment": None,
        "train": {"epochs": 3, "seed": 7},
        "batch_norm_momentum": None,
        "threads": 8,
    }
    assert dict(papers.leaves(settings)) == {
        "dataset": "covid",
        "split.policy": "balanced",
        "split.counts.train": 4,
        "model.layers": 1,
        "model.recurrent_units": [8, 4],
        "augment": None,
        "train.epochs": 3,
    }


# ---- readings, and how runs hang together

READING = "why: x, runs: [a_run], set: {balance: none}"


def test_a_reading_keeps_the_values_that_it_sets_as_written(tmp_path):
    set_ = "train.learning_rate: 1e-5, augment.validation: true, train.early_stopping: {patience: 3}"
    study = write(tmp_path, more="readings: {a_reading: {" + READING.replace("balance: none", set_) + "}}")
    assert study.readings["a_reading"].set == {
        "train.learning_rate": "1e-5",
        "augment.validation": "true",
        "train.early_stopping": {"patience": "3"},
    }
    assert study.readings_of("a_run") == ["protocol", "a_reading", "random_completion"]


def test_a_row_has_the_readings_of_the_run_that_is_trained_for_it():
    reading = {"why": "x", "runs": ["a_run"], "set": {"balance": "none"}}
    study = paper(("a_run", "b_run", "c_run"), trained_as={"b_run": "a_run"}, readings={"one": reading})
    assert study.readings_of("b_run") == ["protocol", "one", "random_completion"]
    assert study.readings_of("c_run") == ["protocol", "random_completion"]


def test_a_run_without_leaks_may_be_read_otherwise_too(tmp_path):
    more = "readings: {a: {" + READING.replace("a_run", "a_run, a_run_leakfree") + "}}"
    assert write(tmp_path, more=more).readings["a"].runs == ["a_run", "a_run_leakfree"]


ORDERING = "says: x, place: y, metric: test.accuracy, order: falling, pairs: [[a_run, a_run]]"
SAME = f"why: x, place: '{PLACE}', runs: [a_run]"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (f"readings: {{protocol: {{{READING}}}}}", "expected names such as own_preprocessing, received 'protocol'"),
        (f"readings: {{random_completion: {{{READING}}}}}", "received 'random_completion'"),
        (f"readings: {{Own-way: {{{READING}}}}}", "received 'Own-way'"),
        ("readings: {a: {" + READING.replace("a_run", "b_run") + "}}", "readings.a: expected one of a_run, .*'b_run'"),
        ("readings: {a: {" + READING.replace("[a_run]", "[]") + "}}", "readings.a.runs: expected .*at least 1"),
        ("readings: {a: {" + READING.replace("why: x", "why: ''") + "}}", "readings.a.why: expected .*at least 1"),
        ("readings: {a: {why: x, runs: [a_run], set: {}}}", "readings.a.set: expected .*at least 1"),
        ("trained_as: {a_run: b_run}", "trained_as.a_run: expected one of none, received 'b_run'"),
        ("trained_as: {a_run: a_run}", "trained_as.a_run: expected one of none, received 'a_run'"),
        ("trained_as: {b_run: a_run}", "trained_as: expected one of a_run, received 'b_run'"),
        ("origins_of: {b_run: {}}", "origins_of: expected one of a_run, received 'b_run'"),
        (
            f"orderings: [{{{ORDERING.replace('a_run]]', 'b_run]]')}}}]",
            "test.accuracy: expected one of a_run, .*'b_run'",
        ),
        (
            f"orderings: [{{{ORDERING.replace('accuracy', 'roc_auc')}}}]",
            "test.roc_auc: expected one of none, .*'a_run'",
        ),
        (f"orderings: [{{{ORDERING.replace('falling', 'mixed')}}}]", "orderings.0.order: expected .*received 'mixed'"),
        (f"orderings: [{{{ORDERING.replace('[[a_run, a_run]]', '[]')}}}]", "orderings.0.pairs: expected .*at least 1"),
        (f"orderings: [{{{ORDERING}, condition: of all}}]", "orderings.0.condition: expected .*received 'of all'"),
        (f"orderings: [{{{ORDERING}, condition: if }}]", "orderings.0.condition: expected .*received 'if'"),
        (f"same_test_images: {{{SAME.replace('a_run', 'b_run')}}}", "test_images: expected one of a_run, .*'b_run'"),
        (f"same_test_images: {{{SAME.replace('a_run', '')}}}", "same_test_images.runs: expected .*at least 1"),
        (f"same_test_images: {{{SAME.replace(PLACE, 'Section 3')}}}", "test_images.place: expected .*'Section 3'"),
        (f"same_test_images: {{{SAME.replace('why: x', 'why: ')}}}", "same_test_images.why: expected"),
        ("author: x", r"paper\.yaml: author: .*received 'x'"),
        ("claims: [{says: x, place: y}]", "claims.0.examined: expected a value, received nothing"),
        ("excluded: [{what: x, place: y}]", "excluded.0.why: expected a value, received nothing"),
    ],
)
def test_a_mistake_in_how_a_study_is_read_is_named(tmp_path, more, message):
    refused(tmp_path, message, more=more)


@pytest.mark.parametrize(
    ("more", "condition"),
    [("", ""), (", condition: ''", ""), (", condition: if it is meant of all", "if it is meant of all")],
)
def test_an_ordering_of_two_runs_may_rest_on_a_condition(tmp_path, more, condition):
    (ordering,) = write(tmp_path, more=f"orderings: [{{{ORDERING}{more}}}]").orderings
    assert (ordering.pairs, ordering.condition) == ([("a_run", "a_run")], condition)


def test_the_runs_on_the_paper_s_own_test_images_are_told_with_the_place(tmp_path):
    same = write(tmp_path, more=f"same_test_images: {{{SAME}}}").same_test_images
    assert (same.why, same.place, same.runs) == ("x", PLACE, ["a_run"])


def test_no_test_images_are_the_same_unless_the_paper_says_so(tmp_path):
    assert write(tmp_path).same_test_images is None


def test_images_under_terms_are_common_to_all_studies(tmp_path):
    offered = "{tb: {Tuberculosis: {images: 2800, terms: under an agreement}}}"
    write(tmp_path, common=COMMON.replace("restricted: {}", f"restricted: {offered}"))
    found = load_papers(tmp_path).restricted["tb"]["Tuberculosis"]
    assert (found.images, found.terms) == (2800, "under an agreement")
