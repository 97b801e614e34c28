"""Does a published test accuracy agree with our runs of the same protocol, and how close are the two?

Two questions, two intervals. *Could a run of ours have given the published number?* Patil, Peng and Leek (2016): where
it lies in the 95% prediction interval from our seeds. *Are the two protocols equally accurate, to within a margin?* Two
one-sided tests (Schuirmann 1987): where the 90% interval of their difference lies within the margin. Together they give
four outcomes (Lakens, Scheel and Isager 2018), and the second gives each a bound.

All is computed on the arcsine scale of Anscombe (1948): asin √((x + 3/8) / (n + 3/4)) of x right answers to n images
has the variance 1 / (4n + 2) at any accuracy, and its limits never pass 1. analyses/error-rates.md has the simulated
error rates, docs/evidence.md what else was tried.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t

from rontgen.core.vocabulary import CLOSE, INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

LEVEL = 0.95  # of the prediction interval
SIDE = 0.95  # of each of the two one-sided tests

# How far apart two accuracies may be and count as equal
MARGIN = 0.10

# The sensitivity column: a prior spread between seeds of 3 points, on the arcsine scale, worth two degrees of freedom
PRIOR_SPREAD, PRIOR_FREEDOM = 0.03, 2


@dataclass(frozen=True)
class Replication:
    """What our runs say about one published accuracy.

    verdict: REPRODUCED, CLOSE, NOT_REPRODUCED or INCONCLUSIVE.
    reasons: sentences.
    seeds, mean: their number, and the mean of our accuracies.
    spread: the estimated standard deviation between seeds, without the sampling of test images.
    low, high: the 95% prediction interval of one published accuracy.
    least, greatest: the 90% interval of the difference, the paper's accuracy less ours.
    bound: how far apart the two are at most, the larger of -least and greatest.
    moderated_bound: the same with a moderated variance between seeds; NaN for the paper's own test images.

    All but verdict, reasons, seeds and mean are NaN for a single seed.
    """

    verdict: str
    reasons: tuple[str, ...]
    seeds: int
    mean: float
    spread: float = math.nan
    low: float = math.nan
    high: float = math.nan
    least: float = math.nan
    greatest: float = math.nan
    bound: float = math.nan
    moderated_bound: float = math.nan


@dataclass(frozen=True)
class Intervals:
    """low, high, least, greatest and spread, as in Replication, for many papers at once: float (…)."""

    low: np.ndarray
    high: np.ndarray
    least: np.ndarray
    greatest: np.ndarray
    spread: np.ndarray

    @property
    def bound(self) -> np.ndarray:
        return np.maximum(-self.least, self.greatest)

    def is_different(self, least: ArrayLike, greatest: ArrayLike) -> np.ndarray:
        """Whether no published accuracy from least to greatest lies in the prediction interval, limits included."""
        rounding = 1e-9
        return (np.asarray(greatest) < self.low - rounding) | (np.asarray(least) > self.high + rounding)

    def is_equivalent(self) -> np.ndarray:
        return self.bound < MARGIN


def judge(
    published: tuple[float, float],
    published_images: int,
    correct: Sequence[int],
    images: Sequence[int],
    distinct: int,
    same_images: bool = False,
) -> Replication:
    """The verdict on a published test accuracy.

    published: the least and the greatest accuracy that print as the paper's: 0.975 and 0.985 for 0.98.
    published_images: of its test set.
    correct, images: of each of our seeds, right answers and test images.
    distinct: different test images of all seeds together, copies counted once.
    same_images: whether the paper and all seeds are tested on the same images.
    """
    seeds, mean = len(images), float(np.mean(np.divide(correct, images)))
    if seeds == 1:
        return Replication(INCONCLUSIVE, ("One seed does not show how far seeds spread.",), seeds, mean)
    published = _whole_images(*published, published_images)
    arguments = (published, published_images, correct, images, distinct)
    found = intervals(*arguments, same_images=same_images)
    different, equivalent = bool(found.is_different(*published)), bool(found.is_equivalent())
    verdict = {
        (False, True): REPRODUCED,
        (True, True): CLOSE,
        (True, False): NOT_REPRODUCED,
        (False, False): INCONCLUSIVE,
    }[different, equivalent]
    reasons = (
        f"The published accuracy lies {'outside' if different else 'in'} the 95% prediction interval of {seeds} seeds, "
        f"{found.low:.3f} to {found.high:.3f}.",
        f"The paper's accuracy less ours is {100 * found.least:+.1f} to {100 * found.greatest:+.1f} points (90% "
        f"interval): {'within' if equivalent else 'not within'} 10 points.",
    )
    moderated = math.nan if same_images else intervals(*arguments, moderated=True).bound
    numbers = (found.spread, found.low, found.high, found.least, found.greatest, found.bound, moderated)
    return Replication(verdict, reasons, seeds, mean, *map(float, numbers))


def intervals(
    published: tuple[ArrayLike, ArrayLike],
    published_images: int,
    correct: ArrayLike,
    images: ArrayLike,
    distinct: float,
    same_images: bool = False,
    moderated: bool = False,
) -> Intervals:
    """The intervals of a published accuracy, and of its difference (_difference) from ours, from two or more seeds.

    published: least and greatest accuracy, float (…). correct: int (…, seeds). images: int (seeds,). moderated: whether
    the variance between seeds is shrunk towards PRIOR_SPREAD (Smyth 2004), which asks what so few seeds hide.

    **Prediction.** With s² the variance of our S results on the arcsine scale, and v(n) = 1 / (4n + 2), the paper's
    result differs from our mean by

        V = τ² (1 + 1/S) + v(published_images) + v(distinct),    τ² = max(0, s² − u),

    where u, the sampling of images in s², is (1 − shared) v(images), for `shared` the part of its test images that a
    seed has in common with another: what all seeds share, their spread does not show. u is no more than what makes V
    s² (1 + 1/S): where the paper's test is much larger than ours, noise and spread cannot be told apart. The limits are
    Student's t times √V, with ν = ((S + 1) / ρ² − 2) / r degrees of freedom, for ρ = min(1, s²/u) and r the part of V
    that s² gives. For tests of one size without common images, r = 1 and ν is Welch's (1947); Satterthwaite's (1946)
    would divide by r² and is too sure of three seeds. Where paper and seeds are tested on the same images, no sampling
    comes between them: V = s² (1 + 1/S) and ν = S − 1, with s at least half an image.
    """
    correct, images = np.asarray(correct), np.asarray(images)
    seeds, size = len(images), images.mean()
    results = _transformed(correct, images)
    centre, observed = results.mean(axis=-1), results.var(axis=-1, ddof=1)
    shared = np.minimum((images.sum() / distinct - 1) / (seeds - 1), 1)  # more where a test set holds copies
    of_paper, of_ours = (0.0, 0.0) if same_images else (_sampling(published_images), _sampling(distinct))
    both, freedom = 1 + 1 / seeds, seeds - 1
    sampled = np.minimum((1 - shared) * _sampling(images).mean(), (of_paper + of_ours) / both)
    if moderated:
        prior = PRIOR_FREEDOM * (sampled + PRIOR_SPREAD**2)
        observed = (freedom * observed + prior) / (freedom + PRIOR_FREEDOM)
        freedom += PRIOR_FREEDOM
    if same_images:  # seeds that agree to an image are still half an image apart: 1 / (2n), carried to this scale
        observed = np.maximum(observed, 1 / (2 * size * np.sin(2 * centre)) ** 2)
    between = np.maximum(0, observed - sampled)
    variance = between * both + of_paper + of_ours
    # 1e-3 is a normal distribution already; no variance at all, where the same images have the same answers
    known = np.maximum(np.minimum(1, observed / sampled), 1e-3) if sampled else 1.0
    given = np.divide(both * np.maximum(observed, sampled), variance, out=np.ones_like(variance), where=variance > 0)
    degrees = ((freedom + 2) / known**2 - 2) / np.maximum(given, 1e-3)

    reach = t.ppf((1 + LEVEL) / 2, degrees) * np.sqrt(variance)
    low = np.ceil(_correct(centre - reach, published_images) - 1e-9)
    high = np.floor(_correct(centre + reach, published_images) + 1e-9)

    spread = np.sqrt(between) * np.sin(2 * centre)  # dp = sin 2z dz for an accuracy p = sin² z
    variances = between, of_paper, of_ours
    least, greatest = _difference(published, published_images, centre, size, seeds, variances, t.ppf(SIDE, degrees))
    return Intervals(low / published_images, high / published_images, least, greatest, spread)


def _difference(
    published: tuple[ArrayLike, ArrayLike],
    published_images: int,
    centre: np.ndarray,
    size: float,
    seeds: int,
    variances: tuple[np.ndarray, float | np.ndarray, float | np.ndarray],
    one_sided: np.ndarray,
) -> list[np.ndarray]:
    """The limits of the paper's accuracy less ours.

    variances: τ², v(published_images) and v(distinct) of `intervals`. one_sided: t₀.₉₅.

    The limits of the paper's accuracy alone are t₀.₉₅ √(τ² + v(published_images)) from its own, those of ours
    t₀.₉₅ √(τ²/S + v(distinct)) from our mean, both carried back to accuracies; MOVER (Newcombe 1998; Zou and Donner
    2008) makes of the four the interval of the difference. That takes seeds to spread alike on the arcsine scale. Where
    paper and ours differ they may spread alike in points instead, so that the interval is the wider of this one and
    D ± t₀.₉₅ √V with all variances in points. Where several accuracies print as the paper's, it covers all of them.
    """
    between, of_paper, of_ours = variances
    ours, spread = _correct(centre, size) / size, np.sqrt(between) * np.sin(2 * centre)
    reach = one_sided * np.sqrt(between / seeds + of_ours)
    ours_low, ours_high = (_correct(centre + side * reach, size) / size for side in (-1, 1))
    reach = one_sided * np.sqrt(between + of_paper)
    limits = []
    for accuracy, side, other in zip(published, (-1, 1), (ours_high, ours_low), strict=True):
        accuracy = np.asarray(accuracy)
        place = _transformed(accuracy * published_images, published_images)
        limit = _correct(place + side * reach, published_images) / published_images
        mover = np.hypot(limit - accuracy, other - ours)
        # sin² 2z / 4 is p (1 − p)
        in_points = spread**2 * (1 + 1 / seeds) + of_paper * np.sin(2 * place) ** 2 + of_ours * np.sin(2 * centre) ** 2
        limits.append(accuracy - ours + side * np.maximum(mover, one_sided * np.sqrt(in_points)))
    return limits


def _whole_images(least: float, greatest: float, images: int) -> tuple[float, float]:
    """The same as shares of whole images, where any lies between them."""
    low, high = math.ceil(least * images - 1e-9), math.floor(greatest * images + 1e-9)
    return (low / images, high / images) if low <= high else (least, greatest)


def _transformed(correct: ArrayLike, images: ArrayLike) -> np.ndarray:
    """Right answers of images on the arcsine scale."""
    return np.arcsin(np.sqrt((np.asarray(correct) + 3 / 8) / (np.asarray(images) + 3 / 4)))


def _correct(transformed: np.ndarray, images: float) -> np.ndarray:
    """The inverse: right answers of images, from none to all."""
    return np.clip(np.sin(np.clip(transformed, 0, np.pi / 2)) ** 2 * (images + 3 / 4) - 3 / 8, 0, images)


def _sampling(images: ArrayLike) -> np.ndarray:
    """The variance of the transformed share of right answers."""
    return 1 / (4 * np.asarray(images) + 2)
