"""Load-test the page's JSON interface: `python -m benchmarks.serving --run active`, once the run is exported.

It starts its own server on loopback, sends it test images from several clients at once, and stops it. The bare model is
timed on the same pictures in one process without HTTP.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
from tqdm import tqdm

from rontgen.core import errors, runs
from rontgen.core.runs import ACTIVE
from rontgen.data import arrays
from rontgen.data.archives import Archive
from rontgen.serving.predictor import Trained, open_predictors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default=ACTIVE)
    parser.add_argument("--kind", choices=("keras", "onnx"), default="keras")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=500, help="of all clients together")
    arguments = parser.parse_args()
    files = test_files(arguments.run)

    command = [
        sys.executable,
        "-m",
        "rontgen",
        "serve",
        arguments.run,
        "--kind",
        arguments.kind,
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        address = process.stdout.readline().split()[0]
        server = psutil.Process(process.pid)
        load(address, files, arguments.clients, 50)  # to warm up
        before = server.memory_info().rss
        seconds, took, failed = load(address, files, arguments.clients, arguments.requests)
        after = server.memory_info().rss
        load(address, files, arguments.clients, arguments.requests)
        again = server.memory_info().rss
        process.terminate()
    bare = bare_seconds(arguments.run, arguments.kind, files)
    median, last = np.percentile(seconds, [50, 99]) * 1000
    print(
        f"{arguments.run}, {arguments.kind}: {arguments.clients} clients, {arguments.requests} requests, "
        f"{failed} failed: "
        f"{arguments.requests / took:.0f} a second, median {median:.0f} ms, 99th percentile {last:.0f} ms; "
        f"one picture alone in the process {bare * 1000:.1f} ms, so that {arguments.clients} in turn take "
        f"{arguments.clients * bare * 1000:.0f}; memory of the server {before / 2**20:.0f} MiB before, "
        f"{after / 2**20:.0f} after, {again / 2**20:.0f} after as many again"
    )


def test_files(name: str) -> list[bytes]:
    """The test images of a run, as they are stored in their archives."""
    run = runs.load_run(name)
    manifest = arrays.read_split(run.image_set.split)
    test = manifest[manifest["subset"] == "test"].head(100)
    found = []
    for archive, rows in test.groupby("archive"):
        path = Path(run.image_set.split.raw, archive)
        with Archive(path, command=f"dvc repro download@{run.image_set.split.dataset_name}") as opened:
            found += [opened.read(member) for member in rows["member"]]
    return found


def load(address: str, files: list[bytes], clients: int, requests: int) -> tuple[list[float], float, int]:
    """The seconds of each request and of all together, and how many did not get 200."""
    seconds, failed = [], 0
    local = threading.local()

    def ask(number: int) -> tuple[float, bool]:
        if not hasattr(local, "client"):
            local.client = httpx.Client(base_url=address, timeout=60)
        begin = time.perf_counter()
        response = local.client.post("/api/predict", files={"files": ("x.png", files[number % len(files)])})
        return time.perf_counter() - begin, response.status_code == 200

    begin = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        for took, succeeded in tqdm(pool.map(ask, range(requests)), total=requests, unit="request"):
            seconds.append(took)
            failed += not succeeded
    return seconds, time.perf_counter() - begin, failed


def bare_seconds(run: str, kind: str, files: list[bytes]) -> float:
    """The median seconds that a predictor takes for one picture, without HTTP."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    predictor = open_predictors([Trained.in_workspace(run)], kind)[run]
    seconds = []
    for data in files:
        begin = time.perf_counter()
        predictor.read(data)
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds))


if __name__ == "__main__":
    errors.run(main)
