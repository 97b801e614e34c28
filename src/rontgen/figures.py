"""The pictures of a run: confusion matrix, ROC curve and training history. A class has one colour everywhere."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rontgen.files import replacing

# Okabe and Ito's palette, told apart by the colour-blind and in gray print
CLASS_COLORS = {
    "NORMAL": "#0072B2",
    "PNEUMONIA": "#D55E00",
    "PNEUMOTHORAX": "#009E73",
    "TUBERCULOSIS": "#CC79A7",
    "COVID": "#E69F00",
}
TRAIN_COLOR, VALIDATION_COLOR = "#56B4E9", "#000000"

STYLE = {"dpi": 150, "layout": "constrained"}


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
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title)
    _save(figure, path)


def roc(table: pd.DataFrame, auc: float, title: str, path: Path) -> None:
    """Draw ROC curves, a table of evaluation.roc_table, as a PNG."""
    figure = Figure(figsize=(4.6, 4.4), **STYLE)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.6", linestyle=":", linewidth=1)
    for name, curve in table.groupby("class", sort=False):
        x, y = curve["false_positive_rate"], curve["true_positive_rate"]
        axes.plot(x, y, drawstyle="steps-post", color=CLASS_COLORS.get(name), label=name)
    axes.set_xlabel("false positive rate (1 − specificity)")
    axes.set_ylabel("true positive rate (sensitivity)")
    axes.set_title(f"{title}\nROC-AUC {auc:.3f}")
    axes.set_aspect("equal")
    axes.legend(loc="lower right", frameon=False)
    _save(figure, path)


def history(table: pd.DataFrame, best_epoch: int, title: str, path: Path) -> None:
    """Draw loss and accuracy by epoch as a PNG, the epoch kept marked by a line."""
    figure = Figure(figsize=(7.2, 3.2), **STYLE)
    for axes, measure in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for subset, color in (("train", TRAIN_COLOR), ("validation", VALIDATION_COLOR)):
            axes.plot(
                table["epoch"],
                table[f"{subset}_{measure}"],
                color=color,
                marker="o",
                markersize=3,
                label=subset,
            )
        axes.axvline(best_epoch, color="0.6", linestyle=":", linewidth=1)
        axes.set_xlabel("epoch")
        axes.set_ylabel(measure)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.axes[0].legend(frameon=False)
    figure.suptitle(f"{title}: epoch {best_epoch} kept")
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
