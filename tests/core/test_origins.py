"""Where settings come from: the five studies leave none unexplained, and the tables that show it."""

import pytest
from ruamel.yaml import YAML

from made_up_studies import PAPERS, VALUES, paper
from rontgen.core import nested, origins, readings, runs
from rontgen.core.checks import check_origins
from rontgen.core.papers import Interval

SETTINGS = {run: runs.load_run(run, VALUES).settings for run in VALUES.runs}
# Published rows too that another run is trained for
ROWS = [(study, run) for study, published in PAPERS.studies.items() for run in published.runs]
MISSING = object()


def has(settings, key):
    return key.startswith("fixed.") or nested.find(settings, key, MISSING) is not MISSING


def is_among(value, found):
    """Whether a value is of a range of paper.yaml, whose scalars are text; true is not 1."""
    if isinstance(found, Interval):
        return not isinstance(value, bool) and float(found.low) <= value <= float(found.high)
    values = [YAML(typ="safe").load(readings.text(one)) for one in found]
    return any(one == value and isinstance(one, bool) == isinstance(value, bool) for one in values)


def ours(*values):
    return {"ours": "?", "range": list(values)}


STATED = {"stated": "Section 2, line 3"}


# ---- the five studies


def test_every_setting_of_a_run_has_an_origin():
    check_origins(PAPERS, VALUES)


@pytest.mark.parametrize(("study", "run"), ROWS)
def test_our_value_is_in_the_range_of_what_is_ours(study, run):
    published = PAPERS.studies[study]
    settings = SETTINGS[published.trained(run)]
    ranges = {key: origin.range for key, origin in published.origins_for(run).items() if origin.range}
    values = {key: nested.find(settings, key, MISSING) for key in ranges}
    there = [key for key, value in values.items() if value is not MISSING]
    assert len(there) > 10
    assert [key for key in there if not is_among(values[key], ranges[key])] == []


@pytest.mark.parametrize(("study", "run"), ROWS)
def test_a_range_has_no_value_twice(study, run):
    for key, origin in PAPERS.studies[study].origins_for(run).items():
        if isinstance(origin.range, list):
            texts = [readings.text(one) for one in origin.range]
            assert len(set(texts)) == len(texts), key
        elif origin.range:
            assert float(origin.range.low) < float(origin.range.high), key


@pytest.mark.parametrize("study", PAPERS.studies)
def test_an_origin_is_of_a_setting_that_there_is(study):
    published = PAPERS.studies[study]
    some = [SETTINGS[published.trained(run)] for run in published.runs]
    assert [key for key in published.origins if not any(has(settings, key) for settings in some)] == []
    for run, of_run in published.origins_of.items():
        assert [key for key in of_run if not has(SETTINGS[published.trained(run)], key)] == [], run


@pytest.mark.parametrize("study", PAPERS.studies)
def test_the_others_are_all_of_the_range_but_our_value(study):
    yaml = YAML(typ="safe")
    for row in origins.table(PAPERS.studies[study], VALUES):
        if isinstance(row.origin.range, list):
            texts = [readings.text(one) for one in row.origin.range]
            others = [text for text in texts if yaml.load(text) != yaml.load(row.value)]
            assert row.others == ", ".join(others), row.setting


# ---- the table


def table(runs=("smatika_resnet50v2", "smatika_vgg16"), **values):
    return origins.table(paper(runs, **values), VALUES)


def test_a_row_has_our_value_in_the_profile_paper():
    demo = VALUES.model_copy(update={"profile": "demo"})
    settings = {"image.size": STATED, "train.epochs": STATED, "train.early_stopping": STATED}
    settings |= {"augment.horizontal_flip": STATED, "train.learning_rate": STATED, "split.counts": STATED}
    rows = origins.table(paper(["smatika_vgg16"], origins=settings), demo)
    assert {row.setting: row.value for row in rows} == {
        "image.size": "224",
        "train.epochs": "20",
        "train.early_stopping": "null",
        "augment.horizontal_flip": "true",
        "train.learning_rate": "0.001",
        "split.counts": "{train: 1359, validation: 174, test: 50}",
    }
    assert [row.setting for row in rows] == list(settings)


def test_runs_that_share_value_and_origin_share_a_row():
    (row,) = table(origins={"train.epochs": STATED})
    assert (row.value, row.runs, row.origin.stated) == ("20", [], "Section 2, line 3")


def test_runs_with_other_values_have_rows_of_their_own():
    rows = table(origins={"model.backbone": STATED})
    assert [(row.value, row.runs) for row in rows] == [
        ("resnet50v2", ["smatika_resnet50v2"]),
        ("vgg16", ["smatika_vgg16"]),
    ]


def test_runs_with_other_origins_have_rows_of_their_own():
    rows = table(origins={"train.epochs": STATED}, origins_of={"smatika_vgg16": {"train.epochs": ours("20")}})
    assert [(row.value, bool(row.origin.ours), row.runs) for row in rows] == [
        ("20", False, ["smatika_resnet50v2"]),
        ("20", True, ["smatika_vgg16"]),
    ]


def test_a_setting_that_one_run_lacks_is_of_the_others():
    names = ("covid_hybrid_resnet50", "covid_hybrid_lstm")
    (row,) = table(names, origins={"model.backbone": STATED})
    assert row.runs == ["covid_hybrid_resnet50"]
    (row,) = table(names, origins_of={"covid_hybrid_lstm": {"train.epochs": STATED}})
    assert row.runs == ["covid_hybrid_lstm"]


def test_a_row_that_another_run_is_trained_for_has_that_run_s_value():
    rows = table(("lungcare_cnn4", "lungcare_b32_s240"), origins={"image.size": STATED},
                 trained_as={"lungcare_b32_s240": "lungcare_cnn4"})  # fmt: skip
    assert [(row.value, row.runs) for row in rows] == [("240", [])]


def test_a_choice_of_the_code_has_the_first_of_its_range_as_ours():
    first, second = table(origins={"fixed.resize": ours("bilinear", "nearest"), "fixed.loss": STATED})
    assert (first.value, first.others, first.runs) == ("bilinear", "nearest", [])
    assert (second.value, second.others) == ("", "")


@pytest.mark.parametrize(
    ("origin", "others"),
    [
        (ours("20"), ""),
        (ours("10", "20", "30"), "10, 30"),
        (ours("20", "null", {"a": "1"}), "null, {a: 1}"),
        ({"ours": "?", "range": {"low": "10", "high": "30", "log": "true"}}, "10 to 30"),
        (STATED, ""),
    ],
)
def test_others_are_what_a_random_completion_may_draw_instead(origin, others):
    (row,) = table(origins={"train.epochs": origin})
    assert row.others == others
