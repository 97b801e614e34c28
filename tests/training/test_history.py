"""The training metrics: the losses and accuracies at the epochs that papers quote."""

import json

import pandas as pd

from rontgen.training import history

HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3, 4],
        "train_loss": [0.9, 0.5, 0.3, 0.4],
        "train_accuracy": [0.6, 0.9, 0.8, 0.7],
        "validation_loss": [0.8, 0.7, 0.4, 0.6],
        "validation_accuracy": [0.5, 0.8, 0.7, 0.8],
        "learning_rate": [0.1, 0.1, 0.01, 0.01],
    }
)
SCORES = ["train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]


def test_the_summary_has_the_scores_of_the_epochs_that_papers_quote_counted_from_one():
    first, kept, _, final = HISTORY[SCORES].to_dict("records")
    assert history.summary(HISTORY, kept_epoch=2) == {
        "epochs": 4,
        "kept_epoch": 2,
        "best_accuracy_epoch": 2,  # the first of two alike
        "best_loss_epoch": 3,
        "first": first,
        "kept": kept,
        "best": dict(zip(SCORES, [0.3, 0.9, 0.4, 0.8], strict=True)),
        "final": final,
    }


def test_whole_numbers_of_a_history_that_was_read_are_scores_too():
    table = HISTORY.astype({"epoch": int}).assign(validation_accuracy=[0, 1, 1, 1])
    assert json.loads(json.dumps(history.summary(table, 2)))["kept"]["validation_accuracy"] == 1.0
