"""Every published number against what records of real runs show.

A published row has a verdict on its test accuracy (endpoints.py); every other number is described (descriptions.py).
What is `contradictory` or `data unavailable` is found first, by arithmetic over the published numbers (consistency.py)
and the public archives' counts (archive_counts.py). The demo's runs are no evidence.
"""

import math
from dataclasses import dataclass

import pandas as pd

from rontgen.core import parts, runs
from rontgen.core.errors import RontgenError
from rontgen.core.io import read_json, require
from rontgen.core.params import Params
from rontgen.core.sections import LEAKFREE
from rontgen.core.vocabulary import AS_STATED, CONTRADICTORY, UNAVAILABLE
from rontgen.evaluation.metrics import read_predictions
from rontgen.evaluation.proportions import exact_interval
from rontgen.evidence import archive_counts, consistency, descriptions, endpoints
from rontgen.evidence.consistency import Violation
from rontgen.evidence.descriptions import Description
from rontgen.evidence.published import Cell, Papers, PublishedStudy
from rontgen.evidence.published_counts import Published, headline, own_interval
from rontgen.evidence.records import Record


@dataclass(frozen=True)
class Claims:
    """What became of every published number.

    endpoints: a row for each published row and reading, in the order of papers.yaml: study, run, trained (the run that
    is trained for it), reading, paper (its digits), paper_low, paper_high (the paper's own 95% interval), seeds, mean,
    spread, low, high (ours, and our 95% prediction interval), verdict, reason.

    cells: a row for each published number: study, run (or the study itself), metric, place, note, paper, paper_low,
    paper_high, ours (the mean over the seeds as stated; of counts of the data, the public archive's), low, high,
    difference (ours less the paper's), finding and reason. The finding of a test accuracy is the verdict as stated.
    Numbers are float64 in the metric's own unit, durations in seconds, NaN if missing.

    violations: the relations that do not hold. headlines: by study, see published_counts.headline; none for one run.
    records: by run and reading, those that were judged. demo: in the demo profile a row for each run: run, images,
    accuracy, majority_accuracy, learns.
    """

    endpoints: pd.DataFrame
    cells: pd.DataFrame
    violations: list[Violation]
    headlines: dict[str, dict]
    records: dict[tuple[str, str], list[Record]]
    demo: pd.DataFrame


def compare(papers: Papers, values: Params, records: list[Record], own_runs: list[Record]) -> Claims:
    """Judge every row of papers.yaml, and describe its other numbers, by the records and by params.yaml.

    own_runs: those of `workspace`. In the profile `paper` each is one more seed, where that seed has no record; in
    the demo it is no evidence. Raises RontgenError for a number that a record lacks, a record of a run or reading that
    papers.yaml lacks, and a study, run or setting that params.yaml lacks.
    """
    is_demo = values.profile == "demo"
    found = _by_run_and_reading(papers, records if is_demo else _with_own(records, own_runs))
    rows, cells, violations, headlines = [], [], [], {}
    for name, study in papers.studies.items():
        settings = _settings(name, study, values)
        dataset = values.datasets[values.studies[name].dataset]
        published = [Published.of(name, run, study, dataset.classes) for run in study.runs]
        broken = [violation for run in published for violation in consistency.violations(run)]
        # What concerns the whole study is found again in each of its runs
        broken = list(dict.fromkeys([*broken, *archive_counts.violations(papers, name, dataset, values.studies[name])]))
        settled = _settled(broken)
        archive = archive_counts.of_archives(dataset, papers.archives)
        for cell in study.cells:
            if cell.metric.startswith("data."):
                description = descriptions.of_the_archive(cell, archive, values.studies[name].split)
            else:
                description = descriptions.of_settings(cell, list(settings.values()))
            cells.append(_row(name, name, cell, None, description, settled))
        for run in published:
            trained = study.trained(run.run)
            judged = [
                endpoints.endpoint(
                    run, trained, reading, found.get((trained, reading), []), settled.get((run.run, endpoints.METRIC))
                )
                for reading in study.readings_of(run.run)
            ]
            rows += judged
            for cell in study.runs[run.run]:
                if cell.metric == endpoints.METRIC:
                    description = _of_endpoint(judged[0])
                elif cell.metric.startswith("setting."):
                    description = descriptions.of_settings(cell, [settings[run.run]])
                else:
                    description = descriptions.of_records(cell, run, found.get((trained, AS_STATED), []))
                cells.append(_row(name, run.run, cell, own_interval(run, cell.metric), description, settled))
        violations += broken
        if tested := headline(published):
            headlines[name] = tested
    demo = _demo(own_runs) if is_demo else _demo([])
    return Claims(pd.DataFrame(rows), pd.DataFrame(cells), violations, headlines, found, demo)


