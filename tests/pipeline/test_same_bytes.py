"""Two checkouts give the same bytes in another process, with another hash seed and another number of cores.

The stages of a checkout run in one process, because Keras takes seconds to import.
"""

import hashlib
import os
import subprocess
import sys

import pytest

from conftest import ROOT, copy_settings, replace_in_params

SMALLER = {
    "model: resnet50v2 ": "model: cnn1 ",
    "  epochs: 10\n": "  epochs: 1\n",
    "      max_epochs: 3 ": "      max_epochs: 1 ",
    "        train: 112\n        validation: 28\n": "        train: 24\n        validation: 8\n",
}
# One run of each family of models; measured times are the one thing that may differ
RUNS = {"active": ("active", "active", "active"), "smatika_vgg16": ("smatika", "smatika_224", "vgg16")}
RUNS["pirngadi_simple_rnn"] = ("pirngadi", "pirngadi_150", "random")
STAGES = ["inputs", "download --dataset pneumonia"]
for run, (split, image_set, backbone) in RUNS.items():
    STAGES += [f"split --split {split}"]
    STAGES += [f"{stage} --image-set {image_set}" for stage in ("preprocess", "balance")]
    STAGES += [f"weights --backbone {backbone}", f"train --run {run}", f"evaluate --run {run}"]
STAGES = list(dict.fromkeys(STAGES))  # two runs begin with the same weights

pytestmark = pytest.mark.slow


def outputs(folder, hash_seed, cores):
    """Run the stages in a fresh folder; the SHA-256 of every file they wrote, by its path."""
    copy_settings(folder)
    replace_in_params(folder, SMALLER)
    for command in (["init", "-q"], ["commit", "--allow-empty", "-qm", "0"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    before = set(folder.rglob("*"))
    result = subprocess.run(
        [sys.executable, "-B", ROOT / "tests/run_stages.py", *STAGES],
        cwd=folder,
        env=os.environ | {"PYTHONHASHSEED": str(hash_seed)},
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    files = [path for path in folder.rglob("*") if path.is_file() and path not in before and ".git" not in path.parts]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name != "time.json"
    }


def test_every_output_has_the_same_bytes(tmp_path):
    cores = sorted(os.sched_getaffinity(0))
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first = outputs(tmp_path / "first", 1, cores[:1])
    second = outputs(tmp_path / "second", 2, cores)
    assert len([name for name in first if name.endswith(".keras")]) == len(RUNS)
    assert first == second
