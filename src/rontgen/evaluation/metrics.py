"""Per-image probabilities of the test subset, and every metric computed from them."""

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from rontgen.core.errors import RontgenError
from rontgen.evaluation.proportions import exact_interval

if TYPE_CHECKING:
    import keras

# The columns of a prediction table before the probabilities of its classes
COLUMNS = ["id", "patient", "class", "predicted"]

# Of equal width. Guo et al. (2017) take 15 on tens of thousands of images; ten leave more in each of a few hundred
CALIBRATION_BINS = 10

# Images at a time in the forward pass: 64 of 640 px and three channels are 300 MB as floats
BATCH = 64


class Predicts(Protocol):
    """A Keras model, or an exported one with the same method."""

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        """Probabilities, float (N, 1) of the second class or (N, classes), of images uint8 (N, H, W, 1)."""


def predict(model: Predicts, images: np.ndarray, name: str = "the model") -> np.ndarray:
    """Class probabilities of raw images, uint8 (N, H, W, 1). float64 (N, classes), rows sum to 1.

    name: of the model, for errors. Raises RontgenError where an output is not finite.
    """
    batches = [model.predict_on_batch(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    output = np.concatenate(batches).astype(np.float64)
    _check_finite(output, name)
    if output.shape[1] == 1:
        return np.concatenate([1 - output, output], axis=1)
    return output / output.sum(axis=1, keepdims=True)


def _check_finite(probabilities: np.ndarray, name: str) -> None:
    if wrong := int((~np.isfinite(probabilities)).any(axis=1).sum()):
        raise RontgenError(
            f"{name}: expected finite probabilities, received NaN or infinity for {wrong} of {len(probabilities)} "
            "images: train it with a lower train.learning_rate, or with train.mixed_precision off"
        )


def prediction_table(
    ids: np.ndarray, patients: np.ndarray | str, names: np.ndarray, classes: list[str], probabilities: np.ndarray
) -> pd.DataFrame:
    """One row per test image: id, patient ("" where unknown), class, predicted, and a probability per class.

    names: the true classes. probabilities: float (N, classes), each class's becoming the column of its name. Of two
    classes the second is predicted at a probability of 0.5 or more; of several, the most probable.
    """
    columns = [ids, patients, names, _predicted(classes, probabilities)]
    table = pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
    return table.assign(**{name: probabilities[:, index] for index, name in enumerate(classes)})


def _predicted(classes: list[str], probabilities: np.ndarray) -> np.ndarray:
    predicted = probabilities[:, 1] >= 0.5 if len(classes) == 2 else probabilities.argmax(axis=1)
    return np.array(classes, dtype=object)[predicted.astype(int)]


def read_predictions(file: Path | IO, name: str, command: str) -> pd.DataFrame:
    """A prediction table from its CSV; its classes are the columns after COLUMNS.

    file: a path or an open file. name: of the file, for errors. command: makes the file again. Raises RontgenError if
    the file is damaged, names an image twice, or has probabilities that do not sum to 1 (to within 1e-3) or of which
    prediction_table would predict another class.
    """
    try:
        table = pd.read_csv(file, dtype=dict.fromkeys(COLUMNS, str), keep_default_na=False)
    except (ValueError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RontgenError(f"{name}: expected a prediction table, received {error}: run `{command}`") from error
    columns = table.columns.tolist()
    classes = columns[len(COLUMNS) :]
    if columns[: len(COLUMNS)] != COLUMNS or len(classes) < 2:
        expected = ", ".join([*COLUMNS, "a probability for each class"])
        raise RontgenError(f"{name}: expected columns {expected}, received {', '.join(columns)}: run `{command}`")
    probabilities = table[classes].apply(pd.to_numeric, errors="coerce")
    known = table[["class", "predicted"]].isin(classes).all(axis=None)
    if table.empty or not known or not ((probabilities >= 0) & (probabilities <= 1)).all(axis=None):
        raise RontgenError(f"{name}: expected classes and probabilities in every row, received others: run `{command}`")
    if table["id"].duplicated().any():
        raise RontgenError(f"{name}: expected each image once, received some twice: run `{command}`")
    if (wrong := (probabilities.sum(axis=1) - 1).abs() > 1e-3).any():
        expected = "probabilities that sum to 1 in every row"
        raise RontgenError(f"{name}: expected {expected}, received others for {wrong.sum()} images: run `{command}`")
    if (wrong := table["predicted"] != _predicted(classes, probabilities.to_numpy())).any():
        expected = "as predicted the class that the probabilities give"
        raise RontgenError(f"{name}: expected {expected}, received another for {wrong.sum()} images: run `{command}`")
    return table


def positive_classes(classes: list[str]) -> list[str]:
    """The classes that have a curve and an area under it: the second of two, or each of several against the rest."""
    return classes[1:] if len(classes) == 2 else classes


def compute_metrics(predictions: pd.DataFrame, classes: list[str]) -> dict:
    """Every test metric of a prediction table, ready for JSON.

    Of two classes the second is the positive one (sensitivity, specificity, ROC-AUC, average precision); of several,
    these four are means over the classes, each against the rest. The Brier score is of 0 to 1 for two classes, of 0 to
    2 for several. expected_calibration_error: the mean over the images of |confidence − accuracy| in
    their bin of calibration_table (Guo et al. 2017, Section 2). confusion counts are by true, then predicted class.
    """
    truth, predicted = predictions["class"], predictions["predicted"]
    probabilities = predictions[classes].to_numpy()
    _check_finite(probabilities, "the predictions")
    is_class = np.stack([truth == name for name in classes], axis=1)
    table = confusion_matrix(truth, predicted, labels=classes)
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=classes, zero_division=0.0
    )
    scores = pd.DataFrame({"precision": precision, "recall": recall, "f1": f1}, index=classes)
    negatives, false_positives = table.sum() - table.sum(axis=1), table.sum(axis=0) - np.diag(table)
    specificity = 1 - false_positives / negatives
    positive = [classes.index(name) for name in positive_classes(classes)]
    labels = {"labels": range(len(classes))}
    calibration = calibration_table(predictions, classes)
    gaps = (calibration["confidence"] - calibration["accuracy"]).abs()
    return {
        "test_images": len(predictions),
        "accuracy": float(accuracy_score(truth, predicted)),
        "majority_accuracy": float(support.max() / support.sum()),
        "log_loss": float(log_loss(is_class.argmax(axis=1), probabilities, **labels)),
        "roc_auc": float(np.mean([roc_auc_score(is_class[:, i], probabilities[:, i]) for i in positive])),
        "average_precision": float(
            np.mean([average_precision_score(is_class[:, i], probabilities[:, i]) for i in positive])
        ),
        "brier_score": float(brier_score_loss(is_class.argmax(axis=1), probabilities, **labels)),
        "expected_calibration_error": float(np.average(gaps, weights=calibration["images"])),
        "sensitivity": float(np.mean(recall[positive])),
        "specificity": float(np.mean(specificity[positive])),
        "macro": scores.mean().to_dict(),
        "weighted": scores.apply(np.average, weights=support).to_dict(),
        "classes": scores.assign(support=support).to_dict("index"),
        "confusion": pd.DataFrame(table, classes, classes).to_dict("index"),
    }


def calibrated_error(probabilities: Sequence[np.ndarray], draws: int = 1000) -> float:
    """The expected calibration error below which 95% of models with these probabilities would stay, on as many images,
    if each answer were right exactly as often as its probability says: what the few images alone can make of it.

    probabilities: float (images, classes), of each of several tests, whose errors are averaged.
    """
    random, found = np.random.default_rng(0), np.zeros(draws)
    for of_test in probabilities:
        confidence, bins = confidence_bins(of_test)
        in_bin = bins[:, None] == np.unique(bins)
        right = random.random((draws, len(confidence))) < confidence
        found += np.abs((confidence - right) @ in_bin).sum(axis=1) / len(confidence) / len(probabilities)
    return float(np.quantile(found, 0.95))


def roc_table(predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """The ROC curve of the positive class, or of each class against the rest: class, false_positive_rate,
    true_positive_rate, threshold."""
    curves = []
    for name in positive_classes(classes):
        false_rate, true_rate, threshold = roc_curve(predictions["class"] == name, predictions[name])
        threshold[0] = 1.0  # scikit-learn begins at infinity, which neither JSON nor Vega can draw
        columns = {"false_positive_rate": false_rate, "true_positive_rate": true_rate, "threshold": threshold}
        curves.append(pd.DataFrame({"class": name, **columns}))
    return pd.concat(curves, ignore_index=True)


def precision_recall_table(predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """The precision-recall curve of the positive class, or of each class against the rest: class, recall, precision,
    threshold, by falling threshold. The area of its steps is the average precision."""
    curves = []
    for name in positive_classes(classes):
        precision, recall, threshold = precision_recall_curve(
            predictions["class"] == name, predictions[name], drop_intermediate=True
        )
        # scikit-learn ends with precision 1 at recall 0, a point of no threshold
        columns = {"recall": recall[-2::-1], "precision": precision[-2::-1], "threshold": threshold[::-1]}
        curves.append(pd.DataFrame({"class": name, **columns}))
    return pd.concat(curves, ignore_index=True)


def confidence_bins(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The confidence of each row, float (N,), which is its highest probability, and its bin of CALIBRATION_BINS,
    int (N,). A bin holds its upper edge and not its lower one (Guo et al. 2017, Section 2)."""
    confidence = probabilities.max(axis=1)
    upper = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
    return confidence, np.searchsorted(upper, confidence, side="left")


def calibration_table(predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """How often predictions of a confidence are right. One row per bin with images: low, high (its edges), images,
    confidence (their mean), accuracy (the share right), accuracy_low, accuracy_high (exact binomial 95% interval)."""
    confidence, bins = confidence_bins(predictions[classes].to_numpy())
    right = (predictions["class"] == predictions["predicted"]).to_numpy()
    rows = []
    for number in np.unique(bins):
        in_bin = bins == number
        low, high = exact_interval(right[in_bin].sum(), in_bin.sum())
        rows.append(
            {
                "low": number / CALIBRATION_BINS,
                "high": (number + 1) / CALIBRATION_BINS,
                "images": int(in_bin.sum()),
                "confidence": confidence[in_bin].mean(),
                "accuracy": right[in_bin].mean(),
                "accuracy_low": low,
                "accuracy_high": high,
            }
        )
    return pd.DataFrame(rows)


def model_size(model: "keras.Model") -> dict:
    """parameters, and model_megabytes: four bytes for each, in 10⁶ bytes."""
    parameters = model.count_params()
    return {"parameters": parameters, "model_megabytes": round(4 * parameters / 1e6, 3)}


SUMMARY = (
    "accuracy",
    "majority_accuracy",
    "roc_auc",
    "average_precision",
    "sensitivity",
    "specificity",
    "log_loss",
    "brier_score",
    "expected_calibration_error",
    "test_images",
    "parameters",
)


def summary(metrics: dict) -> dict[str, float]:
    """The metrics of SUMMARY that a run has, and its macro F1, to compare runs at a glance."""
    return {name: metrics[name] for name in SUMMARY if name in metrics} | {"macro_f1": metrics["macro"]["f1"]}
