"""One training on several devices ends where the same training on one device does."""

import os
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

from conftest import ROOT
from rontgen.core.errors import RontgenError
from rontgen.data.arrays import Subset
from rontgen.training import data_parallel
from rontgen.training.batches import Batches
from rontgen.training.data_parallel import ALONE, Share

WORKER = ROOT / "tests/train_on_devices.py"
# The same sums, divided differently, round differently, and nine steps of Adam carry that on. Measured: the weights
# differ by at most 3e-5 of their norm and the history by 1e-3, much as with one and two threads on one device (1e-5 and
# 5e-4).
WEIGHTS, HISTORY = 2e-4, 1e-2


@pytest.fixture
def batches():
    """Every pixel of each of 21 images is the image's number; the last of the batches of 8 has 5."""
    images = np.arange(21, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    subset = Subset(images, np.arange(21), np.arange(21) % 2)
    return lambda **options: Batches(subset, 8, sigmoid=True, **options)


def shown(batches, index):
    return batches[index][0][:, 0, 0, 0].tolist()


def test_one_device_reads_every_batch_as_it_is(batches):
    assert [len(shown(batches(share=ALONE), index)) for index in range(3)] == [8, 8, 5]


def test_the_parts_of_all_processes_are_the_batch(batches):
    whole = batches(seed=1)
    for index in range(2):
        parts = [shown(batches(seed=1, share=Share(process, 2, 4)), index) for process in range(2)]
        assert [len(part) for part in parts] == [4, 4]
        assert parts[0] + parts[1] == shown(whole, index)


def test_a_batch_that_devices_cannot_share_is_padded_after_its_own_images(batches):
    whole = batches(seed=1)
    parts = [shown(batches(seed=1, share=Share(process, 2, 4)), 2) for process in range(2)]
    together = parts[0] + parts[1]
    assert len(together) == 8 + 4  # longer than any other batch
    assert together[:5] == shown(whole, 2)
    assert set(together[5:]) <= set(together[:5])


def test_none_distributes_nothing():
    data_parallel.prepare("none", 32)
    assert keras.distribution.distribution() is None
    assert data_parallel.share() == ALONE and data_parallel.is_first()


def test_another_backend_is_one_line_that_says_what_to_do():
    with pytest.raises(RontgenError, match=r"received tensorflow.*set KERAS_BACKEND=jax .`make setup`") as caught:
        data_parallel.prepare("data_parallel", 32)
    assert "\n" not in str(caught.value)


def test_processes_described_by_halves_are_one_line(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "2")
    with pytest.raises(RontgenError, match="KERAS_DISTRIBUTION_PROCESS_ID, received KERAS_DISTRIBUTION_NUM_PROCESSES"):
        data_parallel.prepare("data_parallel", 32)


def train(
    output, distribute="none", *, devices=1, processes=1, cores=None, batch_size=16, seeds=(1, 1), epochs_saved=None
):  # fmt: skip
    """Train in new processes; returns their exit codes, and what they wrote to standard error."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    started = []
    for process in range(processes):
        environment = os.environ | {
            "KERAS_BACKEND": "jax",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        }
        if processes > 1:
            environment |= dict(zip(data_parallel.PROCESSES, (address, str(processes), str(process)), strict=True))
        arguments = [output, distribute, batch_size, seeds[process], *([] if epochs_saved is None else [epochs_saved])]
        started.append(
            subprocess.Popen(
                [sys.executable, "-B", WORKER, *map(str, arguments)],
                env=environment,
                preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    errors = [process.communicate(timeout=120)[1] for process in started]
    return [process.returncode for process in started], errors


def read(output, process=0):
    with np.load(f"{output}.{process}.npz") as file:
        return {name: file[name] for name in file.files}


def assert_close(ours, theirs):
    history, expected = ours.pop("history"), theirs["history"]
    np.testing.assert_allclose(history, expected, rtol=HISTORY)
    weights = np.concatenate([ours[name].ravel() for name in ours])
    expected = np.concatenate([theirs[name].ravel() for name in ours])
    assert np.linalg.norm(weights - expected) < WEIGHTS * np.linalg.norm(expected)


def assert_same(ours, theirs):
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value)


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    """The result of the training on one device that shares with no other."""
    output = tmp_path_factory.mktemp("one") / "one"
    assert train(output)[0] == [0]
    return read(output)


@pytest.mark.slow
def test_two_devices_of_one_process_train_the_same_weights(one_device, tmp_path):
    codes, errors = train(tmp_path / "two", "data_parallel", devices=2)
    assert codes == [0], errors
    assert_close(read(tmp_path / "two"), one_device)


@pytest.mark.slow
def test_two_processes_train_the_same_weights_even_when_killed_between(one_device, tmp_path):
    codes, _ = train(tmp_path / "two", "data_parallel", processes=2, epochs_saved=1)
    assert 9 in codes
    codes, errors = train(tmp_path / "two", "data_parallel", processes=2)
    assert codes == [0, 0], errors
    assert_same(read(tmp_path / "two", 1), read(tmp_path / "two", 0))
    assert_close(read(tmp_path / "two", 0), one_device)


@pytest.mark.slow
def test_processes_of_different_settings_are_refused(tmp_path):
    codes, errors = train(tmp_path / "other", "data_parallel", processes=2, seeds=(1, 2))
    assert codes == [2, 2]
    assert all("expected the same settings" in error for error in errors)


@pytest.mark.slow
def test_a_batch_that_no_devices_can_share_is_refused(tmp_path):
    codes, errors = train(tmp_path / "odd", "data_parallel", devices=2, batch_size=15)
    assert codes == [2]
    assert "expected a multiple of the 2 devices, received 15" in errors[0]


@pytest.mark.slow
def test_jax_trains_the_same_bytes_on_another_number_of_cores(one_device, tmp_path):
    cores = sorted(os.sched_getaffinity(0))[:1]
    assert train(tmp_path / "one", cores=cores)[0] == [0]
    assert_same(read(tmp_path / "one"), one_device)
