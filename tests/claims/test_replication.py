"""Replication: the verdict on a published accuracy, how close it is, and that the rule errs as rarely as it claims."""

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from analyses import error_rates
from scipy.stats import t

from rontgen.claims.replication import Intervals, intervals, judge
from rontgen.core.vocabulary import CLOSE, INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

RUNS = 4_000
DEVIATIONS = 4  # standard errors allowed beyond a limit


def transformed(correct, images):
    return np.arcsin(np.sqrt((np.asarray(correct) + 3 / 8) / (images + 3 / 4)))


def back(place, images):
    return (math.sin(place) ** 2 * (images + 3 / 4) - 3 / 8) / images


def reach(results):
    """Half the prediction interval of three seeds, where the spread between them is all there is."""
    return t.ppf(0.975, 2) * math.sqrt(np.var(results, ddof=1) * 4 / 3)


# ---- how often it errs


DESIGNS = [
    design
    for design in error_rates.designs()
    if design.is_as_assumed
    and (design.seeds == 5 or (design.seeds == 3 and (design.size, design.published_size) in ((64, 1000), (592, 592))))
]


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: f"{design.name} {design.size} {design.seeds}")
def test_the_rule_errs_no_more_often_than_the_page_says(design):
    """True replications lie inside in 93% or more, and protocols 10 points away are called reproduced in 6% or less."""
    for spread in (0.0, 0.03, 0.09):
        found = error_rates.row(design, spread, runs=RUNS)
        allowed = {share: 100 * DEVIATIONS * math.sqrt(share * (1 - share) / RUNS) for share in (0.93, 0.06)}
        assert found["inside"][0] >= 93 - allowed[0.93], spread
        assert found["false"][1] <= 6 + allowed[0.06], spread


@pytest.mark.slow
def test_the_page_of_error_rates_is_what_the_program_writes():
    text = error_rates.PAGE.read_text(encoding="utf-8")
    for design in list(error_rates.designs())[:2]:
        found = [error_rates.row(design, spread) for spread in error_rates.SPREADS]
        assert error_rates.line(design, "inside", "false", found) in text.splitlines()


# ---- the four outcomes


def judged(published, correct, images=592, distinct=None, **options):
    accuracies = published if isinstance(published, tuple) else (published, published)
    return judge(accuracies, 592, correct, [images] * len(correct), distinct or images * len(correct), **options)


@pytest.mark.parametrize(
    ("published", "correct", "verdict"),
    [
        (0.90, [533] * 5, REPRODUCED),
        (0.94, [533] * 5, CLOSE),
        (1.0, [533] * 5, NOT_REPRODUCED),
        (0.80, [533] * 5, NOT_REPRODUCED),
        (0.90, [480, 540, 580], INCONCLUSIVE),
    ],
)
def test_different_and_equivalent_make_four_outcomes(published, correct, verdict):
    assert judged(round(592 * published) / 592, correct).verdict == verdict


def test_a_single_seed_is_inconclusive_whatever_was_published():
    for accuracy in (0.9, 0.1):
        found = judge((accuracy, accuracy), 100, [90], [100], 100)
        assert (found.verdict, found.seeds, found.mean) == (INCONCLUSIVE, 1, 0.9)
        assert all(math.isnan(value) for value in (found.spread, found.low, found.high, found.bound))


def test_the_reasons_tell_both_intervals_and_the_bound_is_the_farther_end():
    found = judged(0.94, [533] * 5)
    different, equivalent = found.reasons
    assert "outside the 95% prediction interval of 5 seeds" in different
    assert equivalent.startswith("The paper's accuracy less ours is +") and equivalent.endswith("within 10 points.")
    assert found.bound == found.greatest > -found.least
    mirrored = judged(0.86, [533] * 5)
    assert mirrored.bound == -mirrored.least > mirrored.greatest


def test_equivalent_is_within_the_margin():
    found = Intervals(*(np.array([value]) for value in (0.0, 1.0, -0.099, 0.05, 0.0)))
    assert found.is_equivalent()
    assert not replace(found, greatest=np.array([0.1])).is_equivalent()


def test_different_counts_the_limits_and_every_accuracy_that_prints_alike():
    found = judged(0.9, [533] * 5)
    for accuracy, is_inside in ((found.low, True), (found.high, True), (found.low - 1 / 592, False)):
        assert (judged(accuracy, [533] * 5).verdict in (REPRODUCED, INCONCLUSIVE)) == is_inside
    assert judged((found.low - 0.01, found.low), [533] * 5).verdict == REPRODUCED
    exact, rounded = judged(533 / 592, [533] * 5), judged((0.895, 0.905), [533] * 5)
    assert rounded.least < exact.least and rounded.greatest > exact.greatest
    assert rounded.greatest - exact.greatest == pytest.approx((math.floor(0.905 * 592) - 533) / 592, abs=0.001)


# ---- the intervals, by hand


def lower_limit(place, images):
    """The least share of whole images from a place on the arcsine scale on."""
    return math.ceil(images * back(place, images)) / images


def test_the_prediction_interval_of_tests_of_one_size():
    correct = [450, 480, 510]
    results = transformed(correct, 600)
    found = judge((0.8, 0.8), 600, correct, [600] * 3, 1800)
    assert found.low == lower_limit(results.mean() - reach(results), 600)
    net = np.var(correct, ddof=1) / 600**2 - 0.8 * 0.2 / 600
    assert found.spread == pytest.approx(math.sqrt(net), rel=0.01)


