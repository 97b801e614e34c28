"""A verdict on every published row, and a description of every other published number, by the records.

A published row has a verdict on its test accuracy, for each treatment that is recorded. What is `contradictory` or `not
openly available` is found first, by arithmetic over the published numbers (consistency.py) and the public archives'
counts (archive_counts.py). The demo's runs are no evidence.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rontgen.claims import archive_counts, consistency, descriptions, replication
from rontgen.claims.consistency import Violation
from rontgen.claims.descriptions import Description, TrainingScores
from rontgen.claims.published import Published, own_interval
from rontgen.claims.replication import MARGIN, Replication
from rontgen.core.cells import Cell
from rontgen.core.errors import RontgenError
from rontgen.core.papers import Paper, Papers
from rontgen.core.params import Params
from rontgen.core.settings import LEAKFREE
from rontgen.core.vocabulary import CONTRADICTORY, NOT_RUN, PROTOCOL, RANDOM_COMPLETION, UNAVAILABLE
from rontgen.evaluation.proportions import exact_interval
from rontgen.records.records import Record, reading_of

METRIC = "test.accuracy"

# Random completions of a run, seeds 1 to 10, before their spread says something
COMPLETIONS = 10

# By run and treatment
Found = dict[tuple[str, str], list[Record]]


@dataclass(frozen=True)
class Row:
    """One published row by one treatment, judged: what every page, table and figure shows.

    study, run: the published row.
    trained: the run that is trained for it.
    treatment, label: a reading and what else was set, as in the records' folders and in words.
    paper, paper_interval: the published accuracy, and its own exact 95% interval.
    records: by this treatment, a seed each. replication: what they say; None without a record.
    other_images: what they would say if the paper's test images were others; None where they are taken to be.
    verdict: one of vocabulary.VERDICTS. condition: "if …", what it rests on. reasons: sentences.
    training: the paper's numbers of training beside those of the records.
    """

    study: str
    run: str
    trained: str
    treatment: str
    label: str
    paper: Cell
    paper_interval: tuple[float, float]
    records: list[Record]
    replication: Replication | None
    other_images: Replication | None
    verdict: str
    condition: str
    reasons: list[str]
    training: list[TrainingScores]

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


@dataclass(frozen=True)
class Completions:
    """Random completions of a run: each record has its own settings, so they are a spread of their own.

    paper: the published accuracy.
    """

    run: str
    paper: float
    records: list[Record]

    @property
    def accuracies(self) -> list[float]:
        return [record.metrics["test"]["accuracy"] for record in self.records]

    @property
    def near(self) -> int:
        """How many come within MARGIN of the paper."""
        return sum(abs(accuracy - self.paper) <= MARGIN + 1e-9 for accuracy in self.accuracies)

    @property
    def are_complete(self) -> bool:
        return len(self.records) >= COMPLETIONS

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95% interval of the share of all completions that come so near."""
        return exact_interval(self.near, len(self.records))


def group(papers: Papers, records: list[Record]) -> Found:
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


def violations(papers: Papers, name: str, values: Params) -> list[Violation]:
    """The relations of a study's numbers that do not hold, each once."""
    study, settings = papers.studies[name], values.studies[name]
    dataset = values.datasets[settings.dataset]
    broken = [violation for run in published_rows(papers, name, values) for violation in consistency.violations(run)]
    # What concerns the whole study is found again in each of its runs
    broken += archive_counts.violations(papers, name, dataset, settings)
    broken = [*dict.fromkeys(broken), *consistency.orderings(name, study)]
    if consistency.doubt(published_rows(papers, name, values)):
        doubtful = f"{consistency.AVERAGES}, which is doubtful"
        broken = [replace(one, condition=doubtful) if one.condition == consistency.AVERAGES else one for one in broken]
    return broken


def published_rows(papers: Papers, name: str, values: Params) -> list[Published]:
    """What a study's paper prints of each of its runs."""
    study, classes = papers.studies[name], values.datasets[values.studies[name].dataset].classes
    return [Published.of(name, run, study, classes) for run in study.runs]


def rows(study: Paper, published: list[Published], found: Found, broken: list[Violation]) -> list[Row]:
    """A row for each published row by the protocol, first that treatment with the most seeds, and for each other
    treatment that is recorded."""
    judged = []
    for one in published:
        trained = study.trained(one.run)
        settled = _settled(broken, one.run, METRIC, study)
        for treatment in _treatments(study, one.run, found):
            judged.append(_judged(study, one, trained, treatment, found.get((trained, treatment), []), settled))
    return judged


