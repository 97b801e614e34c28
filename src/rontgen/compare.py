"""A verdict on every published number, and the evidence for it.

In this order: `contradictory` and `data unavailable` are found by arithmetic over the published numbers and the public
archives' counts (rontgen.arithmetic, rontgen.holdings); `not comparable` is what has no counterpart; a number is
`reproduced` where, give or take its rounding, it lies in the 95% interval of ours, or equals ours where it is exact.
The interval knows the sampling error of our images alone: not the paper's, nor what another seed would give. So
of many rates that are right, about one in six falls outside by chance where both tests are as large, and more where
ours is larger.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from rontgen import arithmetic, holdings
from rontgen.arithmetic import CONTRADICTORY, UNAVAILABLE, Violation
from rontgen.errors import RontgenError
from rontgen.papers import Cell, Papers, Published, exact_interval, headline, own_interval
from rontgen.params import Params

NOT_COMPARABLE, REPRODUCED, NOT_REPRODUCED = "not comparable", "reproduced", "not reproduced"


FILES = {"test": "{run}.json", "train": "{run}/train.json", "time": "{run}/time.json"}
EXACT = ("test.test_images", "test.parameters", "test.model_megabytes", "train.epochs")
NO_NUMBER = math.nan, math.nan, math.nan


@dataclass(frozen=True)
class Claims:
    """cells: a row for each published number, in the order of papers.yaml. violations: the sums that do not hold.

    Columns of cells: study, run (or the study itself), metric, place, note, paper (its digits), paper_low, paper_high
    (the paper's own 95% interval), ours, low, high (our 95% interval), difference (ours less the paper's), verdict,
    reason. Numbers are float64 in the metric's own unit, durations in seconds, NaN where there is none. headlines: by
    study, see rontgen.papers.headline; a study of one run has none.
    """

    profile: str
    cells: pd.DataFrame
    violations: list[Violation]
    headlines: dict[str, dict]


def compare(papers: Papers, values: Params, metrics: Path) -> Claims:
    """Judge every cell of papers.yaml by the metrics files in the folder `metrics` and by params.yaml.

    Raises RontgenError for a metrics file, or a number in one, that is missing, and for a study, run or setting that
    params.yaml lacks.
    """
    rows, violations, headlines = [], [], {}
    for name, study in papers.studies.items():
        settings, runs = _settings(name, values), list(study.runs)
        if unknown := [run for run in runs if run not in settings]:
            known = ", ".join(settings)
            raise RontgenError(f"papers.yaml: {name}: expected runs of {known}, received {unknown[0]!r}")
        dataset = values.datasets[values.studies[name].dataset]
        published = [Published.of(name, run, study, dataset.classes) for run in runs]
        found = [violation for run in published for violation in arithmetic.violations(run)]
        # What concerns the whole study is found again in each of its runs
        found = list(dict.fromkeys([*found, *holdings.violations(papers, name, dataset, values.studies[name])]))
        settled = _settled(found)
        archive = holdings.of_archives(dataset, papers.archives)
        for cell in study.cells:
            if cell.metric.startswith("data."):
                evidence = _of_the_archive(cell, archive, values.studies[name].split)
            else:
                evidence = _of_settings(cell, [settings[run] for run in runs])
            rows.append(_row(name, name, cell, None, evidence, settled, values.profile))
        for run in published:
            ours = _Metrics(run.run, metrics)
            for cell in study.runs[run.run]:
                of_params = cell.metric.startswith("setting.")
                evidence = _of_settings(cell, [settings[run.run]]) if of_params else ours.evidence(cell, run)
                own = own_interval(run, cell.metric)
                rows.append(_row(name, run.run, cell, own, evidence, settled, values.profile))
        violations += found
        if tested := headline(published):
            headlines[name] = tested
    return Claims(values.profile, pd.DataFrame(rows), violations, headlines)


def _settled(found: list[Violation]) -> dict[tuple[str, str], tuple[str, str]]:
    """Verdict and reason of every cell that a violation settles; several reasons for one verdict are all given."""
    settled = {}
    for verdict in (CONTRADICTORY, UNAVAILABLE):
        reasons = {}
        for violation in found:
            for cell in violation.cells if violation.verdict == verdict else ():
                reasons.setdefault(cell, []).append(violation.reason)
        settled = {cell: (verdict, "; ".join(reason)) for cell, reason in reasons.items()} | settled
    return settled


@dataclass(frozen=True)
class _Evidence:
    """Our number and its interval, and, where arithmetic and the profile leave it open, the verdict and its reason."""

    ours: float
    low: float
    high: float
    verdict: str
    reason: str


def _row(study, run, cell: Cell, own, evidence: _Evidence, settled: dict, profile: str) -> dict:
    verdict, reason = evidence.verdict, evidence.reason
    if profile == "demo":
        verdict, reason = NOT_COMPARABLE, "the demo profile: synthetic images, smaller settings"
    verdict, reason = settled.get((run, cell.metric), (verdict, reason))
    return {
        "study": study,
        "run": run,
        "metric": cell.metric,
        "place": cell.place,
        "note": cell.note,
        "paper": cell.value,
        "paper_low": own[0] if own else math.nan,
        "paper_high": own[1] if own else math.nan,
        "ours": evidence.ours,
        "low": evidence.low,
        "high": evidence.high,
        "difference": evidence.ours - float(cell.number),
        "verdict": verdict,
        "reason": reason,
    }


def _exact(cell: Cell, ours: float, what: str) -> _Evidence:
    same = float(cell.low) <= ours <= float(cell.high)
    reason = f"{what} is the same" if same else f"{what} is another"
    return _Evidence(ours, math.nan, math.nan, REPRODUCED if same else NOT_REPRODUCED, reason)


def _of_settings(cell: Cell, settings: list[dict]) -> _Evidence:
    """A setting of params.yaml, which all of the runs must share."""
    found = {_at(run, cell.metric.split(".")[1:]) for run in settings}
    if len(found) != 1 or None in found:
        raise RontgenError(f"papers.yaml: {cell.metric}: expected one value in params.yaml, received {found}")
    return _exact(cell, float(found.pop()), "our setting")


def _of_the_archive(cell: Cell, archive: holdings.Holdings, split) -> _Evidence:
    """What the public archive holds, by the archive's own parts, or our share of the split."""
    _, part, *rest = cell.metric.split(".")
    if part == "share" and split.policy != "official":
        sizes = (split.fractions if split.policy == "stratified" else split.counts).model_dump()
        return _exact(cell, round(sizes[rest[0]] / sum(sizes.values()), 9), "our share")
    parts, published = archive.get(rest[0] if rest else None, {}), int(cell.number)
    if part == "images" and published in holdings.sums_of_parts(parts):
        return _Evidence(published, math.nan, math.nan, REPRODUCED, "whole parts of the archive make as many")
    if part in parts:
        return _exact(cell, parts[part], "the number in the archive's own part")
    if part == "images" and parts:
        ours = sum(parts.values())
        return _Evidence(ours, math.nan, math.nan, NOT_COMPARABLE, f"a choice of {published} from the archive's {ours}")
    return _Evidence(*NO_NUMBER, NOT_COMPARABLE, "the paper's own count; the archive has none")


