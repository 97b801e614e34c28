"""What the history of a training shows: its losses and accuracies at the epochs that papers quote."""

import pandas as pd


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
