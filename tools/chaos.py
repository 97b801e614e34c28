"""Kill the active run at random moments; the next `dvc repro` must end with the bytes of an uninterrupted one.

Works in a copy of the repository with a smaller demo and a DVC cache of its own. One run without a kill gives the
SHA-256 of every output in dvc.lock, measured times excepted, and how long each stage takes. Then, for each kill: the
outputs of one stage are removed, from the cache too; `dvc repro` is started, killed, and started again.
"""

import argparse
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil
from ruamel.yaml import YAML
from tqdm import tqdm

from rontgen.core import project

ROOT = Path(__file__).parents[1]
# Where stages write what git tracks
RESULTS = ("metrics/", "plots/", "docs/", "dvc.lock", "data/predictions/")
STAGES = ("download", "preprocess", "balance", "train", "evaluate")
# What is killed: the stage's process; that and dvc; or dvc alone, when the stage has ended and dvc stores its outputs
KINDS = ("stage", "both", "dvc")
POLL = 0.02  # seconds
PROGRESS = Path("models/resume/active.npz")

# Enough epochs that some can be killed, few and small images, and SMOTE, so that balance has work to do
SMALLER = {
    "balance: none ": "balance: smote ",
    "model: resnet50v2 ": "model: simple_rnn ",
    "      image_size: 128 ": "      image_size: 64 ",
    "      max_epochs: 3 ": "      max_epochs: 12 ",
    "        train: 112\n        validation: 28\n": "        train: 40\n        validation: 12\n",
}

# What docs/reliability.md tells the user to do, keyed by words from the DVC error that it remedies
REMEDIES = {
    "Unable to read RWLock-file": ["rm", ".dvc/tmp/rwlock"],
    "it is being blocked by": ["rm", ".dvc/tmp/rwlock"],
    "dvc.lock' validation failed": ["rm", "dvc.lock"],
    "unable to read: 'dvc.lock'": ["rm", "dvc.lock"],
}

# Measured, so never the same twice
TIMES = ("time.json",)


@dataclass(frozen=True)
class Kill:
    """moment: a share of the running time of what is killed. trained: the moment counts from the first saved epoch."""

    stage: str
    kind: str
    moment: float
    trained: bool = False


@dataclass
class Spans:
    """When a stage began, saved its first epoch, and ended, and when dvc had stored its outputs, in seconds."""

    begin: float
    epoch: float = 0.0
    end: float = 0.0
    taken: float = 0.0


@dataclass
class Report:
    """What came of the kills."""

    kills: Counter = field(default_factory=Counter)
    compared: int = 0
    resumed: int = 0
    remedies: Counter = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


