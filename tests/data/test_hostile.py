"""Hostile archives, given to the stage scripts: one line says what is wrong, and nothing is left on the disk."""

import io
import json
import re
import shutil
import stat
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT, copy_settings

PNEUMONIA = "paultimothymooney--chest-xray-pneumonia.zip"
COVID = "tawsifurrahman--covid19-radiography-database.zip"
PNEUMOTHORAX = "vbookshelf--pneumothorax-chest-xray-images-and-masks.zip"
TUBERCULOSIS = "tawsifurrahman--tuberculosis-tb-chest-xray-dataset.zip"

MOST_MEMORY = 2 * 2**30
# An extra process in between, so that a stage's memory is counted without all that the tests have loaded.
# Linux counts it in KiB.
MEASURED = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, "-B", *sys.argv[1:]]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(code)
"""


# ---------------------------------------------------------------- archives


def picture(gray, kind="JPEG"):
    file = io.BytesIO()
    Image.fromarray(np.full((40, 40), gray, np.uint8)).save(file, kind)
    return file.getvalue()


def by_folder(names, kind="PNG", count=12):
    """Images, each with its own gray value, under every one of `names`, each with a placeholder for a number."""
    return {
        name.format(index): picture(index * 20 + offset, kind)
        for offset, name in enumerate(names)
        for index in range(count)
    }


def chest_xray(count=12):
    """A sound archive of `count` images of each class, each of a patient of its own."""
    names = ("NORMAL/IM-{0:04}-0001.jpeg", "PNEUMONIA/person{0}_bacteria_{0}.jpeg")
    return by_folder([f"chest_xray/train/{name}" for name in names], "JPEG", count)


FIRST = next(iter(chest_xray(1)))


def packed(members):
    """A zip of {name or ZipInfo: bytes}."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def with_member(name, data=b"x"):
    return packed(chest_xray() | {name: data})


def link(name, target):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return with_member(info, target)


def declaring(size):
    """A sound archive, with one member that declares another size than it has."""
    data = bytearray(with_member("z.jpeg"))
    struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 24, size)
    return bytes(data)


def local(name, deflated, declared):
    """A deflated member as it lies in a zip (APPNOTE.TXT, 4.3.7); its CRC-32 is that of no bytes."""
    fields = (20, 0, zipfile.ZIP_DEFLATED, 0, 0x21, 0, len(deflated), declared, len(name), 0)
    return struct.pack("<4s5H3L2H", b"PK\x03\x04", *fields) + name + deflated


def entry(name, offset, deflated, declared, extra=b""):
    """Its entry in the table of contents (4.3.12)."""
    sizes = (deflated, declared, len(name), len(extra))
    fields = (20, 20, 0, zipfile.ZIP_DEFLATED, 0, 0x21, 0, *sizes, 0, 0, 0, 0, offset)
    return struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *fields) + name + extra


def ended(members, entries, count):
    """The members, the table of contents and its end record (4.3.16)."""
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(entries), len(members), 0)
    return bytes(members + entries) + end


