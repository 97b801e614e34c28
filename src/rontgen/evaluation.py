"""From a model and the test subset to per-image probabilities, and from those to every metric."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

# Images at a time in the forward pass: 64 of 640 px and three channels are 300 MB as floats
BATCH = 64


def predict(model, images: np.ndarray) -> np.ndarray:
    """Class probabilities of raw images, uint8 (N, H, W, 1). float64 (N, classes), rows sum to 1."""
    batches = [model.predict_on_batch(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    output = np.concatenate(batches).astype(np.float64)
    if output.shape[1] == 1:
        return np.concatenate([1 - output, output], axis=1)
    return output / output.sum(axis=1, keepdims=True)


def prediction_table(ids: np.ndarray, names: np.ndarray, classes: list[str], probabilities: np.ndarray) -> pd.DataFrame:
    """One row per test image: id, class, predicted, and the probability of each class in a column of its name.

    Of two classes the second is predicted at a probability of 0.5 or more; of several, the most probable.
    """
    predicted = probabilities[:, 1] >= 0.5 if len(classes) == 2 else probabilities.argmax(axis=1)
    table = pd.DataFrame(
        {"id": ids, "class": names, "predicted": np.array(classes, dtype=object)[predicted.astype(int)]}
    )
    return table.assign(**{name: probabilities[:, index] for index, name in enumerate(classes)})


def metrics(predictions: pd.DataFrame, classes: list[str]) -> dict:
    """Every test metric of a prediction table, ready for JSON.

    Of two classes the second is the positive one (sensitivity, specificity, ROC-AUC); of several, these three are
    means over the classes, each against the rest. confusion counts are by true, then predicted class.
    """
    truth, predicted = predictions["class"], predictions["predicted"]
    probabilities = predictions[classes].to_numpy()
    is_class = np.stack([truth == name for name in classes], axis=1)
    table = confusion_matrix(truth, predicted, labels=classes)
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=classes, zero_division=0.0
    )
    specificity = _specificity(table)
    positive = slice(1, None) if len(classes) == 2 else slice(None)
    return {
        "test_images": len(predictions),
        "accuracy": float(accuracy_score(truth, predicted)),
        "majority_accuracy": float(support.max() / support.sum()),
        "log_loss": float(log_loss(is_class.argmax(axis=1), probabilities, labels=range(len(classes)))),
        "roc_auc": float(np.mean(_aucs(is_class, probabilities)[positive])),
        "sensitivity": float(np.mean(recall[positive])),
        "specificity": float(np.mean(specificity[positive])),
        "macro": _averages(precision, recall, f1, np.ones(len(classes))),
        "weighted": _averages(precision, recall, f1, support),
        "classes": {
            name: {
                "precision": float(precision[index]),
                "recall": float(recall[index]),
                "f1": float(f1[index]),
                "support": int(support[index]),
            }
            for index, name in enumerate(classes)
        },
        "confusion": {
            name: {other: int(table[index, column]) for column, other in enumerate(classes)}
            for index, name in enumerate(classes)
        },
    }


def roc_table(predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """The ROC curve of the positive class, or of each class against the rest: class, false_positive_rate,
    true_positive_rate, threshold."""
    curves = []
    for name in classes[1:] if len(classes) == 2 else classes:
        false_rate, true_rate, threshold = roc_curve(predictions["class"] == name, predictions[name])
        threshold[0] = 1.0  # scikit-learn begins at infinity, which neither JSON nor Vega can draw
        columns = {"false_positive_rate": false_rate, "true_positive_rate": true_rate, "threshold": threshold}
        curves.append(pd.DataFrame({"class": name, **columns}))
    return pd.concat(curves, ignore_index=True)


def model_size(model, path: Path) -> dict:
    """parameters, and model_megabytes: the size of its file in 10⁶ bytes."""
    return {"parameters": model.count_params(), "model_megabytes": round(path.stat().st_size / 1e6, 3)}


def _specificity(table: np.ndarray) -> np.ndarray:
    """Of each class, the share of the other classes' images that are not taken for it. float (classes,)."""
    negatives = table.sum() - table.sum(axis=1)
    false_positives = table.sum(axis=0) - np.diag(table)
    return 1 - false_positives / negatives


def _aucs(is_class: np.ndarray, probabilities: np.ndarray) -> list[float]:
    return [roc_auc_score(is_class[:, index], probabilities[:, index]) for index in range(is_class.shape[1])]


def _averages(precision, recall, f1, weights) -> dict[str, float]:
    values = {"precision": precision, "recall": recall, "f1": f1}
    return {name: float(np.average(value, weights=weights)) for name, value in values.items()}
