"""What models say of films of other archives than their own: how many people without a finding they call sick."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from rontgen.claims.comparisons import Difference, mean_over_seeds
from rontgen.claims.trainings import Training
from rontgen.evaluation.proportions import exact_interval

# Whose films an archive has: Kermany's are of children of one to five years, the others of adults
CHILDREN = "chest_xray"
# Sources that are no other archives: full-size files, and the smaller copies of them that the records are of
SIZES = ("originals", "copies")


@dataclass(frozen=True)
class Sizes:
    """Answers to full-size files, and to their small copies, most of which the model was trained on.

    files: of each. originals, copies: the share that is right of either. same: of equal decisions.
    """

    files: int
    originals: float
    copies: float
    same: float


@dataclass(frozen=True)
class External:
    """The answers of one training's records to films of other archives, which params.yaml has as normal.

    accuracy: on their own test images. films: by archive. sick: by archive, the share that is given another class, the
    mean over the seeds. all_sick: of all films, with its 95% interval. refused: the share that the out-of-distribution
    check refuses, and refused_sick, of those that are called sick. sizes: None where the records did not ask.
    """

    training: Training
    seeds: list[int]
    accuracy: float
    films: dict[str, int]
    sick: dict[str, float]
    all_sick: Difference
    refused: float
    refused_sick: float
    sizes: Sizes | None

    @property
    def people(self) -> str:
        return "children" if list(self.films) == [CHILDREN] else "adults"


def of(training: Training) -> External | None:
    """None where no record has answers to such films."""
    answered = [(record, table) for record in training.records if (table := record.external) is not None]
    asked = [(record, films) for record, table in answered if len(films := table[~table["source"].isin(SIZES)])]
    if not asked:
        return None
    films = pd.concat(table.assign(seed=record.seed) for record, table in asked)
    films["sick"] = films["predicted"] != films["class"]
    sick = films[films["sick"]]
    return External(
        training=training,
        seeds=[record.seed for record, _ in asked],
        accuracy=float(np.mean([record.metrics["test"]["accuracy"] for record, _ in asked])),
        films=asked[0][1].groupby("source", sort=False).size().to_dict(),
        sick=films.groupby("source", sort=False)["sick"].mean().to_dict(),
        all_sick=_share(films.groupby("seed")["sick"].mean().to_numpy(), len(asked[0][1])),
        refused=float(films["unfamiliar"].mean()),
        refused_sick=float(sick["unfamiliar"].mean()) if len(sick) else 0.0,
        sizes=_sizes([table[table["source"].isin(SIZES)] for _, table in answered]),
    )


def _sizes(tables: list[pd.DataFrame]) -> Sizes | None:
    rows = []
    for table in tables:
        if len(table):
            originals, copies = (table[table["source"] == source] for source in SIZES)
            pairs = originals.merge(copies, on="id", suffixes=("", "_copy"))
            right, right_too = pairs["predicted"] == pairs["class"], pairs["predicted_copy"] == pairs["class"]
            rows.append((right.mean(), right_too.mean(), (pairs["predicted"] == pairs["predicted_copy"]).mean()))
    return Sizes(len(pairs), *map(float, np.mean(rows, axis=0))) if rows else None


def _share(shares: np.ndarray, images: int) -> Difference:
    """Their mean and its 95% interval: by Student's t over the seeds, and no narrower than the films alone make it."""
    found = mean_over_seeds(shares)
    low, high = exact_interval(found.mean * images, images)
    return Difference(found.mean, max(0.0, min(low, found.low)), min(1.0, max(high, found.high)))
