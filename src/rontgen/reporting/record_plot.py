"""The figure of a recorded run: the ROC curve and the training of every seed."""

from itertools import cycle
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rontgen.reporting import plots
from rontgen.reporting.plots import BLACK, BLUE, GREEN, PURPLE, STYLE, VERMILLION

# A reading has a colour and a line of its own
LINES = [(BLUE, "-"), (VERMILLION, "--"), (GREEN, "-."), (PURPLE, ":"), (BLACK, "-")]


def draw(run: str, readings: dict[str, list[tuple[pd.DataFrame, pd.DataFrame]]], path: Path) -> None:
    """Draw ROC curves on the test images, and the validation accuracy of each epoch, as a PNG.

    readings: of each treatment, the protocol first, a table of evaluation.metrics.roc_table and the history of every
    seed. Of more than two classes the curve drawn is the mean over the classes, each against the rest. Its title says
    so.
    """
    figure = Figure(figsize=(7.2, 3.9), **STYLE)
    roc, training = figure.subplots(1, 2)
    roc.plot([0, 1], [0, 1], color="0.45", linestyle=":", linewidth=1)
    for (reading, seeds), (color, line) in zip(readings.items(), cycle(LINES), strict=False):
        style = {"color": color, "linestyle": line, "linewidth": 1.1}
        for number, (curves, history) in enumerate(seeds):
            label = f"{reading.replace('_', ' ')}, {len(seeds)} seed{'s' if len(seeds) > 1 else ''}"
            _roc(roc, curves, style, label if number == 0 else None)
            training.plot(history["epoch"], history["validation_accuracy"], **style)
    roc.set_xlim(-0.02, 1.02)
    roc.set_ylim(-0.02, 1.02)
    roc.set_aspect("equal")
    roc.set_xlabel("false positive rate (1 − specificity)")
    roc.set_ylabel("true positive rate (sensitivity)")
    several = any(curves["class"].nunique() > 1 for seeds in readings.values() for curves, _ in seeds)
    roc.set_title("ROC, mean of each class against the rest" if several else "ROC on the test images", fontsize=9)
    training.set_xlabel("epoch")
    training.set_ylabel("validation accuracy")
    training.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    training.set_title("Training", fontsize=9)
    for axes in (roc, training):
        axes.grid(color="0.92")
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(run)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    plots.save(figure, path)


def _roc(axes: Axes, curves: pd.DataFrame, style: dict, label: str | None) -> None:
    grid = np.linspace(0, 1, 101)  # vertical averaging (Fawcett 2006)
    rates = [
        np.interp(grid, curve["false_positive_rate"], curve["true_positive_rate"])
        for _, curve in curves.groupby("class")
    ]
    axes.plot(np.append(0, grid), np.append(0, np.mean(rates, axis=0)), label=label, **style)
