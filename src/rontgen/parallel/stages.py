"""Rebuild the stale stages, several at a time, on dask workers: `rontgen scale --jobs 2`.

Each worker has a clone of its own (workers.py), where DVC rebuilds one stage after the other from what earlier stages
wrote, through a cache that all share by path, or through a DVC remote. Its outputs come back the same way, with its
entry for dvc.lock. `dvc repro` remains the authority: run afterwards, it finds everything done.
"""

import logging
import os
import shutil
import subprocess
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dask
import psutil
from distributed import Client, KilledWorker, Nanny, Scheduler, SpecCluster, as_completed
from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.stage import Stage
from dvc.stage.serialize import to_single_stage_lockfile
from tqdm import tqdm

from rontgen.core import progress
from rontgen.core.errors import RontgenError
from rontgen.parallel import clone
from rontgen.parallel.clone import Origin
from rontgen.parallel.workers import build, forget, last_line, place

# A stage that reads from more stages than this gathers their results: it runs at the end, in the workspace
MOST_PARENTS = 8

# Bytes that a stage may take: a training at 224 pixels, and Python with TensorFlow
MEMORY = 2 * 2**30

# Seconds that the workers of a given scheduler may take to appear
PATIENCE = 60


@dataclass(frozen=True)
class Task:
    """A stale stage. parents: the stale stages it reads from. unchanged: entries in dvc.lock of its other inputs.
    resources: what a worker must have free for it, such as {"GPU": 1}, if any worker has some."""

    name: str
    parents: list[str]
    unchanged: dict[str, dict]
    resources: dict[str, float]


def rebuild_stale(targets: list[str], jobs: int | None, scheduler: str | None, remote: str | None) -> None:
    """Rebuild those of the stages, and of the stages they depend on, that are stale.

    targets: as for `dvc repro`. jobs: workers on this machine; most_jobs() if None. scheduler: address of a dask
    scheduler, to use its workers instead. remote: a DVC remote to share, if these cannot reach this project's cache.
    Raises RontgenError.
    """
    clone.require_repository()
    try:
        repo = Repo(config={"core": {"remote": remote}} if remote else None)
        if remote and remote not in repo.config["remote"]:
            known = ", ".join(repo.config["remote"]) or "none, for there is none"
            raise RontgenError(f"--remote: expected one of {known}, received {remote!r}: add it with `dvc remote add`")
        tasks = plan(repo, targets, remote)
        built = {}
        if tasks:
            origin = Origin.of(repo, clone.snapshot(), remote)
            local = workers(max(jobs or most_jobs(), _gpus()), Path(repo.tmp_dir, "scale"))
            with scheduler_at(scheduler) if scheduler else local as client:
                print(f"{len(tasks)} stale stages; dashboard: {client.dashboard_link}")
                built = rebuild(client, origin, tasks)
        finish(repo, targets, built, pull=bool(remote))
    except DvcException as error:
        raise RontgenError(str(error)) from error


def plan(repo: Repo, targets: list[str], remote: str | None) -> list[Task]:
    """The stale stages that workers can rebuild, parents first. What they need is pushed to the remote, if any."""
    with lock_repo(repo):
        graph = get_active_graph(repo.index.graph)
        tasks: list[Task] = []
        stale, gathering, inputs = set[Stage](), set[Stage](), set[Stage]()
        for stage in plan_repro(graph, collect_stages(repo, targets)):
            parents = list(graph.successors(stage))
            if stage.frozen or (stale.isdisjoint(parents) and not stage.changed()):
                continue
            stale.add(stage)
            if len(parents) > MOST_PARENTS or not gathering.isdisjoint(parents):
                gathering.add(stage)
                continue
            unchanged = [parent for parent in parents if parent not in stale]
            inputs.update(unchanged)
            tasks.append(
                Task(
                    stage.addressing,
                    [parent.addressing for parent in parents if parent in stale],
                    {parent.addressing: to_single_stage_lockfile(parent) for parent in unchanged},
                    (stage.meta or {}).get("resources", {}),
                )
            )
        if remote and inputs:
            repo.push(targets=[stage.addressing for stage in inputs])
        return tasks


