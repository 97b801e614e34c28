"""A small project with the repository's records and two runs, one active and exported, one reported; and its server."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from conftest import copy_settings
from rontgen.core import params

ROOT = Path(__file__).parents[1]
REPORTED = "pirngadi_simple_rnn"
STAGES = (
    "inputs",
    "download --dataset pneumonia",
    "split --split active",
    "preprocess --image-set active",
    "balance --image-set active",
    "weights --backbone active",
    "weights --backbone random",
    "train --run active",
    "evaluate --run active",
    "split --split pirngadi",
    "preprocess --image-set pirngadi_150",
    "balance --image-set pirngadi_150",
    f"train --run {REPORTED}",
    f"evaluate --run {REPORTED}",
)


def make(folder: Path) -> Path:
    """Write the project into `folder`; its stages run in one process, because Keras takes seconds to import."""
    folder.mkdir()
    _write_params(folder)
    for command in ([ROOT / "tests/run_stages.py", *STAGES], ["-m", "rontgen", "export", "active"]):
        subprocess.run([sys.executable, *command], cwd=folder, env=environment(), check=True, stdout=subprocess.DEVNULL)
    shutil.copytree(ROOT / "results", folder / "results")
    return folder


def environment() -> dict[str, str]:
    return os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": f"{ROOT / 'src'}"}


@contextmanager
def served(folder: Path, *arguments: str):
    """Run `rontgen serve` on the project; yields its address."""
    command = [sys.executable, "-u", "-m", "rontgen", "serve", "--port", "0", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, env=environment(), **pipes) as process:
        try:
            line = process.stdout.readline()
            if not line:
                raise AssertionError(process.stderr.read())
            yield line.split()[0].rstrip("/")
        finally:
            process.terminate()
            process.communicate(timeout=60)


def _write_params(folder: Path) -> None:
    copy_settings(folder)
    values = params.read_yaml(folder / "params.yaml") | {"model": "cnn2"}
    demo = values["profiles"]["demo"]
    demo["download"]["image_size"] = 64
    demo["split"]["max_per_class"] = {"train": 40, "validation": 12, "test": 12}
    demo["train"]["max_epochs"] = values["train"]["epochs"] = 1
    (folder / "params.yaml").write_text(json.dumps(values))
