"""A small finished project with an active and a reported run, both exported: `python served_project.py FOLDER`.

All its stages run in one process, for Keras takes seconds to import.
"""

import json
import os
import runpy
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml import YAML

from finished_project import CLAIMS

ROOT = Path(__file__).parents[1]
REPORTED = "pirngadi_simple_rnn"
STAGES = (
    "download --dataset pneumonia",
    "split --study active",
    "preprocess --view active",
    "balance --view active",
    "train --run active",
    "evaluate --run active",
    "split --study pirngadi",
    "preprocess --view pirngadi_150",
    "balance --view pirngadi_150",
    f"train --run {REPORTED}",
    f"evaluate --run {REPORTED}",
)


def make(folder: Path) -> Path:
    """Write the project into `folder`, in a process of its own."""
    folder.mkdir()
    subprocess.run([sys.executable, __file__, str(folder)], env=environment(), check=True, stdout=subprocess.DEVNULL)
    return folder


def environment() -> dict[str, str]:
    return os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": f"{ROOT / 'src'}"}


@contextmanager
def served(folder: Path, *arguments: str, stderr=subprocess.PIPE, **variables: str):
    """`python -m rontgen.app` at work on the project; yields its address. stderr: an open file for what it logs."""
    command = [sys.executable, "-u", "-m", "rontgen.app", "--port", "0", *arguments]
    with subprocess.Popen(
        command, cwd=folder, env=environment() | variables, stdout=subprocess.PIPE, stderr=stderr, text=True
    ) as process:
        try:
            line = process.stdout.readline()
            if not line:
                raise AssertionError(process.stderr and process.stderr.read())
            yield line.split()[0].rstrip("/")
        finally:
            process.terminate()
            process.communicate(timeout=60)


def _write_params() -> None:
    values = YAML(typ="safe").load(ROOT / "params.yaml")
    values |= {"model": "cnn2"}
    values["reported"] = {REPORTED: values["reported"][REPORTED]}
    demo = values["profiles"]["demo"]
    demo["download"]["image_size"] = 64
    demo["split"]["max_per_class"] = {"train": 40, "validation": 12, "test": 12}
    demo["train"]["max_epochs"] = 1
    Path("params.yaml").write_text(json.dumps(values))  # which is YAML too


def _run(script: Path | str, arguments: str) -> None:
    sys.argv = [str(script), *arguments.split()]
    if isinstance(script, Path):
        runpy.run_path(str(script), run_name="__main__")
    else:
        runpy.run_module(script, run_name="__main__")


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    _write_params()
    for stage in STAGES:
        name, _, rest = stage.partition(" ")
        _run(ROOT / f"stages/{name}.py", rest)
    _run("rontgen.export", "--run active")
    _run("rontgen.export", f"--run {REPORTED}")
    Path("metrics/claims.csv").write_text(CLAIMS)
