"""Every published number against what records of real runs show.

A published row has a verdict on its test accuracy (endpoints.py); every other number is described (descriptions.py).
What is `contradictory` or `data unavailable` is found first, by arithmetic over the published numbers (consistency.py)
and the public archives' counts (archive_counts.py). The demo's runs are no evidence.
"""

import math
from dataclasses import dataclass

import pandas as pd

from rontgen.core import parts, runs
from rontgen.core.cells import Cell
from rontgen.core.errors import RontgenError
from rontgen.core.io import read_json, require
from rontgen.core.papers import Paper, Papers
from rontgen.core.params import Params
from rontgen.core.sections import LEAKFREE
from rontgen.core.vocabulary import CONTRADICTORY, PROTOCOL, RANDOM_COMPLETION, UNAVAILABLE
from rontgen.evaluation.metrics import read_predictions
from rontgen.evaluation.proportions import exact_interval
from rontgen.evidence import archive_counts, consistency, descriptions, endpoints
from rontgen.evidence.consistency import Violation
from rontgen.evidence.descriptions import Description
from rontgen.evidence.published_counts import Published, headline, own_interval
from rontgen.evidence.records import Record, reading_of


@dataclass(frozen=True)
class Claims:
    """What became of every published number.

    endpoints: a row for each published row and treatment, one at least for each reading: study, run, trained (the run
    that is trained for it), reading, treatment, label (the treatment in words), paper (its digits), paper_low,
    paper_high (the paper's own 95% interval), seeds, mean, spread, low, high (ours, and our 95% prediction interval),
    verdict, reason.

    cells: a row for each published number: study, run (or the study itself), metric, place, note, paper, paper_low,
    paper_high, ours (the mean over the seeds by the protocol; of counts of the data, the public archive's), low, high,
    difference (ours less the paper's), finding and reason. The finding of a test accuracy is the verdict by the
    protocol. Numbers are float64 in the metric's own unit, durations in seconds, NaN if missing.

    violations: the relations that do not hold. headlines: by study, see published_counts.headline; none for one run.
    records: by run and treatment, those that were judged, and random completions. demo: in the demo profile a row for
    each run: run, images, accuracy, majority_accuracy, learns.
    """

    endpoints: pd.DataFrame
    cells: pd.DataFrame
    violations: list[Violation]
    headlines: dict[str, dict]
    records: dict[tuple[str, str], list[Record]]
    demo: pd.DataFrame

    @property
    def by_protocol(self) -> pd.DataFrame:
        """Of endpoints, one row for each published row: by the protocol, with the most seeds."""
        return self.endpoints[self.endpoints.reading == PROTOCOL].drop_duplicates("run")


def compare(papers: Papers, values: Params, records: list[Record], own_runs: list[Record]) -> Claims:
    """Judge every published row, and describe the papers' other numbers, by the records.

    own_runs: those of `workspace`. In the profile `paper` each is one more seed, where that seed has no record; in
    the demo it is no evidence. Raises RontgenError for a number that a record lacks, a record of a run or reading that
    no paper.yaml has, and a study or run that no protocol.yaml has.
    """
    is_demo = values.profile == "demo"
    found = _by_run_and_treatment(papers, records if is_demo else _with_own(records, own_runs))
    rows, cells, violations, headlines = [], [], [], {}
    for name, study in papers.studies.items():
        _check(name, study, values)
        dataset = values.datasets[values.studies[name].dataset]
        published = [Published.of(name, run, study, dataset.classes) for run in study.runs]
        broken = [violation for run in published for violation in consistency.violations(run)]
        # What concerns the whole study is found again in each of its runs
        broken += archive_counts.violations(papers, name, dataset, values.studies[name])
        broken = [*dict.fromkeys(broken), *consistency.orderings(name, study)]
        settled = _settled(broken)
        archive = archive_counts.of_archives(dataset, papers.archives)
        for cell in study.cells:
            description = descriptions.of_the_archive(cell, archive, values.studies[name].split)
            cells.append(_row(name, name, cell, None, description, settled))
        for run in published:
            trained = study.trained(run.run)
            judged = [
                endpoints.endpoint(
                    run,
                    trained,
                    treatment,
                    study.label(trained, treatment),
                    found.get((trained, treatment), []),
                    settled.get((run.run, endpoints.METRIC)),
                )
                for treatment in _treatments(study, run.run, found)
            ]
            rows += judged
            for cell in study.runs[run.run]:
                if cell.metric == endpoints.METRIC:
                    description = _of_endpoint(judged[0])
                else:
                    description = descriptions.of_records(cell, run, found.get((trained, judged[0]["treatment"]), []))
                cells.append(_row(name, run.run, cell, own_interval(run, cell.metric), description, settled))
        violations += broken
        if tested := headline(published):
            headlines[name] = tested
    demo = _demo(own_runs) if is_demo else _demo([])
    return Claims(pd.DataFrame(rows), pd.DataFrame(cells), violations, headlines, found, demo)


def workspace(values: Params) -> list[Record]:
    """The reported runs as they are in the workspace, one record each, by the protocol and without a history.

    Raises RontgenError for a missing or damaged file, naming the command that makes it.
    """
    found = []
    for name in values.runs:
        if name.endswith(LEAKFREE):  # no paper has one
            continue
        run, command = runs.load_run(name, values), parts.stage_command("evaluate", name)
        metrics = {"test": read_json(run.metrics, command), "train": read_json(run.train_metrics, command)}
        predictions = read_predictions(require(run.predictions, command), str(run.predictions), command)
        found.append(Record(name, PROTOCOL, run.train.seed, metrics, predictions, pd.DataFrame(), {"deviations": []}))
    return found


def _with_own(records: list[Record], own_runs: list[Record]) -> list[Record]:
    recorded = {(record.run, record.treatment, record.seed) for record in records}
    return [*records, *(own for own in own_runs if (own.run, own.treatment, own.seed) not in recorded)]


def _treatments(study: Paper, run: str, found: dict[tuple[str, str], list[Record]]) -> list[str]:
    """The recorded treatments of each reading of a run, the one with the most seeds first; else the reading alone.

    Random completions are no treatment: each has its own settings.
    """
    trained, known = study.trained(run), list[str]()
    for reading in study.readings_of(run):
        some = [key[1] for key in found if key[0] == trained and reading_of(key[1]) == reading]
        if reading != RANDOM_COMPLETION:
            known += sorted(some, key=lambda name: (-len(found[trained, name]), name)) or [reading]
    return known


def _by_run_and_treatment(papers: Papers, records: list[Record]) -> dict[tuple[str, str], list[Record]]:
    known = {
        (study.trained(run), reading)
        for study in papers.studies.values()
        for run in study.runs
        for reading in study.readings_of(run)
    }
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        key = record.run, record.treatment
        if (record.run.removesuffix(LEAKFREE), record.reading) not in known:
            raise RontgenError(
                f"results/{record.run}/{record.treatment}: expected a run and reading of a paper.yaml, "
                f"received neither: enter it there, or run `git rm -r results/{record.run}/{record.treatment}`"
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


def _check(name: str, study: Paper, values: Params) -> None:
    """Raise RontgenError where a paper.yaml names a study or run that no protocol.yaml has."""
    if name not in values.studies:
        raise RontgenError(f"studies/{name}: expected a protocol.yaml with studies.{name}: see docs/add-a-study.md")
    known = [run for run, row in values.runs.items() if row.study == name]
    for run in {study.trained(run) for run in study.runs} - set(known):
        raise RontgenError(f"studies/{name}/paper.yaml: expected runs of {', '.join(known)}, received {run!r}")
