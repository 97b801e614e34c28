"""A model's answers to X-rays from elsewhere (data.external), and what they come to."""

import numpy as np
import pandas as pd

from rontgen.evaluation.metrics import prediction_table

# The columns of a table of answers before the probabilities of the classes
COLUMNS = ["source", "id", "class", "predicted", "unfamiliar"]


def answers(films: pd.DataFrame, classes: list[str], probabilities: np.ndarray) -> pd.DataFrame:
    """A row for each film: COLUMNS, and a probability for each class, with four decimals, as a record keeps them.

    films: of data.external. probabilities: float (N, classes).
    """
    table = prediction_table(films["id"], "", films["class"], classes, probabilities.round(4))
    table.insert(0, "source", films["source"].to_numpy())
    table["patient"] = films["unfamiliar"].to_numpy()
    return table.rename(columns={"patient": "unfamiliar"})[[*COLUMNS, *classes]]


def robustness(
    perturbed: pd.DataFrame, classes: list[str], probabilities: np.ndarray, predictions: pd.DataFrame
) -> dict[str, dict[str, float]]:
    """By perturbation: the accuracy on the test images perturbed, and the share that is decided as without it.

    perturbed: of data.external. predictions: of the test images themselves.
    """
    found = {}
    decided = predictions.set_index("id")["predicted"]
    for name, rows in perturbed.reset_index(drop=True).groupby("perturbation", sort=False):
        table = prediction_table(rows["id"], "", rows["class"], classes, probabilities[rows.index])
        same = (table["predicted"].to_numpy() == decided.loc[table["id"]].to_numpy()).mean()
        right = (table["predicted"] == table["class"]).mean()
        found[str(name)] = {"accuracy": float(right), "same_decisions": float(same)}
    return found