class _Metrics:
    """Our metrics of one run, read when they are first asked for."""

    def __init__(self, run: str, folder: Path):
        self.run, self.folder, self.read = run, folder, {}

    def file(self, name: str) -> dict:
        if name not in self.read:
            path = self.folder / name
            try:
                self.read[name] = json.loads(path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                message = f"{self.run}: {path} not found: run `dvc repro paper_evaluate@{self.run}` first"
                raise RontgenError(message) from None
        return self.read[name]

    def number(self, metric: str) -> float:
        source, *keys = metric.split(".")
        value = _at(self.file(FILES[source].format(run=self.run)), keys)
        if isinstance(value, bool) or not isinstance(value, int | float):
            stage = "evaluate" if source == "test" else "train"
            raise RontgenError(
                f"{self.run}: our metrics have {value!r} for {metric}: correct papers.yaml, or run "
                f"`dvc repro --force --single-item paper_{stage}@{self.run}`"
            )
        return value

    def interval(self, metric: str) -> tuple[float, float] | None:
        """Of a test metric as evaluate measured it, of another accuracy the exact one; None where there is none."""
        source, *keys = metric.split(".")
        if source == "test":
            found = _at(self.file(f"{self.run}/intervals.json"), keys)
            if found is None and metric == "test.accuracy":  # which the figure shows
                path = self.folder / self.run / "intervals.json"
                message = f"{self.run}: {path} has none for {metric}: run `dvc repro paper_evaluate@{self.run}` first"
                raise RontgenError(message)
            return (found["low"], found["high"]) if found else None
        if metric.endswith("_accuracy"):
            images = self.number(f"train.{keys[-1].removesuffix('_accuracy')}_images")
            return exact_interval(round(self.number(metric) * images), images)
        return None

    def evidence(self, cell: Cell, published: Published) -> _Evidence:
        metric, ours = cell.metric, self.number(cell.metric)
        if metric in EXACT or metric.endswith(".support"):
            return _exact(cell, ours, "our number")
        interval = None if metric.startswith("time.") else self.interval(metric)
        if interval is None:
            reason = "a duration on another machine" if metric.startswith("time.") else "our number has no interval"
            return _Evidence(ours, math.nan, math.nan, NOT_COMPARABLE, reason)
        if ".confusion." in metric:
            true = metric.split(".")[2]
            images, theirs = self.number(f"test.classes.{true}.support"), (published.supports or {}).get(true)
            if images != theirs:
                reason = f"other test size: our test has {images} images of {true}, the paper's {theirs or 'not given'}"
                return _Evidence(ours, *interval, NOT_COMPARABLE, reason)
        inside = interval[0] <= cell.high and cell.low <= interval[1]
        reason = f"{'in' if inside else 'outside'} our 95% interval"
        return _Evidence(ours, *interval, REPRODUCED if inside else NOT_REPRODUCED, reason)


def _settings(study: str, values: Params) -> dict[str, dict]:
    """Of each reported run of a study: model, augment, train and view, as params.yaml has them in the paper profile."""
    if study not in values.studies:
        raise RontgenError(f"papers.yaml: expected studies of {', '.join(values.studies)}, received {study!r}")
    shared, found = values.studies[study], {}
    for run, row in values.reported.items():
        if row.study == study:
            found[run] = {
                "augment": shared.augment.model_dump() if shared.augment else {},
                "model": values.models[row.model].model_dump(),
                "train": shared.train.model_dump() | row.train.model_dump(exclude_none=True),
                "view": values.views[row.view].model_dump(),
            }
    return found


def _at(value, keys: list[str]):
    """What lies at a path of keys and list positions; None where nothing does."""
    for key in keys:
        if isinstance(value, list):
            value = value[int(key)] if int(key) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value
