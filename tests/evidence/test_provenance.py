"""Where a record comes from: the stages before it, and how it departs from the paper."""

import io
import json
from pathlib import Path

from PIL import Image

from rontgen.evidence import provenance

LOCK = {
    "download": {"deps": [], "outs": ["data/raw"]},
    "split": {"deps": ["data/raw/a.zip", "src/split.py"], "outs": ["data/split.csv"]},
    "train": {"deps": ["data/split.csv", "src/train.py"], "outs": ["models/a.keras"]},
    "another": {"deps": ["data/raw"], "outs": ["models/b.keras"]},
}


def test_the_stages_of_a_target_are_those_it_was_made_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entries = {
        name: {
            "cmd": f"python {name}.py",
            "params": {"params.yaml": {"seed": 7}},
            **{part: [{"path": path, "md5": f"md5 of {path}"} for path in entry[part]] for part in ("deps", "outs")},
        }
        for name, entry in LOCK.items()
    }
    Path("dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": entries}))
    found = provenance.stages("train")
    assert list(found) == ["download", "split", "train"]
    assert found["split"] == {
        "cmd": "python split.py",
        "deps": {path: f"md5 of {path}" for path in LOCK["split"]["deps"]},
        "outs": {"data/split.csv": "md5 of data/split.csv"},
        "params": {"seed": 7},
    }


def test_a_setting_that_departs_from_the_reading_is_named():
    stated = {"train": {"epochs": 50, "seed": 1}, "augment": None, "size": 224}
    received = {"train": {"epochs": 3, "seed": 1}, "augment": {"zoom": 0.1}, "size": 224}
    assert provenance._of_settings(stated, received) == [
        "train.epochs is 3, not 50",
        "augment is {'zoom': 0.1}, not None",
    ]


ARCHIVE = {
    "images": {"NORMAL": 1583},
    "expected_images": {"NORMAL": 1583},
    "median_width": 1200,
    "expected_median_width": 1224,
}


def test_the_public_archive_is_no_deviation():
    assert provenance.archive_deviations({"chest_xray": ARCHIVE}) == []


def test_an_image_that_cannot_be_read_has_no_width(write_zip):
    picture = io.BytesIO()
    Image.new("L", (30, 20)).save(picture, "JPEG")
    members = {"chest_xray/train/NORMAL/IM-0001-0001.jpeg": picture.getvalue()}
    members |= {"chest_xray/train/NORMAL/IM-0002-0001.jpeg": b"no picture"}
    members |= {"chest_xray/train/PNEUMONIA/person1_bacteria_1.jpeg": picture.getvalue()}
    assert provenance._median_width(write_zip(members), "chest_xray") == 30


def test_missing_and_smaller_images_are():
    archive = ARCHIVE | {"images": {"NORMAL": 1575}, "median_width": 224}
    assert provenance.archive_deviations({"chest_xray": archive}) == [
        "chest_xray has 1,575 of the 1,583 images of NORMAL",
        "images of chest_xray have a median width of 224 pixels, the public archive's 1224",
    ]


def test_the_machine_is_named():
    facts = provenance.machine()
    assert facts["cores"] > 0 and facts["system"]
