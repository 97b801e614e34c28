"""Reported runs in the profile `paper`, seed by seed, each as a DVC experiment in the clone, recorded in results/."""

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import chdir
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from rontgen.core import params, parts, runs
from rontgen.core.errors import RontgenError
from rontgen.core.sections import LEAKFREE
from rontgen.core.vocabulary import AS_STATED
from rontgen.data import by_hand
from rontgen.evaluation.metrics import read_predictions
from rontgen.evidence import clone, provenance, records
from rontgen.evidence.published import Papers, load_papers
from rontgen.evidence.records import Record


@dataclass(frozen=True)
class Job:
    """One training to be recorded. stated: what the reading and the seed set; extra: what the caller sets besides."""

    run: str
    reading: str
    seed: int
    stated: dict[str, str]
    extra: dict[str, str]

    @property
    def name(self) -> str:
        return f"{self.run}-{self.reading}-{self.seed}".replace("_", "-")

    @property
    def changes(self) -> dict[str, str]:
        return self.stated | self.extra


def plan(names: list[str], seeds: list[int], reading: str, extra: dict[str, str]) -> list[Job]:
    """A job for each run and seed. Raises RontgenError for a run, a reading or a key that is not there,
    or that a record has fixed."""
    papers, raw = load_papers(Path("papers.yaml")), params.read()
    values = params.validate(raw)
    jobs = []
    for name in names:
        row = values.reported.get(name)
        if row is None:
            raise RontgenError(f"expected runs of {', '.join(values.reported)}, received {name!r}")
        known: dict[str, dict[str, str]] = {AS_STATED: {}}
        if not name.endswith(LEAKFREE):
            readings = papers.studies[row.study].readings
            known |= {key: entry.set for key, entry in readings.items() if name in entry.runs}
        if reading not in known:
            raise RontgenError(f"--reading: expected one of {', '.join(known)} for {name}, received {reading!r}")
        study = f"studies.{row.study}"
        for seed in seeds:
            stated = {"profile": "paper", f"{study}.split.seed": str(seed), f"{study}.train.seed": str(seed)}
            stated |= known[reading]
            refuse_fixed(extra, stated)
            jobs.append(Job(name, reading, seed, stated, extra))
            params.validate(params.changed(raw, jobs[-1].changes))
    return jobs


def refuse_fixed(extra: dict[str, str], stated: dict[str, str]) -> None:
    """Raises RontgenError for a key of `extra` that a record fixes: one of `stated`, or where archives come from."""
    for key in extra:
        if key in stated or key == "profiles.paper.download.source":
            raise RontgenError(
                f"-S {key}: expected a setting that a record leaves open, received one that is fixed (the profile, the "
                "seeds, what the reading sets, where archives come from): leave it out, or use `dvc exp run`"
            )


def reproduce(jobs: list[Job]) -> Iterator[tuple[Job, Record, bool]]:
    """Run and record each job; yields it with its record, and whether it was trained now. Prints the time left.

    Raises RontgenError where the code is not committed or a stage fails.
    """
    with clone.alone():
        yield from _one_by_one(jobs)


def _one_by_one(jobs: list[Job]) -> Iterator[tuple[Job, Record, bool]]:
    commit, papers = clone.commit(), load_papers(Path("papers.yaml"))
    folder = clone.prepare(commit)
    seconds: list[float] = []
    for number, job in enumerate(jobs):
        recorded = _recorded(job, commit)
        if recorded is not None:
            print(f"{job.name}: recorded for this code, data and settings", file=sys.stderr)
            yield job, recorded, False
            continue
        mean = sum(seconds) / len(seconds) if seconds else None
        left = f", about {timedelta(seconds=round(mean * (len(jobs) - number)))} left" if mean else ""
        print(f"{job.name}: run {number + 1} of {len(jobs)}{left}", file=sys.stderr)
        begin = time.monotonic()
        target = parts.stage_command("evaluate", job.run).removeprefix("dvc repro ")
        clone.run(folder, commit, job.name, job.changes, [target])
        record = _collect(job, folder, commit, papers)
        records.write(record)
        seconds.append(time.monotonic() - begin)
        yield job, record, True


def _collect(job: Job, folder: Path, commit: str, papers: Papers) -> Record:
    stated, planned = (
        runs.load_run(job.run, params.validate(params.changed(params.read(), changes)))
        for changes in (job.stated, job.changes)
    )
    with chdir(folder):
        run = runs.load_run(job.run)
        if provenance.settings(run) != provenance.settings(planned):
            raise RontgenError(
                f"{job.name}: expected the job's settings, received others: run `rm -r {clone.FOLDER}` first"
            )
        metrics = {
            "test": json.loads(run.metrics.read_text(encoding="utf-8")),
            "train": json.loads(run.train_metrics.read_text(encoding="utf-8")),
        }
        command = parts.stage_command("evaluate", job.run)
        predictions = read_predictions(run.predictions, str(run.predictions), command)
        history = pd.read_csv(run.history)
        facts = provenance.gather(run, stated, papers)
    facts = {"run": job.run, "reading": job.reading, "seed": job.seed, "commit": commit, "set": job.changes} | facts
    return Record(job.run, job.reading, job.seed, metrics | {"time": facts["time"]}, predictions, history, facts)


def _recorded(job: Job, commit: str) -> Record | None:
    """The record of a job, where it is of the same code, settings and data as the job at a commit would be."""
    path = records.path_of(job.run, job.reading, job.seed)
    if not path.exists():
        return None
    record, values = records.read(path), params.changed(params.read(), job.changes)
    lists, stages = by_hand.lists(params.validate(values)), record.provenance["stages"].values()
    code = {name for stage in stages for name in stage["deps"] if name.startswith(("src/", "stages/"))}
    if _differs(record.provenance["commit"], commit, code):
        return None
    for stage in stages:
        # a whole section that a stage declares holds other runs' settings too
        for key, value in stage["params"].items():
            if "." in key and _at(values, key) != value:
                return None
    run = runs.load_run(job.run, params.validate(values))
    used = {
        "archives": lists[Path("archives", f"{run.image_set.study.dataset_name}.json")],
        "weights": lists[Path("weights", f"{run.start.model}.json")],
    }
    return record if record.provenance["by_hand"] == used else None


def _differs(one: str, other: str, paths: Iterable[str]) -> bool:
    """Whether files or folders differ between two commits, or one of these is not there."""
    command = ["git", "diff", "--quiet", one, other, "--", *sorted(paths)]
    return subprocess.run(command, check=False, capture_output=True).returncode != 0


def _at(values: Any, key: str) -> Any:
    for name in key.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    return values
