"""The leakage gap: how much more accurate a run is than its leak-free run."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.weightstats import DescrStatsW

from rontgen.claims.comparisons import Difference
from rontgen.claims.leaks import FEWEST_IMAGES, measure_gap
from rontgen.evaluation.metrics import prediction_table

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


def measured(*pairs):
    """The gap of records with these prediction tables, all of one machine."""
    provenance = {"machine": {"processor": "one"}}
    return measure_gap(
        [[SimpleNamespace(predictions=table, provenance=provenance) for table in pair] for pair in pairs]
    )


def several(gaps):
    """Compare a run with 50 of 100 images right and leak-free runs with fewer right, by each of `gaps`."""
    return measured(*((predictions(25, 25), apart(25 - gap // 2, 25 + gap // 2)) for gap in gaps))


def test_of_one_seed_each_there_is_a_gap_without_an_interval():
    gap = measured((predictions(45, 5), apart(60, 20)))
    assert (gap.seeds, gap.note) == (1, "one seed each; scored on 100 and 160 test images")
    assert gap.accuracy == Difference(*[pytest.approx(0.15)] * 3)


def test_of_several_seeds_there_is_a_mean_with_its_t_interval():
    gap = several([10, 4, 16])
    low, high = DescrStatsW([0.1, 0.04, 0.16]).tconfint_mean()
    assert gap.accuracy == Difference(*map(pytest.approx, (0.1, low, high)))
    assert (gap.seeds, gap.note) == (3, "3 seeds each; scored on 300 and 300 test images in all")


def test_both_are_scored_on_the_images_that_both_tests_share():
    # both have 20 + 20 images right; what the leak-free run has wrong is only in its own test
    run, leakfree = predictions(20, 0), predictions(20, 10)
    for pair in ((run, leakfree), (leakfree, run), (run, leakfree.sample(frac=1, random_state=1))):
        gap = measured(pair)
        assert gap.accuracy.mean == 0
        assert gap.note.endswith("; scored on the same 40 test images")


@pytest.mark.parametrize(("right", "paired"), [(FEWEST_IMAGES, True), (FEWEST_IMAGES - 1, False)])
def test_too_few_shared_images_of_a_class_are_not_scored_alone(right, paired):
    shares_all, shares_few = (predictions(20, 5), predictions(20, 5)), (predictions(right, 0), predictions(right, 0))
    shares_few = shares_few[0], pd.concat([shares_few[1], apart(0, 30)])
    for pairs in ([shares_few], [shares_all, shares_few]):
        gap = measured(*pairs)
        assert (gap.accuracy.mean == 0) is paired
        assert ("scored on the same" in gap.note) is paired