def bomb(size, *, declared, count):
    """`count` members that expand to `size` zeros each, whatever they declare; on disk, about a thousandth of that."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    first, again = (stream.compress(bytes(2**20)) + stream.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    deflated = first + again * (size // 2**20 - 1) + stream.flush()
    members, entries = bytearray(), bytearray()
    for index in range(count):
        name = f"chest_xray/train/{('NORMAL', 'PNEUMONIA')[index % 2]}/person{index}_virus_1.jpeg".encode()
        entries += entry(name, len(members), len(deflated), declared)
        members += local(name, deflated, declared)
    return ended(members, entries, count)


def many_members():
    """Eight hundred thousand members in 40 MB, all of them the same few bytes."""
    deflated = b"\x03\x00"
    entries = entry(b"aaaa", 0, len(deflated), 0) * 800_000
    return ended(local(b"aaaa", deflated, 0), entries, 0xFFFF)


def far_away():
    """A member whose 64-bit offset lies beyond the end of any file (4.5.3)."""
    extra = struct.pack("<HHQ", 1, 8, 2**63 - 1)
    return ended(local(b"a", b"\x03\x00", 0), entry(b"a", 0xFFFFFFFF, 2, 0, extra), 1)


def enormous_header():
    """A PNG that says it has 60000×60000 pixels."""
    data = bytearray(picture(7, "PNG"))
    struct.pack_into(">II", data, 16, 60_000, 60_000)
    struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    return bytes(data)


# ---------------------------------------------------------------- a project, and a stage in it


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


def put(project, folder, archives):
    for name, data in archives.items():
        path = project / folder / name
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


# ---------------------------------------------------------------- archives that are refused as zips


ZIPS = {
    "parent folder": (lambda: with_member("chest_xray/../../../escaped.jpeg"), "has an unsafe name"),
    "absolute path": (lambda: with_member("/escaped.jpeg"), "has an unsafe name"),
    "link": (lambda: link("chest_xray/train/NORMAL/x.jpeg", "/etc/hostname"), "is a link"),
    "control characters": (lambda: with_member("chest_xray/\x1b[2J\n.jpeg"), "has an invalid name"),
    "names differ in case": (lambda: with_member(FIRST.replace("IM", "im")), "differ at most in case"),
    "member declares 2 GiB": (lambda: declaring(2**31), "declares 2147483648 bytes"),
    "2 GiB in all": (lambda: bomb(60 * 2**20, declared=60 * 2**20, count=40), "declare 2516582400 when"),
    "3 GiB, declares 5000 bytes": (lambda: bomb(3 * 2**30, declared=5000, count=2), "is damaged: Bad CRC-32"),
    "800000 members": (many_members, "a table of contents of 40000000 bytes"),
    "member outside of the file": (far_away, "lies outside of the file"),
    "cut off": (lambda: packed(chest_xray())[:-30], "is a damaged or cut off zip"),
}


@pytest.mark.parametrize("kind", ZIPS)
def test_a_hostile_zip_is_refused(project, kind):
    archive, fault = ZIPS[kind]
    data = archive()
    assert len(data) < 50e6
    put(project, "data/raw/pneumonia", {PNEUMONIA: data})
    line = refused(project, "split", "--split", "active")
    assert fault in line and PNEUMONIA in line
    assert "delete it and run `dvc repro download@pneumonia` again" in line

    change(project, "profile: demo", "profile: paper")
    shutil.rmtree(project / "data")
    put(project, "data/archives", {PNEUMONIA: data})
    assert run(project, "inputs") == ""
    assert fault in refused(project, "download", "--dataset", "pneumonia")
    assert not (project / "data/raw").exists()


# ---------------------------------------------------------------- zips whose contents contradict themselves

RIGHT_ROWS = [f"{index}_train_{flag}_.png,id,{flag}" for flag in (0, 1) for index in (0, 1)]


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([*RIGHT_ROWS[:3], "1_train_1_.png,id,0"], "1_train_1_.png: its name says has_pneumo 1, the CSV says 0"),
        (["0_train_0_.png,id,1", *RIGHT_ROWS], "0_train_0_.png: its name says has_pneumo 0, the CSV says 1"),
        (["x".join(map(str, range(40_000)))], "expected a CSV table, field larger"),
    ],
    ids=["label contradicts the name", "labels contradict each other", "no table"],
)
def test_a_table_that_contradicts_the_images_is_refused(project, rows, fault):
    change(project, "dataset: pneumonia", "dataset: lungs")
    tb = by_folder(("TB/Normal/Normal-{}.png", "TB/Tuberculosis/Tuberculosis-{}.png"), count=2)
    siim = by_folder(("siim/png_images/{}_train_0_.png", "siim/png_images/{}_train_1_.png"), count=2)
    siim["siim/stage_1_train_images.csv"] = "\n".join(("new_filename,ImageId,has_pneumo", *rows))
    archives = {PNEUMONIA: chest_xray(2), TUBERCULOSIS: tb, PNEUMOTHORAX: siim}
    put(project, "data/raw/lungs", {name: packed(members) for name, members in archives.items()})
    assert fault in refused(project, "split", "--split", "active")


def test_a_missing_class_is_named(project):
    members = {name: data for name, data in chest_xray().items() if "NORMAL" not in name}
    put(project, "data/raw/pneumonia", {PNEUMONIA: packed(members)})
    line = refused(project, "split", "--split", "active")
    assert f"{PNEUMONIA}: expected images of NORMAL, found {{'PNEUMONIA': 12}}" in line


def test_masks_are_never_taken_for_images(project):
    change(project, "dataset: pneumonia", "dataset: covid")
    root = "COVID-19_Radiography_Dataset"
    images = by_folder([f"{root}/{label}/images/{label}-{{}}.png" for label in ("COVID", "Normal")])
    folders = ("COVID/masks", "masks/COVID", "Masks/Normal/images", "lungs/masks/COVID/images")
    masks = by_folder([f"{root}/{folder}/COVID-{{}}.png" for folder in folders])
    put(project, "data/raw/covid", {COVID: packed(images | masks)})
    assert run(project, "split", "--split", "active") == ""
    audit = json.loads((project / "metrics/split/active.json").read_text())
    assert audit["left_out"]["covid_radiography"] == {"masks": len(masks)}
    assert "masks" not in (project / "data/split/active.csv").read_text().lower()


# ---------------------------------------------------------------- pictures

PICTURES = {
    "60000 by 60000 pixels": (enormous_header(), r"expected at most \d+ pixels, received 60000×60000"),
    "truncated": (picture(7)[:-200], "bytes that do not decode: "),
    "no bytes": (b"", "received 0 bytes of something else"),
    "another kind of file": (b"<html>Sign in</html>", "received 20 bytes of something else"),
}


@pytest.mark.parametrize("fault", PICTURES)
def test_a_picture_that_does_not_decode_stops_the_run(project, fault):
    data, reason = PICTURES[fault]
    put(project, "data/raw/pneumonia", {PNEUMONIA: packed(chest_xray() | {FIRST: data})})
    assert run(project, "split", "--split", "active") == ""
    line = refused(project, "preprocess", "--image-set", "active")
    assert re.search(rf"expected at most 0 unreadable images, received 1, the first {FIRST}: .*{reason}", line)


def test_pictures_that_do_not_decode_are_counted_where_they_are_allowed(project):
    change(project, "max_unreadable: 0", f"max_unreadable: {len(PICTURES)}")
    members = chest_xray()
    bad = dict(zip(members, (data for data, _ in PICTURES.values()), strict=False))
    right = {"chest_xray/train/PNEUMONIA/person99_virus_1.jpeg": picture(200, "PNG")}  # a picture, despite its name
    put(project, "data/raw/pneumonia", {PNEUMONIA: packed(members | bad | right)})
    assert run(project, "split", "--split", "active") == ""
    assert run(project, "preprocess", "--image-set", "active") == ""
    metrics = json.loads((project / "metrics/preprocess/active.json").read_text())
    assert (metrics["images"], metrics["unreadable"]) == (25, len(PICTURES))
    listed = (project / "data/preprocessed/active/unreadable.csv").read_text().splitlines()[1:]
    assert sorted(line.split(",")[2] for line in listed) == sorted(bad)
    readable = (project / "data/preprocessed/active/manifest.csv").read_text().splitlines()[1:]
    assert {line.split(",")[3] for line in readable} == (members | right).keys() - bad.keys()
