"""How far a class can be told without looking at the lungs: from file sizes, borders and coarse brightness alone."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rontgen import evaluation, figures, fingerprints, intervals
from rontgen.errors import RontgenError
from rontgen.fingerprints import SIDE, Fingerprints

FOLDS = 5
SEED = 0
COARSE = 16  # blocks across and down the thumbnail
# Of the border too blocks, of 4 pixels: single pixels, 2,304 of them, were overfitted (four drawn classes: ROC-AUC
# 0.806, in blocks 0.841) and took minutes
BORDER_BLOCKS = 20
BORDER = BORDER_BLOCKS // 10  # blocks on every side


def probe(prints: Fingerprints, classes: list[str]) -> dict:
    """What each group of features tells of the class: {images, probes: {name: result}}, ready for JSON.

    size: width, height, their ratio and the bytes of the file; width, height and bytes: each alone; border: the outer
    tenth of the thumbnail; thumbnail: all of it, in COARSE × COARSE blocks, lungs and all. A logistic regression, of
    each class against the rest, is fitted on four fifths of the patients and asked of the last fifth, five times over;
    duplicates, exact or near, count as of one patient. result: roc_auc of the pooled answers (the second of two
    classes, else the mean over the classes) with low and high, its 95% interval by patient, accuracy, and
    majority_accuracy, what naming the largest class alone gives. Features that are the same in every image give a
    roc_auc of 0.5; those that tell nothing one that is on average a little below, as cross-validation has it. The
    interval is of the answers given, not of other fits. Raises RontgenError where a class has fewer than FOLDS
    patients.
    """
    groups = fingerprints.groups(prints.images)
    labels = pd.Index(classes).get_indexer(prints.images["class"])
    for number, name in enumerate(classes):
        if (patients := len(np.unique(groups[labels == number]))) < FOLDS:
            raise RontgenError(
                f"{name}: expected images of {FOLDS} patients or more to try shortcuts on, received {patients}: "
                "add an archive with more of them to the dataset in params.yaml"
            )
    result = {name: _try(part, labels, groups, prints.images, classes) for name, part in features(prints).items()}
    return {"images": len(labels), "probes": result}


def features(prints: Fingerprints) -> dict[str, np.ndarray]:
    """What each probe sees: float (N, features)."""
    width, height, size = (prints.images[name].to_numpy(dtype=float) for name in ("width", "height", "bytes"))
    border = np.ones((BORDER_BLOCKS, BORDER_BLOCKS), dtype=bool)
    border[BORDER:-BORDER, BORDER:-BORDER] = False
    return {
        "size": np.stack([width, height, width / height, size], axis=1),
        "width": width[:, None],
        "height": height[:, None],
        "bytes": size[:, None],
        "border": _blocks(prints.thumbnails, BORDER_BLOCKS)[:, border],
        "thumbnail": _blocks(prints.thumbnails, COARSE).reshape(len(width), -1),
    }


def _blocks(thumbnails: np.ndarray, count: int) -> np.ndarray:
    return thumbnails.reshape(-1, count, SIDE // count, count, SIDE // count).mean(axis=(2, 4))


def _try(part: np.ndarray, labels: np.ndarray, groups: np.ndarray, images: pd.DataFrame, classes: list[str]) -> dict:
    if np.ptp(part, axis=0).any():
        model = make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression(solver="newton-cholesky")))
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
        answers = cross_val_predict(model, part, labels, groups=groups, cv=folds, method="predict_proba")
    else:
        # the shares of each fold would differ by a little, and rank the folds
        answers = np.tile(np.bincount(labels, minlength=len(classes)) / len(labels), (len(labels), 1))
    table = evaluation.prediction_table(images["sha256"], groups, images["class"], classes, answers)
    metrics = evaluation.metrics(table, classes)
    auc = metrics["roc_auc"]
    # without an interval where one feature is equal for all: chance in every resample
    result = {"roc_auc": auc, **intervals.of(table, classes).get("roc_auc", {"low": auc, "high": auc})}
    result |= {name: metrics[name] for name in ("accuracy", "majority_accuracy")}
    # the last digits depend on the processor
    return {name: round(value, 4) for name, value in result.items()}


def draw(probes: dict[str, dict], images: pd.DataFrame, title: str, path: Path) -> None:
    """Draw width against height of every image, and the ROC-AUC of each probe with its interval, as a PNG."""
    figure = Figure(figsize=(7.2, 3.6), **figures.STYLE)
    sizes, areas = figure.subplots(1, 2)
    for name, count in images["class"].value_counts().items():  # the largest class lowest
        ours = images[images["class"] == name]
        color, marker = figures.CLASS_COLORS[name], figures.CLASS_MARKERS[name]
        label = f"{name} ({count})"
        sizes.scatter(ours["width"], ours["height"], s=9, color=color, marker=marker, alpha=0.6, lw=0, label=label)
    different = len(images[["width", "height"]].drop_duplicates())
    sizes.set_title("all images of one size" if different == 1 else f"{different} sizes", fontsize=9)
    sizes.set_xlabel("width (pixels)")
    sizes.set_ylabel("height (pixels)")
    sizes.legend(frameon=False, fontsize=8, markerscale=1.6)
    for row, result in enumerate(probes.values()):
        areas.plot([result["low"], result["high"]], [row, row], color="black", linewidth=1.5)
        areas.plot(result["roc_auc"], row, "o", color="black", markersize=5)
        areas.text(1.04, row, f"{result['roc_auc']:.3f}", va="center", fontsize=9)
    areas.axvline(0.5, color="0.6", linestyle=":")
    areas.text(0.51, -0.7, "chance", va="center", color="0.4", fontsize=8)
    areas.set_xlim(min(0.4, *(result["low"] - 0.05 for result in probes.values())), 1.02)
    areas.set_ylim(len(probes) - 0.5, -1)
    areas.set_yticks(range(len(probes)), list(probes))
    areas.set_xlabel("ROC-AUC, 95% interval by patient")
    areas.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    figures.save(figure, path)