class Pipeline:
    """A copy of the repository in which the active run can be reproduced, killed, and compared."""

    def __init__(self, folder: Path):
        self.folder = folder
        # None of the user's DVC configuration, which may name a shared cache
        settings = {name: str(folder / ".dvc/tmp" / name) for name in ("DVC_GLOBAL_CONFIG_DIR", "DVC_SITE_CACHE_DIR")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = os.environ | settings | {
            "DVC_SYSTEM_CONFIG_DIR": settings["DVC_GLOBAL_CONFIG_DIR"],
            "PATH": path,
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }  # fmt: skip
        self._copy()
        self.spans = self._reproduce_and_measure()
        self.expected = self.outputs()

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=chaos", "-c", "user.email=chaos@localhost"]
        plain = ["-c", "commit.gpgSign=false", "-c", f"core.hooksPath={os.devnull}"]
        subprocess.run(["git", *identity, *plain, *arguments], cwd=self.folder, check=True, capture_output=True)

    def outputs(self) -> dict[str, str]:
        """SHA-256 of every file of every output in dvc.lock, and the hash that dvc.lock has of each output."""
        hashes = {}
        for out in itertools.chain.from_iterable(stage["outs"] for stage in self._lock().values()):
            if not out["path"].endswith(TIMES):
                path = self.folder / out["path"]
                hashes[f"{out['path']} in dvc.lock"] = out["md5"]
                for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                    digest = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "folder"
                    hashes[str(file.relative_to(self.folder))] = digest
        return hashes

    def leftovers(self) -> list[str]:
        """Temporary folders that `files.replacing` did not get to remove."""
        places = [self.folder / name for name in ("data", "models", "metrics", "plots")]
        found = itertools.chain.from_iterable(place.rglob(".*") for place in places)
        return sorted(str(path.relative_to(self.folder)) for path in found if path.name != ".gitignore")

    def kill(self, kill: Kill, report: Report) -> None:
        """Make a stage stale, kill it, reproduce, and note what differs from the run without a kill."""
        while not self._start_and_kill(kill):
            self._reproduce(report)
            kill = replace(kill, moment=0.7 * kill.moment)
        epochs = self._epochs() if kill.stage == "train" else 0
        output = self._reproduce(report)
        report.kills[kill.stage, kill.kind] += 1
        if epochs:
            report.resumed += 1
            if f"resuming after epoch {epochs}\n" not in output:
                report.differences.append(f"{kill}: {epochs} epochs were saved, and not gone on from")
        outputs = self.outputs()
        report.compared += len(outputs)
        for name in sorted(outputs.keys() | self.expected.keys()):
            if outputs.get(name) != self.expected.get(name):
                report.differences.append(f"{kill}: {name}")
        self.expected = outputs  # a difference is reported once
        report.differences += [f"{kill}: {name} was left behind" for name in self.leftovers()]

    def _copy(self) -> None:
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
        for name in filter(None, names):
            if not name.startswith(RESULTS) and (ROOT / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.folder / name)
        path = self.folder / "params.yaml"
        text = path.read_text()
        for old, new in SMALLER.items():
            if old not in text:
                raise SystemExit(f"error: expected {old!r} in params.yaml, to make the demo smaller")
            text = text.replace(old, new, 1)
        path.write_text(text)
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("commit", "-qm", "start")

    def _dvc(self) -> subprocess.Popen:
        """`dvc repro evaluate` in a process group of its own."""
        command = [sys.executable, "-m", "dvc", "repro", "evaluate"]
        log = (self.folder / ".dvc/tmp/output").open("w")
        with log:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def _output(self) -> str:
        return (self.folder / ".dvc/tmp/output").read_text()

    def _reproduce_and_measure(self) -> dict[str, Spans]:
        (self.folder / ".dvc/tmp").mkdir(exist_ok=True)
        spans, current = {}, None
        dvc = self._dvc()
        while dvc.poll() is None:
            running = next(iter(_stages(dvc)), None)
            now = time.monotonic()
            if current is not None and running == current:
                spans[current].end = 0.0
            elif current is not None:
                spans[current].end = spans[current].end or now
            if running is not None and running != current:
                if current is not None:
                    spans[current].taken = now
                spans[running], current = Spans(now), running
            if (self.folder / PROGRESS).exists() and not spans[current].epoch:
                spans[current].epoch = now
            time.sleep(POLL)
        if dvc.returncode != 0:
            raise SystemExit(self._output())
        spans[current].taken = time.monotonic()
        return spans

    def _forget(self, stage: str) -> None:
        """Remove a stage's outputs, from the cache too, so that the stage must run again."""
        lock = self._lock()
        for out in lock[next(name for name in lock if name.split("@")[0] == stage)]["outs"]:
            path, cache = self.folder / out["path"], self.folder / ".dvc/cache/files/md5"
            objects = [out["md5"]]
            if path.is_dir():
                listing = cache / out["md5"][:2] / out["md5"][2:]
                objects += [entry["md5"] for entry in json.loads(listing.read_text())]
                shutil.rmtree(path)
            else:
                path.unlink()
            for name in objects:
                (cache / name[:2] / name[2:]).unlink(missing_ok=True)
        for run in (self.folder / ".dvc/cache/runs").rglob("*"):
            if run.is_file() and f"stages/{stage}.py" in run.read_text():
                run.unlink()

    def _start_and_kill(self, kill: Kill) -> bool:
        """Whether the kill hit its target: on a busy machine, that may have ended before."""
        self._forget(kill.stage)
        dvc, span = self._dvc(), self.spans[kill.stage]
        while not (processes := _processes(dvc, kill.stage)):
            if dvc.poll() is not None:
                raise SystemExit(f"error: {kill.stage} did not run:\n{self._output()}")
            time.sleep(POLL)
        if kill.kind == "dvc":
            psutil.wait_procs(processes)
            time.sleep(kill.moment * (span.taken - span.end))
        elif kill.trained:
            while not (self.folder / PROGRESS).exists() and dvc.poll() is None:
                time.sleep(POLL)
            time.sleep(kill.moment * (span.end - span.epoch))
        else:
            time.sleep(kill.moment * (span.end - span.begin))
        runs = bool(_processes(dvc, kill.stage))
        met = dvc.poll() is None and runs == (kill.kind != "dvc")
        met = met and (self.folder / PROGRESS).exists() >= kill.trained
        if kill.kind == "stage":
            for process in _processes(dvc, kill.stage):
                process.kill()
        elif dvc.poll() is None:
            os.killpg(dvc.pid, signal.SIGKILL)
        dvc.wait()
        return met

    def _epochs(self) -> int:
        """How many epochs the killed training had saved."""
        if not (self.folder / PROGRESS).exists():
            return 0
        with np.load(self.folder / PROGRESS) as file:
            return len(json.loads(str(file["state"]))["rows"])

    def _reproduce(self, report: Report) -> str:
        while self._dvc().wait() != 0:
            output = self._output()
            remedy = next((command for words, command in REMEDIES.items() if words in output), None)
            if remedy is None or report.remedies.total() > 100:
                raise SystemExit(f"error: dvc repro failed after a kill:\n{output}")
            report.remedies[" ".join(remedy)] += 1
            subprocess.run(remedy, cwd=self.folder, check=True, capture_output=True)
        return self._output()

    def _lock(self) -> dict:
        return YAML(typ="safe").load(self.folder / "dvc.lock")["stages"]


def _stages(dvc: subprocess.Popen) -> dict[str, list[psutil.Process]]:
    """The processes that dvc has started, by stage: a shell and Python, or Python alone."""
    found = {}
    try:
        for process in psutil.Process(dvc.pid).children(recursive=True):
            for argument in " ".join(process.cmdline()).split():
                if argument.startswith("stages/"):
                    found.setdefault(Path(argument).stem, []).append(process)
    except psutil.NoSuchProcess:  # it ended during the inspection
        pass
    return found


def _processes(dvc: subprocess.Popen, stage: str) -> list[psutil.Process]:
    return _stages(dvc).get(stage, [])


def plan(kills: int, seed: int) -> list[Kill]:
    """That many kills: every stage in turn, of every kind, at random moments; half of train's after an epoch."""
    numbers = random.Random(seed)
    kinds = {stage: itertools.cycle(["both", "stage", "dvc", "stage", "both", "stage"]) for stage in STAGES}
    planned = []
    for number in range(kills):
        stage = STAGES[number % len(STAGES)]
        kind = next(kinds[stage])
        trained = stage == "train" and kind != "dvc" and number // len(STAGES) % 3 != 2
        planned.append(Kill(stage, kind, numbers.random(), trained))
    return planned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    project.leave_hook()
    report, begin = Report(), time.monotonic()

    with tempfile.TemporaryDirectory(prefix="rontgen-chaos-") as folder:
        print("one run without a kill ...", flush=True)
        pipeline = Pipeline(Path(folder))
        for stage in STAGES:
            span = pipeline.spans[stage]
            print(f"  {stage:10}  {span.end - span.begin:4.1f} s, and {span.taken - span.end:.1f} s for dvc")
        for kill in tqdm(plan(arguments.kills, arguments.seed), "kills", unit="kill"):
            pipeline.kill(kill, report)

    print(f"\n{'killed':10}" + "".join(f"{kind:>8}" for kind in KINDS))
    for stage in STAGES:
        print(f"{stage:10}" + "".join(f"{report.kills[stage, kind]:8}" for kind in KINDS))
    print(
        f"{report.kills.total()} kills in {time.monotonic() - begin:.0f} s (seed {arguments.seed}), "
        f"{report.resumed} trainings gone on from a saved epoch\n"
        f"remedies needed: {dict(report.remedies) or 'none'}\n"
        f"{len(pipeline.expected)} outputs and hashes compared after each kill (measured times excepted), "
        f"{report.compared} in all, {len(report.differences)} differences"
    )
    print("\n".join(report.differences))
    sys.exit(bool(report.differences))


if __name__ == "__main__":
    main()
