"""An archive that is added, replaced or removed makes exactly its dataset's download stale, as DVC sees it."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from conftest import copy_repository, replace_in_params

COVID = "data/archives/tawsifurrahman--covid19-radiography-database.zip"
CHEST = "data/archives/paultimothymooney--chest-xray-pneumonia.zip"

pytestmark = pytest.mark.slow


@pytest.fixture
def repro(tmp_path, monkeypatch):
    """`dvc repro` of two downloads in the profile paper; returns the stages that ran, sorted, as two have no order."""
    folder = copy_repository(tmp_path / "project")
    replace_in_params(folder, {"\nprofile: demo\n": "\nprofile: paper\n"})
    monkeypatch.chdir(folder)
    subprocess.run(["git", "init", "-q"], check=True)
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    def run():
        command = [sys.executable, "-m", "dvc", "repro", "download@covid", "download@pneumonia"]
        done = subprocess.run(command, env=os.environ | {"PATH": paths}, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return sorted(re.findall(r"Running stage '(.*)'", done.stdout))

    return run


def put(path, content):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).unlink(missing_ok=True)  # DVC's cache shares its bytes
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("COVID/images/COVID-1.png", content)


def same_bytes(path):
    content = path.read_bytes()
    return [file for file in Path().rglob("*") if file.is_file() and file.read_bytes() == content]


def test_exactly_the_download_of_an_archive_that_changed_runs_again(repro):
    put(COVID, "first")
    put(CHEST, "another")
    assert repro() == ["check", "download@covid", "download@pneumonia", "inputs"]
    assert repro() == []
    for path in map(Path, (COVID, CHEST)):  # the archive, the stage's output and DVC's cache
        assert path.stat().st_nlink == 3 and len({file.stat().st_ino for file in same_bytes(path)}) == 1

    put(COVID, "second")
    assert repro() == ["download@covid", "inputs"]
    assert Path("data/raw/covid", Path(COVID).name).read_bytes() == Path(COVID).read_bytes()

    # without it, the file of an earlier download is used, and does not make its own stage stale
    put(Path("data/kaggle", Path(COVID).name), "of an earlier download")
    Path(COVID).unlink()
    assert repro() == ["download@covid", "inputs"]
    assert repro() == []
