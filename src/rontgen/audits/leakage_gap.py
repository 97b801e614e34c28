"""The leakage gap: how much more accurate a run is on its paper's split than on one without known leaks."""

import numpy as np
import pandas as pd
from scipy import stats

from rontgen.evaluation import metrics

# Shared images of each class that a paired gap needs: with fewer, one image is over 10 points of its class's recall
FEWEST = 10


def measure(pairs: list[tuple[pd.DataFrame, pd.DataFrame]]) -> dict:
    """How much more accurate a run is than its leak-free run, on average over seeds.

    pairs: for each seed the prediction tables (evaluation.metrics.prediction_table) of the run and its leak-free run.
    Both are scored on the images in both test sets if these are FEWEST or more of each class in every seed,
    otherwise each on its own test set. All seeds are scored alike, so that their mean is meaningful.

    Returns seeds, note (how many seeds and images, in words), and metrics.accuracy: the mean gap. With two seeds or
    more, low and high are its 95% t interval, unless every seed has the same gap. All seeds split the same archive, so
    the interval covers other seeds, not other images.
    """
    shared = [(run[run["id"].isin(other["id"])], other[other["id"].isin(run["id"])]) for run, other in pairs]
    paired = all(_is_enough(table) for tables in shared for table in tables)
    scored = shared if paired else pairs
    gaps = np.array([_accuracy(run) - _accuracy(leakfree) for run, leakfree in scored])
    accuracy = {"gap": float(gaps.mean())}
    if len(gaps) > 1 and np.ptp(gaps) > 1e-9:  # equal but for rounding: no spread to make an interval of
        low, high = stats.t.interval(0.95, len(gaps) - 1, gaps.mean(), stats.sem(gaps))
        accuracy |= {"low": float(low), "high": float(high)}
    images, leakfree_images = (sum(map(len, tables)) for tables in zip(*scored, strict=True))
    count = "one seed each, which shows nothing about the split" if len(pairs) == 1 else f"{len(pairs)} seeds each"
    where = "the same " if paired else f"{images:,} and "
    note = f"{count}; scored on {where}{leakfree_images:,} test images" + (" in all" if len(pairs) > 1 else "")
    return {"seeds": len(pairs), "note": note, "metrics": {"accuracy": accuracy}}


def _is_enough(table: pd.DataFrame) -> bool:
    counts = table["class"].value_counts()
    return all(counts.get(name, 0) >= FEWEST for name in table.columns[len(metrics.COLUMNS) :])


def _accuracy(table: pd.DataFrame) -> float:
    return float((table["class"] == table["predicted"]).mean())
