"""The exact interval of a proportion, against two other implementations."""

import pytest
from scipy.stats import beta, binomtest

from rontgen.evaluation.proportions import exact_interval


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (1, 10), (3, 10), (10, 10), (447, 453)])
def test_it_is_clopper_and_pearsons(successes, trials):
    expected = binomtest(successes, trials).proportion_ci(confidence_level=0.95, method="exact")
    assert exact_interval(successes, trials) == pytest.approx((expected.low, expected.high), rel=0, abs=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(0, 7.3), (2.5, 7.3), (7.3, 7.3), (31.25, 40.5)])
def test_successes_and_trials_may_be_fractions(successes, trials):
    low = beta.ppf(0.025, successes, trials - successes + 1) if successes else 0
    high = beta.ppf(0.975, successes + 1, trials - successes) if successes < trials else 1
    assert exact_interval(successes, trials) == pytest.approx((low, high), rel=0, abs=1e-12)


def test_of_no_trials_it_is_everything():
    assert exact_interval(0, 0) == (0.0, 1.0)
