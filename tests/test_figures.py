"""Figures are written whole, are the same every time, and keep a class's colour."""

import pandas as pd
import pytest

from rontgen import figures, params

ROC = pd.DataFrame(
    {"class": "PNEUMONIA", "false_positive_rate": [0, 0.2, 1], "true_positive_rate": [0, 0.9, 1], "threshold": 0.5}
)
HISTORY = pd.DataFrame({"epoch": [1, 2], "train_loss": [0.6, 0.4], "validation_loss": [0.7, 0.5]}).assign(
    train_accuracy=[0.6, 0.8], validation_accuracy=[0.5, 0.7]
)
DRAW = {
    "confusion": lambda path: figures.confusion_matrix({"A": {"A": 3, "B": 0}, "B": {"A": 1, "B": 0}}, "run", path),
    "roc": lambda path: figures.roc(ROC, 0.9, "run", path),
    "history": lambda path: figures.history(HISTORY, 2, "run", path),
}


@pytest.mark.parametrize("name", DRAW)
def test_a_figure_is_the_same_every_time(name, tmp_path):
    for copy in ("a.png", "b.png"):
        DRAW[name](tmp_path / copy)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_every_class_of_every_dataset_has_its_own_colour():
    classes = {name for dataset in params.load().datasets.values() for name in dataset.classes}
    assert classes == set(figures.CLASS_COLORS)
    assert len(set(figures.CLASS_COLORS.values())) == len(classes)
