"""Trainings in pairs on the same test images: what the records say beside the verdicts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from rontgen.claims.verdicts import FEWEST, Row

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Difference:
    """The first less the second: the mean over the seeds, and the 95% interval of Student's t."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Two trainings tested on the same images, seed by seed.

    first, second: rows of the two, of one run by two readings or of two runs by one; or two architectures.
    accuracy, sensitivity, specificity: their differences; an interval is of this pair alone.
    p: of the accuracy, by Student's t, with Holm's (1979) correction over all comparisons of the study or table.
    """

    first: Any
    second: Any
    seeds: int
    accuracy: Difference
    sensitivity: Difference
    specificity: Difference
    p: float

    @property
    def is_of_readings(self) -> bool:
        return self.first.trained == self.second.trained

    @property
    def is_shown(self) -> bool:
        return self.p < SIGNIFICANT


def compare(rows: Sequence[Row]) -> list[Comparison]:
    """Each reading of a run against its first, and, by each reading, the run of the highest published
    accuracy against the others of the study.

    The standard error is that over the seeds, and at least that over the paired images: seeds may agree by luck.
    """
    recorded = [row for row in rows if row.records]
    # two published rows may be one training
    trainings = list({(row.trained, row.treatment): row for row in recorded}.values())
    pairs = []
    for run in dict.fromkeys(row.trained for row in trainings):
        first, *others = [row for row in trainings if row.trained == run]
        pairs += [(other, first) for other in others]
    falling = sorted(recorded, key=lambda row: row.paper.number, reverse=True)
    for treatment in dict.fromkeys(row.treatment for row in trainings):
        by_run: dict[str, Row] = {}
        for row in falling:
            if row.treatment == treatment:
                by_run.setdefault(row.trained, row)
        best, *others = by_run.values()
        pairs += [(best, other) for other in others]
    return in_pairs(pairs)


def in_pairs(pairs: Iterable[tuple[Any, Any]]) -> list[Comparison]:
    """Compare what has `records`, each pair on its own, and correct their p; without pairs that cannot be compared."""
    found = [one for first, second in pairs if (one := _paired(first, second))]
    if not found:
        return []
    _, corrected, *_ = multipletests([one.p for one in found], SIGNIFICANT, "holm")
    return [replace(one, p=float(p)) for one, p in zip(found, corrected, strict=True)]


def _paired(first: Any, second: Any) -> Comparison | None:
    """None where fewer than FEWEST seeds of both were tested on the same images. p is not corrected yet."""
    others = {record.seed: record for record in second.records}
    pairs = [
        (one, others[one.seed])
        for one in first.records
        if one.seed in others and set(one.predictions["id"]) == set(others[one.seed].predictions["id"])
    ]
    if len(pairs) < FEWEST:
        return None
    answers = np.concatenate([_right(one.predictions) - _right(other.predictions) for one, other in pairs])
    by_image = float(answers.std() / np.sqrt(len(answers)))
    differences = {
        name: np.array([one.metrics["test"][name] - other.metrics["test"][name] for one, other in pairs])
        for name in ("accuracy", "sensitivity", "specificity")
    }
    seeds, error = len(pairs), max(float(stats.sem(differences["accuracy"])), by_image)
    return Comparison(
        first=first,
        second=second,
        seeds=seeds,
        accuracy=mean_over_seeds(differences["accuracy"], by_image),
        sensitivity=mean_over_seeds(differences["sensitivity"]),
        specificity=mean_over_seeds(differences["specificity"]),
        p=float(2 * stats.t.sf(abs(differences["accuracy"].mean()) / error, seeds - 1)) if error else 1.0,
    )


def mean_over_seeds(values: np.ndarray, least_error: float = 0.0) -> Difference:
    """The mean of a value of each seed, and its 95% interval of Student's t; without width for a single seed.

    least_error: the standard error is no smaller.
    """
    mean, reach = float(values.mean()), 0.0
    if len(values) > 1:
        reach = float(stats.t.ppf(0.975, len(values) - 1) * max(stats.sem(values), least_error))
    return Difference(mean, mean - reach, mean + reach)


def _right(table: pd.DataFrame) -> np.ndarray:
    """Whether each answer is right, 0 or 1, in the order of the images' ids."""
    return (table["predicted"] == table["class"]).to_numpy(float)[np.argsort(table["id"].to_numpy())]
