"""The records of each run by each treatment, a seed each: what they score, how they depart, how to repeat them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rontgen.claims.published import Published
from rontgen.claims.replication import MARGIN
from rontgen.core.errors import RontgenError
from rontgen.core.papers import Paper, Papers
from rontgen.core.settings import LEAKFREE
from rontgen.core.vocabulary import PROTOCOL, RANDOM_COMPLETION
from rontgen.evaluation.metrics import calibrated_error
from rontgen.evaluation.proportions import exact_interval
from rontgen.records.records import Record, ranges, reading_of

SCORES = {
    "accuracy": ("accuracy",),
    "ROC-AUC": ("roc_auc",),
    "sensitivity": ("sensitivity",),
    "specificity": ("specificity",),
    "macro F1": ("macro", "f1"),
    "log loss": ("log_loss",),
    "expected calibration error": ("expected_calibration_error",),
}

# Random completions of a run, seeds 1 to 10, before their spread says something
COMPLETIONS = 10

# By run and treatment
Found = dict[tuple[str, str], list[Record]]


@dataclass(frozen=True)
class Training:
    """The records of one run by one treatment, a seed each. label: the treatment in words."""

    run: str
    treatment: str
    label: str
    records: list[Record]

    @property
    def reading(self) -> str:
        return reading_of(self.treatment)

    @property
    def seeds(self) -> list[int]:
        return [record.seed for record in self.records]

    def scores(self, name: str) -> np.ndarray:
        """One of SCORES on the test images: float (seeds,)."""
        values: list[Any] = [record.metrics["test"] for record in self.records]
        for key in SCORES[name]:
            values = [value[key] for value in values]
        return np.array(values, dtype=float)

    @property
    def calibrated_error(self) -> float:
        """The expected calibration error that a perfectly calibrated model would show."""
        return calibrated_error([record.predictions[record.classes].to_numpy() for record in self.records])

    @property
    def test_images(self) -> str:
        """Of each seed, once where all have as many."""
        return ", ".join(dict.fromkeys(str(record.metrics["test"]["test_images"]) for record in self.records))

    def fewer_images(self, published: int | None) -> str | None:
        """The deviation in training images, if there is one. published: their number; None where it is not given."""
        if published is None:
            return None
        counted = [record for record in self.records if record.provenance["settings"]["balance"] == "none"]
        trained = [record.metrics["train"] for record in counted]
        # a paper may count those that it validates on
        sizes = [(one["train_images"], one["train_images"] + one["validation_images"]) for one in trained]
        received = {train for train, both in sizes if published not in (train, both)}
        if not received:
            return None
        numbers = " or ".join(f"{number:,}" for number in sorted(received))
        return f"{numbers} training images, not the paper's {published:,}"

    @property
    def options(self) -> list[str]:
        """The options of `rontgen reproduce` that made these records, once for all seeds that share their settings."""
        alike: dict[str, list[Record]] = {}
        for record in self.records:
            alike.setdefault(record.options(""), []).append(record)
        return [some[0].options(ranges([record.seed for record in some])) for some in alike.values()]


@dataclass(frozen=True)
class Completions(Training):
    """Random completions of a run: each record has its own settings, so they are a spread of their own.

    paper: the published accuracy.
    """

    paper: float

    @property
    def near(self) -> int:
        """How many come within MARGIN of the paper."""
        return int((abs(self.scores("accuracy") - self.paper) <= MARGIN + 1e-9).sum())

    @property
    def are_complete(self) -> bool:
        return len(self.records) >= COMPLETIONS

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95% interval of the share of all completions that come so near."""
        return exact_interval(self.near, len(self.records))


def group(papers: Papers, records: Iterable[Record]) -> Found:
    """Records by run and treatment, runs without leaks among them.

    Raises RontgenError for a record of a run or reading that no paper.yaml has.
    """
    known = {
        (study.trained(run), reading)
        for study in papers.studies.values()
        for run in study.runs
        for reading in study.readings_of(run)
    }
    found: Found = {}
    for record in records:
        if (record.run.removesuffix(LEAKFREE), record.reading) not in known:
            raise RontgenError(
                f"results/{record.run}/{record.treatment}: expected a run and reading of a paper.yaml, "
                f"received neither: enter it there, or run `git rm -r results/{record.run}/{record.treatment}`"
            )
        found.setdefault((record.run, record.treatment), []).append(record)
    return found


def by_treatment(paper: Paper, runs: list[str], found: Found) -> list[Training]:
    """The recorded trainings of some runs, by run, those of the protocol first; without random completions."""
    mine = [(run, treatment) for run, treatment in found if run in runs and reading_of(treatment) != RANDOM_COMPLETION]
    ordered = sorted(mine, key=lambda key: (runs.index(key[0]), reading_of(key[1]) != PROTOCOL, key[1]))
    return [Training(run, treatment, paper.label(run, treatment), found[run, treatment]) for run, treatment in ordered]


def completions(paper: Paper, published: Iterable[Published], found: Found) -> list[Completions]:
    """The random completions of each run that has some, with the accuracy of the first row that it is trained for."""
    accuracies: dict[str, float] = {}
    for row in published:
        accuracies.setdefault(paper.trained(row.run), float(row.accuracy.number))
    return [
        Completions(run, RANDOM_COMPLETION, paper.label(run, RANDOM_COMPLETION), records, accuracy)
        for run, accuracy in accuracies.items()
        if (records := found.get((run, RANDOM_COMPLETION)))
    ]
