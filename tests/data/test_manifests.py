import copy
import dataclasses
import hashlib
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import run_stages
from rontgen.audits import near_duplicates
from rontgen.core import runs
from rontgen.core.errors import RontgenError
from rontgen.core.io import write_json
from rontgen.core.runs import DatasetSplit
from rontgen.core.settings import SUBSETS, Counts, Dataset, Fractions, Split
from rontgen.data import manifests, splits

CHEST, TB = "chest--xray.zip", "tb--set.zip"
CLASSES = ["NORMAL", "PNEUMONIA", "TB"]
COUNTS = {"chest_xray": {"NORMAL": 8, "PNEUMONIA": 9}, "tb_radiography": {"Normal": 3, "Tuberculosis": 10}}


@pytest.fixture
def raw(tmp_path, monkeypatch, write_zip):
    """Two small archives in data/raw/lungs: 8 NORMAL and 9 PNEUMONIA (two of them bit-identical), 10 Tuberculosis."""
    monkeypatch.chdir(tmp_path)
    members = {f"train/NORMAL/IM-{index:04d}-0001.jpeg": f"n{index}" for index in range(8)}
    members |= {f"train/PNEUMONIA/person{index}_virus_{index}.jpeg": f"p{index % 8}" for index in range(9)}
    chest = {f"chest_xray/{name}": data.encode() for name, data in members.items()}
    chest |= {f"chest_xray/chest_xray/{name}": data.encode() for name, data in members.items()}
    chest |= {"chest_xray/__MACOSX/._train": b"x", "chest_xray/.DS_Store": b"x", "chest_xray/README": b"x"}
    write_zip(chest, f"data/raw/lungs/{CHEST}")
    tb = {f"TB/Tuberculosis/Tuberculosis-{index}.png": f"t{index}".encode() for index in range(10)}
    tb |= {f"TB/Normal/Normal-{index}.png": f"o{index}".encode() for index in range(3)}
    write_zip(tb, f"data/raw/lungs/{TB}")


def lungs(*, check_counts=True, **changes):
    dataset = Dataset(
        archives={"chest_xray": "chest/xray", "tb_radiography": "tb/set"},
        classes=CLASSES,
        labels={
            "chest_xray": {"NORMAL": "NORMAL", "PNEUMONIA": "PNEUMONIA"},
            "tb_radiography": {"Tuberculosis": "TB"},
        },
        check_counts=True,
        counts=copy.deepcopy(COUNTS),
        median_widths={"chest_xray": 1224, "tb_radiography": 512},
    )
    fractions = Fractions(train=0.5, validation=0.25, test=0.25)
    options = {"policy": "stratified", "fractions": fractions, "counts": None, "on_shortage": "error"}
    options |= {"group_by": "none", "deduplicate": False, "seed": 7} | changes
    return DatasetSplit("lungcare", "lungs", dataset, Split(**options), max_per_class=None, check_counts=check_counts)


def test_the_manifest_has_a_row_for_each_image_of_a_class(raw):
    manifest, _ = manifests.build(lungs())
    assert list(manifest.columns) == splits.MANIFEST_COLUMNS
    found = manifest.groupby(["archive", "class"]).size().to_dict()
    assert found == {(CHEST, "NORMAL"): 8, (CHEST, "PNEUMONIA"): 9, (TB, "TB"): 10}
    row = manifest.set_index("member").loc["chest_xray/train/NORMAL/IM-0003-0001.jpeg"]
    assert (row["patient"], row["sha256"]) == ("IM-0003", hashlib.sha256(b"n3").hexdigest())
    assert (manifest["sha256"] == hashlib.sha256(b"p0").hexdigest()).sum() == 2


