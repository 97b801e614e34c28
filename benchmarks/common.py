"""What the rows of the benchmark share: how two alternatives are timed in turn, and the images they work on."""

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from rontgen.core import params
from rontgen.data.demo import phantom


@dataclass(frozen=True)
class Measured:
    """ours, peer: in the row's unit. ratio: ours over the peer's. note: what only the measurement can tell."""

    ours: float
    peer: float
    ratio: float
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A line of the table. target: the lowest ratio wanted, or the highest where `at_least` is false.

    measure: called in a process of its own, with the path of the originals or None.
    """

    subject: str
    peer: str
    unit: str
    target: float
    at_least: bool
    measure: Callable[[Path | None], Measured]


def in_turn(ours: Callable[[], float], peer: Callable[[], float], repeats: int, warm_up: bool = True) -> Measured:
    """Call both alternately; returns the medians of what they return, and of the ratios within each pair of calls."""
    if warm_up:
        ours(), peer()
    pairs = [(ours(), peer()) for _ in range(repeats)]
    return Measured(*(statistics.median(values) for values in zip(*pairs, strict=True)), ratio(pairs))


def ratio(pairs: list[tuple[float, float]]) -> float:
    return statistics.median(ours / peer for ours, peer in pairs)


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def drain(values: Iterable) -> None:
    """Make each value and let go of it before the next, as a training does."""
    for _ in values:
        pass


def in_process(function: Callable, *arguments):
    """What a module-level function returns in a fresh process with its own memory."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def memory(name: str) -> float:
    """A line of /proc/self/status in MiB: VmRSS, VmHWM, RssAnon, …"""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


@cache
def settings() -> params.Params:
    return params.load()


def threads() -> int:
    """Threads of one operation, as in the profile with the papers' sizes."""
    return settings().profiles["paper"].threads


def chests(count: int, size: int, findings: tuple[str, str] = ("normal", "covid"), seed: int = 7):
    """Drawn chests of two findings in turn: uint8 (count, size, size, 1) and labels int (count,)."""
    labels = np.arange(count) % 2
    images = [
        phantom.draw(findings[label], *np.random.default_rng([seed, number]).spawn(2), size, size).image
        for number, label in enumerate(labels)
    ]
    return np.stack(images)[..., None], labels
