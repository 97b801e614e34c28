"""Hostile archives, given to the stage scripts: one line says what is wrong, and nothing is left on the disk."""

import io
import shutil
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT, copy_settings
from zips import bomb, many_members, packed

pytestmark = pytest.mark.slow

PNEUMONIA = "paultimothymooney--chest-xray-pneumonia.zip"

MOST_MEMORY = 2 * 2**30
# An extra process in between, so that a stage's memory is counted without all that the tests have loaded.
# Linux counts it in KiB.
MEASURED = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, "-B", *sys.argv[1:]]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(code)
"""


def picture(gray, kind="JPEG"):
    file = io.BytesIO()
    Image.fromarray(np.full((40, 40), gray, np.uint8)).save(file, kind)
    return file.getvalue()


def enormous_header():
    """A PNG that says it has 60000×60000 pixels."""
    data = bytearray(picture(7, "PNG"))
    struct.pack_into(">II", data, 16, 60_000, 60_000)
    struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    return bytes(data)


NAMES = ("chest_xray/train/NORMAL/IM-{0:04}-0001.jpeg", "chest_xray/train/PNEUMONIA/person{0}_bacteria_{0}.jpeg")
# A sound archive: twelve images of each class, each of a gray value and a patient of its own
CHEST_XRAY = {
    name.format(index): picture(index * 20 + offset) for offset, name in enumerate(NAMES) for index in range(12)
}
FIRST = next(iter(CHEST_XRAY))
ONE_OF_EACH = [name.format(1) for name in NAMES]


@pytest.fixture
def project(tmp_path):
    """The repository's scripts and settings, in a folder that has a parent to escape to."""
    project = tmp_path / "above" / "project"
    shutil.copytree(ROOT / "stages", project / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    copy_settings(project)
    return project


def change(project, old, new):
    path = project / "params.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def put(project, folder, data):
    path = project / folder / PNEUMONIA
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def files(project):
    """All files in the project and around it."""
    above = project.parents[1]
    return sorted(path for path in above.rglob("*") if path.is_symlink() or not path.is_dir())


def run(project, script, *arguments):
    """Run a stage; its stderr must be progress bars and, where it fails, one line. Returns that line, "" if none."""
    command = [sys.executable, "-I", "-S", "-c", MEASURED, f"stages/{script}.py", *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120)
    memory = int(done.stdout.splitlines()[-1])
    assert memory < MOST_MEMORY
    *bars, last = done.stderr.replace("\r", "\n").rstrip("\n").split("\n")
    assert all(line == "" or line.startswith(("hash ", "decode ", "verifying ")) for line in bars), done.stderr
    if done.returncode == 0:
        return ""
    assert done.returncode == 2, done.stderr
    assert last.startswith("error: ") and last.isprintable(), done.stderr
    return last


def refused(project, script, *arguments):
    """The error line of a stage that must fail and leave no file behind."""
    before = files(project)
    line = run(project, script, *arguments)
    assert line
    assert files(project) == before
    return line


# What zips are refused for is in test_archives.py; these are the ones that could reach beyond the archive's folder,
# a terminal or the memory
ZIPS = {
    "parent folder": (lambda: packed(CHEST_XRAY | {"chest_xray/../../../e.jpeg": b"x"}), "has an unsafe name"),
    "control characters": (lambda: packed(CHEST_XRAY | {"chest_xray/\x1b[2J\n.jpeg": b"x"}), "has an invalid name"),
    "3 GiB, declares 5000 bytes": (lambda: bomb(ONE_OF_EACH, 3 * 2**30, declared=5000), "is damaged: Bad CRC-32"),
    "800000 members": (many_members, "a table of contents of 40000000 bytes"),
}


@pytest.mark.parametrize("kind", ZIPS)
def test_a_hostile_zip_is_refused(project, kind):
    archive, fault = ZIPS[kind]
    put(project, "data/raw/pneumonia", archive())
    line = refused(project, "split", "--split", "active")
    assert fault in line and PNEUMONIA in line

    change(project, "profile: demo", "profile: paper")
    shutil.rmtree(project / "data")
    put(project, "data/archives", archive())
    assert run(project, "inputs") == ""
    line = refused(project, "download", "--dataset", "pneumonia")
    assert fault in line and "delete it and run `dvc repro download@pneumonia` again" in line
    assert not (project / "data/raw").exists()


PICTURES = {
    "60000 by 60000 pixels": enormous_header(),
    "truncated": picture(7)[:-200],
    "no bytes": b"",
    "another kind of file": b"<html>Sign in</html>",
}


def test_pictures_that_do_not_decode_are_counted_where_they_are_allowed(project):
    change(project, "max_unreadable: 0", f"max_unreadable: {len(PICTURES)}")
    bad = dict(zip(CHEST_XRAY, PICTURES.values(), strict=False))
    right = {"chest_xray/train/PNEUMONIA/person99_virus_1.jpeg": picture(200, "PNG")}  # a picture, despite its name
    put(project, "data/raw/pneumonia", packed(CHEST_XRAY | bad | right))
    assert run(project, "inputs") == run(project, "split", "--split", "active") == ""
    assert run(project, "preprocess", "--image-set", "active") == ""
    listed = (project / "data/preprocessed/active/unreadable.csv").read_text().splitlines()[1:]
    assert sorted(line.split(",")[2] for line in listed) == sorted(bad)
    readable = (project / "data/preprocessed/active/manifest.csv").read_text().splitlines()[1:]
    assert {line.split(",")[3] for line in readable} == (CHEST_XRAY | right).keys() - bad.keys()
