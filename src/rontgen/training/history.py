"""What the history of a training shows: losses and accuracies at the epochs that papers quote, and where it stopped."""

import math

import pandas as pd

# Keras's names of what early stopping may watch, and the columns of a history; the sign that makes more better
WATCHED = {"val_loss": ("validation_loss", -1), "val_accuracy": ("validation_accuracy", 1)}


def summary(history: pd.DataFrame, kept_epoch: int) -> dict:
    """The training metrics of a run, without times, ready for JSON.

    history: a row for each epoch, with its losses and accuracies. kept_epoch: whose weights are kept, one-based.
    """
    scores = history.drop(columns=["epoch", "learning_rate"])
    return {
        "epochs": len(scores),
        "kept_epoch": kept_epoch,
        "best_accuracy_epoch": int(scores["validation_accuracy"].argmax()) + 1,
        "best_loss_epoch": int(scores["validation_loss"].argmin()) + 1,
        "first": scores.iloc[0].astype(float).to_dict(),
        "kept": scores.iloc[kept_epoch - 1].astype(float).to_dict(),
        "best": {name: float(scores[name].agg("min" if name.endswith("loss") else "max")) for name in scores},
        "final": scores.iloc[-1].astype(float).to_dict(),
    }


def stops(history: pd.DataFrame, train: dict) -> list[int]:
    """The epochs that early stopping, as a protocol has it, would have trained in each phase, given this history.

    train: settings of a run (`train`, with the phase `fine_tune`). A phase without a stop has all of its epochs, so a
    history that was cut off has fewer rows than these.
    """
    phases = [train["epochs"], *([train["fine_tune"]["epochs"]] if train["fine_tune"] else [])]
    found, rest, stopping = list[int](), history, train["early_stopping"]
    for epochs in phases:
        phase = rest.iloc[:epochs]
        trained = epochs
        if stopping:
            column, sign = WATCHED[stopping["monitor"]]
            best, wait = -math.inf, 0
            for epoch, score in enumerate(sign * phase[column], 1):
                wait = 0 if score > best else wait + 1
                best = max(best, score)
                if wait >= stopping["patience"]:
                    trained = epoch
                    break
        found.append(trained)
        rest = rest.iloc[trained:]
    return found
