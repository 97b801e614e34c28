"""How much better a study's own split makes a run look: the run's result minus its leak-free twin's."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from rontgen import evaluation, intervals
from rontgen.files import replacing

# Okabe and Ito's orange and blue
OPTIMISTIC = {"color": "#D55E00", "marker": "D", "label": "optimistic: the interval lies above 0"}
NOT_SHOWN = {"color": "#0072B2", "marker": "o", "label": "not shown to be"}


def measure(run: pd.DataFrame, twin: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Of each metric of intervals.unpaired_difference: paper_style, leakfree and optimism, with its 95% interval.

    run, twin: predictions of both, tables of evaluation.prediction_table. The two test sets differ, and so do the
    training sets: the interval knows the sampling of the test images alone, not what another seed would give.
    """
    classes = run.columns[len(evaluation.COLUMNS) :].tolist()
    ours, theirs = (evaluation.metrics(predictions, classes) for predictions in (run, twin))
    found = {}
    for metric, difference in intervals.unpaired_difference(run, twin, classes).items():
        found[metric] = {
            "paper_style": _value(ours, metric),
            "leakfree": _value(theirs, metric),
            "optimism": difference["difference"],
            "low": difference["low"],
            "high": difference["high"],
        }
    return found


def _value(metrics: dict, metric: str) -> float:
    average, _, name = metric.partition("_")
    return metrics["macro"][name] if average == "macro" else metrics[metric]


def draw(measured: dict[str, dict], is_demo: bool, path: Path) -> None:
    """A PNG with one row per run: the optimism of its accuracy and the 95% interval. measured: by run, of `measure`."""
    figure = Figure(figsize=(7.5, 1.7 + 0.26 * len(measured)), dpi=150, layout="constrained")
    axes = figure.subplots()
    for place, found in enumerate(measured.values()):
        accuracy = found["accuracy"]
        style = OPTIMISTIC if accuracy["low"] > 0 else NOT_SHOWN
        axes.plot([accuracy["low"], accuracy["high"]], [place, place], color=style["color"], linewidth=1.8)
        axes.plot(accuracy["optimism"], place, style["marker"], color=style["color"], markersize=6)
    for style in (OPTIMISTIC, NOT_SHOWN):
        axes.plot([], [], markersize=6, linewidth=1.8, **style)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    axes.axvline(0, color="0.4", linewidth=1)
    axes.set_yticks(range(len(measured)), measured)
    axes.invert_yaxis()
    axes.set_xlabel("accuracy with the paper's split minus accuracy without leaks (95% interval)")
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title("Optimism of the paper's split" + (" – demo profile" if is_demo else ""))
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
