"""What the records show of each study: scores over seeds, the leakage gap, leaks and shortcuts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.anova import AnovaRM

from rontgen.core.io import read_json
from rontgen.core.papers import Paper, Papers
from rontgen.core.params import Params
from rontgen.core.sections import LEAKFREE
from rontgen.core.vocabulary import PROTOCOL, RANDOM_COMPLETION
from rontgen.evidence import leakage_gap, published_training
from rontgen.evidence.archive_audit import FOLDER as ARCHIVES
from rontgen.evidence.published_counts import Published
from rontgen.evidence.published_training import TrainingScores
from rontgen.evidence.records import Record, by_run, reading_of, sources_of
from rontgen.evidence.verdicts import Claims
from rontgen.reporting.rendering import ranges

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
        received = {record.metrics["train"]["train_images"] for record in counted} - {published}
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
class StudyEvidence:
    """What is known of one study from real X-rays.

    rows: of verdicts.Claims.endpoints, those of the protocol and the readings that were run. trainings: those that are
    recorded, runs without leaks among them; completions: random ones, by run. training_scores: of the published rows
    that they stand for. gaps: of each run that was recorded on both splits, see leakage_gap.measure. leaks: of the
    study's own split, shortcuts: of its dataset, both from ARCHIVES, empty where these were not audited. between_runs:
    see compare_runs, None below two runs or three seeds that all of them have.
    """

    name: str
    paper: Paper
    rows: pd.DataFrame
    trainings: list[Training]
    completions: dict[str, list[Record]]
    training_scores: list[TrainingScores]
    gaps: dict[str, dict]
    leaks: dict[str, Any]
    dataset: str
    shortcuts: dict[str, Any]
    between_runs: dict[str, Any] | None

    @property
    def runs(self) -> list[str]:
        """The recorded runs, each once."""
        return list(dict.fromkeys(training.run for training in self.trainings))

    @property
    def commits(self) -> list[str]:
        return list(dict.fromkeys(commit for training in self.trainings for commit in training.commits))

    @property
    def machines(self) -> dict[str, list[Training]]:
        """The computers that trained them, each with its trainings."""
        found: dict[str, list[Training]] = {}
        for training in self.trainings:
            for machine in training.machines:
                found.setdefault(machine, []).append(training)
        return found

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
        some = [Training(run, RANDOM_COMPLETION, "", records) for run, records in self.completions.items()]
        found: dict[str, list[str]] = {}
        for training in [*self.trainings, *some]:
            for options in training.options:
                found.setdefault(options, []).append(training.run)
        return [f"rontgen reproduce {' '.join(names)} {options}" for options, names in found.items()]

    @property
    def not_run(self) -> pd.DataFrame:
        """The rows without a record."""
        return self.rows[self.rows["seeds"] == 0]

    def not_run_by(self, reading: str) -> list[str]:
        """The runs of a reading that are not recorded by it."""
        recorded = {training.run for training in self.trainings if training.reading == reading}
        return [run for run in self.paper.readings[reading].runs if run not in recorded]


def gather(papers: Papers, values: Params, claims: Claims, records: list[Record]) -> list[StudyEvidence]:
    """What is known of each study, in the order of `papers`.

    Raises RontgenError where an audit in ARCHIVES is damaged.
    """
    audits, recorded = read_audits(), by_run(records)
    found = []
    for name, paper in papers.studies.items():
        names = [run for run, row in values.runs.items() if row.study == name]
        by_treatment = {run: dict(recorded.get(run, {})) for run in names}
        completions = {run: some for run in names if (some := by_treatment[run].pop(RANDOM_COMPLETION, []))}
        trainings = [
            Training(run, treatment, paper.label(run, treatment), seeds)
            for run in names
            for treatment, seeds in by_treatment[run].items()
        ]
        rows = claims.endpoints[claims.endpoints["study"] == name]
        dataset = values.studies[name].dataset
        classes = values.datasets[dataset].classes
        published_rows = [Published.of(name, run, paper, classes) for run in paper.runs]
        found.append(
            StudyEvidence(
                name=name,
                paper=paper,
                rows=rows[(rows["reading"] == PROTOCOL) | (rows["seeds"] > 0)],
                trainings=trainings,
                completions=completions,
                training_scores=[
                    scores
                    for row in published_rows
                    for scores in published_training.compare(row, by_treatment[paper.trained(row.run)])
                ],
                gaps={
                    run: leakage_gap.measure_records(pairs)
                    for run in names
                    if (pairs := leakage_gap.pair(records, run))
                },
                leaks=audits["leakage"].get("splits", {}).get(name, {}),
                dataset=dataset,
                shortcuts=audits["shortcuts"].get(dataset, {}),
                between_runs=compare_runs(trainings),
            )
        )
    return found


def read_audits() -> dict[str, dict]:
    """The audits of the real archives: leakage, shortcuts, ood and provenance; empty ones where none is recorded."""
    found = {
        name: read_json(path, f"git checkout {path}") if (path := Path(ARCHIVES, f"{name}.json")).exists() else {}
        for name in ("leakage", "shortcuts", "ood", "provenance")
    }
    if archives := found["provenance"].get("archives"):
        found["provenance"]["deviations"] = [*sources_of(archives), *found["provenance"]["deviations"]]
    return found


def compare_runs(trainings: list[Training]) -> dict[str, Any] | None:
    """Whether a study's runs, by the protocol, differ in test accuracy by more than seeds do.

    A repeated-measures analysis of variance, in which the runs of one seed share their split, with the correction of
    Greenhouse and Geisser (1959), for some runs vary more from seed to seed than others. Returns means (of accuracy, by
    run), seeds (how many all runs have), f and p; None below two runs or three seeds.
    """
    some = [one for one in trainings if one.reading == PROTOCOL and not one.run.endswith(LEAKFREE)]
    if len(some) < 2:
        return None
    shared = sorted(set.intersection(*(set(training.seeds) for training in some)))
    if len(shared) < 3:
        return None
    wide = pd.DataFrame(
        {one.run: pd.Series(one.scores("accuracy"), index=one.seeds)[shared] for one in some}
    ).rename_axis(index="seed", columns="run")
    table = wide.stack().rename("accuracy").reset_index()
    tested = AnovaRM(table, "accuracy", "seed", within=["run"]).fit().anova_table.iloc[0]
    epsilon, f = sphericity(wide.to_numpy()), float(tested["F Value"])
    p = stats.f.sf(f, epsilon * tested["Num DF"], epsilon * tested["Den DF"])
    return {"means": wide.mean().to_dict(), "seeds": len(shared), "f": f, "p": float(p)}


def sphericity(values: np.ndarray) -> float:
    """Greenhouse and Geisser's epsilon of measurements, float (subjects, conditions): 1 where all differences between
    conditions vary alike, at least 1 / (conditions - 1). Both degrees of freedom are multiplied by it."""
    covariance = np.cov(values, rowvar=False)
    centred = covariance - covariance.mean(axis=0) - covariance.mean(axis=1)[:, None] + covariance.mean()
    return float(np.trace(centred) ** 2 / ((len(centred) - 1) * np.sum(centred**2)))
