"""Clones for work on real data that is to be recorded: several pieces of work at once, each in a clone of its own."""

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
from dvc.repo import Repo

from rontgen.core.errors import RontgenError
from rontgen.core.io import locked, replacing
from rontgen.parallel import clone
from rontgen.parallel.clone import Clone, Origin

# Of the project's own clones; others lie in the folders of dask workers
FOLDER = Path(".dvc/tmp")


@contextmanager
def origin() -> Iterator[Origin]:
    """The project at its last commit, for the one process that may record something.

    Raises RontgenError where another process records, or the code differs from the commit.
    """
    busy = "expected one `rontgen reproduce` or `rontgen audit` at a time, another is at work: wait for it"
    clone.require_repository()
    with locked(FOLDER / "recording.lock", busy):
        commit = clone.last_commit()
        with Repo() as repo:
            found = Origin.of(repo, commit)
        yield found


@contextmanager
def at_last_commit(name: str) -> Iterator[Clone]:
    """A clone for work of that name, as `origin` and `free`."""
    with origin() as given, free(given, FOLDER.absolute(), name) as found:
        yield found


@contextmanager
def free(origin: Origin, root: Path, name: str) -> Iterator[Clone]:
    """The first clone in the folder `root` that no other process has, set to the origin and locked for this one.

    name: of the work. Work that was killed finds the progress of its training, whichever clone it was in.
    """
    with ExitStack() as lock:
        for number in itertools.count(1):
            folder = root / ("reproduce" if number == 1 else f"reproduce-{number}")
            try:
                lock.enter_context(locked(folder.with_suffix(".lock"), f"{folder} is at work"))
                break
            except RontgenError:
                continue
        progress = (origin.data.parent / FOLDER if origin.data.is_dir() else root) / "resume" / name
        progress.mkdir(parents=True, exist_ok=True)
        _end_leftovers({str(folder), str(progress.resolve())})
        clone.prepare(origin, folder)
        link = folder / clone.PROGRESS
        if link.is_dir() and not link.is_symlink():
            shutil.rmtree(link)  # of a clone made before clones shared their progress
        with replacing(link) as temporary:
            temporary.symlink_to(progress)
        yield Clone(folder, origin.commit)
        shutil.rmtree(progress)


def _end_leftovers(places: set[str]) -> None:
    """End what still runs, though its worker was killed, in a clone or with a progress that this process takes over."""
    left = []
    for process in psutil.process_iter(["environ"]):
        mark = (process.info["environ"] or {}).get(clone.MARK, "")
        if not places.isdisjoint(mark.split(os.pathsep)):
            left.append(process)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left)