def test_the_audit_counts_what_was_found_left_out_and_dropped(raw):
    _, audit = manifests.build(lungs(deduplicate=True))
    assert audit["found"] == COUNTS
    assert audit["left_out"] == {
        "chest_xray": {"nested copies": 17, "not an image of a class": 1, "macOS clutter": 2},
        "tb_radiography": {},
    }
    assert audit["dropped"] == {"same image under two labels": 0, "duplicates": 1, "not needed": 0}
    assert audit["images"] == {
        "train": {"NORMAL": 4, "PNEUMONIA": 4, "TB": 5},
        "validation": {"NORMAL": 2, "PNEUMONIA": 2, "TB": 3},
        "test": {"NORMAL": 2, "PNEUMONIA": 2, "TB": 2},
    }
    assert audit["repeated"] == 0
    assert set(audit["shared"]["images"].values()) == {0}


def test_the_audit_counts_copies_of_repeated_images(raw):
    wanted = Counts(train=10, validation=4, test=4)
    manifest, audit = manifests.build(lungs(policy="balanced", counts=wanted, on_shortage="repeat"))
    assert audit["images"] == {subset: dict.fromkeys(CLASSES, getattr(wanted, subset)) for subset in SUBSETS}
    assert audit["repeated"] == 3 * 18 - (8 + 9 + 10) == manifest.duplicated(["archive", "member"]).sum()


def test_the_audit_counts_patients_that_subsets_share(raw, write_zip):
    members = {
        f"chest_xray/train/{name}/person1_virus_{index}.jpeg": f"{name}{index}".encode()
        for name in ("NORMAL", "PNEUMONIA")
        for index in range(8)
    }
    write_zip(members, f"data/raw/lungs/{CHEST}")
    _, audit = manifests.build(lungs(check_counts=False))
    assert audit["shared"]["patients"] == {"train_validation": 1, "train_test": 1, "validation_test": 1}


def test_kept_copies_stand_on_both_sides_and_the_audit_counts_them(raw):
    manifest, audit = manifests.build(lungs(keep_copies=True))
    assert audit["found"] == COUNTS
    assert audit["left_out"]["chest_xray"] == {"not an image of a class": 1, "macOS clutter": 2}
    assert manifest["class"].value_counts().to_dict() == {"PNEUMONIA": 18, "NORMAL": 16, "TB": 10}
    assert manifest["id"].is_unique and manifest["member"].is_unique
    train, test = (set(manifest.loc[manifest["subset"] == name, "sha256"]) for name in ("train", "test"))
    assert audit["shared"]["images"]["train_test"] == len(train & test) > 0
    nested = manifest["member"].str.startswith("chest_xray/chest_xray/")
    assert nested.sum() == 17
    assert set(manifest.loc[nested, "sha256"]) <= set(manifest.loc[~nested, "sha256"])


@pytest.fixture
def listed(raw):
    """A split whose images near_duplicates listed, none of them alike; the last did not decode."""
    images, found, left_out = manifests.list_images(lungs())
    folder = Path("data/near_duplicates/lungs")
    folder.mkdir(parents=True)
    images.assign(near=range(len(images)))[:-1].to_csv(folder / "images.csv", index=False)
    write_json({"found": found, "left_out": left_out}, folder / manifests.LISTING)
    return dataclasses.replace(lungs(group_by="patient"), list="near_duplicates")


def test_a_split_listed_by_near_duplicates_needs_no_archive_and_lacks_what_did_not_decode(listed):
    images = manifests.list_images(lungs())[0]
    shutil.rmtree("data/raw")
    manifest, audit = manifests.build(listed)
    assert set(manifest["member"]) == set(images["member"][:-1])
    assert set(manifest.loc[manifest["class"] == "TB", "patient"]) == {""}  # who are not one patient
    assert set(manifest.loc[manifest["class"] == "TB", "subset"]) == set(SUBSETS)
    assert audit["found"] == COUNTS
    assert audit["left_out"]["chest_xray"]["nested copies"] == 17


@pytest.mark.parametrize("name", ["images.csv", manifests.LISTING])
def test_a_split_listed_by_near_duplicates_names_what_it_lacks(listed, name):
    (listed.fingerprints / name).unlink()
    with pytest.raises(RontgenError, match=rf"{name} not found: run `dvc repro near_duplicates@lungs` first$"):
        manifests.build(listed)


