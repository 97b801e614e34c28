"""Everything that is known of each study: its verdicts, the records behind them, and what these say besides."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rontgen.audits import leakage_gap
from rontgen.claims import comparisons, consistency, verdicts
from rontgen.claims.comparisons import Comparison, LeakEffect
from rontgen.claims.consistency import Violation
from rontgen.claims.published import Headline, headline
from rontgen.claims.verdicts import Completions, Found, Number, Row
from rontgen.core.errors import RontgenError
from rontgen.core.io import read_json
from rontgen.core.papers import FOLDER, Paper, Papers
from rontgen.core.params import Params
from rontgen.core.settings import LEAKFREE
from rontgen.core.vocabulary import PROTOCOL, RANDOM_COMPLETION
from rontgen.evaluation.metrics import calibrated_error
from rontgen.records.records import ARCHIVES, Record, ranges, reading_of, sources_of

SCORES = {
    "accuracy": ("accuracy",),
    "ROC-AUC": ("roc_auc",),
    "sensitivity": ("sensitivity",),
    "specificity": ("specificity",),
    "macro F1": ("macro", "f1"),
    "log loss": ("log_loss",),
    "expected calibration error": ("expected_calibration_error",),
}


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

    @cached_property
    def calibrated_error(self) -> float:
        """The expected calibration error that a perfectly calibrated model would show."""
        return calibrated_error([record.predictions[record.classes].to_numpy() for record in self.records])

    @property
    def test_images(self) -> str:
        """Of each seed, once where all have as many."""
        return ", ".join(dict.fromkeys(str(record.metrics["test"]["test_images"]) for record in self.records))

    @property
    def deviations(self) -> list[str]:
        """How these records depart from the paper, each once."""
        return list(dict.fromkeys(text for record in self.records for text in record.deviations))

    @property
    def commits(self) -> list[str]:
        return list(dict.fromkeys(record.provenance["commit"][:7] for record in self.records))

    @property
    def machines(self) -> list[str]:
        """The computers that trained them, each once: processor, cores, Keras's backend and its device."""
        found = []
        for record in self.records:
            machine, device = record.provenance["machine"], record.provenance["time"]["device"]
            found.append(
                f"{machine['processor']}, {machine['cores']} cores, {machine['keras_backend']} on the {device}"
            )
        return list(dict.fromkeys(found))

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
class Study:
    """All that is known of one study.

    rows: of published rows, judged. numbers: all other published numbers.
    violations: relations that do not hold. doubt: why the condition of some is unlikely, of consistency.doubt.
    headline: of published.headline, None for a single run.
    trainings: those that are recorded, runs without leaks among them. completions: random ones.
    comparisons: in pairs on the same test images. leak_effects: errors by whether the patient is trained on.
    gaps: of each run that was recorded on both splits, of leakage_gap.measure.
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
    gaps: dict[str, dict]
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
        return list(dict.fromkeys(training.run for training in self.trainings))

    @property
    def commits(self) -> list[str]:
        return list(dict.fromkeys(commit for training in self._all for commit in training.commits))

    @property
    def machines(self) -> list[str]:
        """The computers that trained them, each once."""
        return list(dict.fromkeys(machine for training in self._all for machine in training.machines))

    @property
    def train_images(self) -> int | None:
        """That the paper gives; None where it does not."""
        return next((int(cell.number) for cell in self.paper.cells if cell.metric == "data.train"), None)

    @property
    def deviations(self) -> dict[str, list[str]]:
        """How the records depart from the paper, and which runs do so: by origin, by data, by settings."""
        found: dict[str, list[str]] = {}
        for training in self.trainings:
            fewer = training.fewer_images(self.train_images)
            for text in [*self.paper.departures(training.run), *training.deviations, *([fewer] if fewer else [])]:
                found.setdefault(text, []).append(training.run)
        return {text: list(dict.fromkeys(names)) for text, names in found.items()}

    @property
    def commands(self) -> list[str]:
        """The commands that make these records, on the same archives."""
        found: dict[str, list[str]] = {}
        for training in self._all:
            for options in training.options:
                found.setdefault(options, []).append(training.run)
        return [f"rontgen reproduce {' '.join(names)} {options}" for options, names in found.items()]

    def not_run_by(self, reading: str) -> list[str]:
        """The runs of a reading that are not recorded by it."""
        recorded = {training.run for training in self.trainings if training.reading == reading}
        return [run for run in self.paper.readings[reading].runs if run not in recorded]

    @property
    def _all(self) -> list[Training]:
        drawn = [Training(one.run, RANDOM_COMPLETION, "random completions", one.records) for one in self.completions]
        return [*self.trainings, *drawn]


def gather(papers: Papers, values: Params, records: list[Record]) -> list[Study]:
    """What is known of each study, in the order of `papers`.

    Raises RontgenError for a number that a record lacks, a record of a run or reading that no paper.yaml has, a study
    or run that no protocol.yaml has, and a damaged audit in ARCHIVES.
    """
    audits, found = read_audits(), verdicts.group(papers, records)
    studies = []
    for name, paper in papers.studies.items():
        _check(name, paper, values)
        dataset = values.studies[name].dataset
        published, broken = verdicts.published_rows(papers, name, values), verdicts.violations(papers, name, values)
        rows = verdicts.rows(paper, published, found, broken)
        names = [run for run, row in values.runs.items() if row.study == name]
        studies.append(
            Study(
                name=name,
                paper=paper,
                dataset=dataset,
                rows=rows,
                numbers=verdicts.numbers(papers, name, values, published, rows, broken),
                violations=broken,
                doubt=consistency.doubt(published),
                headline=headline(published),
                trainings=_trainings(paper, names, found),
                completions=verdicts.completions(paper, found),
                comparisons=comparisons.compare(rows),
                leak_effects=comparisons.leak_effects(rows, found, values.datasets[dataset].classes),
                gaps={run: measure_gap(pairs) for run in names if (pairs := pair(records, run))},
                leaks=audits["leakage"].get("splits", {}).get(name, {}),
                shortcuts=audits["shortcuts"].get(dataset, {}),
            )
        )
    return studies


def _trainings(paper: Paper, names: list[str], found: Found) -> list[Training]:
    """By run, those of the protocol first."""
    ordered = sorted(
        found, key=lambda key: (names.index(key[0]) if key[0] in names else -1, reading_of(key[1]) != PROTOCOL, key[1])
    )
    return [
        Training(run, treatment, paper.label(run, treatment), found[run, treatment])
        for run, treatment in ordered
        if run in names and reading_of(treatment) != RANDOM_COMPLETION
    ]


def read_audits() -> dict[str, dict]:
    """The audits of the real archives: leakage, shortcuts, ood and provenance; empty ones where none is recorded."""
    found = {
        name: read_json(path, f"git checkout {path}") if (path := Path(ARCHIVES, f"{name}.json")).exists() else {}
        for name in ("leakage", "shortcuts", "ood", "provenance")
    }
    if archives := found["provenance"].get("archives"):
        found["provenance"]["deviations"] = [*sources_of(archives), *found["provenance"]["deviations"]]
    return found


def pair(records: Sequence[Record], run: str) -> list[tuple[Record, Record]]:
    """The records of a run and of its leak-free run for each seed that both have, by the treatment with most of them.

    What else was set for the leak-free run was set for the run too, which may need more: a split without leaks always
    shrinks to the smallest class.
    """
    found: dict[tuple[str, str], list[tuple[Record, Record]]] = {}
    for other in records:
        if other.run == run + LEAKFREE:
            treated = set(other.treatment.split("+"))
            for one in records:
                if one.run == run and one.seed == other.seed and treated <= set(one.treatment.split("+")):
                    found.setdefault((one.treatment, other.treatment), []).append((one, other))
    return max(found.values(), key=len, default=[])


def measure_gap(pairs: list[tuple[Record, Record]]) -> dict:
    """leakage_gap.measure of records; the note tells whether the two splits had different machines."""
    found = leakage_gap.measure([(one.predictions, other.predictions) for one, other in pairs])
    one, other = ({record.provenance["machine"]["processor"] for record in side} for side in zip(*pairs, strict=True))
    return found | ({"note": f"{found['note']}; trained on different machines"} if one != other else {})


def _check(name: str, paper: Paper, values: Params) -> None:
    """Raise RontgenError where a paper.yaml names a study or run that no protocol.yaml has."""
    if name not in values.studies:
        raise RontgenError(f"{FOLDER / name}: expected a protocol.yaml with studies.{name}: see docs/add-a-study.md")
    known = [run for run, row in values.runs.items() if row.study == name]
    for run in {paper.trained(run) for run in paper.runs} - set(known):
        raise RontgenError(f"{FOLDER / name}/paper.yaml: expected runs of {', '.join(known)}, received {run!r}")
