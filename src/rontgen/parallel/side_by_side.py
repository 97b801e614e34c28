"""Work on real data, several pieces at once on dask workers, each in a free clone: `rontgen reproduce --jobs 2`."""

import math
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Concatenate, TypeVar

from distributed import Client, Future, get_worker

from rontgen.core.errors import RontgenError
from rontgen.parallel import recording, stages, workers
from rontgen.parallel.clone import Clone, Origin

# Seconds between two looks at the workers
POLL = 0.5

# Workers that one piece of work may lose
MOST_LOST = 3

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
        given = client.submit(lambda: origin, key=f"clone-{origin.commit}")

        def submit(name: str, worker: str, resources: dict[str, float]) -> Future:
            called = (_on_worker, given, None if scheduler else root, work, name, *pieces[name])
            return client.submit(*called, key=f"{name}-{uuid.uuid4()}", workers=[worker], resources=resources)

        try:
            with closing(_gathered(client, list(pieces), submit)) as gathered:  # before the client is
                yield _timed(gathered, len(pieces), len(_usable(client)[0]))
        finally:
            client.run(workers.forget, origin.commit, on_error="ignore")


def _usable(client: Client) -> tuple[list[str], dict[str, float]]:
    """The addresses of those workers that have a GPU, or of all if none has; and what a piece of work takes of one."""
    found = client.scheduler_info(n_workers=-1)["workers"]
    with_gpu = [address for address, worker in found.items() if "GPU" in worker["resources"]]
    return (with_gpu, {"GPU": 1}) if with_gpu else (list(found), {})


def _gathered(client: Client, names: list[str], submit: Callable[..., Future]) -> Generator:
    """Results in the order of the names. A worker has one piece at a time. A killed one's goes to the next that is
    free: dask would queue it behind another's."""
    waiting, done, lost = list(names), dict[str, Future](), Counter[str]()
    at_work = dict[str, tuple[str, Future]]()
    try:
        for name in names:
            while name not in done:
                usable, resources = _usable(client)
                for worker, (piece, future) in list(at_work.items()):
                    if future.done():
                        done[piece] = future
                    elif worker not in usable:
                        future.cancel()
                        waiting.insert(0, piece)
                        lost[piece] += 1
                    else:
                        continue
                    del at_work[worker]
                for worker in usable:
                    if waiting and worker not in at_work:
                        _refuse_fatal(lost, waiting[0])
                        at_work[worker] = waiting[0], submit(waiting.pop(0), worker, resources)
                time.sleep(POLL)
            yield done[name].result()
    finally:
        client.cancel([future for _, future in at_work.values()])


def _refuse_fatal(lost: Mapping[str, int], name: str) -> None:
    if lost[name] > MOST_LOST:
        raise RontgenError(
            f"{name}: expected a worker that finishes it, lost {lost[name]} in a row: give the workers more memory, or "
            "fewer `--jobs`, and run the same command again"
        )


def _timed(found: Iterator[Result], total: int, at_once: int) -> Iterator[Result]:
    """Print, after each, the time left: that of the rounds to come."""
    begin = time.monotonic()
    for done, result in enumerate(found, 1):
        yield result
        if done < total:
            begun, rounds = math.ceil(done / at_once), math.ceil(total / at_once)
            left = timedelta(seconds=round((time.monotonic() - begin) / begun * (rounds - begun)))
            print(f"{done} of {total} done" + (f", about {left} left" if left else ""), file=sys.stderr)


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
