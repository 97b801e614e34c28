"""Reported runs in the profile `paper`, seed by seed, each as a DVC experiment, recorded in results/.

They run in a clone of the project at the last commit, under .dvc/tmp, which shares the DVC cache: the workspace keeps
its demo, and a record's code is that of a commit. A killed run goes on from its last saved epoch.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import chdir, contextmanager
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
from rontgen.evidence import provenance, records
from rontgen.evidence.published import Papers, load_papers
from rontgen.evidence.records import Record

CLONE = Path(".dvc/tmp/reproduce")

# What decides what a run computes: records name a commit, so these may not differ from it
CODE = ("src", "stages", "dvc.yaml", "params.yaml", "papers.yaml", "requirements.txt")

IDENTITY = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "rontgen"), ("EMAIL", "rontgen@localhost"))
}


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
    """A job for each run and seed. Raises RontgenError for a run, a reading or a key that is not there."""
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
            jobs.append(Job(name, reading, seed, stated | known[reading], extra))
            params.validate(params.changed(raw, jobs[-1].changes))
    return jobs


def reproduce(jobs: list[Job]) -> Iterator[tuple[Job, Record, bool]]:
    """Run and record each job; yields it with its record, and whether it was trained now. Prints the time left.

    Raises RontgenError where the code is not committed or a stage fails.
    """
    with _alone():
        yield from _one_by_one(jobs)


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the clone for this process. Raises RontgenError where another one has it."""
    path = CLONE.with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RontgenError(
                "expected to be alone, another `rontgen reproduce` is at work here: wait for it"
            ) from None
        yield


def _one_by_one(jobs: list[Job]) -> Iterator[tuple[Job, Record, bool]]:
    commit, papers = _commit(), load_papers(Path("papers.yaml"))
    clone = _clone(commit)
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
        _run(job, clone, commit)
        record = _collect(job, clone, commit, papers)
        records.write(record)
        seconds.append(time.monotonic() - begin)
        yield job, record, True


def _commit() -> str:
    changed = _git("status", "--porcelain", "--", *CODE)
    if changed:
        first = changed.splitlines()[0][3:]
        raise RontgenError(f"expected committed code, received changes in {first}: `git commit` or `git stash` them")
    return _git("rev-parse", "HEAD")


def _clone(commit: str) -> Path:
    """A clone of the project at a commit, with this project's DVC cache and what was put into data/archives."""
    clone = CLONE.absolute()
    if not (clone / ".git").exists():
        shutil.rmtree(clone, ignore_errors=True)
        clone.parent.mkdir(parents=True, exist_ok=True)
        _git("clone", "--quiet", "--no-checkout", ".", str(clone))
    _git("fetch", "--quiet", "origin", commit, cwd=clone)
    _restore(clone, commit)
    (clone / ".dvc/tmp/rwlock").unlink(missing_ok=True)
    cache = _dvc("cache", "dir", cwd=Path.cwd())
    _dvc("config", "--quiet", "--local", "cache.dir", cache, cwd=clone)
    _dvc("config", "--quiet", "--local", "cache.type", "reflink,hardlink,copy", cwd=clone)
    kept = clone / by_hand.FOLDER
    for path in kept.iterdir():
        if path.name != ".gitignore" and not _same(path, by_hand.FOLDER / path.name):
            path.unlink()
    for path in by_hand.FOLDER.iterdir():
        if not (kept / path.name).exists():
            shutil.copy2(path, kept / path.name)
    return clone


def _restore(clone: Path, commit: str) -> None:
    """The clone's tracked files as a commit has them, and no other dvc.lock.

    `dvc exp run` leaves what it set in params.yaml, where the next job would take it for its own. DVC writes dvc.lock
    in place, so that a kill may leave half of one; what was finished is in its run cache.
    """
    _git("checkout", "--quiet", "--force", "--detach", commit, cwd=clone)
    _git("clean", "--quiet", "--force", "--", str(provenance.LOCK), cwd=clone)


def _same(path: Path, other: Path) -> bool:
    if not other.exists():
        return False
    one, two = path.stat(), other.stat()
    return (one.st_size, one.st_mtime_ns) == (two.st_size, two.st_mtime_ns)


def _run(job: Job, clone: Path, commit: str) -> None:
    """The job as a DVC experiment in the clone, which this project's `dvc exp show` then has too."""
    _restore(clone, commit)
    changes = [part for key, value in job.changes.items() for part in ("-S", f"{key}={value}")]
    target = parts.stage_command("evaluate", job.run).removeprefix("dvc repro ")
    command = [sys.executable, "-m", "dvc", "exp", "run", "--force", "--name", job.name, *changes, target]
    code = subprocess.run(command, cwd=clone, env=_environment(clone), check=False).returncode
    if code != 0:
        raise RontgenError(f"{job.name}: a stage failed, see above: mend it and run the same command again")
    _git("fetch", "--quiet", "--force", str(clone), "refs/exps/*:refs/exps/*")


def _collect(job: Job, clone: Path, commit: str, papers: Papers) -> Record:
    stated, planned = (
        runs.load_run(job.run, params.validate(params.changed(params.read(), changes)))
        for changes in (job.stated, job.changes)
    )
    with chdir(clone):
        run = runs.load_run(job.run)
        if provenance.settings(run) != provenance.settings(planned):
            raise RontgenError(f"{job.name}: expected the job's settings, received others: run `rm -r {CLONE}` first")
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


def _environment(clone: Path) -> dict[str, str]:
    """Stages run on the clone's sources by this Python; git has an author where the user named none."""
    paths = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": str(clone / "src"),
    }
    return IDENTITY | os.environ | paths


def _git(*arguments: str, cwd: Path | None = None) -> str:
    return _output(["git", *arguments], cwd)


def _dvc(*arguments: str, cwd: Path) -> str:
    return _output([sys.executable, "-m", "dvc", *arguments], cwd)


def _output(command: list[str], cwd: Path | None) -> str:
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise RontgenError(f"`{' '.join(command[:3])}` failed: {lines[-1] if lines else 'no message'}")
    return done.stdout.strip()
