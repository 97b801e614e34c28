"""95% intervals of a run's test metrics, and of the differences between two runs.

Percentile bootstraps by patient, in rontgen.evaluation.bootstrap.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from rontgen.core.errors import RontgenError
from rontgen.evaluation.bootstrap import PERCENTILES, Key, Sample
from rontgen.evaluation.metrics import positive_classes

RESAMPLES = 2000

# The places along a curve where its band is given
GRID = np.arange(101) / 100

COMPARED: dict[str, Key] = {
    "accuracy": ("accuracy",),
    "log_loss": ("log_loss",),
    "roc_auc": ("roc_auc",),
    "average_precision": ("average_precision",),
    "brier_score": ("brier_score",),
    "expected_calibration_error": ("expected_calibration_error",),
    "sensitivity": ("sensitivity",),
    "specificity": ("specificity",),
    "macro_recall": ("macro", "recall"),
    "macro_f1": ("macro", "f1"),
}


def bootstrap_intervals(predictions: pd.DataFrame, classes: list[str], resamples: int = RESAMPLES) -> dict:
    """The 95% interval of each metric of a prediction table: {"low", "high"} under the keys of evaluation.metrics.

    Percentile bootstrap (Efron and Tibshirani 1993, Section 13.3) by patient; an image without one is resampled alone.
    The counts of confusion are resampled as shares of their true class, times its images. A metric is taken over the
    resamples where it is defined. Of a plain share of images (accuracy, precision, recall, sensitivity and specificity
    of two classes, confusion) that is the same in every resample, as 100% right is, the bootstrap has no width; the
    interval is then the exact one, with the patients as trials. Other metrics (ROC-AUC, F1, means over classes) have no
    such stand-in, and then no interval. Raises RontgenError where a class has no image.
    """
    sample = Sample(predictions, classes)
    result: dict = {}
    for key, values in _resample([sample], resamples)[0].items():
        interval = sample.interval(key, values)
        if interval is None:
            continue
        place = result
        for name in key[:-1]:
            place = place.setdefault(name, {})
        place[key[-1]] = dict(zip(("low", "high"), interval, strict=True))
    return result


def roc_band(predictions: pd.DataFrame, classes: list[str], resamples: int = RESAMPLES) -> pd.DataFrame:
    """Where the ROC curve may lie: class, false_positive_rate (0, 0.01, … 1), low and high true positive rate.

    95% at each false positive rate, not of the whole curve at once (Fawcett 2006, vertical averaging).
    """

    def true_positive_rate(true_positives, false_positives):
        rate = np.concatenate([[0.0], true_positives / true_positives[-1]])
        return np.interp(GRID, np.concatenate([[0.0], false_positives / false_positives[-1]]), rate)

    return _band(predictions, classes, "false_positive_rate", true_positive_rate, resamples)


def precision_recall_band(predictions: pd.DataFrame, classes: list[str], resamples: int = RESAMPLES) -> pd.DataFrame:
    """Where the precision-recall curve may lie: class, recall (0, 0.01, … 1), low and high precision.

    95% at each recall. A curve is one of steps: at a recall the precision is that of the highest threshold which
    reaches it, for between two points it is not linear (Davis and Goadrich 2006).
    """

    def precision(true_positives, false_positives):
        taken = true_positives + false_positives
        reached = np.searchsorted(true_positives / true_positives[-1], GRID)
        point = np.maximum(reached, np.searchsorted(taken, 1))  # the first scores may not have been drawn
        return true_positives[point] / taken[point]

    return _band(predictions, classes, "recall", precision, resamples)


def paired_difference(
    first: pd.DataFrame, second: pd.DataFrame, classes: list[str], resamples: int = RESAMPLES
) -> dict[str, dict[str, float]]:
    """Second minus first on the same images: {"difference", "low", "high"} of each metric of COMPARED.

    Both runs get the same resamples, by the first's patients, so what is hard for both cancels. 95% percentile
    bootstrap. Raises RontgenError as `aligned` does.
    """
    second = aligned(first, second).assign(patient=first["patient"].to_numpy())
    samples = Sample(first, classes), Sample(second, classes)
    points = [sample.point() for sample in samples]
    before, after = _resample(samples, resamples)
    result = {}
    for name, key in COMPARED.items():
        low, high = np.nanpercentile(after[key] - before[key], PERCENTILES)
        result[name] = {"difference": points[1][key] - points[0][key], "low": float(low), "high": float(high)}
    return result


def mcnemar(first: pd.DataFrame, second: pd.DataFrame) -> dict:
    """Whether one of two runs is right more often on the same images: only_first_right, only_second_right, p_value.

    McNemar's exact two-sided test (1947), a binomial test on the images that only one has right. Images count as
    independent, even several of one patient. Raises RontgenError as `aligned` does.
    """
    second = aligned(first, second)
    first_right, second_right = ((run["class"] == run["predicted"]).to_numpy() for run in (first, second))
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    p_value = float(statsmodels_mcnemar([[0, only_first], [only_second, 0]], exact=True).pvalue)
    return {"only_first_right": only_first, "only_second_right": only_second, "p_value": p_value}


def aligned(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """The second prediction table with its rows in the order of the first.

    Raises RontgenError if the two differ in images or true classes.
    """
    ids, others = pd.Index(first["id"]), pd.Index(second["id"])
    shared = len(ids.intersection(others))
    if not len(ids) == len(others) == shared:
        raise RontgenError(
            f"expected the same test images in both, received {shared} shared, {len(ids) - shared} only in the first "
            f"and {len(others) - shared} only in the second: compare runs of one split"
        )
    second = second.iloc[others.get_indexer(ids)].reset_index(drop=True)
    other = int((first["class"].to_numpy() != second["class"].to_numpy()).sum())
    if other:
        raise RontgenError(
            f"expected the same true classes in both, received other ones for {other} of {shared} images: "
            "compare runs of one dataset"
        )
    return second


def _resample(samples: Sequence[Sample], resamples: int) -> list[dict[Key, np.ndarray]]:
    """Every metric of each sample in each of the resamples, the same ones for all of the samples."""
    blocks: list[list] = [[] for _ in samples]
    for weights in samples[0].draws(resamples):
        for sample, block in zip(samples, blocks, strict=True):
            block.append(sample.metrics(weights))
    return [{key: np.concatenate([part[key] for part in block]) for key in block[0]} for block in blocks]


def _band(predictions: pd.DataFrame, classes: list[str], along: str, read: Callable, resamples: int) -> pd.DataFrame:
    """`read` gives a curve's height on GRID from the true and the false positives of one resample, both rising."""
    sample = Sample(predictions, classes)
    heights: dict[str, list] = {name: [] for name in positive_classes(classes)}
    for weights in sample.draws(resamples):
        for name, true_positives, false_positives in sample.curves(weights):
            defined = (true_positives[-1] > 0) & (false_positives[-1] > 0)
            pairs = zip(true_positives.T[defined], false_positives.T[defined], strict=True)
            heights[name] += [read(*pair) for pair in pairs]
    bands = []
    for name, curves in heights.items():
        low, high = np.percentile(curves, PERCENTILES, axis=0)
        bands.append(pd.DataFrame({"class": name, along: GRID, "low": low, "high": high}))
    return pd.concat(bands, ignore_index=True)
