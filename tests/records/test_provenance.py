"""Where a record comes from: the stages before it, and how it departs from the paper."""

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from conftest import ROOT
from made_up_studies import cell, paper
from rontgen.core import environment, params, runs
from rontgen.core.papers import Papers
from rontgen.data import archive_facts
from rontgen.records import provenance

LOCK = {
    "download": {"deps": [], "outs": ["data/raw"]},
    "split": {"deps": ["data/raw/a.zip", "src/split.py"], "outs": ["data/split.csv"]},
    "train": {"deps": ["data/split.csv", "src/train.py"], "outs": ["models/a.keras"]},
    "another": {"deps": ["data/raw"], "outs": ["models/b.keras"]},
}


@pytest.fixture
def lock(tmp_path, monkeypatch):
    """Write dvc.lock with the stages of LOCK and some changes in their entries, by stage; returns its entries."""
    monkeypatch.chdir(tmp_path)

    def write(**changes):
        entries = {
            name: {
                "cmd": f"python {name}.py",
                "params": {"params.yaml": {"seed": 7}},
                **{
                    part: [{"path": path, "md5": f"md5 of {path}"} for path in entry[part]] for part in ("deps", "outs")
                },
            }
            | changes.get(name, {})
            for name, entry in LOCK.items()
        }
        Path("dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": entries}))
        return entries

    return write


def test_the_stages_of_a_target_are_those_it_was_made_from(lock):
    entries = lock()
    outs, stages = provenance.locked("train")
    assert outs == {path: f"md5 of {path}" for path in ("data/raw", "data/split.csv", "models/a.keras")}
    assert list(stages) == ["download", "split", "train"]
    assert stages["split"] == hashlib.md5(json.dumps(entries["split"], sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize("change", [
    {"cmd": "python split.py --fast"}, {"params": {"params.yaml": {"seed": 8}}}, {"deps": []}, {"outs": []},
])  # fmt: skip
def test_a_stage_with_another_entry_has_another_hash(lock, change):
    lock()
    before = provenance.locked("split")[1]["split"]
    lock(split=change)
    assert provenance.locked("split")[1]["split"] != before


def test_a_stage_that_reads_a_folder_is_made_from_all_that_write_into_it(lock):
    lock(train={"deps": [{"path": "data", "md5": "md5 of data"}]})
    assert list(provenance.locked("train")[1]) == ["download", "split", "train"]


def test_a_setting_that_departs_from_the_reading_is_named():
    stated = {"train": {"epochs": 50, "seed": 1}, "augment": None, "size": 224}
    received = {"train": {"epochs": 3, "seed": 1}, "augment": {"zoom": 0.1}, "size": 224}
    assert provenance._of_settings(stated, received) == [
        "train.epochs is 3, not 50",
        "augment is {'zoom': 0.1}, not None",
    ]


def test_every_setting_of_a_run_is_compared_with_the_planned_one():
    run = runs.load_run("jitet_mobilenetv2", params.load(ROOT / "params.yaml"))
    other = replace(run, train=run.train.model_copy(update={"batch_size": 8}), threads=3)
    assert provenance._of_settings(run.settings, run.settings) == []
    assert provenance._of_settings(run.settings, other.settings) == [
        "train.batch_size is 8, not 32",
        "threads is 3, not 1",
    ]


def test_a_setting_that_another_policy_has_not_is_none():
    planned = {"policy": "balanced", "on_shortage": "error", "counts": {"train": 4}}
    assert provenance._of_settings({"split": planned}, {"split": {"policy": "stratified"}}) == [
        "split.policy is stratified, not balanced",
        "split.on_shortage is None, not error",
        "split.counts is None, not {'train': 4}",
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("keras", []),
        ("none", []),
        ("other file", ["ImageNet weights of vgg16 are not Keras's own file but one put by hand, SHA-256 0123"]),
    ],
)
def test_weights_put_by_hand_are_a_deviation(source, expected):
    run = SimpleNamespace(start=SimpleNamespace(name="vgg16"))
    assert provenance._of_weights(run, {"source": source, "sha256": "0123"}) == expected


@pytest.mark.parametrize(
    ("run", "expected"), [("a_run", ["40 test images, not the paper's 100"]), ("b_run", []), ("a_run_leakfree", [])]
)
def test_another_number_of_test_images_than_the_paper_s_is_a_deviation(tmp_path, run, expected):
    (tmp_path / "metrics.json").write_text('{"test_images": 40}')
    published = paper({"a_run": [], "b_run": [cell("test.test_images", 40)]})
    papers = Papers(archives={}, sources={}, studies={"a_study": published})
    found = SimpleNamespace(name=run, metrics=tmp_path / "metrics.json")
    assert provenance._of_test_images(found, papers) == expected


ARCHIVE = {
    "images": {"NORMAL": 1583},
    "expected_images": {"NORMAL": 1583},
    "median_width": 1200,
    "expected_median_width": 1224,
}


def test_the_public_archive_is_no_deviation():
    assert archive_facts.deviations({"chest_xray": ARCHIVE}) == []


def test_an_image_that_cannot_be_read_has_no_width(write_zip):
    picture = io.BytesIO()
    Image.new("L", (30, 20)).save(picture, "JPEG")
    members = {"chest_xray/train/NORMAL/IM-0001-0001.jpeg": picture.getvalue()}
    members |= {"chest_xray/train/NORMAL/IM-0002-0001.jpeg": b"no picture"}
    members |= {"chest_xray/train/PNEUMONIA/person1_bacteria_1.jpeg": picture.getvalue()}
    assert archive_facts._median_width(write_zip(members), "chest_xray") == 30


def test_missing_and_smaller_images_are():
    archive = ARCHIVE | {"images": {"NORMAL": 1575}, "median_width": 224}
    assert archive_facts.deviations({"chest_xray": archive}) == [
        "chest_xray has 1,575 of the 1,583 images of NORMAL",
        "images of chest_xray have a median width of 224 pixels, the public archive's 1224",
    ]


def test_the_machine_is_named():
    facts = environment.machine()
    assert facts["cores"] > 0 and facts["system"]