def numbers(
    papers: Papers, name: str, values: Params, published: list[Published], judged: list[Row], broken: list[Violation]
) -> list[Number]:
    """Every published number of a study but its test accuracies, described by the protocol's records."""
    study, settings = papers.studies[name], values.studies[name]
    archive = archive_counts.of_archives(values.datasets[settings.dataset], papers.archives)
    described: list[tuple[str, Cell, tuple[float, float] | None, Description]] = [
        (name, cell, None, descriptions.of_the_archive(cell, archive, settings.split)) for cell in study.cells
    ]
    for one in published:
        records = next(row.records for row in judged if row.run == one.run)
        described += [
            (one.run, cell, own_interval(one, cell.metric), descriptions.of_records(cell, one, records))
            for cell in study.runs[one.run]
            if cell.metric != METRIC
        ]
    found = []
    for owner, cell, interval, description in described:
        if settled := _settled(broken, owner, cell.metric, study):
            finding, condition, reasons = settled
            description = replace(description, finding=finding, condition=condition, reasons=reasons)
        found.append(Number(owner, cell, interval, description))
    return found


def completions(study: Paper, found: Found) -> list[Completions]:
    """The random completions of each run of a study that has some."""
    by_run: dict[str, Completions] = {}
    for run in study.runs:
        trained = study.trained(run)
        accuracy = float(next(cell.number for cell in study.runs[run] if cell.metric == METRIC))
        if records := found.get((trained, RANDOM_COMPLETION)):
            by_run.setdefault(trained, Completions(trained, accuracy, records))
    return list(by_run.values())


def _judged(
    study: Paper,
    one: Published,
    trained: str,
    treatment: str,
    records: list[Record],
    settled: tuple[str, str, list[str]] | None,
) -> Row:
    cell = one.cells[METRIC]
    verdict, condition, reasons = NOT_RUN, "", [command(trained, reading_of(treatment))]
    found = other = None
    if records:
        found = other = _replication(one, cell, records)
        if _has_same_images(study, one, records):
            found = _replication(one, cell, records, same_images=True)
        verdict, reasons = found.verdict, list(found.reasons)
    if settled:
        verdict, condition, reasons = settled
    return Row(
        study=one.study,
        run=one.run,
        trained=trained,
        treatment=treatment,
        label=study.label(trained, treatment),
        paper=cell,
        paper_interval=own_interval(one, METRIC) or (float(cell.low), float(cell.high)),
        records=records,
        replication=found,
        other_images=other if other is not found else None,
        verdict=verdict,
        condition=condition,
        reasons=reasons,
        training=descriptions.training_scores(one, records) if records else [],
    )


def _has_same_images(study: Paper, one: Published, records: list[Record]) -> bool:
    """Whether the paper's test images are taken to be ours, and this treatment tests just these."""
    tested = [set(record.predictions["id"]) for record in records]
    said = study.same_test_images is not None and one.run in study.same_test_images.runs
    return said and len(tested[0]) == one.images and all(images == tested[0] for images in tested)


def _replication(one: Published, cell: Cell, records: list[Record], same_images: bool = False) -> Replication:
    tables = [record.predictions for record in records]
    return replication.judge(
        published=(float(cell.low), float(cell.high)),
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


def _treatments(study: Paper, run: str, found: Found) -> list[str]:
    trained, known = study.trained(run), list[str]()
    for reading in study.readings_of(run):
        some = [treatment for of, treatment in found if of == trained and reading_of(treatment) == reading]
        if reading != RANDOM_COMPLETION:  # each has its own settings
            known += sorted(some, key=lambda name: (-len(found[trained, name]), name))
        if reading == PROTOCOL and not some:
            known.append(PROTOCOL)
    return known


def _settled(broken: Iterable[Violation], owner: str, metric: str, study: Paper) -> tuple[str, str, list[str]] | None:
    """Verdict, condition and reasons of a number that violations settle; None if none does.

    The condition falls where the scores of the same row contradict each other whatever they mean.
    """
    for verdict in (CONTRADICTORY, UNAVAILABLE):
        found = [one for one in broken if one.verdict == verdict and (owner, metric) in one.cells]
        if found:
            conditions = {one.condition for one in found}
            certain = [
                one
                for one in broken
                if one.verdict == CONTRADICTORY == verdict
                and not one.condition
                and any(of == owner and of in study.runs and name.startswith("test.") for of, name in one.cells)
            ]
            is_certain = "" in conditions or bool(certain)
            condition = "" if is_certain else next(iter(sorted(conditions, key=len)))
            return verdict, condition, list(dict.fromkeys(one.reason for one in [*certain, *found]))
    return None
