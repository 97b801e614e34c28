"""Trainings in pairs on the same test images."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from made_up_studies import RUN, cell, on_images, paper, seeds, study

OTHER = "smatika_resnet50v2"
READINGS = {name: {"why": "x", "runs": [RUN], "set": {"balance": "smote"}} for name in ("one_way", "another")}
TWO_READINGS, TWO_RUNS = paper(readings=READINGS), paper({RUN: [], OTHER: [cell("test.accuracy", "0.97")]})
IDS = [f"{number:012x}" for number in range(101)]


def compared(published, *records):
    return study(published, [record for some in records for record in on_images(some, IDS[:100])]).comparisons


def test_readings_are_compared_seed_by_seed_on_the_same_images():
    one, other = seeds(60, 75, 87), seeds(90, 91, 93, treatment="another")
    (found,) = compared(TWO_READINGS, one, other)
    differences = np.array([0.30, 0.16, 0.06])
    low, high = stats.t.interval(0.95, 2, differences.mean(), stats.sem(differences))
    assert (found.first.treatment, found.second.treatment, found.seeds) == ("another", "protocol", 3)
    assert found.accuracy.mean == pytest.approx(differences.mean())
    assert (found.accuracy.low, found.accuracy.high) == (pytest.approx(low), pytest.approx(high))
    assert found.p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    assert found.is_of_readings and not found.is_shown
    for name in ("sensitivity", "specificity"):
        first, second = ([record.metrics["test"][name] for record in some] for some in (other, one))
        assert getattr(found, name).mean == pytest.approx(np.mean(first) - np.mean(second))


def test_seeds_that_agree_by_luck_have_at_least_the_error_of_their_images():
    (found,) = compared(TWO_READINGS, seeds(80, 82, 87), seeds(85, 87, 92, treatment="another"))
    error = np.sqrt(0.05 * 0.95 / 300)
    reach = stats.t.ppf(0.975, 2) * error
    assert (found.accuracy.low, found.accuracy.high) == (pytest.approx(0.05 - reach), pytest.approx(0.05 + reach))
    assert found.p == pytest.approx(2 * stats.t.sf(0.05 / error, 2))


def test_the_same_answers_do_not_differ():
    (found,) = compared(TWO_READINGS, seeds(80, 82, 87), seeds(80, 82, 87, treatment="another"))
    assert (found.accuracy.mean, found.accuracy.low, found.p) == (0, 0, 1)


def test_seeds_tested_on_other_images_are_not_compared():
    one, other = seeds(80, 82, 87), seeds(90, 91, 93, treatment="another")
    assert study(TWO_READINGS, one + other).comparisons
    assert study(TWO_READINGS, on_images(one, IDS[:100]) + on_images(other, IDS[1:])).comparisons == []


def test_fewer_than_three_seeds_in_common_are_not_compared():
    assert compared(TWO_READINGS, seeds(80, 82), seeds(90, 91, 93, treatment="another")) == []


def test_the_order_of_the_images_does_not_matter():
    one, other = seeds(80, 82, 87), seeds(90, 91, 93, treatment="another")
    moved = [replace(record, predictions=record.predictions[::-1]) for record in on_images(other, IDS[:100])]
    (found,) = study(TWO_READINGS, on_images(one, IDS[:100]) + moved).comparisons
    assert found.accuracy.mean == pytest.approx(0.25 / 3)


def test_the_highest_published_run_is_compared_with_the_others_by_each_reading():
    (found,) = compared(TWO_RUNS, seeds(80, 82, 87), seeds(81, 82, 84, run=OTHER))
    assert (found.first.trained, found.second.trained) == (OTHER, RUN)
    assert found.accuracy.mean == pytest.approx(-0.02 / 3)
    assert not found.is_of_readings and not found.is_shown


def test_two_published_rows_of_one_training_are_compared_once():
    published = TWO_RUNS.model_copy(update={"trained_as": {OTHER: RUN}})
    assert compared(published, seeds(80, 82, 87)) == []


def test_p_is_corrected_for_all_comparisons_of_the_study():
    some = [seeds(80, 82, 87), seeds(90, 91, 93, treatment="another"), seeds(80, 83, 88, treatment="one_way")]
    found = compared(TWO_READINGS, *some)
    alone = [compared(TWO_READINGS, some[0], other)[0].p for other in some[2:] + some[1:2]]
    assert [one.first.treatment for one in found] == ["one_way", "another"]
    smaller, larger = sorted(alone)
    assert sorted(one.p for one in found) == [pytest.approx(2 * smaller), pytest.approx(max(2 * smaller, larger))]
