"""What the papers publish of training itself, losses and accuracies at an epoch, beside what the records have."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rontgen.core.cells import Cell
from rontgen.evidence import descriptions
from rontgen.evidence.published_counts import Published
from rontgen.evidence.records import Record

SCORES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
METRIC = re.compile(rf"train\.(first|kept|best|final)\.({'|'.join(SCORES)})")


@dataclass(frozen=True)
class TrainingScores:
    """Those of SCORES that a paper gives for one of its rows, and those of the records by one treatment.

    epoch: first, kept, best (of all epochs, each number for itself) or final. paper: by score. ours: float (seeds,), by
    score. differs: the scores whose published value lies outside the range of one more seed, see
    descriptions.of_records.
    """

    run: str
    treatment: str
    epoch: str
    paper: dict[str, Cell]
    ours: dict[str, np.ndarray]
    differs: list[str]


def compare(published: Published, by_treatment: dict[str, list[Record]]) -> Iterator[TrainingScores]:
    """One for each treatment that is recorded; none where the paper gives no such number."""
    found = [match for metric in published.cells if (match := METRIC.fullmatch(metric))]
    for epoch in dict.fromkeys(match[1] for match in found):
        paper = {match[2]: published.cells[match[0]] for match in found if match[1] == epoch}
        for treatment, records in by_treatment.items():
            ours = {
                score: np.array([record.metrics["train"][epoch][score] for record in records], dtype=float)
                for score in paper
            }
            described = {score: descriptions.of_records(cell, published, records) for score, cell in paper.items()}
            differs = [score for score, one in described.items() if one.finding == descriptions.NOT_CONSISTENT]
            yield TrainingScores(published.run, treatment, epoch, paper, ours, differs)
