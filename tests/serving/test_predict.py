"""Which files `rontgen predict` reads, and what it writes of them."""

import csv
import io
import os
import re
import sys
from types import SimpleNamespace

import pytest

import hostile_uploads
from hostile_uploads import JPEG, PNG
from rontgen.core import errors
from rontgen.core.errors import RontgenError
from rontgen.serving import predict
from rontgen.serving.predict import find
from rontgen.serving.predictor import Prediction

DICOM = hostile_uploads.dicom()
PICTURES = {
    "IM000000": DICOM,
    "a.IMA": DICOM,
    "b.dcm": DICOM,
    "bare": DICOM[132:],
    "deep/c.PNG": PNG,
    "deep/d.jpeg": b"damaged",
    "deep/e": JPEG,
    "deep/f.png.bak": PNG,
    "empty.jpg": b"",
}
OTHERS = {
    "._b.dcm": b"\0\5\x16\7",
    ".DS_Store": b"",
    "DICOMDIR": DICOM,
    "__MACOSX/deep/c.PNG": PNG,
    "deep/._c.PNG": b"\0\5\x16\7",
    "notes.txt": b"no picture",
}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "scans"
    for name, data in (PICTURES | OTHERS).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def below(folder, files):
    return [file.relative_to(folder).as_posix() for file in files]


def test_pictures_in_a_folder_are_known_by_name_or_content_and_the_rest_is_told(folder):
    found, skipped = find([str(folder)])
    assert below(folder, found) == sorted(PICTURES)
    assert sorted(below(folder, skipped)) == sorted(OTHERS)


def test_folders_that_match_a_pattern_are_searched(folder):
    found, skipped = find([f"{folder}/d*"])
    assert below(folder, found) == [name for name in PICTURES if name.startswith("deep/")]
    assert below(folder, skipped) == ["deep/._c.PNG"]


def test_a_file_that_is_named_is_read_whatever_it_is(folder):
    names = [str(folder / name) for name in ("notes.txt", "._b.dcm")]
    assert find(names) == ([folder / "notes.txt", folder / "._b.dcm"], [])
    found, skipped = find([str(folder), names[0]])
    assert folder / "notes.txt" in found and folder / "notes.txt" not in skipped


def test_links_to_nothing_and_to_folders_and_pipes_are_skipped(folder, tmp_path):
    (folder / "gone.png").symlink_to("nowhere")
    (folder / "linked").symlink_to(folder / "deep")
    os.mkfifo(folder / "pipe.png")
    skipped = below(folder, find([str(folder)])[1])
    assert set(skipped) - set(OTHERS) == {"gone.png", "linked", "pipe.png"}


@pytest.mark.parametrize("name", ["nothing.png", "**nothing", "nothing/*.png"])
def test_what_is_no_file_is_named(name):
    with pytest.raises(RontgenError, match=f"^{re.escape(name)}: expected a file"):
        find([name])


def test_a_folder_without_pictures_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(
        RontgenError, match=f"^{tmp_path}: expected .* a folder with JPEG, PNG or DICOM files, received"
    ):
        find([str(tmp_path)])


class Reads:
    """A predictor that recognises every whole file."""

    classes = ("NORMAL", "PNEUMONIA")

    def read(self, data):
        if len(data) < 100:
            raise RontgenError("expected a picture")
        return Prediction(False, "unlike_xrays")


TRAINED = SimpleNamespace(xrays="the X-rays")


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setattr(predict, "open_predictors", lambda models, kind: {"active": Reads()})


def test_what_was_skipped_refused_and_not_read_is_told_on_standard_error(folder, tmp_path, stub, capsys):
    assert not predict.write([str(folder)], TRAINED, "keras", tmp_path / "out.csv")
    lines = capsys.readouterr().err.splitlines()[-3:]
    assert lines[0].startswith("6 skipped as no JPEG, PNG or DICOM: ")
    assert lines[1:] == [
        "7 of 9 files are unlike the X-rays: no decision",
        "2 of 9 files could not be read: see the column error",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_name_that_is_not_utf_8_is_written_as_it_is(tmp_path, stub, monkeypatch, encoding):
    name = os.fsencode(tmp_path) + "/é ".encode() + b"\xff.png"
    with open(name, "wb") as file:  # noqa: PTH123 - a name in bytes
        file.write(PNG)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))
    errors.run(lambda: predict.write([os.fsdecode(name)], TRAINED, "keras", None))
    sys.stdout.flush()
    assert written.getvalue().splitlines()[1].startswith(name + b",False,")
    predict.write([os.fsdecode(name)], TRAINED, "keras", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == written.getvalue()
    (row,) = csv.DictReader(io.StringIO(written.getvalue().decode(errors="surrogateescape")))
    assert row["file"] == os.fsdecode(name)
