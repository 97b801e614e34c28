"""The records of each run by each treatment, a seed each: what they score, how they depart, how to repeat them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rontgen.claims.published import Published
from rontgen.claims.replication import MARGIN
from rontgen.core.errors import RontgenError
from rontgen.core.papers import Paper, Papers
from rontgen.core.runs import ACTIVE
from rontgen.core.settings import LEAKFREE
from rontgen.core.vocabulary import RANDOM_COMPLETION
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


def by_study(papers: Papers, records: Iterable[Record]) -> dict[str, list[Training]]:
    """The trainings of each study, runs without leaks and random completions among them.

    Raises RontgenError for a record of a run or reading that no paper.yaml has.
    """
    known = {
        (paper.trained(run), reading): (name, paper)
        for name, paper in papers.studies.items()
        for run in paper.runs
        for reading in paper.readings_of(run)
    }
    grouped: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.run == ACTIVE:  # which is no paper's: claims.architectures
            continue
        grouped.setdefault((record.run, record.treatment), []).append(record)
    found: dict[str, list[Training]] = {name: [] for name in papers.studies}
    for (run, treatment), some in grouped.items():
        if (run.removesuffix(LEAKFREE), reading_of(treatment)) not in known:
            raise RontgenError(
                f"results/{run}/{treatment}: expected a run and reading of a paper.yaml, "
                f"received neither: enter it there, or run `git rm -r results/{run}/{treatment}`"
            )
        name, paper = known[run.removesuffix(LEAKFREE), reading_of(treatment)]
        found[name].append(Training(run, treatment, paper.label(run, treatment), some))
    return found


def completions(paper: Paper, published: Iterable[Published], trainings: Iterable[Training]) -> list[Completions]:
    """The random completions of each run that has some, with the accuracy of the first row that it is trained for."""
    drawn = {one.run: one for one in trainings if one.reading == RANDOM_COMPLETION}
    found = []
    for row in published:
        if one := drawn.pop(paper.trained(row.run), None):
            found.append(Completions(one.run, one.treatment, one.label, one.records, float(row.accuracy.number)))
    return found
