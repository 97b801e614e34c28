"""The training metrics: the losses and accuracies at the epochs that papers quote."""

import json

import pandas as pd
import pytest

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


@pytest.fixture
def summary():
    return history.summary(HISTORY, kept_epoch=2)


@pytest.mark.parametrize(("name", "row"), [("first", 0), ("kept", 1), ("final", 3)])
def test_an_epoch_has_the_scores_of_its_row_without_the_learning_rate(summary, name, row):
    assert summary[name] == HISTORY.loc[row, SCORES].to_dict()


def test_the_best_of_each_score_is_over_all_epochs(summary):
    assert list(summary["best"].values()) == [0.3, 0.9, 0.4, 0.8]


def test_epochs_are_counted_from_one_and_of_two_alike_the_first_is_best(summary):
    numbers = {name: value for name, value in summary.items() if name.endswith(("epoch", "epochs"))}
    assert numbers == {"epochs": 4, "kept_epoch": 2, "best_accuracy_epoch": 2, "best_loss_epoch": 3}


def test_whole_numbers_of_a_history_that_was_read_are_scores_too():
    table = HISTORY.astype({"epoch": int}).assign(validation_accuracy=[0, 1, 1, 1])
    assert json.loads(json.dumps(history.summary(table, 2)))["kept"]["validation_accuracy"] == 1.0
