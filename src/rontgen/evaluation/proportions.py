"""The exact interval of a proportion."""

from statsmodels.stats.proportion import proportion_confint


def exact_interval(successes: float, trials: float) -> tuple[float, float]:
    """The 95% interval of a proportion (Clopper and Pearson 1934): (low, high), from 0 to 1; all of it for no trials.

    Both may be fractions, as those of a sample of patients with several images are (Korn and Graubard 1998).
    """
    if trials == 0:
        return 0.0, 1.0
    low, high = proportion_confint(successes, trials, alpha=0.05, method="beta")
    return float(low), float(high)
