"""Reported runs in the profile `paper`, seed by seed, each as a DVC experiment in the clone, recorded in results/."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import pandas as pd

from rontgen.core import params, readings, runs
from rontgen.core.errors import RontgenError
from rontgen.core.io import read_json
from rontgen.core.papers import load_papers
from rontgen.core.runs import Run
from rontgen.data import arrays
from rontgen.evaluation.metrics import read_predictions
from rontgen.parallel import clone
from rontgen.parallel.clone import Clone
from rontgen.records import provenance, records, splits
from rontgen.records.records import Record


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
        """Of its DVC experiment, whose name is part of a git ref."""
        return re.sub(r"[^a-zA-Z0-9.+=]+", "-", f"{self.run}-{self.treatment}-{self.seed}")

    @property
    def changes(self) -> dict[str, str]:
        return self.stated | self.extra

    @cached_property
    def treatment(self) -> str:
        """The reading, and those further settings that change what is computed."""
        changing = {key: value for key, value in self.extra.items() if self._computed() != self._computed(without=key)}
        return records.treatment_of(self.reading, changing)

    def _computed(self, without: str = "") -> tuple:
        """What decides the result, but for the archives."""
        run = self.load(without)
        dataset = run.image_set.study.dataset
        return run.settings, dataset.classes, dataset.labels

    def load(self, without: str = "") -> Run:
        """The run with these settings, but for one."""
        changes = {key: value for key, value in self.changes.items() if key != without}
        return runs.load_run(self.run, params.validate(params.changed(params.read(), changes)))


def plan(names: list[str], seeds: list[int], reading: str, extra: dict[str, str]) -> list[Job]:
    """A job for each run and seed. Raises RontgenError for a run, a reading or a key that is not there,
    or that a record has fixed."""
    papers, raw = load_papers(), params.read()
    values = params.validate(raw)
    jobs = []
    for name in names:
        row = values.runs.get(name)
        if row is None:
            raise RontgenError(f"expected runs of {', '.join(values.runs)}, received {name!r}")
        study = f"studies.{row.study}"
        for seed in seeds:
            stated = {"profile": "paper", f"{study}.split.seed": str(seed), f"{study}.train.seed": str(seed)}
            stated |= readings.changes(papers.studies[row.study], values, name, reading, seed)
            refuse_fixed(extra, stated)
            jobs.append(Job(name, reading, seed, stated, extra))
            params.validate(params.changed(raw, jobs[-1].changes))
    return jobs


def refuse_fixed(extra: dict[str, str], stated: dict[str, str]) -> None:
    """Raises RontgenError for a key of `extra` that a record fixes: one of `stated`, or where archives come from."""
    for key in extra:
        if key.rpartition(":")[2] in stated or key == "profiles.paper.download.source":
            raise RontgenError(
                f"-S {key}: expected a setting that a record leaves open, received one that is fixed (the profile, the "
                "seeds, what the reading sets, where archives come from): leave it out, or use `dvc exp run`"
            )


def reproduce(jobs: list[Job], again: bool = False) -> Iterator[tuple[Job, Record]]:
    """Run and record each job, and yield it with its record. Prints the time left.

    again: whether to train what is recorded, and to replace its record. Raises RontgenError where the code is not
    committed, a stage fails, or a record of the same name has other settings.
    """
    recorded = {} if again else {job.name: record for job in jobs if (record := _recorded(job))}
    seconds: list[float] = []
    with clone.at_last_commit() as prepared:
        for number, job in enumerate(jobs):
            if job.name in recorded:
                made = recorded[job.name].provenance["commit"][:7]
                said = f"{job.name}: recorded at {made}; `--again` trains it again and replaces the record"
                print(said, file=sys.stderr)
                yield job, recorded[job.name]
                continue
            left = ""
            if seconds:
                mean = sum(seconds) / len(seconds)
                left = f", about {timedelta(seconds=round(mean * (len(jobs) - number)))} left"
            print(f"{job.name}: run {number + 1} of {len(jobs)}{left}", file=sys.stderr)
            begin = time.monotonic()
            run, stages = job.load(), [runs.stage_name(stage, job.run) for stage in ("train", "evaluate")]
            if again:
                needed = [run.image_set.balance_command, run.start.weights_command]
                prepared.run(job.name, job.changes, [name.removeprefix("dvc repro ") for name in needed], stages)
            else:
                prepared.run(job.name, job.changes, stages)
            record = _collect(job, prepared)
            records.write(record)
            seconds.append(time.monotonic() - begin)
            yield job, record


def _recorded(job: Job) -> Record | None:
    """The record of a job, if there is one. Raises RontgenError where it has other settings than the job."""
    path = records.path_of(job.run, job.treatment, job.seed)
    if not path.exists():
        return None
    record = records.read(path)
    if different := provenance.first_difference(record.provenance["settings"], job.load().settings):
        key, there, planned = different
        raise RontgenError(
            f"{path}: recorded with {key} {there}, expected {planned}: keep the record, or give `--again` to replace it"
        )
    return record


def _collect(job: Job, prepared: Clone) -> Record:
    """The record of a job that has run in the clone; its split is added to results/splits."""
    papers = load_papers()  # which takes a second, for which no training has to wait
    planned, with_reading = job.load(), Job(job.run, job.reading, job.seed, job.stated, {}).load()
    with chdir(prepared.folder):
        run = runs.load_run(job.run)
        if run.settings != planned.settings:
            raise RontgenError(
                f"{job.name}: expected the job's settings, received others: run `rm -r {clone.FOLDER}` first"
            )
        command = runs.stage_command("evaluate", job.run)
        metrics = {
            "test": read_json(run.metrics, command),
            "train": read_json(run.train_metrics, run.train_command),
        }
        predictions = read_predictions(run.predictions, str(run.predictions), command)
        history = pd.read_csv(run.history)
        manifest = arrays.read_manifest(run.image_set)
        facts = provenance.gather(run, with_reading, papers)
    dataset = run.image_set.study.dataset_name
    split = {"dataset": dataset, "column": splits.write(dataset, manifest, records.FOLDER)}
    head = {"run": job.run, "reading": job.reading, "seed": job.seed, "commit": prepared.commit, "set": job.stated}
    facts = head | {"extra": job.extra, "split": split} | facts
    return Record(job.run, job.treatment, job.seed, metrics | {"time": facts["time"]}, predictions, history, facts)
