"""What was put into data/archives by hand: listed by what it is for, and checked again where it is used."""

import os
import shutil
from pathlib import Path

import pytest

from conftest import ROOT
from rontgen.core import params
from rontgen.core.errors import RontgenError
from rontgen.core.io import write_json
from rontgen.core.runs import BY_HAND
from rontgen.data import archives, by_hand, unpacked
from zips import packed

KERAS_FILES = {name: entry.file for name, entry in params.load(ROOT / "params.yaml").backbones.items()}
CHEST = "paultimothymooney--chest-xray-pneumonia.zip"
RESNET50 = "resnet50.weights.h5"


@pytest.fixture
def folder(tmp_path):
    for name in (CHEST, RESNET50, KERAS_FILES["vgg16"]):
        (tmp_path / name).write_bytes(packed({name: b"one"}))
    return tmp_path


def hashes(folder, profile="paper", **changes):
    values = params.changed(params.read(ROOT / "params.yaml"), {"profile": profile, **changes})
    return {str(path): found for path, found in by_hand.lists(params.validate(values), folder).items()}


def lists(folder, *profile, **changes):
    return {path: set(found) for path, found in hashes(folder, *profile, **changes).items()}


def test_an_archive_is_listed_for_each_dataset_that_uses_it(folder):
    assert hashes(folder)["archives/pneumonia.json"] == {CHEST: archives.sha256(folder / CHEST)}
    found = lists(folder)
    assert found["archives/pneumonia.json"] == found["archives/lungs.json"] == {CHEST}
    assert found["archives/covid.json"] == set()


def test_the_index_of_an_unpacked_archive_is_listed_as_the_archive_is(folder):
    index = unpacked.index_of(folder / CHEST)
    index.write_text("{}")
    assert lists(folder)["archives/pneumonia.json"] == {CHEST, index.name}


def test_weights_are_listed_for_each_backbone(folder):
    found = lists(folder)
    assert found["weights/resnet50.json"] == {RESNET50}
    assert found["weights/vgg16.json"] == {KERAS_FILES["vgg16"]}
    assert found["weights/mobilenetv2.json"] == found["weights/random.json"] == set()
    assert {name for name in found if name.startswith("weights/")} == {f"weights/{name}.json" for name in KERAS_FILES}


def test_of_a_backbone_that_starts_from_random_weights_nothing_is_listed(folder):
    assert lists(folder, **{"backbones.resnet50.file": "null"})["weights/resnet50.json"] == set()


def test_the_demo_uses_nothing_that_was_put_by_hand(folder):
    assert set().union(*lists(folder, "demo").values()) == set()


@pytest.mark.parametrize(("name", "known"), [("archive.zip", CHEST), ("resnet50.h5", RESNET50)])
def test_an_archive_or_weights_of_another_name_are_refused(folder, name, known):
    for path in (name, f"._{known}"):  # macOS leaves the latter
        (folder / path).touch()
    with pytest.raises(RontgenError, match=f"^{folder / name}: expected one of the names .*{known}.*: rename it, or"):
        lists(folder)
    assert lists(folder, "demo")["archives/pneumonia.json"] == set()


def test_of_two_weights_files_the_one_that_must_be_pinned_is_listed_first(folder, monkeypatch):
    names = ["mobilenetv2.weights.h5", KERAS_FILES["mobilenetv2"]]
    for name in reversed(names):
        (folder / name).write_bytes(name.encode())
    monkeypatch.setattr(by_hand, "LISTS", folder / "inputs")
    path = "weights/mobilenetv2.json"
    write_json(hashes(folder)[path], by_hand.LISTS / path)
    assert list(by_hand.read("weights", "mobilenetv2")) == names


def test_a_list_that_is_missing_names_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RontgenError, match=r"data/inputs/weights/vgg16.json not found: run `dvc repro inputs` first"):
        by_hand.read("weights", "vgg16")


def test_a_damaged_zip_is_listed_for_the_stage_that_refuses_it(folder):
    (folder / CHEST).write_bytes((folder / CHEST).read_bytes()[:-1])
    assert hashes(folder)["archives/pneumonia.json"] == {CHEST: ""}


def test_an_archive_written_over_one_that_dvc_has_linked_is_refused(folder, monkeypatch):
    monkeypatch.chdir(folder)
    raw, path = Path("data/raw/pneumonia"), folder / CHEST
    raw.mkdir(parents=True)
    (raw / CHEST).hardlink_to(path)
    (raw / "SOURCE.json").write_text("{}")
    assert hashes(folder)["archives/pneumonia.json"][CHEST]
    path.write_bytes(packed({CHEST: b"two"}))
    os.utime(path, ns=(0, (raw / "SOURCE.json").stat().st_mtime_ns + 1))
    with pytest.raises(RontgenError, match=f"written over it, .* `find .dvc data/raw -samefile {path} -delete` first"):
        hashes(folder)
    path.rename(folder / "new")
    shutil.copy(folder / "new", path)
    assert hashes(folder)["archives/pneumonia.json"] == {CHEST: archives.sha256(path)}


def test_a_file_older_than_the_lists_is_not_read_again(folder, monkeypatch):
    monkeypatch.setattr(by_hand, "LISTS", folder / "inputs")
    write_json({}, by_hand.LISTS / "archives/pneumonia.json")
    listed = (by_hand.LISTS / "archives/pneumonia.json").stat().st_mtime_ns
    os.utime(folder / CHEST, ns=(0, listed - 1))
    by_hand.check(folder / CHEST, "0" * 64)
    os.utime(folder / CHEST, ns=(0, listed))
    with pytest.raises(RontgenError, match="run `dvc repro inputs` again"):
        by_hand.check(folder / CHEST, "0" * 64)


def test_a_copy_of_the_project_without_the_files_is_refused(folder, monkeypatch):
    copy = folder / ".dvc/tmp/exps/tmp1"
    for path in (copy / BY_HAND, folder / BY_HAND):
        path.mkdir(parents=True)
    (folder / CHEST).rename(folder / BY_HAND / CHEST)
    monkeypatch.chdir(copy)
    message = f"^data/archives/{CHEST}: expected it in this copy of {folder}, .* `dvc exp run` -C data/archives/{CHEST}"
    with pytest.raises(RontgenError, match=message):
        hashes(BY_HAND)
    assert hashes(BY_HAND, "demo")["archives/pneumonia.json"] == {}


def test_a_file_that_is_gone_or_another_is_refused(folder):
    by_hand.check(folder / CHEST, archives.sha256(folder / CHEST))
    for path in (folder / CHEST, folder / "gone.zip"):
        with pytest.raises(RontgenError, match="run `dvc repro inputs` again"):
            by_hand.check(path, "0" * 64)


def test_the_layout_of_an_archive_is_that_of_its_dataset():
    values = params.load(ROOT / "params.yaml")
    assert by_hand.layout("paultimothymooney/chest-xray-pneumonia", values) == "chest_xray"
    with pytest.raises(
        RontgenError, match=r"^expected one of paultimothymooney/chest-xray-pneumonia, .*, received 'x/y'"
    ):
        by_hand.layout("x/y", values)