def pictures():
    """An archive of 40 images of each class, with an exact and a near copy of one under other patients' names."""
    names = {"NORMAL": "IM-{0:04}-0001", "PNEUMONIA": "person{0}_virus_{0}"}
    members = {}
    for place, (label, name) in enumerate(names.items()):
        for index in range(40):
            original = {20: 3, 30: 4}.get(index, index)
            pixels = np.random.default_rng([place, original]).integers(0, 256, (32, 32), dtype=np.uint8)
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG", compress_level=0 if index == 30 else 9)
            members[f"chest_xray/train/{label}/{name.format(index)}.jpeg"] = file.getvalue()
    return members | {name.replace("chest_xray/", "chest_xray/chest_xray/"): members[name] for name in [*members][:5]}


def test_a_split_listed_by_near_duplicates_is_that_of_the_archives_and_their_copies(change_params, write_zip):
    write_zip(pictures(), "data/raw/pneumonia/paultimothymooney--chest-xray-pneumonia.zip")
    run_stages.run("near_duplicates --dataset pneumonia")
    split = runs.load_split("jitet_leakfree")
    manifest, audit = manifests.build(split)

    images, found, left_out = manifests.list_images(split)
    near = near_duplicates.read("pneumonia").images[["archive", "member", "near"]]
    images = images.merge(near, on=["archive", "member"])
    assert (len(images), images["sha256"].nunique(), images["near"].nunique()) == (80, 78, 76)
    expected = splits.assign(images, split.dataset.classes, split.rule)
    pd.testing.assert_frame_equal(manifest, expected.manifest)
    assert (audit["dropped"], audit["found"], audit["left_out"]) == (expected.dropped, found, left_out)
    assert left_out["chest_xray"] == {"nested copies": 5}


@pytest.mark.parametrize("keep_copies", [True, False])
def test_other_counts_than_expected_are_refused(raw, keep_copies):
    split = lungs(keep_copies=keep_copies)
    split.dataset.counts["chest_xray"] = {"NORMAL": 16, "PNEUMONIA": 18}
    message = (
        "data/raw/lungs/chest--xray.zip: expected {'NORMAL': 16, 'PNEUMONIA': 18} images, found {'NORMAL': 8, "
        "'PNEUMONIA': 9}: download it again, or let it through with `-S datasets.lungs.check_counts=false`"
    )
    with pytest.raises(RontgenError, match=f"^{re.escape(message)}$"):
        manifests.build(split)
    manifests.build(dataclasses.replace(split, check_counts=False))


@pytest.mark.parametrize("check_counts", [True, False])
def test_a_missing_class_is_refused_always(raw, write_zip, check_counts):
    write_zip({"TB/Normal/Normal-1.png": b"o"}, f"data/raw/lungs/{TB}")
    with pytest.raises(RontgenError, match=rf"{TB}: expected images of Tuberculosis, found {{'Normal': 1}}"):
        manifests.build(lungs(check_counts=check_counts))


def test_a_damaged_or_missing_archive_names_the_download(raw, tmp_path):
    path = tmp_path / "data/raw/lungs" / TB
    path.write_bytes(path.read_bytes().replace(b"t7", b"t8", 1))
    with pytest.raises(RontgenError, match=f"{TB}: member .*7.png' is damaged: .*`dvc repro download@lungs` again$"):
        manifests.build(lungs())
    path.unlink()
    with pytest.raises(RontgenError, match=f"{TB}: expected a zip, found none: run `dvc repro download@lungs` first$"):
        manifests.build(lungs())


def test_shared_counts_images_and_patients_of_each_pair():
    manifest = pd.DataFrame(
        {
            "subset": ["train"] * 4 + ["validation"] * 2 + ["test"] * 2,
            "sha256": ["one", "one", "two", "three", "four", "five", "one", "two"],
            "patient": ["p1", "p1", "", "p2", "p1", "", "p2", "p3"],
        }
    )
    assert manifests.shared(manifest) == {
        "images": {"train_validation": 0, "train_test": 2, "validation_test": 0},
        "patients": {"train_validation": 1, "train_test": 1, "validation_test": 0},
    }
