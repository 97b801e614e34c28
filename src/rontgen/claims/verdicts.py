"""A verdict on every published row, and a description of every other published number, by the records.

A published row has a verdict on its test accuracy, for each treatment that is recorded. What is `contradictory` or `not
openly available` is found first, by arithmetic (arithmetic.py). The demo's runs are no evidence.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rontgen.claims import descriptions, replication
from rontgen.claims.archive_counts import ArchiveCounts
from rontgen.claims.descriptions import Description, TrainingScores
from rontgen.claims.published import Published
from rontgen.claims.replication import Replication
from rontgen.claims.trainings import Training
from rontgen.claims.violations import Violation
from rontgen.core.cells import Cell
from rontgen.core.papers import Paper
from rontgen.core.settings import Split
from rontgen.core.vocabulary import CONTRADICTORY, NOT_RUN, PROTOCOL, UNAVAILABLE
from rontgen.records.records import Record, reading_of

METRIC = "test.accuracy"
FEWEST = 3  # seeds that show how far seeds spread


@dataclass(frozen=True)
class Row:
    """One published row by one treatment, judged: what every page, table and figure shows.

    study, run: the published row.
    trained: the run that is trained for it.
    treatment, label: a reading and what else was set, as in the records' folders and in words.
    paper, paper_interval: the published accuracy, and its own exact 95% interval.
    records: by this treatment, a seed each.
    training: the paper's numbers of training beside those of the records.
    replication: what the records say; None without a record.
    other_images: what they would say if the paper's test images were others; None where they are taken to be.
    verdict: one of vocabulary.VERDICTS. condition: "if …", what it rests on. reasons: sentences.
    """

    study: str
    run: str
    trained: str
    treatment: str
    label: str
    paper: Cell
    paper_interval: tuple[float, float]
    records: list[Record]
    training: list[TrainingScores]
    replication: Replication | None
    other_images: Replication | None
    verdict: str
    reasons: list[str]
    condition: str = ""

    @property
    def reading(self) -> str:
        return reading_of(self.treatment)

    @property
    def accuracies(self) -> list[float]:
        """Of each seed."""
        return [record.metrics["test"]["accuracy"] for record in self.records]

    @property
    def words(self) -> str:
        """The verdict, with whose choices or which condition it rests on."""
        if self.condition:
            return f"{self.verdict} {self.condition}"
        is_judged = self.replication is not None and self.verdict == self.replication.verdict
        return f"{self.verdict} by {self.label}" if is_judged and self.reading == PROTOCOL else self.verdict

    @property
    def short(self) -> str:
        """The verdict, with * where it has a condition and † where the training is unlike the paper's."""
        return self.verdict + (" *" if self.condition else "") + (" †" if self.fit == "differs" else "")

    @property
    def fit(self) -> str:
        """Whether the training differs from the paper's: "differs", "not shown to differ", or "" where the paper says
        nothing of it or a single seed does."""
        if not self.training or len(self.records) < 2:
            return ""
        return "differs" if any(scores.differs for scores in self.training) else "not shown to differ"


@dataclass(frozen=True)
class Number:
    """A published number other than a test accuracy, and ours. owner: a run, or the study itself.

    interval: the paper's own exact 95% interval, if it is a share of images.
    """

    owner: str
    cell: Cell
    interval: tuple[float, float] | None
    description: Description


def rows(
    paper: Paper, published: Sequence[Published], trainings: Sequence[Training], broken: list[Violation]
) -> list[Row]:
    """A row for each published row by the protocol, first that treatment with the most seeds, and for each other
    treatment that is recorded; last those with fewer than FEWEST seeds.

    trainings: without random completions, each of which has its own settings.
    """
    return [
        _judged(paper, row, training, broken)
        for row in published
        for training in _trainings(paper, paper.trained(row.run), trainings)
    ]


def _trainings(paper: Paper, run: str, trainings: Sequence[Training]) -> list[Training]:
    """Of one run, by reading; of the protocol one without a record where none is recorded."""
    found: list[Training] = []
    for reading in paper.readings_of(run):
        some = [one for one in trainings if (one.run, one.reading) == (run, reading)]
        found += sorted(some, key=lambda one: (-len(one.records), one.treatment))
        if not found:  # the protocol is the first
            found.append(Training(run, PROTOCOL, paper.label(run, PROTOCOL), []))
    return sorted(found, key=lambda one: 0 < len(one.records) < FEWEST)