def rebuild(client: Client, origin: Origin, tasks: list[Task]) -> dict[str, dict]:
    """Rebuild all tasks on the workers of a client, showing progress; returns the entry in dvc.lock of each, by name.

    Raises RontgenError if a stage fails or its workers keep dying; finished stages stay in the cache.
    """
    offered = {
        name for worker in client.scheduler_info(n_workers=-1)["workers"].values() for name in worker["resources"]
    }
    given = client.submit(lambda: origin, key=f"clone-{origin.commit}")
    futures: dict = {}
    first = set[str]()  # the active run's, of which the demo's longest training is one, and those that they need
    for task in reversed(tasks):
        if "@" not in task.name or task.name in first:
            first |= {task.name, *task.parents}
    for task in tasks:
        kind = task.name.rpartition(":")[2].partition("@")[0]
        futures[task.name] = client.submit(
            build, given, task.name, task.unchanged, *(futures[parent] for parent in task.parents),
            key=f"{kind}-{uuid.uuid4()}",
            resources={name: amount for name, amount in task.resources.items() if name in offered},
            priority=int(task.name in first),
        )  # fmt: skip
    entries = {}
    try:
        with progress.bar(total=len(tasks), desc="rebuild", unit="stage") as bar, _relayed(client):
            for future in as_completed(futures.values()):
                built = future.result()
                entries[built.stage] = built.entry
                bar.write(f"{built.stage}: {built.seconds:.0f} s on {built.worker}")
                bar.update()
    except KilledWorker as error:
        name = next(name for name, future in futures.items() if future.key == error.task)
        raise RontgenError(
            f"stage {name}: expected a worker that finishes it, lost {error.allowed_failures + 1} in a row: give the "
            f"workers more memory, or run `dvc repro {name}` to see it alone"
        ) from None
    finally:
        client.cancel(list(futures.values()))
        client.run(forget, origin.commit, on_error="ignore")
    return entries


@contextmanager
def _relayed(client: Client) -> Iterator[None]:
    """Meanwhile, print once a minute what each stage at work said last."""
    ended = threading.Event()

    def relay() -> None:
        while not ended.wait(progress.SECONDS):
            for line in filter(None, client.run(last_line, on_error="ignore").values()):
                tqdm.write(line)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(relay)
        try:
            yield
        finally:
            ended.set()


def finish(repo: Repo, targets: list[str], built: dict[str, dict], *, pull: bool) -> None:
    """Take what workers built from the cache into the workspace, and let DVC run the stages that gather it.

    built: of rebuild. DVC would write the whole of dvc.lock after each stage; here it is written once. pull: from the
    remote.
    """
    done: list[Stage] = []

    def reproduce(stage, **options):
        bar.set_postfix_str(stage.addressing)
        if stage.addressing in built:
            place(stage, built[stage.addressing], [Path(out.fs_path) for out in stage.outs], pull=pull)
            result = stage
        else:
            result = stage.reproduce(**options)
        if result is not None:
            done.append(stage)
        bar.update()
        return result

    with lock_repo(repo), progress.bar(desc="in the workspace", unit="stage") as bar:
        try:
            repo.reproduce(targets, repro_fn=reproduce, pull=pull)
        finally:
            if done:
                done[0].dvcfile.dump_stages(done, update_pipeline=False)


@contextmanager
def workers(jobs: int, scratch: Path) -> Iterator[Client]:
    """A client of `jobs` workers on this machine. A worker that gets a GPU does not share it."""
    gpus = _gpus()
    scheduler = {"cls": Scheduler, "options": {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"}}
    specification = {}
    for number in range(jobs):
        options = {"nthreads": 1, "memory_limit": 0, "local_directory": str(scratch), "name": f"worker {number + 1}"}
        if gpus:
            options["env"] = {"CUDA_VISIBLE_DEVICES": str(number) if number < gpus else ""}
            options["resources"] = {"GPU": 1} if number < gpus else {}
        specification[number] = {"cls": Nanny, "options": options}
    scratch.mkdir(parents=True, exist_ok=True)
    quiet = {"distributed.nanny.pre-spawn-environ": {"DASK_LOGGING__DISTRIBUTED": "error"}}
    try:
        with (
            dask.config.set(quiet),
            SpecCluster(specification, scheduler, silence_logs=logging.ERROR) as cluster,
            Client(cluster) as client,
        ):
            yield client
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def scheduler_at(address: str) -> Iterator[Client]:
    """A client of a scheduler with workers. Raises RontgenError if there is no scheduler, or it has no worker."""
    with ExitStack() as stack:
        try:
            client = stack.enter_context(Client(address, timeout=PATIENCE))
            client.wait_for_workers(1, timeout=PATIENCE)
        except (OSError, TimeoutError) as error:
            raise RontgenError(
                f"--scheduler: expected a dask scheduler with workers at {address}, waited {PATIENCE} seconds: "
                f"{error}: start them with `dask scheduler` and `dask worker {address}`"
            ) from None
        yield client


def most_jobs() -> int:
    """As many as there are cores, if each has its MEMORY."""
    return max(1, min(os.cpu_count() or 1, psutil.virtual_memory().available // MEMORY))


def _gpus() -> int:
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], check=False, capture_output=True, text=True)
    return listed.stdout.count("GPU ") if listed.returncode == 0 else 0
