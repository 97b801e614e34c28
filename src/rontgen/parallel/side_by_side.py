"""Work on real data, several pieces at once on dask workers, each in a free clone: `rontgen reproduce --jobs 2`."""

import math
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Concatenate, TypeVar

from distributed import KilledWorker, get_worker

from rontgen.core.errors import RontgenError
from rontgen.parallel import recording, stages, workers
from rontgen.parallel.clone import Clone, Origin

Result = TypeVar("Result")
Work = Callable[Concatenate[Clone, str, ...], Result]


@contextmanager
def results(
    origin: Origin, work: Work[Result], pieces: Mapping[str, tuple], jobs: int = 1, scheduler: str | None = None
) -> Iterator[Iterator[Result]]:
    """What `work`, called with a clone, a name and its arguments, returns for each of `pieces`, in their order.

    pieces: arguments by names. jobs: workers on this machine; 1 is this process. scheduler: address of a dask
    scheduler, to use its workers instead. Prints the time left. Raises RontgenError.
    """
    root = recording.FOLDER.absolute()
    if not pieces or (jobs == 1 and scheduler is None):
        found = (_in_clone(origin, root, work, name, *arguments) for name, arguments in pieces.items())
        yield _timed(found, len(pieces), 1)
        return
    here = stages.workers(min(jobs, len(pieces)), recording.FOLDER / "workers")
    with stages.scheduler_at(scheduler) if scheduler else here as client:
        offers = [worker["resources"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()]
        gpus = sum("GPU" in offer for offer in offers)
        given = client.submit(lambda: origin, key=f"clone-{origin.commit}")
        futures = {
            name: client.submit(
                _on_worker, given, None if scheduler else root, work, name, *arguments,
                key=f"{name}-{uuid.uuid4()}", resources={"GPU": 1} if gpus else {},
            )
            for name, arguments in pieces.items()
        }  # fmt: skip
        try:
            yield _timed(_gathered(futures), len(pieces), gpus or len(offers))
        finally:
            client.cancel(list(futures.values()))
            client.run(workers.forget, origin.commit, on_error="ignore")


def _gathered(futures: Mapping) -> Iterator:
    for name, future in futures.items():
        try:
            yield future.result()
        except KilledWorker as error:
            raise RontgenError(
                f"{name}: expected a worker that finishes it, lost {error.allowed_failures + 1} in a row: give the "
                "workers more memory, or fewer `--jobs`, and run the same command again"
            ) from None


def _timed(found: Iterator[Result], total: int, at_once: int) -> Iterator[Result]:
    """Print, after each, the time left: that of the rounds to come."""
    begin = time.monotonic()
    for done, result in enumerate(found, 1):
        yield result
        if done < total:
            rounds, left = math.ceil(done / at_once), math.ceil((total - done) / at_once)
            seconds = round((time.monotonic() - begin) / rounds * left)
            print(f"{done} of {total} done, about {timedelta(seconds=seconds)} left", file=sys.stderr)


def _on_worker(origin: Origin, root: Path | None, work: Work[Result], name: str, *arguments: object) -> Result:
    """As _in_clone; what is printed appears at the client, with the name. root: None is this worker's own folder."""
    worker = get_worker()

    def say(line: str) -> None:
        worker.log_event("print", f"{name}: {line}")

    with workers.one_at_a_time:
        workers.take_all_threads()
        # the worker that replaces a killed one has the same parent
        place = root or Path(worker.local_directory).parent
        return _in_clone(origin, place, work, name, *arguments, say=say)


def _in_clone(
    origin: Origin, root: Path, work: Work[Result], name: str, *arguments: object, say: Callable | None = None
) -> Result:
    with recording.free(origin, root, name) as free:
        return work(replace(free, say=say), name, *arguments)
