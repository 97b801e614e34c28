"""Everything that is known of each study: its verdicts, the records behind them, and what these say besides."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rontgen.claims import arithmetic, external, trainings, verdicts
from rontgen.claims.archive_counts import of_archives
from rontgen.claims.comparisons import Comparison, compare
from rontgen.claims.external import External
from rontgen.claims.leaks import Gap, LeakEffect, leak_effects, measure_gap, pair
from rontgen.claims.published import Headline, Published, headline
from rontgen.claims.trainings import Completions, Training
from rontgen.claims.verdicts import Number, Row
from rontgen.claims.violations import Violation
from rontgen.core.errors import RontgenError
from rontgen.core.io import read_json
from rontgen.core.papers import FOLDER, Paper, Papers
from rontgen.core.params import Params
from rontgen.core.vocabulary import PROTOCOL, RANDOM_COMPLETION
from rontgen.records.records import ARCHIVES, Record, sources_of


@dataclass(frozen=True)
class Study:
    """All that is known of one study.

    rows: of published rows, judged. numbers: all other published numbers.
    violations: relations that do not hold. doubt: why the condition of some is unlikely, of arithmetic.doubt.
    headline: of published.headline, None for a single run.
    trainings: those that are recorded, runs without leaks among them. completions: random ones.
    comparisons: in pairs on the same test images. leak_effects: errors by whether the patient is trained on.
    gaps: of each run that was recorded on both splits, of leaks.measure_gap.
    external: what each training says of films of other archives, where its records asked.
    leaks: of the study's own split, shortcuts: of its dataset, both from ARCHIVES, empty where these were not audited.
    """

    name: str
    paper: Paper
    dataset: str
    rows: list[Row]
    numbers: list[Number]
    violations: list[Violation]
    doubt: str
    headline: Headline | None
    trainings: list[Training]
    completions: list[Completions]
    comparisons: list[Comparison]
    leak_effects: list[LeakEffect]
    gaps: dict[str, Gap]
    external: list[External]
    leaks: dict[str, Any]
    shortcuts: dict[str, Any]

    @property
    def main(self) -> Row:
        """The row that stands for the study: of those with a record the one with the highest published accuracy, by its
        first treatment; else of all."""
        recorded = [row for row in self.rows if row.records]
        return max(recorded or self.rows, key=lambda row: row.paper.number)

    @property
    def unrecorded(self) -> list[Row]:
        return [row for row in self.rows if not row.records]

    def completions_of(self, run: str) -> Completions | None:
        """The random completions of the run that is trained for a row."""
        return next((one for one in self.completions if one.run == run), None)

    @property
    def runs(self) -> list[str]:
        """The recorded runs, each once."""
        return _each_once(training.run for training in self.trainings)

    @property
    def commits(self) -> list[str]:
        """That made the records, each once."""
        return _each_once(record.provenance["commit"][:7] for record in self._records)

    @property
    def machines(self) -> list[str]:
        """The computers that trained them, each once: processor, cores, Keras's backend and its device."""
        return _each_once(
            "{processor}, {cores} cores, {keras_backend} on the {device}".format(
                **record.provenance["machine"] | {"device": record.provenance["time"]["device"]}
            )
            for record in self._records
        )

    @property
    def _records(self) -> list[Record]:
        return [record for training in [*self.trainings, *self.completions] for record in training.records]

    @property
    def train_images(self) -> int | None:
        """That the paper gives; None where it does not."""
        return next((int(cell.number) for cell in self.paper.cells if cell.metric == "data.train"), None)

    @property
    def deviations(self) -> dict[str, list[str]]:
        """How the records depart from the paper, and which runs do so: by origin, by data, by settings."""
        found: dict[str, list[str]] = {}
        for training in self.trainings:
            of_records = [text for record in training.records for text in record.deviations]
            fewer = training.fewer_images(self.train_images)
            for text in [*self.paper.departures(training.run), *of_records, *([fewer] if fewer else [])]:
                found.setdefault(text, []).append(training.run)
        return {text: _each_once(names) for text, names in found.items()}

    @property
    def commands(self) -> list[str]:
        """The commands that make these records, on the same archives."""
        found: dict[str, list[str]] = {}
        for training in [*self.trainings, *self.completions]:
            for options in training.options:
                found.setdefault(options, []).append(training.run)
        return [f"rontgen reproduce {' '.join(names)} {options}" for options, names in found.items()]

    def not_run_by(self, reading: str) -> list[str]:
        """The runs of a reading that are not recorded by it."""
        recorded = {training.run for training in self.trainings if training.reading == reading}
        return [run for run in self.paper.readings[reading].runs if run not in recorded]


def gather(papers: Papers, values: Params, records: list[Record]) -> list[Study]:
    """What is known of each study, in the order of `papers`.

    Raises RontgenError for a number that a record lacks, a record of a run or reading that no paper.yaml has, a study
    or run that no protocol.yaml has, and a damaged audit in ARCHIVES.
    """
    audits, recorded = read_audits(), trainings.by_study(papers, records)
    studies = []
    for name, paper in papers.studies.items():
        _check(name, paper, values)
        settings = values.studies[name]
        dataset = values.datasets[settings.dataset]
        published = [Published.of(name, run, paper, dataset.classes) for run in paper.runs]
        broken = arithmetic.violations(papers, name, values, published)
        archive = of_archives(dataset, papers.archives)
        runs = [run for run, row in values.runs.items() if row.study == name]
        of_study = [training for training in recorded[name] if training.run in runs]
        of_study.sort(key=lambda one: (runs.index(one.run), one.reading != PROTOCOL, one.treatment))
        by_readings = [training for training in of_study if training.reading != RANDOM_COMPLETION]
        rows = verdicts.rows(paper, published, by_readings, broken)
        studies.append(
            Study(
                name=name,
                paper=paper,
                dataset=settings.dataset,
                rows=rows,
                numbers=verdicts.numbers(name, paper, published, rows, broken, archive, settings.split),
                violations=broken,
                doubt=arithmetic.doubt(published),
                headline=headline(published),
                trainings=by_readings,
                completions=trainings.completions(paper, published, of_study),
                comparisons=compare(rows),
                leak_effects=leak_effects(rows, by_readings, dataset.classes),
                gaps={run: measure_gap(pairs) for run in runs if (pairs := pair(by_readings, run))},
                external=[found for training in by_readings if (found := external.of(training))],
                leaks=audits["leakage"].get("splits", {}).get(name, {}),
                shortcuts=audits["shortcuts"].get(settings.dataset, {}),
            )
        )
    return studies


def read_audits() -> dict[str, dict]:
    """The audits of the real archives: leakage, shortcuts, ood and provenance; empty ones where none is recorded."""
    found = {
        name: read_json(path, f"git checkout {path}") if (path := Path(ARCHIVES, f"{name}.json")).exists() else {}
        for name in ("leakage", "shortcuts", "ood", "provenance")
    }
    if archives := found["provenance"].get("archives"):
        found["provenance"]["deviations"] = [*sources_of(archives), *found["provenance"]["deviations"]]
    return found


def _check(name: str, paper: Paper, values: Params) -> None:
    """Raise RontgenError where a paper.yaml names a study or run that no protocol.yaml has."""
    if name not in values.studies:
        raise RontgenError(f"{FOLDER / name}: expected a protocol.yaml with studies.{name}: see docs/add-a-study.md")
    known = [run for run, row in values.runs.items() if row.study == name]
    for run in {paper.trained(run) for run in paper.runs} - set(known):
        raise RontgenError(f"{FOLDER / name}/paper.yaml: expected runs of {', '.join(known)}, received {run!r}")


def _each_once(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
