"""Runs in the profile `paper`, seed by seed, each as a DVC experiment in the clone, recorded in results/."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import chdir
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from rontgen.core import architectures, params, readings, runs
from rontgen.core.errors import RontgenError
from rontgen.core.io import read_json
from rontgen.core.papers import load_papers
from rontgen.core.runs import ACTIVE, Run
from rontgen.data import arrays
from rontgen.evaluation.metrics import read_predictions
from rontgen.parallel import recording, side_by_side
from rontgen.parallel.clone import Clone, Experiment
from rontgen.records import provenance, records, splits
from rontgen.records.records import Record


@dataclass(frozen=True)
class Job:
    """One training to be recorded. reading: of the active run, an architecture. stated: what the reading and the seed
    set; extra: what the caller sets besides."""

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
        dataset = run.image_set.split.dataset
        return run.settings, dataset.classes, dataset.labels

    @property
    def without_extra(self) -> "Job":
        return replace(self, extra={})

    def load(self, without: str = "") -> Run:
        """The run with these settings, but for one."""
        changes = {key: value for key, value in self.changes.items() if key != without}
        return runs.load_run(self.run, params.validate(params.changed(params.read(), changes)))


@dataclass(frozen=True)
class Trained:
    """What a job leaves in a clone for its record. external: answers to films of other archives. manifest: of its
    split. facts: its provenance."""

    experiment: Experiment
    metrics: dict
    predictions: pd.DataFrame
    external: pd.DataFrame
    history: pd.DataFrame
    manifest: pd.DataFrame
    facts: dict


def plan(
    names: list[str], seeds: list[int], reading: str, extra: dict[str, str], models: Sequence[str] = ()
) -> list[Job]:
    """A job for each run and seed, and of the active run for each of `models`.

    Raises RontgenError for a run, a reading, a model or a key that is not there or that a record has fixed, and for
    `models` of another run.
    """
    papers, raw = load_papers(), params.read()
    values = params.validate(raw)
    jobs = []
    for name in dict.fromkeys(names):
        row = values.runs.get(name)
        if row is None and name != ACTIVE:
            raise RontgenError(f"expected runs of {', '.join([ACTIVE, *values.runs])}, received {name!r}")
        if bool(models) != (name == ACTIVE):
            raise RontgenError("expected --model with the run active, and with no other: `rontgen reproduce --help`")
        for way in dict.fromkeys(models) if row is None else [reading]:
            for seed in seeds:
                if row is None:
                    stated = architectures.changes(values, way, seed)
                else:
                    study = f"studies.{row.study}"
                    stated = {"profile": "paper", f"{study}.split.seed": str(seed), f"{study}.train.seed": str(seed)}
                    stated |= readings.changes(papers.studies[row.study], values, name, way, seed)
                refuse_fixed(extra, stated)
                jobs.append(Job(name, way, seed, stated, extra))
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


def reproduce(
    jobs: list[Job], again: bool = False, at_once: int = 1, scheduler: str | None = None
) -> Iterator[tuple[Job, Record]]:
    """Run and record each job, and yield it with its record. Prints the time left.

    again: whether to train what is recorded, and to replace its record. at_once, scheduler: workers, as those of
    `side_by_side.results`; the records are the same, and written in the same order. Raises RontgenError where the code
    is not committed, a stage fails, or a record of the same name has other settings.
    """
    recorded = {} if again else {job.name: record for job in jobs if (record := _recorded(job))}
    pieces = {job.name: (job, again, job.load(), job.without_extra.load()) for job in jobs if job.name not in recorded}
    with recording.origin() as origin, side_by_side.results(origin, _train, pieces, at_once, scheduler) as trained:
        for job in jobs:
            if job.name in recorded:
                made = recorded[job.name].provenance["commit"][:7]
                said = f"{job.name}: recorded at {made}; `--again` trains it again and replaces the record"
                print(said, file=sys.stderr)
                yield job, recorded[job.name]
            else:
                yield job, _record(job, origin.commit, next(trained))


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


def _train(prepared: Clone, name: str, job: Job, again: bool, planned: Run, without_extra: Run) -> Trained:
    """Run a job in a clone. planned: the run with its settings. without_extra: with those of Job.without_extra."""
    stages = [runs.stage_name(stage, job.run) for stage in ("train", "evaluate")]
    if again:
        images = planned.image_set
        needed = [images.balance_command, planned.start.weights_command]
        before = [command.removeprefix("dvc repro ") for command in needed]
        experiment = prepared.run(name, job.changes, before, stages)
    else:
        experiment = prepared.run(name, job.changes, stages)
    with chdir(prepared.folder):
        run = runs.load_run(job.run)
        if run.settings != planned.settings:
            raise RontgenError(
                f"{name}: expected the job's settings, received others: run `rm -r {prepared.folder}` first"
            )
        command = runs.stage_command("evaluate", job.run)
        metrics = {
            "test": read_json(run.metrics, command),
            "train": read_json(run.train_metrics, run.train_command),
            "perturbed": read_json(run.perturbed, command),
        }
        external = pd.read_csv(run.films, dtype={"id": str})
        predictions = read_predictions(run.predictions, str(run.predictions), command)
        history = pd.read_csv(run.history)
        manifest = arrays.read_manifest(run.image_set)
        facts = provenance.gather(run, without_extra, load_papers())
    return Trained(experiment, metrics, predictions, external, history, manifest, facts)


def _record(job: Job, commit: str, trained: Trained) -> Record:
    """Write the record of a job, and add its split to results/splits and its experiment to the project."""
    trained.experiment.fetch()
    dataset = job.load().image_set.split.dataset_name
    split = {"dataset": dataset, "column": splits.write(dataset, trained.manifest, records.FOLDER)}
    head = {"run": job.run, "reading": job.reading, "seed": job.seed, "commit": commit, "set": job.stated}
    facts = head | {"extra": job.extra, "split": split} | trained.facts
    metrics = trained.metrics | {"time": facts["time"]}
    record = Record(
        job.run, job.treatment, job.seed, metrics, trained.predictions, trained.history, facts, trained.external
    )
    records.write(record)
    return record
