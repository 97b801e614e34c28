"""Figures of a run: training curves, ROC, calibration, confusion matrix and saliency.

A class has one colour and one marker everywhere. Every function writes the same PNG for the same input.
"""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rontgen.core.io import replacing

matplotlib.rcdefaults()  # a user's matplotlibrc would draw other figures

# The palette of Okabe and Ito (2008), which the color-blind can distinguish
BLACK, ORANGE, SKY_BLUE, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

CLASS_COLORS = {
    "NORMAL": BLUE,
    "PNEUMONIA": VERMILLION,
    "PNEUMOTHORAX": GREEN,
    "TUBERCULOSIS": PURPLE,
    "COVID": ORANGE,
}
# The second cue, where a colour is lost
CLASS_MARKERS = {"NORMAL": "o", "PNEUMONIA": "s", "PNEUMOTHORAX": "^", "TUBERCULOSIS": "D", "COVID": "v"}
TRAIN_COLOR, VALIDATION_COLOR = SKY_BLUE, BLACK
MUTED = "0.45"

STYLE: dict[str, Any] = {"dpi": 150, "layout": "constrained"}

# Inferno, the clearer the hotter: where there is no heat the X-ray itself is seen
_COLORS = colormaps["inferno"](np.linspace(0, 1, 256))
_COLORS[:, 3] = np.linspace(0, 0.75, 256)
HEAT = ListedColormap(_COLORS, name="heat")


def confusion_matrix(confusion: dict[str, dict[str, int]], title: str, path: Path) -> None:
    """Draw counts by true and predicted class as a PNG; the shade is the share of the true class."""
    classes = list(confusion)
    counts = np.array([[confusion[row][column] for column in classes] for row in classes])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.2 + 0.9 * len(classes)
    figure = Figure(figsize=(side + 0.6, side), **STYLE)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shares[row, column] > 0.6 else "black"
        text = f"{count}\n{shares[row, column]:.0%}"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=11)
    axes.set_xticks(range(len(classes)), classes, rotation=20 if len(classes) > 2 else 0)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    save(figure, path)


def roc(
    table: pd.DataFrame, band: pd.DataFrame, auc: float, interval: dict[str, float] | None, title: str, path: Path
) -> None:
    """Draw ROC curves, a table of evaluation.metrics.roc_table, as a PNG, in the band of intervals.roc_band.

    interval: low and high, of the ROC-AUC; None if there is none.
    """
    figure, axes = _square(f"{title}\nROC-AUC {_with_interval(auc, interval)}")
    axes.plot([0, 1], [0, 1], color=MUTED, linestyle=":", linewidth=1, label="chance")
    _curves(axes, table, band, "false_positive_rate", "true_positive_rate", "default")
    axes.set(xlabel="false positive rate (1 − specificity)", ylabel="true positive rate (sensitivity)")
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    save(figure, path)


def precision_recall(
    table: pd.DataFrame,
    band: pd.DataFrame,
    average_precision: float,
    interval: dict[str, float] | None,
    prevalence: dict[str, float],
    title: str,
    path: Path,
) -> None:
    """Draw precision-recall curves (evaluation.metrics.precision_recall_table) as a PNG, in the band of
    intervals.precision_recall_band.

    interval: low and high, of the average precision; None if there is none. prevalence: each class's share of the
    images, the precision of chance, as a dotted line.
    """
    figure, axes = _square(f"{title}\naverage precision {_with_interval(average_precision, interval)}")
    for name in table["class"].unique():
        axes.axhline(prevalence[name], color=CLASS_COLORS.get(name), linestyle=":", linewidth=1)
    _curves(axes, table, band, "recall", "precision", "steps-pre")
    axes.plot([], [], color=MUTED, linestyle=":", linewidth=1, label="chance: the class's share")
    axes.set(xlabel="recall (sensitivity)", ylabel="precision")
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    save(figure, path)


def calibration(
    table: pd.DataFrame, brier_score: float, expected_calibration_error: float, title: str, path: Path
) -> None:
    """Draw a reliability diagram (evaluation.metrics.calibration_table) as a PNG, over the number of images per bin.

    Accuracy with its interval against mean confidence: under the diagonal the model is surer than it is right.
    """
    figure = Figure(figsize=(5.2, 6.2), **STYLE)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    top.plot([0, 1], [0, 1], color=MUTED, linestyle=":", linewidth=1.5, label="as sure as right; below, too sure")
    errors = table["accuracy"] - table["accuracy_low"], table["accuracy_high"] - table["accuracy"]
    style = {"color": "black", "ecolor": TRAIN_COLOR, "elinewidth": 2, "capsize": 3, "marker": "o", "markersize": 5}
    top.errorbar(
        table["confidence"], table["accuracy"], yerr=errors, linewidth=1, label="images of a bin, 95% interval", **style
    )
    scores = f"Brier score {brier_score:.3f}, ECE {expected_calibration_error:.3f}"
    top.set(ylim=(-0.02, 1.02), ylabel="accuracy", title=f"{title}\n{scores}")
    width = table["high"] - table["low"]
    bottom.bar(table["low"], table["images"], width, align="edge", color=TRAIN_COLOR, edgecolor="black")
    xlabel = "confidence: probability of the predicted class"
    bottom.set(xlim=(table["low"].min() - 0.01, 1.01), xlabel=xlabel, ylabel="images")
    bottom.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    figure.legend(loc="outside lower center")
    save(figure, path)


