"""How well a class can be predicted from shortcuts: file sizes, borders and coarse brightness."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rontgen.audits import near_duplicates
from rontgen.audits.near_duplicates import SIDE, Fingerprints
from rontgen.core import progress
from rontgen.core.errors import RontgenError
from rontgen.data import archives, layouts
from rontgen.data.archives import Archive
from rontgen.evaluation import intervals
from rontgen.evaluation.metrics import compute_metrics, prediction_table

FOLDS = 5
SEED = 0
COARSE = 16  # blocks across and down the thumbnail
# Of the border too blocks, of 4 pixels: single pixels, 2,304 of them, were overfitted (four drawn classes: ROC-AUC
# 0.806, in blocks 0.841) and took minutes
BORDER_BLOCKS = 20
BORDER = BORDER_BLOCKS // 10  # blocks on every side

ORIGINALS = ("NORMAL", "PNEUMONIA")


def probe(prints: Fingerprints, classes: list[str]) -> dict:
    """How well each group of features predicts the class: {images, probes: {name: result}}, ready for JSON.

    size: width, height, their ratio and the bytes of the file; width, height and bytes: each alone; colour: how far the
    file is from gray, for an archive may tint the films of one class; border: the outer tenth of the thumbnail;
    thumbnail: all of it, in COARSE × COARSE blocks, lungs included. A logistic regression, of each class against the
    rest, is scored by five-fold cross-validation, grouped by patient; duplicates, exact or near, count as of one
    patient. result: roc_auc of the pooled answers (the second of two
    classes, else the mean over the classes) with low and high, its 95% interval by patient, accuracy, and
    majority_accuracy, what naming the largest class alone gives. Features that are the same in every image give a
    roc_auc of 0.5; uninformative ones give slightly less on average, an effect of cross-validation. The interval
    covers the sampling of images, not that of fits. Raises RontgenError if a class has fewer than FOLDS patients.
    """
    groups = near_duplicates.groups(prints.images)
    labels = pd.Index(classes).get_indexer(prints.images["class"])
    for number, name in enumerate(classes):
        if (patients := len(np.unique(groups[labels == number]))) < FOLDS:
            raise RontgenError(
                f"{name}: expected images of {FOLDS} patients or more to try shortcuts on, received {patients}: "
                "add an archive with more of them to the dataset in params.yaml"
            )
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    folds = list(splitter.split(labels, labels, groups))  # of these alone: the same for every probe
    parts = progress.bar(features(prints).items(), "shortcuts", unit="probe")
    result = {name: _try(part, labels, groups, folds, prints.images, classes) for name, part in parts}
    return {"images": len(labels), "probes": result}


def probe_originals(path: Path) -> dict:
    """What probe gives for full-size images of chest_xray, in folders ORIGINALS of a zip.

    With it, sha256 (of the zip) and medians (of each class's width and height, in pixels, and bytes of its files).
    Raises RontgenError if there are none.
    """
    rows = []
    with Archive(path) as archive:
        for member in progress.bar(archive.members(), f"hash {path.name}", unit="image"):
            folder, _, name = member.name.rpartition("/")
            if folder in ORIGINALS:
                patient = layouts.chest_xray_patient(Path(name).stem)
                rows.append(
                    (path.name, member.name, folder, patient, "", sha256(archive.read(member.name)).hexdigest())
                )
    if not rows:
        raise RontgenError(f"{path}: expected images in folders {' and '.join(ORIGINALS)}, received none")
    images = pd.DataFrame(rows, columns=["archive", "member", "class", "patient", "folder", "sha256"])
    prints = near_duplicates.fingerprint(images, path.parent, 0)
    medians = prints.images.groupby("class")[["width", "height", "bytes"]].median().to_dict("index")
    return probe(prints, list(ORIGINALS)) | {"sha256": archives.sha256(path), "medians": medians}


def features(prints: Fingerprints) -> dict[str, np.ndarray]:
    """What each probe sees: float (N, features)."""
    columns = ("width", "height", "bytes", "colour")
    width, height, size, colour = (prints.images[name].to_numpy(dtype=float) for name in columns)
    border = np.ones((BORDER_BLOCKS, BORDER_BLOCKS), dtype=bool)
    border[BORDER:-BORDER, BORDER:-BORDER] = False
    return {
        "size": np.stack([width, height, width / height, size], axis=1),
        "width": width[:, None],
        "height": height[:, None],
        "bytes": size[:, None],
        "colour": colour[:, None],
        "border": _blocks(prints.thumbnails, BORDER_BLOCKS)[:, border],
        "thumbnail": _blocks(prints.thumbnails, COARSE).reshape(len(width), -1),
    }


def _blocks(thumbnails: np.ndarray, count: int) -> np.ndarray:
    return thumbnails.reshape(-1, count, SIDE // count, count, SIDE // count).mean(axis=(2, 4))


def _try(
    part: np.ndarray, labels: np.ndarray, groups: np.ndarray, folds: list, images: pd.DataFrame, classes: list[str]
) -> dict:
    if np.ptp(part, axis=0).any():
        model = make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression(solver="newton-cholesky")))
        answers = cross_val_predict(model, part, labels, cv=folds, method="predict_proba")
    else:
        # the shares of each fold would differ by a little, and rank the folds
        answers = np.tile(np.bincount(labels, minlength=len(classes)) / len(labels), (len(labels), 1))
    table = prediction_table(images["sha256"], groups, images["class"], classes, answers)
    metrics = compute_metrics(table, classes)
    auc = metrics["roc_auc"]
    # without an interval where one feature is equal for all: chance in every resample
    result = {"roc_auc": auc, **intervals.bootstrap_intervals(table, classes).get("roc_auc", {"low": auc, "high": auc})}
    result |= {name: metrics[name] for name in ("accuracy", "majority_accuracy")}
    # the last digits depend on the processor
    return {name: round(value, 4) for name, value in result.items()}
