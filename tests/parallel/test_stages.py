"""Several stages at once, each in a clone, give the result of `dvc repro`. Tested on a project of small stages."""

import itertools
import os
import queue
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from distributed import Client
from ruamel.yaml import YAML

from conftest import ROOT, mark_project
from rontgen.core import progress
from rontgen.core.errors import RontgenError
from rontgen.parallel import stages, workers

PIPELINE = """
stages:
  draw:
    foreach: ${seeds}
    do:
      cmd: python stage.py ${item} data/drawn_${key}
      params:
        - seeds.${key}
      deps:
        - stage.py
      outs:
        - data/drawn_${key}
      metrics:
        - metrics/${key}.json:
            cache: false
  train:
    foreach: ${seeds}
    do:
      cmd: python stage.py data/drawn_${key} metrics/${key}.json models/${key}
      deps:
        - stage.py
        - data/drawn_${key}
        - metrics/${key}.json
      outs:
        - models/${key}
  page:  # as git tracks it, and it is no metric or plot, DVC keeps it out of the run cache
    cmd: wc models/run1 > page
    deps: [models/run1]
    outs: [{page: {cache: false}}]
  gather:  # of more stages than stages.MOST_PARENTS
    cmd: cat data/*/drawn models/* > report
    deps: [DEPS]
    outs: [{report: {cache: false}}]
  measured:
    cmd: "false"
    frozen: true
    outs: [{measured.md: {cache: false}}]
"""
SEEDS = {f"run{number}": number for number in range(5)}
# Writes what it was given to the path in its last argument; `python stage.py seed folder` writes a folder and a metric
STAGE = """
import os, sys, time
from pathlib import Path
*inputs, output = sys.argv[1:]
if os.environ.get("STAGE_MARKS"):
    marks = Path(os.environ["STAGE_MARKS"])
    mark = marks / Path(output).name
    with mark.open("a") as file:
        file.write(f"{os.getcwd()}\\n")
    other = marks / "run1"  # which is to be at work when another fails
    while not (other.exists() and other.read_text()) if mark.name == "fails" else Path(f"{mark} waits").exists():
        time.sleep(0.05)
if Path(output).name == "fails":
    sys.exit("error: expected seven, received eight")
if output.startswith("data"):
    Path(output).mkdir(parents=True)
    Path(output, "drawn").write_text(f"drawn from {inputs[0]}")
    Path("metrics").mkdir(exist_ok=True)
    Path("metrics", output.partition("_")[2] + ".json").write_text(f'{{"seed": {inputs[0]}}}')
else:
    Path("models").mkdir(exist_ok=True)
    Path(output).write_text(Path(inputs[0], "drawn").read_text() + Path(inputs[1]).read_text())
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """A project of 13 stages, none of which has run; some of what they need is not committed."""
    folder = tmp_path_factory.mktemp("scale") / "project"
    mark_project(folder)
    outputs = [f"{place}{name}" for place in ("data/drawn_", "models/") for name in SEEDS]
    (folder / "dvc.yaml").write_text(PIPELINE.replace("DEPS", ", ".join(outputs)))
    (folder / "stage.py").write_text(STAGE)
    (folder / ".gitignore").write_text("/data/\n/models/\n")
    (folder / "measured.md").write_text("elsewhere")
    (folder / "page").write_text("of another model")
    write_seeds(folder, SEEDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        run(folder, "git", "init", "-q")
        run(folder, "dvc", "init", "-q")
        run(folder, "git", "add", "-A")
        run(folder, "git", "commit", "-qm", "start")
        (folder / "stage.py").write_text("import helper\n" + STAGE.replace("drawn from", "painted from"))
        (folder / "helper.py").write_text("")
        yield folder


@pytest.fixture(scope="module")
def serial(committed, tmp_path_factory):
    """A copy of that project after `dvc repro`."""
    folder = shutil.copytree(committed, tmp_path_factory.mktemp("serial") / "project")
    run(folder, "dvc", "repro")
    return folder


@pytest.fixture
def project(committed, tmp_path):
    """A copy of that project before it."""
    return shutil.copytree(committed, tmp_path / "project")


@pytest.fixture
def built(serial, tmp_path):
    """A copy of that project after it."""
    return shutil.copytree(serial, tmp_path / "built")


@pytest.fixture
def marks(tmp_path, monkeypatch):
    """Where each stage leaves a file with the clone of each time it runs; run1 waits while there is `run1 waits`."""
    folder = tmp_path / "marks"
    folder.mkdir()
    monkeypatch.setenv("STAGE_MARKS", str(folder))
    return folder


def write_seeds(folder, seeds):
    YAML().dump({"seeds": seeds}, folder / "params.yaml")


def run(folder, *command):
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def scaled(folder, *arguments):
    return run(folder, sys.executable, "-m", "rontgen", "scale", *arguments)


def rebuilt(result):
    return set(re.findall(r"^(\S+): \d+ s on ", result.stdout, re.MULTILINE))


def everything(folder):
    """The files of a project: git's, DVC's outputs, and dvc.lock."""
    files = [path for path in folder.rglob("*") if path.is_file() and not {".git", ".dvc"} & set(path.parts)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_files_and_dvc_lock_are_those_of_dvc_repro_which_then_runs_nothing(project, serial, without_identity):
    """Uncommitted changes among them, on a machine where git knows no identity; a frozen stage is left alone."""
    result = scaled(project)
    assert "dashboard: http://127.0.0.1:" in result.stdout
    assert rebuilt(result) == {"page"} | {f"{stage}@{name}" for stage in ("draw", "train") for name in SEEDS}
    assert everything(project) == everything(serial)
    assert "painted from 1" in (project / "report").read_text()
    output = run(project, "dvc", "repro").stdout
    assert "Running stage" not in output and "up to date" in output


def test_the_stale_stages_alone_are_rebuilt(built):
    write_seeds(built, SEEDS | {"run3": 33})
    assert rebuilt(scaled(built)) == {"draw@run3", "train@run3"}
    assert "painted from 33" in (built / "report").read_text()


def test_a_stage_that_writes_something_else_each_time_runs_once_in_a_fresh_clone(project, marks):
    """For example the seconds of a training, which git tracks: dvc.lock has those of whoever committed it."""
    pipeline = (project / "dvc.yaml").read_text()
    timed = "        - models/${key}\n      metrics:\n        - times/${key}.json:\n            cache: false\n"
    (project / "dvc.yaml").write_text(pipeline.replace("        - models/${key}\n", timed, 1))
    taken = 'else:\n    Path("times").mkdir(exist_ok=True)\n    '
    taken += 'Path("times", Path(output).name + ".json").write_text(str(time.time_ns()))\n'
    (project / "stage.py").write_text(STAGE.replace("else:\n", taken))
    run(project, "dvc", "repro")
    for folder in (".dvc/cache", ".dvc/tmp", "data", "models"):
        shutil.rmtree(project / folder)
    for mark in marks.iterdir():
        mark.unlink()
    scaled(project)
    runs = {mark.name: len(mark.read_text().split()) for mark in marks.iterdir()}
    assert runs == dict.fromkeys([*SEEDS, *(f"drawn_{name}" for name in SEEDS)], 1)


def test_an_output_is_brought_that_a_stage_needs_in_part_or_in_a_folder(built):
    with (built / "dvc.yaml").open("a") as file:
        for name, needed in {"part": "data/drawn_run1/drawn", "folder": "data"}.items():
            file.write(
                f"  {name}:\n    cmd: cp data/drawn_run1/drawn {name}\n    deps: [{needed}]\n    outs: [{name}]\n"
            )
    assert rebuilt(scaled(built, "part", "folder")) == {"part", "folder"}
    assert (built / "part").read_text() == (built / "folder").read_text() == "painted from 1"


def test_a_stage_that_fails_is_one_line_and_ends_what_the_others_run(project, marks):
    write_seeds(project, {"run1": 1, "fails": 2} | SEEDS)
    (marks / "run1 waits").touch()
    with at_work(project, "train@run1", "train@fails") as process:
        output, _ = process.communicate(timeout=300)  # though train@run1 waits forever
    assert process.returncode == 2
    assert output.strip().splitlines()[-1] == (
        "error: stage train@fails failed: error: expected seven, received eight: "
        "run `dvc repro train@fails` to see it alone"
    )
    clone = (marks / "run1").read_text().strip()
    wait_for(lambda: not processes_in(clone))
    # the targets with what they need alone; and what is finished stays
    assert {mark.name for mark in marks.iterdir()} == {"drawn_run1", "drawn_fails", "run1", "fails", "run1 waits"}
    assert "'draw@fails' is cached - skipping run" in run(project, "dvc", "repro", "draw@fails").stdout


def test_what_a_build_starts_only_after_forget_was_called_ends_too(tmp_path):
    """In a process of its own, since `forget` kills every child of its worker."""
    script = tmp_path / "late.py"
    script.write_text("""
