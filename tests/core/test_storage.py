"""A full disk, a limit and a read-only folder end in one clear line, and nothing of the output is left."""

import contextlib
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest

from conftest import ROOT, copy_settings
from rontgen.core import errors
from rontgen.core.errors import RontgenError
from rontgen.core.io import replacing, write_json
from rontgen.data import smote
from rontgen.data.demo import archives as synthetic
from rontgen.reporting import plots
from rontgen.training import protocol

LIMIT = 16 * 1024  # bytes; every output written below is larger
NOISE = np.random.default_rng(0).integers(0, 256, (20, 60, 60, 1), np.uint8)


def write_progress(path):
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, noise=NOISE)


def write_table(path):
    with replacing(path) as temporary:
        pd.DataFrame(NOISE.reshape(20, -1)).to_csv(temporary)


def save_model(path):
    protocol.save(keras.Sequential([keras.Input((100,)), keras.layers.Dense(100)]), path)


def write_synthetic(path):
    smote.write(smote.Synthetic(NOISE, pd.DataFrame(columns=smote.ROW_COLUMNS)), path.parent)


# Each output and what writes it, each with another library
WRITERS = {
    "images.npy": write_synthetic,
    "progress.npz": write_progress,
    "a.keras": save_model,
    "a.csv": write_table,
    "a.json": lambda path: write_json({"noise": NOISE.ravel().tolist()}, path),
    "a.png": lambda path: plots.confusion_matrix({"A": {"A": 1, "B": 2}, "B": {"A": 3, "B": 4}}, "a", path),
    "a.zip": lambda path: synthetic.write_archive("tb_radiography", path, 16, 7),
}


@contextlib.contextmanager
def limited():
    """No file may grow beyond LIMIT: the kernel then fails a write halfway, as a full disk does.

    For use around a single call, because pytest's own report may go to a larger file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def mount(tmp_path):
    """Mount a file system in memory, with these options, at tmp_path/disk, if the tests are allowed to."""
    disk = tmp_path / "disk"

    def mount(options):
        disk.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode != 0:
            pytest.skip("mounting a file system is for root")
        return disk

    yield mount
    while os.path.ismount(disk):
        subprocess.run(["umount", str(disk)], check=True)


def error_line(capsys, call):
    """The line that a stage script prints where `call` fails."""
    with pytest.raises(SystemExit) as caught:
        errors.run(call)
    assert caught.value.code == 2
    line = capsys.readouterr().err.rstrip("\n").splitlines()[-1]  # a progress bar may come before
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_may_not_grow_leaves_the_old_one(name, tmp_path, capsys):
    path = tmp_path / "out" / name
    path.parent.mkdir()
    path.write_text("old")
    with limited():
        line = error_line(capsys, lambda: WRITERS[name](path))
    assert line.startswith(f"error: {path}: ")
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_nothing(name, mount, capsys):
    path = mount(f"size={LIMIT}") / name
    line = error_line(capsys, lambda: WRITERS[name](path))
    assert line == f"error: {path}: no space left: free some, or move the project to a larger disk, and run it again"
    assert list(path.parent.iterdir()) == []


def test_a_read_only_disk_is_named(mount, capsys):
    path = mount("size=16k") / "a.json"
    mount("remount,ro,size=16k")
    line = error_line(capsys, lambda: write_json({}, path))
    assert line == f"error: {path}: read-only file system: work in a folder that can be written"


@pytest.mark.parametrize("name", ["a.json", "new/a.json"])
def test_a_folder_that_may_not_be_written_is_named(name, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o555)
    if os.access(folder, os.W_OK):  # root may write everywhere

        def refuse(path, *arguments, **options):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

        monkeypatch.setattr(os, "mkdir", refuse)
    line = error_line(capsys, lambda: write_json({}, folder / name))
    assert line.startswith(f"error: {(folder / name).parent if '/' in name else folder / name}: permission denied: ")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_write_elsewhere_is_explained_too(number, capsys):
    def write():
        raise OSError(number, os.strerror(number), "metrics/runs/active/train/dvclive")

    assert error_line(capsys, write).startswith("error: metrics/runs/active/train/dvclive: ")


def test_a_copy_that_does_not_fit_names_its_target(tmp_path):
    path = tmp_path / "a.zip"
    with pytest.raises(RontgenError, match=rf"^{path}: no space left"), replacing(path) as temporary:
        raise OSError(errno.ENOSPC, "full", "source.zip", None, str(temporary))


def test_a_source_that_may_not_be_read_is_named(tmp_path):
    with pytest.raises(RontgenError, match=r"^source\.zip: permission denied"), replacing(tmp_path / "a.zip"):
        raise PermissionError(errno.EACCES, "denied", "source.zip")


def test_another_error_keeps_its_traceback(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.zip") as temporary:
        temporary.read_bytes()


def test_what_a_killed_process_left_is_swept(tmp_path):
    code = (
        "import os, pathlib, sys; from rontgen.core.io import replacing\n"
        "with replacing(pathlib.Path('a.npy')) as path: path.write_text('half'); os.kill(os.getpid(), 9)"
    )
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path)
        assert killed.returncode == -signal.SIGKILL
        assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / ".a.npy.keep").touch()
    (tmp_path / ".a.npy.gz.12345678.partial").mkdir()  # of another output, perhaps still being written
    with replacing(tmp_path / "a.npy") as temporary:
        temporary.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.npy.gz.12345678.partial", ".a.npy.keep", "a.npy"]


@pytest.mark.slow
def test_a_stage_on_a_full_disk_leaves_no_output(tmp_path):
    copy_settings(tmp_path)

    def run(script, *arguments, limit=resource.RLIM_INFINITY):
        command = [sys.executable, "-B", ROOT / f"stages/{script}.py", *arguments]
        limiting = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # noqa: E731
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, preexec_fn=limiting)

    def files():
        return {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}

    assert run("inputs").returncode == 0  # a few bytes, less than the limit
    for stage in ("download --dataset pneumonia", "split --split active", "preprocess --image-set active"):
        before = files()
        failed = run(*stage.split(), limit=LIMIT)
        assert failed.returncode == 2, failed.stderr
        assert failed.stderr.splitlines()[-1].startswith("error: data/")
        assert files() == before
        assert run(*stage.split()).returncode == 0
