"""Clones for work on real data that is to be recorded: several pieces of work at once, each in a clone of its own."""

import itertools
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

# Where a training saves its progress
PROGRESS = Path("models/resume")


@contextmanager
def origin() -> Iterator[Origin]:
    """The project at its last commit, for the one process that may record something.

    Raises RontgenError where another process records, or the code differs from the commit.
    """
    busy = "expected one `rontgen reproduce` or `rontgen audit` at a time, another is at work: wait for it"
    with locked(FOLDER / "recording.lock", busy), Repo() as repo:
        yield Origin.of(repo, clone.last_commit())


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
        _end_leftovers(folder)
        clone.prepare(origin, folder)
        progress = (origin.data.parent / FOLDER if origin.data.is_dir() else root) / "resume" / name
        progress.mkdir(parents=True, exist_ok=True)
        link = folder / PROGRESS
        if link.is_dir() and not link.is_symlink():
            shutil.rmtree(link)  # of a clone made before clones shared their progress
        with replacing(link) as temporary:
            temporary.symlink_to(progress)
        yield Clone(folder, origin.commit)
        shutil.rmtree(progress)


def _end_leftovers(folder: Path) -> None:
    """End what still runs in a clone whose process was killed."""
    processes = psutil.process_iter(["environ"])
    left = [process for process in processes if (process.info["environ"] or {}).get(clone.MARK) == str(folder)]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left)