def numbers(
    study: str,
    paper: Paper,
    published: Sequence[Published],
    judged: list[Row],
    broken: list[Violation],
    archive: ArchiveCounts,
    split: Split,
) -> list[Number]:
    """Every published number of a study but its test accuracies, described by the protocol's records, or by the
    archive and the split."""
    found = [Number(study, cell, None, descriptions.of_the_archive(cell, archive, split)) for cell in paper.cells]
    for one in published:
        records = next(row.records for row in judged if (row.run, row.reading) == (one.run, PROTOCOL))
        found += [
            Number(one.run, cell, one.own_interval(cell.metric), descriptions.of_records(cell, one, records))
            for cell in paper.runs[one.run]
            if cell.metric != METRIC
        ]
    for place, number in enumerate(found):
        if settled := _settled(broken, number.owner, number.cell.metric, paper):
            finding, condition, reasons = settled
            description = replace(number.description, finding=finding, condition=condition, reasons=reasons)
            found[place] = replace(number, description=description)
    return found


def _judged(paper: Paper, one: Published, training: Training, broken: list[Violation]) -> Row:
    records, cell = training.records, one.accuracy
    found = other = _replication(one, records) if records else None
    if _has_same_images(paper, one, records):
        found = _replication(one, records, same_images=True)
    row = Row(
        study=one.study,
        run=one.run,
        trained=training.run,
        treatment=training.treatment,
        label=training.label,
        paper=cell,
        paper_interval=one.own_interval(METRIC) or (float(cell.low), float(cell.high)),
        records=records,
        training=descriptions.training_scores(one, records) if records else [],
        replication=found,
        other_images=other if other is not found else None,
        verdict=found.verdict if found else NOT_RUN,
        reasons=list(found.reasons) if found else [command(training.run, training.reading)],
    )
    if settled := _settled(broken, one.run, METRIC, paper):
        verdict, condition, reasons = settled
        return replace(row, verdict=verdict, condition=condition, reasons=reasons)
    return row


def _has_same_images(paper: Paper, one: Published, records: list[Record]) -> bool:
    """Whether the paper's test images are taken to be ours, and this treatment tests just these."""
    if paper.same_test_images is None or one.run not in paper.same_test_images.runs:
        return False
    tested = {frozenset(record.predictions["id"]) for record in records}
    return [len(images) for images in tested] == [one.images]


def _replication(one: Published, records: list[Record], same_images: bool = False) -> Replication:
    tables = [record.predictions for record in records]
    return replication.judge(
        published=(float(one.accuracy.low), float(one.accuracy.high)),
        published_images=one.images,
        correct=[int((table["predicted"] == table["class"]).sum()) for table in tables],
        images=[len(table) for table in tables],
        # copies end in -2, …
        distinct=len(set[str]().union(*(table["id"].str.partition("-")[0] for table in tables))),
        same_images=same_images,
    )


def command(trained: str, reading: str) -> str:
    """The command that records five seeds of a run by a reading."""
    return f"rontgen reproduce {trained} --seeds 1-5" + ("" if reading == PROTOCOL else f" --reading {reading}")


def _settled(broken: Iterable[Violation], owner: str, metric: str, paper: Paper) -> tuple[str, str, list[str]] | None:
    """Verdict, condition and reasons of a number that violations settle; None if none does.

    The condition falls where the scores of the same row contradict each other whatever they mean.
    """
    for verdict in (CONTRADICTORY, UNAVAILABLE):
        alike = [one for one in broken if one.verdict == verdict]
        found = [one for one in alike if (owner, metric) in one.cells]
        if found:
            row = paper.runs.get(owner, []) if verdict == CONTRADICTORY else []
            scores = {(owner, cell.metric) for cell in row if cell.metric.startswith("test.")}
            certain = [one for one in alike if not one.condition and scores.intersection(one.cells)]
            reasons = [one.reason for one in [*certain, *found]]
            return verdict, min((one.condition for one in [*certain, *found]), key=len), list(dict.fromkeys(reasons))
    return None
