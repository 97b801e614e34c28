"""The leakage gap: how much higher a run scores than its leak-free run."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.weightstats import DescrStatsW

from rontgen.audits import leakage_gap
from rontgen.core.errors import RontgenError
from rontgen.evaluation.metrics import compute_metrics, prediction_table

CLASSES = ["NORMAL", "COVID"]


def predictions(right, wrong, start=0):
    """Of each class, `right` images predicted correctly and `wrong` incorrectly, with ids from `start` on."""
    names = np.repeat(CLASSES * 2, [right, right, wrong, wrong])
    sick = np.repeat([0.1, 0.9, 0.8, 0.2], [right, right, wrong, wrong])
    ids = [str(start + index) for index in range(len(names))]
    return prediction_table(ids, ids, names, CLASSES, np.stack([1 - sick, sick], axis=1))


def apart(right, wrong):
    """Like `predictions`, on images that are in no other test."""
    return predictions(right, wrong, start=10_000)


def several(gaps):
    """Compare a run with 50 of 100 images right and leak-free runs with fewer right, by each of `gaps`."""
    return leakage_gap.measure([(predictions(25, 25), apart(25 - gap // 2, 25 + gap // 2)) for gap in gaps])


def test_of_one_seed_each_there_is_a_gap_without_an_interval():
    measured = leakage_gap.measure([(predictions(45, 5), apart(60, 20))])
    assert measured["seeds"] == 1
    assert measured["note"] == "one seed each, which shows nothing about the split; scored on 100 and 160 test images"
    expected = {"run": 0.9, "leakfree": 0.75, "gap": 0.15}
    assert measured["metrics"]["accuracy"] == pytest.approx(expected)
    assert measured["metrics"]["macro_f1"] == pytest.approx(expected)
    assert set(measured["metrics"]) == {"accuracy", "roc_auc", "macro_f1"}


def test_each_metric_is_that_of_the_evaluation():
    names, sick = np.repeat(CLASSES, [35, 25]), np.random.default_rng(3).random((2, 60))
    run, leakfree = (
        prediction_table(np.arange(60) + 100 * place, [""] * 60, names, CLASSES, np.stack([1 - p, p], axis=1))
        for place, p in enumerate(sick)
    )
    found = leakage_gap.measure([(run, leakfree)])["metrics"]
    for place, table in (("run", run), ("leakfree", leakfree)):
        expected = compute_metrics(table, CLASSES)
        assert found["roc_auc"][place] == expected["roc_auc"]
        assert found["macro_f1"][place] == expected["macro"]["f1"]


def test_of_several_seeds_there_is_a_mean_with_its_t_interval():
    measured = several([10, 4, 16])
    accuracy = measured["metrics"]["accuracy"]
    low, high = DescrStatsW([0.1, 0.04, 0.16]).tconfint_mean()
    assert accuracy == pytest.approx({"run": 0.5, "leakfree": 0.4, "gap": 0.1, "low": low, "high": high})
    assert measured["seeds"] == 3
    assert measured["note"] == "3 seeds each; scored on 300 and 300 test images in all"


def test_seeds_that_agree_make_no_interval():
    assert "low" not in several([10, 10])["metrics"]["accuracy"]
    # equal but for rounding: 0.4 - 0.3 and 0.3 - 0.2 differ in the last digit
    pairs = [(predictions(20, 30), apart(15, 35)), (predictions(15, 35), apart(10, 40))]
    accuracy = leakage_gap.measure(pairs)["metrics"]["accuracy"]
    assert accuracy["gap"] == pytest.approx(0.1) and "low" not in accuracy


def test_both_are_scored_on_the_images_that_both_tests_share():
    # both have 20 + 20 images right; what the leak-free run has wrong is only in its own test
    run, leakfree = predictions(20, 0), predictions(20, 10)
    for first, second in ((run, leakfree), (leakfree, run), (run, leakfree.sample(frac=1, random_state=1))):
        measured = leakage_gap.measure([(first, second)])
        assert measured["paired"] is True
        assert (measured["images"], measured["leakfree_images"]) == (40, 40)
        assert measured["metrics"]["accuracy"] == {"run": 1, "leakfree": 1, "gap": 0}
        assert measured["note"].endswith("; scored on the same 40 test images")


@pytest.mark.parametrize(("right", "paired"), [(leakage_gap.FEWEST, True), (leakage_gap.FEWEST - 1, False)])
def test_too_few_shared_images_of_a_class_are_not_scored_alone(right, paired):
    shares_all, shares_few = (predictions(20, 5), predictions(20, 5)), (predictions(right, 0), predictions(right, 0))
    shares_few = shares_few[0], pd.concat([shares_few[1], apart(0, 30)])
    for pairs in ([shares_few], [shares_all, shares_few]):
        measured = leakage_gap.measure(pairs)
        assert measured["paired"] is paired
        assert (measured["metrics"]["accuracy"]["gap"] == 0) is paired
        assert (measured["images"] == measured["leakfree_images"]) is paired


def test_other_classes_are_refused():
    leakfree = predictions(20, 5).rename(columns={"COVID": "TUBERCULOSIS"})
    message = "received NORMAL, COVID and NORMAL, TUBERCULOSIS: make both by the same settings"
    with pytest.raises(RontgenError, match=message):
        leakage_gap.measure([(predictions(20, 5), leakfree)])