def history(table: pd.DataFrame, kept_epoch: int, title: str, path: Path) -> None:
    """Draw loss and accuracy by epoch as a PNG, the epoch kept marked by a line."""
    figure = Figure(figsize=(7.2, 3.5), **STYLE)
    lines = {"train": (TRAIN_COLOR, "o-"), "validation": (VALIDATION_COLOR, "s--")}
    for axes, measure in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for subset, (color, line) in lines.items():
            axes.plot(table["epoch"], table[f"{subset}_{measure}"], line, color=color, markersize=4, label=subset)
        axes.axvline(kept_epoch, color=MUTED, linestyle=":", linewidth=1.5, label="kept")
        axes.set(xlabel="epoch", ylabel=measure)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(f"{title}: epoch {kept_epoch} kept")
    save(figure, path)


def heatmaps(images: np.ndarray, heatmaps: np.ndarray, captions: list[str], kind: str, title: str, path: Path) -> None:
    """Draw each image beside itself under its heatmap as a PNG, two of these pairs in a row.

    images: uint8 (N, H, W). heatmaps: float32 (N, H, W) in [0, 1], of gradcam.heatmaps. captions: one for each image.
    kind: of gradcam.kind.
    """
    count, height, width = images.shape
    rows = -(-count // 2)
    figure = Figure(figsize=(7.2, 0.7 + rows * (0.35 + 1.6 * height / width)), **STYLE)
    grid = figure.subplots(rows, 2, squeeze=False)
    for axes, image, heat, caption in zip(grid.flat, images, heatmaps, captions, strict=False):
        for offset in (0, 1.03 * width):
            extent = (offset, offset + width, height, 0)
            show_xray(axes, image, extent=extent)
        axes.imshow(heat, cmap=HEAT, vmin=0, vmax=1, extent=extent)
        if not heat.any():
            box = {"facecolor": "white", "linewidth": 0}
            axes.text(1.53 * width, height / 2, "zero everywhere", ha="center", va="center", fontsize=9, bbox=box)
        axes.set_xlim(0, 2.03 * width)
        axes.set_title(caption, fontsize=8)
    for axes in grid.flat:
        axes.set_axis_off()
    scale = ScalarMappable(Normalize(0, 1), HEAT)
    colors = figure.colorbar(scale, ax=grid, aspect=15 * rows, pad=0.02)
    colors.set_label(f"{kind}\nshare of its maximum")
    figure.suptitle(title)
    save(figure, path)


def show_xray(axes: Axes, image: np.ndarray, **options: Any) -> None:
    """Draw an image, uint8 (H, W), in gray and without ticks. options: of imshow."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, **options)
    axes.set(xticks=[], yticks=[])


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG that names no version of matplotlib."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _square(title: str) -> tuple[Figure, Axes]:
    """A figure and axes of two rates, each from 0 to 1."""
    figure = Figure(figsize=(5.2, 6.2), **STYLE)
    axes = figure.add_subplot()
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", title=title)
    return figure, axes


def _curves(axes: Axes, table: pd.DataFrame, band: pd.DataFrame, x: str, y: str, drawstyle: str) -> None:
    """A curve for each class from x = 0 on, over its band."""
    for name, curve in table.groupby("class", sort=False):
        color = CLASS_COLORS.get(name)
        within = band[band["class"] == name]
        axes.fill_between(within[x], within["low"], within["high"], color=color, alpha=0.18, linewidth=0)
        points = np.append(0, curve[x]), np.append(curve[y].iloc[0], curve[y])
        style: dict[str, Any] = {"color": color, "marker": CLASS_MARKERS.get(name), "markersize": 5, "markevery": 0.12}
        axes.plot(*points, drawstyle=drawstyle, label=name, **style)


def _with_interval(value: float, interval: dict[str, float] | None) -> str:
    return f"{value:.3f} ({interval['low']:.3f}–{interval['high']:.3f})" if interval else f"{value:.3f}"
