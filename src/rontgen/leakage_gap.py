"""The leakage gap: how much higher a run scores on its paper's split than on one without known leaks."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats

from rontgen import evaluation
from rontgen.errors import RontgenError
from rontgen.figures import STYLE, save
from rontgen.records import AS_STATED, Record
from rontgen.runs import LEAKFREE

METRICS = ("accuracy", "roc_auc", "macro_f1")

# Shared images of each class that a paired gap needs: with fewer, one image is over 10 points of its class's recall
FEWEST = 10

SEVERAL_SEEDS = {"color": "#0072B2", "marker": "o", "label": "mean over the seeds, with its 95% interval"}
ONE_SEED = {"color": "0.45", "marker": "o", "mfc": "white", "label": "one seed each: shows nothing about the split"}


def pair(records: Iterable[Record], run: str) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """The predictions of a run and of its leak-free run, both as stated, for each seed that is recorded of both."""
    tables = {(record.run, record.seed): record.predictions for record in records if record.reading == AS_STATED}
    seeds = sorted(seed for name, seed in tables if name == run and (run + LEAKFREE, seed) in tables)
    return [(tables[run, seed], tables[run + LEAKFREE, seed]) for seed in seeds]


def measure(pairs: list[tuple[pd.DataFrame, pd.DataFrame]]) -> dict:
    """How much higher a run scores than its leak-free run, on average over seeds, ready for JSON.

    pairs: for each seed the prediction tables (evaluation.prediction_table) of the run and of its leak-free run. Both
    are scored on the images, by id, that both tests share, if in every seed these are FEWEST or more of each class
    (`paired`); else each is scored on its own test. One kind serves for all seeds, so that their mean has a meaning.

    Returns seeds, paired, images and leakfree_images (those scored, over all seeds), note (these in words), and
    metrics: of each of METRICS the mean of the `run`, of `leakfree`, and of the `gap` between them. With two seeds or
    more, low and high are the 95% t interval of the mean gap; there is none where every seed has the same gap, as where
    both runs name one class alone. The splits of several seeds are of the same archive, so the interval says what other
    seeds would give, not other images. Raises RontgenError where the two of a pair have other classes.
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


def draw(measured: dict[str, dict[str, dict]], is_demo: bool, path: Path) -> None:
    """Draw the gap of each run's accuracy as a PNG, that of the records above that of the workspace.

    measured: under "records" and "workspace" what `measure` gives, by run. The two have an axis each: real X-rays and a
    demo's drawn images are not to be compared.
    """
    titles = {
        "records": "Records: real X-rays",
        "workspace": "This workspace" + (": drawn images of the demo profile" if is_demo else ""),
    }
    panels = [(title, measured[source]) for source, title in titles.items() if measured[source]]
    heights = [len(found) + 2.2 for _, found in panels]
    figure = Figure(figsize=(7.5, 1.2 + 0.26 * sum(heights)), **STYLE)
    column = figure.subplots(len(panels), squeeze=False, height_ratios=heights)[:, 0]
    used = {}
    for axes, (title, found) in zip(column, panels, strict=True):
        for place, gap in enumerate(found.values()):
            accuracy, style = gap["metrics"]["accuracy"], ONE_SEED if gap["seeds"] == 1 else SEVERAL_SEEDS
            if "low" in accuracy:
                axes.plot([accuracy["low"], accuracy["high"]], [place, place], color=style["color"], linewidth=1.8)
            used[style["label"]] = axes.plot(accuracy["gap"], place, linestyle="", markersize=6, **style)[0]
        axes.axvline(0, color="0.4", linewidth=1, zorder=1)
        counts = [f", {gap['seeds']} seeds" if gap["seeds"] > 1 else "" for gap in found.values()]
        axes.set_yticks(range(len(found)), [name + count for name, count in zip(found, counts, strict=True)])
        axes.set_ylim(len(found) - 0.4, -0.6)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.set_title(title, fontsize=10)
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    axes.set_xlabel("accuracy on the paper's split minus accuracy without known leaks")
    known = "" if measured["records"] else ": unknown, for no run has records of both splits yet"
    figure.suptitle("Leakage gap" + known)
    figure.legend(handles=list(used.values()), loc="outside lower center", ncols=2, frameon=False)
    save(figure, path)


def _shared(run: pd.DataFrame, leakfree: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Of both tables, the images that are in both."""
    if list(run.columns) != list(leakfree.columns):
        classes, others = (", ".join(_classes(table)) for table in (run, leakfree))
        raise RontgenError(
            f"expected the same classes in a run and its leak-free run, received {classes} and {others}: make both by "
            "one params.yaml"
        )
    return run[run["id"].isin(leakfree["id"])], leakfree[leakfree["id"].isin(run["id"])]


def _is_enough(table: pd.DataFrame) -> bool:
    counts = table["class"].value_counts()
    return all(counts.get(name, 0) >= FEWEST for name in _classes(table))


def _score(table: pd.DataFrame) -> list[float]:
    found = evaluation.metrics(table, _classes(table))
    return [found["accuracy"], found["roc_auc"], found["macro"]["f1"]]


def _classes(table: pd.DataFrame) -> list[str]:
    return table.columns[len(evaluation.COLUMNS) :].tolist()


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
