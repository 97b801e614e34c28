"""A training with JAX gives the same bytes again."""

import os
import subprocess
import sys

import numpy as np
import pytest

from conftest import ROOT

WORKER = ROOT / "tests/train_in_jax.py"

pytestmark = pytest.mark.slow


def train(output, *epochs, cores=None):
    """Train in a new process; returns its exit code, and what it wrote to standard error."""
    done = subprocess.run(
        [sys.executable, "-B", WORKER, output, *map(str, epochs)],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stderr


def read(output):
    with np.load(f"{output}.npz") as file:
        return {name: file[name] for name in file.files}


def test_a_run_killed_on_all_cores_and_resumed_on_one_ends_in_the_same_bytes(tmp_path):
    code, errors = train(tmp_path / "whole")
    assert code == 0, errors
    assert train(tmp_path / "killed", 1)[0] == 9
    assert (tmp_path / "killed.progress.npz").exists()
    code, errors = train(tmp_path / "killed", cores=sorted(os.sched_getaffinity(0))[:1])
    assert code == 0, errors
    ours = read(tmp_path / "killed")
    for name, value in read(tmp_path / "whole").items():
        np.testing.assert_array_equal(ours[name], value)
