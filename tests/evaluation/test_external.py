"""Answers to X-rays from elsewhere, and what perturbations cost."""

import numpy as np
import pandas as pd

from rontgen.evaluation.external import answers, robustness

CLASSES = ["NORMAL", "PNEUMONIA"]


def test_answers_have_four_decimals_and_the_decision_that_these_give():
    films = pd.DataFrame(
        {"source": ["a", "b"], "id": ["1", "2"], "class": "NORMAL", "unfamiliar": [1, 0]}, index=[5, 9]
    )
    table = answers(films, CLASSES, np.array([[0.50004, 0.49996], [0.9, 0.1]]))
    assert table.columns.tolist() == ["source", "id", "class", "predicted", "unfamiliar", *CLASSES]
    assert table["predicted"].tolist() == ["PNEUMONIA", "NORMAL"]
    assert table["PNEUMONIA"].tolist() == [0.5, 0.1]
    assert table[["source", "unfamiliar"]].to_numpy().tolist() == [["a", 1], ["b", 0]]


def test_no_film_gives_a_table_without_rows():
    films = pd.DataFrame(columns=["source", "id", "class", "unfamiliar"])
    assert answers(films, CLASSES, np.zeros((0, 2))).empty


def test_a_perturbation_costs_accuracy_and_changes_decisions():
    predictions = pd.DataFrame({"id": ["2", "1"], "predicted": ["PNEUMONIA", "NORMAL"]})
    rows = [
        (name, id_, label) for name in ("marker", "exposure") for id_, label in (("1", "NORMAL"), ("2", "PNEUMONIA"))
    ]
    perturbed = pd.DataFrame(rows, columns=["perturbation", "id", "class"], index=[7, 8, 9, 10])
    probabilities = np.array([[0.1, 0.9], [0.1, 0.9], [0.9, 0.1], [0.2, 0.8]])
    assert robustness(perturbed, CLASSES, probabilities, predictions) == {
        "marker": {"accuracy": 0.5, "same_decisions": 0.5},
        "exposure": {"accuracy": 1.0, "same_decisions": 1.0},
    }
