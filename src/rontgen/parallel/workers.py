"""The work of a worker of parallel.py: DVC rebuilds one stage in the worker's own clone of the project."""

import io
import os
import shutil
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from distributed import get_worker
from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo
from dvc.stage import Stage
from dvc.stage.loader import StageLoader
from dvc.stage.serialize import to_single_stage_lockfile

from rontgen.core.errors import RontgenError

IDENTITY = ["-c", "user.name=rontgen", "-c", "user.email=rontgen@localhost"]


@dataclass(frozen=True)
class Project:
    """The source of a clone. name: of its folder. files: the project's, as a tar. config: of DVC, as in .dvc/config: a
    cache that all clones share, or a remote. data: the project's data folder, if the worker can reach it."""

    name: str
    files: bytes
    config: dict
    data: Path

    @property
    def has_remote(self) -> bool:
        return "remote" in self.config


@dataclass(frozen=True)
class Built:
    """A stage that a worker rebuilt: its entry for dvc.lock, the worker, and the time it took."""

    stage: str
    entry: dict
    seconds: float
    worker: str


# The clones of this process by their projects' names: each open, locked, and its stages by their addresses
_clones: dict[str, tuple[Repo, dict[str, Stage]]] = {}
# Repository locks, held for the lifetime of the process: after taking one anew DVC would read all of dvc.yaml anew
_locks = ExitStack()
# The working folder and the output are the whole process's
_one_at_a_time = threading.Lock()


def build(project: Project, name: str, unchanged: dict[str, dict], *built: Built) -> Built:
    """Rebuild the stage `name` in this worker's clone, or take it from the run cache.

    unchanged, built: the stages it reads from, by their entries in dvc.lock, and as other workers built them. Raises
    RontgenError with the last line of the stage's output if it fails.
    """
    with _one_at_a_time:
        begin = time.perf_counter()
        if project.name not in _clones:
            _clones[project.name] = _open(project)
        repo, stages = _clones[project.name]
        log = Path(repo.root_dir, ".dvc/tmp/stage.log")
        stage = stages[name]
        with chdir(repo.root_dir), _output_to(log), repo.scm_context(quiet=True):
            try:
                needed = [Path(dep.fs_path) for dep in stage.deps]
                for parent, entry in [*unchanged.items(), *((item.stage, item.entry) for item in built)]:
                    _place(stages[parent], entry, needed, pull=project.has_remote)
                stage.reproduce(pull=project.has_remote)
                if project.has_remote:
                    _push(stage)
            except DvcException as error:
                lines = log.read_text(errors="replace").split("\n")
                reason = next((line for line in reversed(lines) if line.strip()), str(error))
                raise RontgenError(f"stage {name} failed: {reason}: run `dvc repro {name}` to see it alone") from None
        return Built(name, to_single_stage_lockfile(stage), time.perf_counter() - begin, get_worker().name)


def forget(name: str) -> None:
    """Stop what this worker still runs, then close and remove its clone of the project `name`, if it has one."""
    while True:  # a build that has only begun may start its stage later
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
        if _one_at_a_time.acquire(timeout=0.2):
            break
    try:
        repo, _ = _clones.pop(name, (None, None))
        if repo is not None:
            repo.close()
            shutil.rmtree(repo.root_dir, ignore_errors=True)
    finally:
        _one_at_a_time.release()


def _open(project: Project) -> tuple[Repo, dict[str, Stage]]:
    cache = project.config.get("cache", {}).get("dir")
    if cache and not Path(cache).is_dir():
        raise RontgenError(f"expected the DVC cache at {cache}, found none there: share it by path, or give --remote")
    folder = Path(get_worker().local_directory, project.name)
    with tarfile.open(fileobj=io.BytesIO(project.files)) as archive:
        # Python 3.11.3 and older have no filters, and the tar is the project's own
        if hasattr(tarfile, "data_filter"):
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(folder)
    # DVCLive asks git for the last commit
    for command in (["init", "-q"], ["add", "-A"], [*IDENTITY, "commit", "-qm", "snapshot"]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    for name in ("archives", "kaggle"):  # what was put there by hand, and downloads
        if (project.data / name).is_dir():
            shutil.rmtree(folder / "data" / name, ignore_errors=True)
            (folder / "data" / name).symlink_to(project.data / name)
    # stages run as `dvc repro` runs them, with all threads, which dask denies its workers; and on this clone's sources
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_TRIM_THRESHOLD_"):
        os.environ.pop(name, None)
    os.environ["PYTHONPATH"] = str(folder / "src")
    with chdir(folder):
        repo = Repo(str(folder), config=project.config)
        _locks.enter_context(lock_repo(repo))
        return repo, {stage.addressing: stage for stage in repo.index.stages}


def _place(parent: Stage, entry: dict, needed: list[Path], *, pull: bool) -> None:
    """Check out the outputs of a stage that are needed, contain a needed file, or lie in a needed folder."""
    StageLoader.fill_from_lock(parent, entry)
    with _from_cache(parent):
        for out in parent.outs:
            path = Path(out.fs_path)
            if out.hash_info and any(other.is_relative_to(path) or path.is_relative_to(other) for other in needed):
                if pull:
                    for objects in out.get_used_objs().values():
                        parent.repo.cloud.pull(objects)
                out.checkout(force=True)


def _push(stage: Stage) -> None:
    """Push the stage's outputs, and its entry in the run cache, to the remote."""
    with _from_cache(stage):
        for objects in stage.get_used_objs().values():
            stage.repo.cloud.push(objects)
    stage.repo.stage_cache.push(None)


@contextmanager
def _from_cache(stage: Stage) -> Iterator[None]:
    """Take outputs that git tracks from DVC's cache too, where the run cache has put them."""
    kept_by_git = [out for out in stage.outs if not out.use_cache]
    for out in kept_by_git:
        out.use_cache = True
    yield
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