def workspace(values: Params) -> list[Record]:
    """The reported runs as they are in the workspace, one record each, of the reading as stated and without a history.

    Raises RontgenError for a missing or damaged file, naming the command that makes it.
    """
    found = []
    for name in values.reported:
        if name.endswith(LEAKFREE):  # no paper has one
            continue
        run, command = runs.load_run(name, values), parts.stage_command("evaluate", name)
        metrics = {"test": read_json(run.metrics, command), "train": read_json(run.train_metrics, command)}
        predictions = read_predictions(require(run.predictions, command), str(run.predictions), command)
        found.append(Record(name, AS_STATED, run.train.seed, metrics, predictions, pd.DataFrame(), {"deviations": []}))
    return found


def _with_own(records: list[Record], own_runs: list[Record]) -> list[Record]:
    recorded = {(record.run, record.reading, record.seed) for record in records}
    return [*records, *(own for own in own_runs if (own.run, own.reading, own.seed) not in recorded)]


def _by_run_and_reading(papers: Papers, records: list[Record]) -> dict[tuple[str, str], list[Record]]:
    known = {
        (study.trained(run), reading)
        for study in papers.studies.values()
        for run in study.runs
        for reading in study.readings_of(run)
    }
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        key = record.run, record.reading
        if (record.run.removesuffix(LEAKFREE), record.reading) not in known:
            raise RontgenError(
                f"results/{record.run}/{record.reading}: expected a run and reading of papers.yaml, received neither: "
                f"enter it there, or run `git rm -r results/{record.run}/{record.reading}`"
            )
        if not record.run.endswith(LEAKFREE):  # no paper has one: for rontgen.evidence.leakage_gap
            found.setdefault(key, []).append(record)
    return found


def _settled(found: list[Violation]) -> dict[tuple[str, str], tuple[str, str]]:
    """Verdict and reason of every cell that a violation settles; several reasons for one verdict are all given."""
    settled: dict[tuple[str, str], tuple[str, str]] = {}
    for verdict in (CONTRADICTORY, UNAVAILABLE):
        reasons: dict[tuple[str, str], list[str]] = {}
        for violation in found:
            for cell in violation.cells if violation.verdict == verdict else ():
                reasons.setdefault(cell, []).append(violation.reason)
        settled = {cell: (verdict, "; ".join(reason)) for cell, reason in reasons.items()} | settled
    return settled


def _row(
    study: str, run: str, cell: Cell, own: tuple[float, float] | None, description: Description, settled: dict
) -> dict:
    finding, reason = settled.get((run, cell.metric), (description.finding, description.reason))
    return {
        "study": study,
        "run": run,
        "metric": cell.metric,
        "place": cell.place,
        "note": cell.note,
        "paper": cell.text,
        "paper_low": own[0] if own else math.nan,
        "paper_high": own[1] if own else math.nan,
        "ours": description.ours,
        "low": description.low,
        "high": description.high,
        "difference": description.ours - float(cell.number),
        "finding": finding,
        "reason": reason,
    }


def _of_endpoint(row: dict) -> Description:
    return Description(row["verdict"], row["reason"], row["mean"], row["low"], row["high"])


def _demo(own_runs: list[Record]) -> pd.DataFrame:
    """Of each run whether it learns: whether the exact 95% interval of its accuracy lies above the majority class."""
    rows = []
    for own in own_runs:
        right = int((own.predictions["predicted"] == own.predictions["class"]).sum())
        images, majority = len(own.predictions), float(own.metrics["test"]["majority_accuracy"])
        learns = exact_interval(right, images)[0] > majority
        rows.append((own.run, images, right / images, majority, learns))
    return pd.DataFrame(rows, columns=["run", "images", "accuracy", "majority_accuracy", "learns"])


def _settings(name: str, study: PublishedStudy, values: Params) -> dict[str, dict]:
    """Model, augment, train and image set of each published row of a study, as params.yaml has them, unscaled."""
    if name not in values.studies:
        raise RontgenError(f"papers.yaml: expected studies of {', '.join(values.studies)}, received {name!r}")
    shared, found = values.studies[name], {}
    reported = {run: row for run, row in values.reported.items() if row.study == name and not run.endswith(LEAKFREE)}
    for run in study.runs:
        trained = study.trained(run)
        if trained not in reported:
            raise RontgenError(f"papers.yaml: {name}: expected runs of {', '.join(reported)}, received {trained!r}")
        row = reported[trained]
        found[run] = {
            "augment": shared.augment.model_dump() if shared.augment else {},
            "model": values.models[row.model].model_dump(),
            "train": shared.train.model_dump() | row.train.model_dump(exclude_none=True),
            "image_set": values.image_sets[row.image_set].model_dump(),
        }
    return found
