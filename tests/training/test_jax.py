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


def assert_same(ours, theirs):
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The result of a training that nothing stops."""
    output = tmp_path_factory.mktemp("whole") / "whole"
    code, errors = train(output)
    assert code == 0, errors
    return read(output)


def test_another_number_of_cores_trains_the_same_bytes(whole, tmp_path):
    cores = sorted(os.sched_getaffinity(0))[:1]
    code, errors = train(tmp_path / "one", cores=cores)
    assert code == 0, errors
    assert_same(read(tmp_path / "one"), whole)


def test_a_killed_run_ends_in_the_same_bytes(whole, tmp_path):
    assert train(tmp_path / "killed", 1)[0] == 9
    assert (tmp_path / "killed.progress.npz").exists()
    code, errors = train(tmp_path / "killed")
    assert code == 0, errors
    assert_same(read(tmp_path / "killed"), whole)
