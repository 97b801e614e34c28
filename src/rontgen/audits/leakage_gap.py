"""The leakage gap: how much higher a run scores on its paper's split than on one without known leaks."""

import numpy as np
import pandas as pd
from scipy import stats

from rontgen.core.errors import RontgenError
from rontgen.evaluation import metrics

METRICS = ("accuracy", "roc_auc", "macro_f1")

# Shared images of each class that a paired gap needs: with fewer, one image is over 10 points of its class's recall
FEWEST = 10


def measure(pairs: list[tuple[pd.DataFrame, pd.DataFrame]]) -> dict:
    """How much higher a run scores than its leak-free run, on average over seeds, ready for JSON.

    pairs: for each seed the prediction tables (evaluation.metrics.prediction_table) of the run and its leak-free run.
    Both are scored on the images in both test sets if these are FEWEST or more of each class in every seed (`paired`),
    otherwise each on its own test set. All seeds are scored alike, so that their mean is meaningful.

    Returns seeds, paired, images and leakfree_images (those scored, over all seeds), note (these in words), and
    metrics: of each of METRICS the mean of the `run`, of `leakfree`, and of the `gap` between them. With two seeds or
    more, low and high are the 95% t interval of the mean gap, unless every seed has the same gap. All seeds split the
    same archive, so the interval covers other seeds, not other images. Raises RontgenError if the two of a pair have
    different classes.
    """
    shared = [_shared(run, leakfree) for run, leakfree in pairs]
    paired = all(_is_enough(table) for tables in shared for table in tables)
    scored = shared if paired else pairs
    images, leakfree_images = (sum(map(len, tables)) for tables in zip(*scored, strict=True))
    scores = np.array([[_score(table) for table in tables] for tables in scored])  # (seeds, 2, METRICS)
    return {
        "seeds": len(pairs),
        "paired": paired,
        "images": images,
        "leakfree_images": leakfree_images,
        "note": _note(len(pairs), paired, images, leakfree_images),
        "metrics": {name: _gap(*scores[:, :, place].T) for place, name in enumerate(METRICS)},
    }


def _shared(run: pd.DataFrame, leakfree: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of both tables whose images are in both."""
    if list(run.columns) != list(leakfree.columns):
        classes, others = (", ".join(_classes(table)) for table in (run, leakfree))
        raise RontgenError(
            f"expected the same classes in a run and its leak-free run, received {classes} and {others}: make both by "
            "the same settings"
        )
    return run[run["id"].isin(leakfree["id"])], leakfree[leakfree["id"].isin(run["id"])]


def _is_enough(table: pd.DataFrame) -> bool:
    counts = table["class"].value_counts()
    return all(counts.get(name, 0) >= FEWEST for name in _classes(table))


def _score(table: pd.DataFrame) -> list[float]:
    found = metrics.compute_metrics(table, _classes(table))
    return [found["accuracy"], found["roc_auc"], found["macro"]["f1"]]


def _classes(table: pd.DataFrame) -> list[str]:
    return table.columns[len(metrics.COLUMNS) :].tolist()


def _gap(run: np.ndarray, leakfree: np.ndarray) -> dict[str, float]:
    """run, leakfree: a metric of both, float (seeds,)."""
    gaps = run - leakfree
    found = {"run": float(run.mean()), "leakfree": float(leakfree.mean()), "gap": float(gaps.mean())}
    if len(gaps) > 1 and np.ptp(gaps) > 1e-9:  # equal but for rounding: no spread to make an interval of
        low, high = stats.t.interval(0.95, len(gaps) - 1, gaps.mean(), stats.sem(gaps))
        found |= {"low": float(low), "high": float(high)}
    return found


def _note(seeds: int, paired: bool, images: int, leakfree_images: int) -> str:
    count = "one seed each, which shows nothing about the split" if seeds == 1 else f"{seeds} seeds each"
    where = "the same " if paired else f"{images:,} and "
    return f"{count}; scored on {where}{leakfree_images:,} test images" + (" in all" if seeds > 1 else "")
