"""Published numbers: what each stands for, and which are refused."""

import pytest
from pydantic import ValidationError

from made_up_studies import CITATION, assert_refused, cell, paper
from rontgen.core.cells import Cell
from rontgen.core.papers import Paper


@pytest.mark.parametrize(
    ("metric", "value", "more", "low", "high"),
    [
        ("test.macro.f1", "0.90", {}, 0.895, 0.905),
        ("test.macro.f1", "1.00", {}, 0.995, 1),
        ("test.macro.f1", "0.00", {}, 0, 0.005),
        ("test.parameters", "2.26e6", {}, 2_255_000, 2_265_000),
        ("test.log_loss", "9", {}, 8.5, 9.5),
        ("test.test_images", "592", {}, 592, 592),
        ("train.best_loss_epoch", "13", {}, 13, 13),
        ("data.share.train", "0.9", {}, 0.895, 0.905),
        ("time.seconds", "7:39:20", {}, 27559.5, 27560.5),
        ("train.epochs", "15", {"relation": "at_most"}, 0, 15),
        ("test.macro.f1", "0.90", {"relation": "at_least"}, 0.90, 1),
        ("train.epochs", "15", {"relation": "at_least"}, 15, 10**12),
        ("test.model_megabytes", "9", {"relation": "about"}, 8.1, 9.9),
        ("test.macro.f1", "0.95", {"relation": "about"}, 0.855, 1),
        ("train.final.train_loss", "0.05", {"relation": "between", "to": "0.08"}, 0.05, 0.08),
    ],
)
def test_a_number_stands_for_all_that_print_as_it(metric, value, more, low, high):
    found = Cell(**cell(metric, value, **more))
    assert (float(found.low), float(found.high)) == (low, high)


@pytest.mark.parametrize(
    ("relation", "text"),
    [
        ({}, "15"),
        ({"relation": "at_most"}, "at most 15"),
        ({"relation": "about"}, "about 15"),
        ({"relation": "between", "to": "20"}, "15 to 20"),
    ],
)
def test_a_number_says_how_it_was_meant(relation, text):
    assert Cell(**cell("train.epochs", 15, **relation)).text == text


NOT_LISTED = "expected metrics as docs/add-a-study.md lists them, received"


@pytest.mark.parametrize(
    ("metric", "value", "more", "message"),
    [
        ("test.acuracy", "1", {}, f"runs.a_run: {NOT_LISTED} 'test.acuracy'"),
        ("my.test.accuracy", "1", {}, f"runs.a_run: {NOT_LISTED} 'my.test.accuracy'"),
        ("data.images", "1", {}, f"runs.a_run: {NOT_LISTED} 'data.images'"),
        ("test.accuracy", "high", {}, "runs.a_run.0: expected a number, or a duration .*, received 'high'"),
        ("test.accuracy", "nan", {}, "received 'nan'"),
        ("test.accuracy", "97", {}, "expected a share of 1, .*received '97'"),
        ("train.epochs", "2.5", {}, "expected a whole number for train.epochs, received '2.5'"),
        ("train.kept_epoch", "13.0", {}, "expected a whole number"),
        ("test.log_loss", "-1", {}, "expected no number below zero .*received '-1'"),
        ("test.accuracy", "0.90", {"relation": "between"}, "received '0.90' to ''"),
        ("test.accuracy", "0.90", {"relation": "between", "to": "0.90"}, "received '0.90' to '0.90'"),
        ("test.accuracy", "0.90", {"relation": "more"}, "runs.a_run.0.relation: expected 'equal'.*received 'more'"),
        ("test.accuracy", "0.90", {"place": ""}, "runs.a_run.0.place: expected"),
        ("test.accuracy", "0.90", {"remark": "x"}, "runs.a_run.0.remark: .*received 'x'"),
    ],
)
def test_a_mistake_in_a_number_is_named(metric, value, more, message):
    assert_refused(message, {"a_run": [cell(metric, value, **more)]})


def test_a_run_s_metric_is_no_metric_of_the_study():
    assert_refused(f"^cells: {NOT_LISTED} 'test.accuracy'", cells=[cell("test.accuracy", "1")])


def test_a_metric_that_is_there_twice_is_named():
    twice = [cell("test.accuracy", "0.90"), cell("test.accuracy", "0.91")]
    assert_refused("^runs.a_run: expected one cell per metric, test.accuracy has more", {"a_run": twice})


@pytest.mark.parametrize("metric", ["test.accuracy", "test.test_images"])
def test_a_run_has_what_its_verdict_rests_on(metric):
    cells = [one for one in paper(["a_run"]).model_dump()["runs"]["a_run"] if one["metric"] != metric]
    with pytest.raises(ValidationError, match=f"expected a cell {metric}, on which the verdict rests"):
        Paper.model_validate({"citation": CITATION, "about": "?", "origins": {}, "runs": {"a_run": cells}})
