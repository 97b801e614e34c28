"""The exact interval of a proportion, against the quantiles of its definition."""

import pytest
from scipy.stats import beta

from rontgen.evaluation.proportions import exact_interval


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (447, 453), (10, 10), (2.5, 7.3)])
def test_it_is_clopper_and_pearsons_also_of_fractions(successes, trials):
    low = beta.ppf(0.025, successes, trials - successes + 1) if successes else 0
    high = beta.ppf(0.975, successes + 1, trials - successes) if successes < trials else 1
    assert exact_interval(successes, trials) == pytest.approx((low, high), rel=0, abs=1e-12)


def test_of_no_trials_it_is_everything():
    assert exact_interval(0, 0) == (0.0, 1.0)
