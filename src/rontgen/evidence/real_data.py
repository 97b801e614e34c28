"""What the records show of each study: scores over seeds, the leakage gap, leaks, shortcuts, and what follows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.anova import AnovaRM

from rontgen.core.io import read_json
from rontgen.core.params import Params
from rontgen.core.sections import LEAKFREE
from rontgen.core.vocabulary import AS_STATED, INCONCLUSIVE
from rontgen.evidence import leakage_gap
from rontgen.evidence.archive_audit import FOLDER as ARCHIVES
from rontgen.evidence.published import Papers, Reading
from rontgen.evidence.records import Record, by_run, sources_of
from rontgen.evidence.verdicts import Claims
from rontgen.reporting.rendering import ranges

# Seeds of a record that is complete; with fewer, spreads are known badly
STANDARD_SEEDS = 5

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
    """The records of one run by one reading, a seed each."""

    run: str
    reading: str
    records: list[Record]

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

    def options(self, reading: Reading | None) -> str:
        """The options of `rontgen reproduce` that made these records. reading: of papers.yaml, None for as stated."""
        return self.records[0].options(reading.set if reading else (), ranges(self.seeds))


@dataclass(frozen=True)
class StudyEvidence:
    """What is known of one study from real X-rays.

    rows: of verdicts.Claims.endpoints, those as stated and the readings that were run. readings: of papers.yaml.
    trainings: those that are recorded, leak-free runs among them. gaps: of each run that was recorded on both splits,
    see leakage_gap.measure. leaks: of the study's own split, shortcuts: of its dataset, both from ARCHIVES, empty where
    these were not audited. between_runs: see compare_runs, None where fewer than two runs share three seeds.
    """

    name: str
    rows: pd.DataFrame
    readings: dict[str, Reading]
    trainings: list[Training]
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
    def deviations(self) -> dict[str, list[str]]:
        """How the records depart from the paper, and which runs do so, in the order of the trainings."""
        found: dict[str, list[str]] = {}
        for training in self.trainings:
            for text in training.deviations:
                names = found.setdefault(text, [])
                if training.run not in names:
                    names.append(training.run)
        return found

    @property
    def commands(self) -> list[str]:
        """The commands that make these records, on the same archives."""
        found: dict[str, list[str]] = {}
        for training in self.trainings:
            found.setdefault(training.options(self.readings.get(training.reading)), []).append(training.run)
        return [f"rontgen reproduce {' '.join(names)} {options}" for options, names in found.items()]

    @property
    def not_run(self) -> pd.DataFrame:
        """The rows without a record."""
        return self.rows[self.rows["seeds"] == 0]


def gather(papers: Papers, values: Params, claims: Claims, records: list[Record]) -> list[StudyEvidence]:
    """What is known of each study of papers.yaml, in its order.

    Raises RontgenError where an audit in ARCHIVES is damaged.
    """
    audits, recorded = read_audits(), by_run(records)
    found = []
    for name, published in papers.studies.items():
        names = [run for run, row in values.reported.items() if row.study == name]
        trainings = [Training(run, reading, seeds) for run in names for reading, seeds in recorded.get(run, {}).items()]
        rows = claims.endpoints[claims.endpoints["study"] == name]
        dataset = values.studies[name].dataset
        found.append(
            StudyEvidence(
                name=name,
                rows=rows[(rows["reading"] == AS_STATED) | (rows["seeds"] > 0)],
                readings=published.readings,
                trainings=trainings,
                gaps={run: leakage_gap.measure(pairs) for run in names if (pairs := leakage_gap.pair(records, run))},
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
    """Whether a study's runs, as stated, differ in test accuracy by more than seeds do.

    A repeated-measures analysis of variance, in which the runs of one seed share their split. Returns runs (their
    names), means (of accuracy, by run), seeds (how many all runs have), f and p; None below two runs or three seeds.
    """
    some = [one for one in trainings if one.reading == AS_STATED and not one.run.endswith(LEAKFREE)]
    if len(some) < 2:
        return None
    shared = sorted(set.intersection(*(set(training.seeds) for training in some)))
    if len(shared) < 3:
        return None
    table = pd.DataFrame(
        [
            (training.run, seed, accuracy)
            for training in some
            for seed, accuracy in zip(training.seeds, training.scores("accuracy"), strict=True)
            if seed in shared
        ],
        columns=["run", "seed", "accuracy"],
    )
    tested = AnovaRM(table, "accuracy", "seed", within=["run"]).fit().anova_table.iloc[0]
    return {
        "means": table.groupby("run", sort=False)["accuracy"].mean().to_dict(),
        "seeds": len(shared),
        "f": float(tested["F Value"]),
        "p": float(tested["Pr > F"]),
    }


def conclusions(study: StudyEvidence) -> list[str]:
    """What follows from the records of a study, a sentence or two each, in Markdown."""
    lines = _of_readings(study)
    if study.between_runs:
        lines.append(_of_runs(study.between_runs))
    lines += [_of_gap(run, gap, study.leaks) for run, gap in study.gaps.items()]
    if best := _of_shortcuts(study):
        lines.append(best)
    return lines


def _of_readings(study: StudyEvidence) -> list[str]:
    lines, few = [], []
    recorded = study.rows[study.rows["seeds"] > 0]
    for run, rows in recorded.groupby("run", sort=False):
        judged, short = rows[rows["seeds"] > 2], rows[rows["seeds"] <= 2]
        few += [f"`{run}`"] if judged.empty else [f"`{run}` ({_listed([reading])})" for reading in short["reading"]]
        if judged["verdict"].nunique() > 1:
            by_verdict = judged.groupby("verdict", sort=False)["reading"].agg(list)
            told = [f"{verdict} when read {_listed(readings)}" for verdict, readings in by_verdict.items()]
            lines.append(f"The verdict on `{run}` depends on the reading: {', '.join(told)}.")
        elif len(judged) > 1:
            (verdict,) = judged["verdict"].unique()
            lines.append(f"`{run}` is {verdict} under every reading: {_listed(list(judged['reading']))}.")
        wide = judged[judged["verdict"] == INCONCLUSIVE]
        lines += [
            f"The {row.seeds} seeds of `{run}` ({_listed([row.reading])}) are too far apart to decide: the interval "
            f"for one more run is {row.low:.2f} to {row.high:.2f}."
            for row in wide.itertuples()
        ]
    if few:
        lines.append(f"One seed decides nothing, and two are too few; five are the standard. So far: {', '.join(few)}.")
    return lines


def _listed(readings: list[str]) -> str:
    return ", ".join(f"*{reading.replace('_', ' ')}*" for reading in readings)


def _of_runs(tested: dict[str, Any]) -> str:
    ranked = sorted(tested["means"].items(), key=lambda item: -item[1])
    (best, high), (worst, low) = ranked[0], ranked[-1]
    verb = "differ by more than" if tested["p"] < 0.05 else "do not differ by more than"
    return (
        f"The {len(ranked)} runs, from `{best}` ({high:.3f}) to `{worst}` ({low:.3f}), {verb} the seeds do "
        f"(repeated-measures analysis of variance over {tested['seeds']} seeds: F = {tested['f']:.2f}, "
        f"p = {tested['p']:.2g}{', weak evidence with so few seeds' if tested['seeds'] < STANDARD_SEEDS else ''})."
    )


def _of_gap(run: str, gap: dict, leaks: dict[str, Any]) -> str:
    accuracy = gap["metrics"]["accuracy"]
    where = "a copy, a near copy or another image of the same patient in training or validation"
    share = f"{leaks['share']:.0%} of the test images have {where}. " if leaks else ""
    if "low" not in accuracy:
        return f"{share}What leaks are worth to `{run}` is open: one seed with them and one without show nothing."
    measured = f"{share}The leakage gap of `{run}` is {accuracy['gap']:+.3f} in accuracy"
    shown = "no gap is shown" if accuracy["low"] <= 0 <= accuracy["high"] else "more than the seeds explain"
    return f"{measured}, 95% interval {accuracy['low']:+.3f} to {accuracy['high']:+.3f}: {shown} ({gap['note']})."


def _of_shortcuts(study: StudyEvidence) -> str | None:
    scored = [one for one in study.trainings if one.reading == AS_STATED]
    if not study.shortcuts or not scored:
        return None
    probes = {name: found["roc_auc"] for name, found in study.shortcuts["probes"].items() if name != "thumbnail"}
    name, auc = max(probes.items(), key=lambda item: item[1])
    best = max(scored, key=lambda training: training.scores("ROC-AUC").mean())
    return (
        f"Without the lungs, `{name}` alone predicts the class with a ROC-AUC of {auc:.3f}, and a 16 × 16 thumbnail "
        f"with {study.shortcuts['probes']['thumbnail']['roc_auc']:.3f}; `{best.run}` reaches "
        f"{best.scores('ROC-AUC').mean():.3f}."
    )
