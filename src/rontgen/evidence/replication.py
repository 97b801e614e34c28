"""Does a published test accuracy agree with our runs of the same protocol? A prediction interval, and a rule.

Patil, Peng and Leek (2016) call a study replicated where its result lies in the 95% prediction interval from the other
study: where a second run would come out by chance alone. They work with correlations on Fisher's scale, where the
sampling variance is known. So do we with accuracies, on the arcsine scale of Anscombe (1948): asin √((x + 3/8) /
(n + 3/4)) of x right answers to n images has the variance 1 / (4n + 2) at any accuracy, and its limits never pass 1.
docs/error-rates.md has the simulated error rates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t

from rontgen.core.errors import RontgenError
from rontgen.core.vocabulary import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

LEVEL = 0.95

# The difference that an interval must be able to show
VISIBLE = 0.10


@dataclass(frozen=True)
class Replication:
    """What our runs say about one published accuracy.

    verdict: REPRODUCED, NOT_REPRODUCED or INCONCLUSIVE. narrow: whether one more or one fewer right answer in one seed
    would give another. reason: a sentence, and a second where it is narrow. mean: of our accuracies. spread: the
    estimated standard deviation between seeds, without the sampling of test images. low, high: the prediction interval
    of one published accuracy. spread, low and high are NaN for a single seed.
    """

    verdict: str
    narrow: bool
    reason: str
    seeds: int
    mean: float
    spread: float
    low: float
    high: float


def judge(
    published: tuple[float, float],
    published_images: int,
    correct: Sequence[int],
    images: Sequence[int],
    distinct: int,
) -> Replication:
    """The verdict on a published test accuracy.

    published: the least and the greatest accuracy that print as the paper's: 0.975 and 0.985 for 0.98.
    published_images: of its test set. correct, images: of each of our seeds, right answers and test images. distinct:
    different test images of all seeds together, copies counted once. Raises RontgenError where these counts cannot be.

    Outside the prediction interval: not reproduced. Inside: reproduced, unless an accuracy VISIBLE below our mean, or
    as much above it, would be inside as well. That, and a single seed, is inconclusive.
    """
    if len(correct) != len(images) or not all(0 <= right <= n for right, n in zip(correct, images, strict=False)):
        raise RontgenError(f"expected for each seed at most as many right as images, received {correct} of {images}")
    if not 1 <= distinct <= sum(images):
        raise RontgenError(f"expected 1 to {sum(images)} distinct test images, received {distinct}")
    seeds, mean = len(images), float(np.mean(np.divide(correct, images)))
    if seeds == 1:
        reason = "One seed does not show the spread between seeds; an interval needs two."
        return Replication(INCONCLUSIVE, False, reason, seeds, mean, math.nan, math.nan, math.nan)

    low, high, spread = (float(value) for value in intervals(correct, images, distinct, published_images))
    of = f"the 95% prediction interval of {seeds} seeds, {low:.3f} to {high:.3f}"
    verdict = _verdict(published, mean, low, high)
    reason = {
        NOT_REPRODUCED: f"The published accuracy lies outside {of}.",
        INCONCLUSIVE: f"The published accuracy lies in {of}, but so would one 10 points from our mean.",
        REPRODUCED: f"The published accuracy lies in {of}.",
    }[verdict]
    others = _with_another_image(published, published_images, correct, images, distinct) - {verdict}
    if others:
        reason += f" A different answer on one test image in one seed would make it {' or '.join(sorted(others))}."
    return Replication(verdict, bool(others), reason, seeds, mean, spread, low, high)


def _verdict(published: tuple[float, float], mean: float, low: float, high: float) -> str:
    if not inside(*published, low, high):
        return NOT_REPRODUCED
    return INCONCLUSIVE if wide(mean, low, high) else REPRODUCED


def _with_another_image(
    published: tuple[float, float], published_images: int, correct: Sequence[int], images: Sequence[int], distinct: int
) -> set[str]:
    """The verdicts that one more or one fewer right answer in one seed would give."""
    step = np.eye(len(images), dtype=int)
    other = np.clip(np.concatenate([correct - step, correct + step]), 0, images)
    low, high, _ = intervals(other, images, distinct, published_images)
    means = (other / images).mean(axis=-1)
    return {_verdict(published, *values) for values in zip(means, low, high, strict=True)}


def intervals(
    correct: ArrayLike, images: ArrayLike, distinct: float, published_images: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The 95% prediction interval of a published accuracy from two or more seeds: low, high, and spread.

    correct: int (…, seeds). images: int (seeds,). Returns three float (…). low and high are whole numbers of
    published_images, as a published accuracy is.

    With s² the variance of our S results on the arcsine scale, and v(n) = 1 / (4n + 2), the paper's result differs from
    our mean by

        V = τ² (1 + 1/S) + v(published_images) + v(distinct),    τ² = max(0, s² − (1 − shared) v(images)),

    where `shared` is the part of its test images that a seed has in common with another: what all seeds share, their
    spread does not show. The limits are Student's t times √V, with the degrees of freedom of Welch (1947) for a sum of
    variances of which s² is estimated and the rest known: (S + 1) / r² − 2 for r = s² (1 + 1/S) / V. Satterthwaite's
    (1946), (S − 1) / r², which takes s² for its expected value, is wider than needed where seeds spread little. For
    tests of one size without common images this is between the binomial prediction interval (Meeker, Hahn and Escobar
    2017, Chapter 6) and t √(s² (1 + 1/S)), which is right for any spread.
    """
    correct, images = np.asarray(correct), np.asarray(images)
    seeds = len(images)
    results = np.arcsin(np.sqrt((correct + 3 / 8) / (images + 3 / 4)))
    centre, observed = results.mean(axis=-1), results.var(axis=-1, ddof=1)
    shared = np.minimum((images.sum() / distinct - 1) / (seeds - 1), 1)  # more where a test set holds copies
    between = np.maximum(0, observed - (1 - shared) * _sampling(images).mean())
    variance = between * (1 + 1 / seeds) + _sampling(published_images) + _sampling(distinct)
    estimated = np.maximum(observed * (1 + 1 / seeds) / variance, 1e-3)  # 1e-3 is a normal distribution already
    # Below one where the paper's test is much larger than ours: then little is known
    freedom = np.maximum((seeds + 1) / estimated**2 - 2, 1)
    reach = t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(variance)
    low, high = (
        np.sin(np.clip(limit, 0, np.pi / 2)) ** 2 * (published_images + 3 / 4) - 3 / 8
        for limit in (centre - reach, centre + reach)
    )
    low, high = np.maximum(np.ceil(low), 0), np.minimum(np.floor(high), published_images)
    # dp = sin 2z dz for an accuracy p = sin² z
    return low / published_images, high / published_images, np.sqrt(between) * np.sin(2 * centre)


def inside(least, greatest, low, high):
    """Whether an accuracy between least and greatest lies between low and high, limits included; floats or arrays."""
    rounding = 1e-9
    return (greatest >= low - rounding) & (least <= high + rounding)


def wide(mean, low, high):
    """Whether an accuracy VISIBLE below the mean, or as much above it, lies inside as well; more than 1 never does."""
    below, above = mean - VISIBLE, mean + VISIBLE
    return inside(below, below, low, high) | inside(above, above, low, high)


def _sampling(images):
    """The variance of the transformed share of right answers."""
    return 1 / (4 * np.asarray(images) + 2)
