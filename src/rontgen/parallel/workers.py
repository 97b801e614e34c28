"""What a dask worker does: DVC rebuilds one stage after the other in the worker's own clone of the project."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from distributed import get_worker
from dvc.exceptions import DvcException
from dvc.output import Output
from dvc.repo import Repo, lock_repo
from dvc.stage import Stage
from dvc.stage.loader import StageLoader
from dvc.stage.serialize import to_single_stage_lockfile

from rontgen.core.errors import RontgenError
from rontgen.parallel import clone
from rontgen.parallel.clone import Origin


@dataclass(frozen=True)
class Built:
    """A stage that a worker rebuilt: its entry for dvc.lock, the worker, and the time it took."""

    stage: str
    entry: dict
    seconds: float
    worker: str


# The clones of this process by their commits: each open, locked, and its stages by their addresses
_clones: dict[str, tuple[Repo, dict[str, Stage]]] = {}
# Repository locks, held for the lifetime of the process: after taking one anew DVC would read all of dvc.yaml anew
_locks = ExitStack()
# The stage at work, by its name and the file with its output
_at_work: dict[str, Path] = {}
# The working folder and the output are the whole process's
one_at_a_time = threading.Lock()


def build(origin: Origin, name: str, unchanged: dict[str, dict], *built: Built) -> Built:
    """Rebuild the stage `name` in this worker's clone, or take it from the run cache.

    unchanged, built: the stages it reads from, by their entries in dvc.lock, and as other workers built them. Raises
    RontgenError with the last line of the stage's output if it fails.
    """
    with one_at_a_time:
        begin = time.perf_counter()
        if origin.commit not in _clones:
            _clones[origin.commit] = _open(origin)
        repo, stages = _clones[origin.commit]
        log = Path(repo.root_dir, ".dvc/tmp/stage.log")
        stage = stages[name]
        with chdir(repo.root_dir), _output_to(log), repo.scm_context(quiet=True):
            _at_work[name] = log
            try:
                needed = [Path(dep.fs_path) for dep in stage.deps]
                for parent, entry in [*unchanged.items(), *((item.stage, item.entry) for item in built)]:
                    place(stages[parent], entry, needed, pull=origin.has_remote)
                stage.reproduce(pull=origin.has_remote)
                # which DVC leaves out where git tracks an output that is no metric or plot
                repo.stage_cache.save(stage)
                if origin.has_remote:
                    _push(stage)
            except DvcException as error:
                reason = _last_line(log) or str(error)
                raise RontgenError(f"stage {name} failed: {reason}: run `dvc repro {name}` to see it alone") from None
            finally:
                del _at_work[name]
        return Built(name, to_single_stage_lockfile(stage), time.perf_counter() - begin, get_worker().name)


def last_line() -> str:
    """What the stage at work printed last, after its name; "" where there is none."""
    return next((f"{name}: {_last_line(log)}" for name, log in list(_at_work.items())), "")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return next((line for line in reversed(lines) if line.strip()), "")


def take_all_threads() -> None:
    """Let stages run as `dvc repro` runs them, with all threads, which dask denies its workers."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_TRIM_THRESHOLD_"):
        os.environ.pop(name, None)


def forget(commit: str) -> None:
    """Stop what this worker still runs, then close and remove its clone of a commit, if it has one."""
    while True:  # a build that has only begun may start its stage later
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
        if one_at_a_time.acquire(timeout=0.2):
            break
    try:
        repo, _ = _clones.pop(commit, (None, None))
        if repo is not None:
            repo.close()
            shutil.rmtree(repo.root_dir, ignore_errors=True)
    finally:
        one_at_a_time.release()


def _open(origin: Origin) -> tuple[Repo, dict[str, Stage]]:
    folder = Path(get_worker().local_directory, origin.commit)
    clone.prepare(origin, folder)
    take_all_threads()
    os.environ |= clone.environment()
    with chdir(folder):
        repo = Repo(str(folder))
        _locks.enter_context(lock_repo(repo))
        return repo, {stage.addressing: stage for stage in repo.index.stages}


def place(stage: Stage, entry: dict, needed: list[Path], *, pull: bool) -> None:
    """Check out the outputs of a stage that are needed, contain a needed file, or lie in a needed folder.

    entry: of the stage, for dvc.lock. pull: from the remote. What git tracks is no link to the cache.
    """
    StageLoader.fill_from_lock(stage, entry)
    with _from_cache(stage) as kept_by_git:
        for out in stage.outs:
            path = Path(out.fs_path)
            if out.hash_info and any(other.is_relative_to(path) or path.is_relative_to(other) for other in needed):
                if pull:
                    for objects in out.get_used_objs().values():
                        stage.repo.cloud.pull(objects)
                out.checkout(force=True)
                if out in kept_by_git:
                    stage.repo.unprotect(out.fs_path)


def _push(stage: Stage) -> None:
    """Push the stage's outputs, and its entry in the run cache, to the remote."""
    with _from_cache(stage):
        for objects in stage.get_used_objs().values():
            stage.repo.cloud.push(objects)
    stage.repo.stage_cache.push(None)


@contextmanager
def _from_cache(stage: Stage) -> Iterator[list[Output]]:
    """Take outputs that git tracks from DVC's cache too, where the run cache has put them; yields these."""
    kept_by_git = [out for out in stage.outs if not out.use_cache]
    for out in kept_by_git:
        out.use_cache = True
    yield kept_by_git
    for out in kept_by_git:
        out.use_cache = False


@contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Redirect what this process and its children print to a file."""
    streams = {number: os.dup(number) for number in (1, 2)}
    try:
        with path.open("wb") as file:
            for number in streams:
                os.dup2(file.fileno(), number)
        yield
    finally:
        for number, copy in streams.items():
            os.dup2(copy, number)
            os.close(copy)