import subprocess, threading, time
from rontgen.parallel import workers

def build_late():
    with workers.one_at_a_time:
        begun.set()
        time.sleep(0.5)
        ended.append(subprocess.run(["sleep", "100"], check=False).returncode)

begun, ended = threading.Event(), []
thread = threading.Thread(target=build_late)
thread.start()
begun.wait()
workers.forget("none")
thread.join()
print(ended)
""")
    assert subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300).stdout == "[-9]\n"


def processes_in(folder):
    return [process for process in psutil.process_iter(["cwd"]) if (process.info["cwd"] or "").startswith(folder)]


@contextmanager
def at_work(folder, *arguments):
    """`rontgen scale` while it runs."""
    command = [sys.executable, "-m", "rontgen", "scale", *arguments]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with process:  # closes its pipe
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen within a minute")


def test_a_killed_worker_is_replaced_and_the_work_finishes(project, serial, marks):
    for name in SEEDS:
        (marks / f"drawn_{name} waits").touch()
    with at_work(project) as process:
        wait_for(lambda: sum(mark.stat().st_size > 0 for mark in marks.iterdir()) == 2)
        first = next(mark for mark in marks.iterdir() if mark.stat().st_size)
        (stage,) = [each for each in processes_in(first.read_text().strip()) if "stage.py" in each.cmdline()]
        worker = next(each for each in stage.parents() if "spawn" in " ".join(each.cmdline()))
        worker.kill()
        stage.kill()
        for name in SEEDS:
            (marks / f"drawn_{name} waits").unlink()
        output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert len(set(first.read_text().split())) == 2  # in the clone of the killed worker, then in another
    assert everything(project) == everything(serial)


def test_workers_that_share_only_a_remote_give_the_same(project, serial, tmp_path):
    run(project, "dvc", "remote", "add", "shared", str(tmp_path / "remote"))
    with started("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(tmp_path / "scheduler")):
        wait_for(lambda: (tmp_path / "scheduler").exists() and "tcp://" in (tmp_path / "scheduler").read_text())
        address = re.search(r"tcp://[\d.]+:\d+", (tmp_path / "scheduler").read_text())[0]
        options = [address, "--nthreads", "1", "--no-dashboard", "--worker-port", "0"]
        with (
            started("worker", *options, "--name", "first", "--local-directory", str(tmp_path / "first")),
            started("worker", *options, "--name", "second", "--local-directory", str(tmp_path / "second")),
        ):
            with Client(address) as client:
                client.wait_for_workers(2, timeout=60)
            result = scaled(project, "--scheduler", address, "--remote", "shared")
    assert set(re.findall(r" s on (\w+)", result.stdout)) == {"first", "second"}
    assert everything(project) == everything(serial)


@contextmanager
def started(kind, *arguments):
    command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def test_what_a_stage_at_work_says_is_relayed(tmp_path, monkeypatch):
    said = queue.Queue()
    monkeypatch.setattr(progress, "SECONDS", 0.1)
    monkeypatch.setattr(stages.tqdm, "write", said.put)

    def work(log):
        log.write_text("Running stage\nhash a.zip: 1%\rhash a.zip: 2%\n\n")
        workers._at_work["split"] = log

    with stages.workers(2, tmp_path / "scratch") as client:
        client.submit(work, tmp_path / "log").result()
        with stages._relayed(client):
            assert [said.get(timeout=60) for _ in range(2)] == ["split: hash a.zip: 2%"] * 2


def test_a_scheduler_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(stages, "PATIENCE", 1)
    message = "expected a dask scheduler .* at tcp://127.0.0.1:9, waited 1 seconds"
    with pytest.raises(RontgenError, match=message), stages.scheduler_at("tcp://127.0.0.1:9"):
        pass


def test_a_remote_that_is_not_there_is_named(project, monkeypatch):
    monkeypatch.chdir(project)
    with pytest.raises(RontgenError, match=r"--remote: expected one of .* received 'nowhere': .* `dvc remote add`"):
        stages.rebuild_stale(["dvc.yaml"], 1, None, "nowhere")


def test_each_gpu_runs_one_stage_at_a_time(tmp_path, monkeypatch):
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho 'GPU 0: one'\necho 'GPU 1: two'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def visible(number):  # not at module level, from where the workers could not import it
        begin = time.time()
        time.sleep(0.3)
        return os.environ["CUDA_VISIBLE_DEVICES"], begin, time.time()

    with stages.workers(3, tmp_path / "scratch") as client:
        client.wait_for_workers(3, timeout=60)
        futures = [client.submit(visible, number, resources={"GPU": 1}) for number in range(4)]
        seen = client.gather(futures)
        everywhere = client.run(lambda: os.environ["CUDA_VISIBLE_DEVICES"])
    assert sorted(everywhere.values()) == ["", "0", "1"]
    for device in ("0", "1"):
        spans = sorted((begin, end) for name, begin, end in seen if name == device)
        assert spans and all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))
    assert {name for name, _, _ in seen} == {"0", "1"}


def test_training_and_evaluation_ask_for_a_gpu():
    entries = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    asking = {name for name, entry in entries.items() if "resources" in entry.get("do", entry).get("meta", {})}
    assert asking == {"train", "evaluate", "reported_train", "reported_evaluate"}
