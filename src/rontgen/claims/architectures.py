"""Which architecture, everything else equal: the records of the active run, by the protocol of architectures.yaml."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from rontgen.claims.comparisons import Comparison, Difference, in_pairs, mean_over_seeds
from rontgen.core.io import read_json
from rontgen.core.runs import ACTIVE
from rontgen.records.records import FOLDER, Record

# Milliseconds for an image on one core, by model and by kind of file: `python -m benchmarks.architectures` writes it
COSTS = FOLDER / ACTIVE / "costs.json"
SPECIFICITY = 0.9
# Seeds that each architecture is to have, and the accuracy that the one to begin with may lose against the best
SEEDS, LOSS = 5, 0.05


def sensitivity_at_specificity(record: Record) -> float:
    """The highest sensitivity on the test images at a specificity of SPECIFICITY or more, of two classes."""
    truth = record.predictions["class"] == record.classes[1]
    false_positive_rate, sensitivity, _ = roc_curve(truth, record.predictions[record.classes[1]])
    return float(sensitivity[false_positive_rate <= 1 - SPECIFICITY + 1e-9].max())


SCORES: dict[str, Callable[[Record], float]] = {
    "accuracy": lambda record: record.metrics["test"]["accuracy"],
    "ROC-AUC": lambda record: record.metrics["test"]["roc_auc"],
    "sensitivity at specificity 0.9": sensitivity_at_specificity,
    "calibration error": lambda record: record.metrics["test"]["expected_calibration_error"],
}


@dataclass(frozen=True)
class Architecture:
    """The records of one model, a seed each. groups: letters; two models without a common one differ significantly in
    accuracy. milliseconds: of COSTS, by kind of file."""

    name: str
    records: list[Record]
    groups: str
    milliseconds: dict[str, float]

    def score(self, name: str) -> Difference:
        """The mean over the seeds of one of SCORES, and its 95% interval of Student's t, within 0 and 1."""
        found = mean_over_seeds(np.array([SCORES[name](record) for record in self.records]))
        return Difference(found.mean, max(0.0, found.low), min(1.0, found.high))

    @property
    def seeds(self) -> list[int]:
        return [record.seed for record in self.records]

    @property
    def parameters(self) -> int:
        return self.records[0].metrics["test"]["parameters"]

    @property
    def megabytes(self) -> float:
        return self.records[0].metrics["test"]["model_megabytes"]

    @property
    def training_seconds(self) -> float:
        """Mean over the seeds, on the machines that trained them, beside whatever else these did."""
        return float(np.mean([record.metrics["time"]["seconds"] for record in self.records]))

    @property
    def losses(self) -> dict[str, Difference]:
        """By perturbation of the test images, the accuracy lost."""
        own = np.array([record.metrics["test"]["accuracy"] for record in self.records])
        found = pd.DataFrame([record.metrics["perturbed"] for record in self.records])
        return {name: mean_over_seeds(own - [one["accuracy"] for one in found[name]]) for name in found}


@dataclass(frozen=True)
class Table:
    """Architectures, the most accurate first, and all pairs of them on the same test images."""

    architectures: list[Architecture]
    pairs: list[Comparison]

    @property
    def first(self) -> Architecture:
        """The one to begin with: of those that are shown to lose less than LOSS against the most accurate, by the 95%
        interval of the pair, the fastest for one image, or without a time the smallest."""
        best = self.architectures[0]
        near = [one.second for one in self.pairs if one.first.name == best.name and one.accuracy.high < LOSS]
        return min([best, *near], key=lambda one: (one.milliseconds.get("keras", np.inf), one.parameters))


def gather(records: Iterable[Record], costs: Path = COSTS) -> Table | None:
    """The table of the active run's records; None where there is none. Raises RontgenError for damaged COSTS."""
    by_model: dict[str, list[Record]] = {}
    for record in records:
        if record.run == ACTIVE and record.treatment == record.reading:
            by_model.setdefault(record.reading, []).append(record)
    if not by_model:
        return None
    times = read_json(costs, f"git checkout {costs}")["milliseconds"] if costs.exists() else {}
    found = [Architecture(name, some, "", times.get(name, {})) for name, some in by_model.items()]
    found.sort(key=lambda one: one.score("accuracy").mean, reverse=True)
    pairs = in_pairs(combinations(found, 2))
    differing = {(one.first.name, one.second.name) for one in pairs if one.is_shown}
    letters = _letters([one.name for one in found], differing)
    return Table([Architecture(one.name, one.records, letters[one.name], one.milliseconds) for one in found], pairs)


def conclusion(table: Table) -> str:
    """What follows, in three sentences; and how many seeds there are, where these are too few."""
    first, best = table.first, table.architectures[0]
    differing = sum(one.is_shown for one in table.pairs)
    time = f", {first.milliseconds['keras']:.0f} ms for an image on one core" if first.milliseconds else ""
    fewest = min(len(one.records) for one in table.architectures)
    so_far = f" So far there are {fewest} seeds or more of each, of {SEEDS}." if fewest < SEEDS else ""
    return (
        f"Begin with {first.name}: of the architectures that are shown to lose less than {100 * LOSS:.0f} points "
        f"against the most accurate one it is the fastest ({first.parameters:,} parameters{time}), with an accuracy of "
        f"{first.score('accuracy').mean:.3f}. The most accurate is {best.name} with {best.score('accuracy').mean:.3f}. "
        f"Of {len(table.pairs)} pairs {differing} differ significantly: few seeds tell little apart.{so_far}"
    )


def _letters(names: list[str], differing: set[tuple[str, str]]) -> dict[str, str]:
    """For each name the letters of the groups that it is in: the largest sets in which no pair differs."""
    graph = nx.Graph()
    graph.add_nodes_from(names)
    graph.add_edges_from(pair for pair in combinations(names, 2) if pair not in differing)
    groups = sorted(sorted(map(names.index, group)) for group in nx.find_cliques(graph))
    return {
        name: "".join(chr(ord("a") + number) for number, group in enumerate(groups) if place in group)
        for place, name in enumerate(names)
    }