def test_the_prediction_interval_of_one_official_test_set():
    correct = [460, 480, 500]
    results = transformed(correct, 624)
    # all images are shared, so all of the spread is between seeds
    between = results.var(ddof=1) * 4 / 3
    variance = between + 1 / (4 * 592 + 2) + 1 / (4 * 624 + 2)
    wide = t.ppf(0.975, 2 / (between / variance)) * math.sqrt(variance)
    found = judge((0.77, 0.77), 592, correct, [624] * 3, 624)
    assert found.low == lower_limit(results.mean() - wide, 592)
    assert found.high == math.floor(592 * back(results.mean() + wide, 592)) / 592


def test_seeds_that_spread_less_than_their_images_have_more_degrees_of_freedom():
    """Welch's, for tests of one size: (S + 1) / ρ² − 2."""
    correct = [471, 480, 489]
    results = transformed(correct, 600)
    known = results.var(ddof=1) * (4 * 600 + 2)
    assert known < 1
    narrow = t.ppf(0.975, 4 / known**2 - 2) * math.sqrt(4 / 3 / (4 * 600 + 2))
    found = judge((0.8, 0.8), 600, correct, [600] * 3, 1800)
    assert found.spread == 0
    assert found.low == lower_limit(results.mean() - narrow, 600)


def test_a_much_larger_test_of_the_papers_does_not_make_few_images_of_ours_exact():
    """The variance is never below s² (1 + 1/S): noise and spread of so few images cannot be told apart."""
    correct = [52, 56, 60]
    results = transformed(correct, 64)
    found = judge((0.87, 0.87), 1000, correct, [64] * 3, 192)
    assert found.low == lower_limit(results.mean() - reach(results), 1000)


def test_no_sampling_of_images_comes_between_tests_of_the_same_images():
    correct = [460, 480, 500]
    results = transformed(correct, 624)
    found = judge((0.77, 0.77), 624, correct, [624] * 3, 624, same_images=True)
    assert found.low == lower_limit(results.mean() - reach(results), 624)
    assert math.isnan(found.moderated_bound)
    alike = [478, 480, 482]
    same, other = (judge((0.77, 0.77), 624, alike, [624] * 3, 624, same_images=is_same) for is_same in (True, False))
    assert other.low < same.low and other.bound > same.bound


def test_the_difference_is_movers_where_paper_and_ours_are_alike():
    correct = [533] * 4 + [534]
    accuracy, place, centre = 533 / 592, transformed(533, 592), transformed(correct, 592).mean()
    found, ours = judge((accuracy, accuracy), 592, correct, [592] * 5, 5 * 592), back(centre, 592)
    normal = 1.6449  # the spread is far below what the images alone give
    lower = back(place - normal / math.sqrt(4 * 592 + 2), 592)
    upper = back(centre + normal / math.sqrt(4 * 5 * 592 + 2), 592)
    assert found.least == pytest.approx(accuracy - ours - math.hypot(accuracy - lower, upper - ours), abs=1e-4)


def test_the_difference_is_never_narrower_than_in_points():
    """A paper near 1 and seeds far below: on the arcsine scale alone the paper's spread would nearly vanish."""
    found = judge((0.97, 0.97), 1000, [840, 870, 900, 850, 880], [1000] * 5, 5000)
    spread = np.std([0.84, 0.87, 0.90, 0.85, 0.88], ddof=1)
    at_least = 0.97 - 0.868 + t.ppf(0.95, 4) * spread * math.sqrt(1.2)
    assert found.greatest >= at_least - 0.005


def test_moderated_variance_adds_what_few_seeds_may_hide():
    alike, apart = judged(0.9, [533] * 3), judged(0.9, [500, 533, 566])
    assert alike.moderated_bound > alike.bound and apart.moderated_bound < apart.bound


def test_images_that_seeds_share_leave_more_of_the_spread_to_the_seeds():
    correct, images = [470, 480, 490, 480, 475], [600] * 5
    spreads = [judge((0.8, 0.8), 600, correct, images, distinct).spread for distinct in (600, 1200, 2000, 3000)]
    assert spreads[0] == pytest.approx(np.std(correct, ddof=1) / 600, rel=0.01)
    assert spreads == sorted(spreads, reverse=True)


def test_all_right_is_not_certain():
    found = judge((0.985, 0.995), 100, [100, 100, 100], [100] * 3, 300)
    assert (found.verdict, found.high, found.spread) == (REPRODUCED, 1, 0)
    assert 0.95 < found.low < 1
    assert found.bound > 0.015


def test_no_limit_passes_0_or_1():
    found = intervals(([0.0], [1.0]), 100, [[0, 3, 1], [100, 90, 99]], [100] * 3, 300)
    assert found.low[0] == 0 and found.high[1] == 1
    assert ((found.low >= 0) & (found.high <= 1)).all()


def test_the_order_of_seeds_does_not_matter():
    seeds = list(zip([560, 571, 580, 549], [583, 592, 590, 583], strict=True))
    found = [judge((0.97, 0.97), 592, *zip(*order, strict=True), 1700) for order in permutations(seeds)]
    assert found[0].mean == pytest.approx(np.mean([right / images for right, images in seeds]), rel=1e-12)
    names = ("mean", "spread", "least", "greatest", "bound", "moderated_bound")
    expected = replace(found[0], **{name: pytest.approx(getattr(found[0], name)) for name in names})
    assert all(other == expected for other in found)


def test_runs_on_the_same_images_are_right_where_a_worse_one_is():
    accuracies = np.tile([0.9, 0.7, 1.0, 0.7], (20_000, 1))
    right = error_rates.nested(np.random.default_rng(0), accuracies, 100)
    assert right.mean(axis=0) == pytest.approx([90, 70, 100, 70], abs=0.2)
    assert (right[:, 1] == right[:, 3]).all()
    assert (right[:, 0] >= right[:, 1]).all()
    assert right[:, :2].std(axis=0) == pytest.approx([3, 4.58], rel=0.03)
