"""Where a record comes from: the stages before it, and how it departs from the paper."""

import hashlib
import io
import json
from collections import defaultdict
from pathlib import Path
from unittest.mock import MagicMock, Mock

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
        entries = {}
        for name, paths in LOCK.items():
            files = {part: [{"path": path, "md5": f"md5 of {path}"} for path in paths[part]] for part in paths}
            entry = {"cmd": f"python {name}.py", "params": {"params.yaml": {"seed": 7}}} | files
            entries[name] = entry | changes.get(name, {})
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


RUN = runs.load_run("jitet_mobilenetv2", params.load(ROOT / "params.yaml"))


@pytest.fixture
def deviations(tmp_path, monkeypatch):
    """The deviations of a run of archives like the public ones, of Keras's own weights and the planned settings."""
    monkeypatch.setattr(provenance.archive_facts, "describe", lambda study: {})
    monkeypatch.setattr(provenance.by_hand, "read", lambda kind, name: {})
    monkeypatch.setattr(provenance, "locked", lambda target: (defaultdict(str), {}))

    def of(name="another", settings=RUN.settings, planned=RUN.settings, weights=None):
        for file, content in {
            "time": {},
            "metrics": {"test_images": 40},
            "SOURCE": weights or {"source": "keras"},
        }.items():
            (tmp_path / f"{file}.json").write_text(json.dumps(content))
        run = Mock(settings=settings, metrics=tmp_path / "metrics.json", time_metrics=tmp_path / "time.json")
        run.name, run.start.name, run.start.folder = name, "vgg16", tmp_path
        published = paper({"a_run": [], "b_run": [cell("test.test_images", 40)]})
        papers = Papers(archives={}, sources={}, studies={"a_study": published})
        return provenance.gather(run, Mock(settings=planned), papers)["deviations"]

    return of


SPLIT = {"policy": "balanced", "on_shortage": "error", "counts": {"train": 4}}


@pytest.mark.parametrize(
    ("planned", "received", "expected"),
    [
        (
            {"train": {"epochs": 50, "seed": 1}, "augment": None, "size": 224},
            {"train": {"epochs": 3, "seed": 1}, "augment": {"zoom": 0.1}, "size": 224},
            ["train.epochs is 3, not 50", "augment is {'zoom': 0.1}, not None"],
        ),
        (
            {"split": SPLIT},
            {"split": {"policy": "stratified"}},
            [
                "split.policy is stratified, not balanced",
                "split.on_shortage is None, not error",
                "split.counts is None, not {'train': 4}",
            ],
        ),
    ],
    ids=["nested and none", "another policy"],
)
def test_a_setting_that_departs_from_the_planned_one_is_a_deviation(deviations, planned, received, expected):
    assert deviations(settings=received, planned=planned) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("keras", []),
        ("other file", ["ImageNet weights of vgg16 are not Keras's own file but one put by hand, SHA-256 0123"]),
    ],
)
def test_weights_put_by_hand_are_a_deviation(deviations, source, expected):
    assert deviations(weights={"source": source, "sha256": "0123"}) == expected


@pytest.mark.parametrize(
    ("run", "expected"), [("a_run", ["40 test images, not the paper's 100"]), ("b_run", []), ("a_run_leakfree", [])]
)
def test_another_number_of_test_images_than_the_paper_s_is_a_deviation(deviations, run, expected):
    assert deviations(run) == expected


ARCHIVE = {
    "images": {"NORMAL": 1583},
    "expected_images": {"NORMAL": 1583},
    "median_width": 1200,
    "expected_median_width": 1224,
}


def test_an_image_that_cannot_be_read_has_no_width(write_zip, tmp_path):
    picture = io.BytesIO()
    Image.new("L", (30, 20)).save(picture, "JPEG")
    folder = "chest_xray/train"
    members = {f"{folder}/NORMAL/IM-0001-0001.jpeg": picture.getvalue(), f"{folder}/NORMAL/IM-0002-0001.jpeg": b"none"}
    archive = write_zip(members | {f"{folder}/PNEUMONIA/person1_bacteria_1.jpeg": picture.getvalue()})
    (tmp_path / "SOURCE.json").write_text(json.dumps({archive.name: {}}))
    (tmp_path / "audit.json").write_text(json.dumps({"found": {"chest_xray": {}}}))
    study = MagicMock(raw=tmp_path, audit=tmp_path / "audit.json")
    study.dataset.archives = {"chest_xray": Mock(slug="owner/name")}
    assert archive_facts.describe(study)["chest_xray"]["median_width"] == 30


def test_missing_and_smaller_images_are_deviations():
    assert archive_facts.deviations({"chest_xray": ARCHIVE}) == []
    archive = ARCHIVE | {"images": {"NORMAL": 1575}, "median_width": 224}
    assert archive_facts.deviations({"chest_xray": archive}) == [
        "chest_xray has 1,575 of the 1,583 images of NORMAL",
        "images of chest_xray have a median width of 224 pixels, the public archive's 1224",
    ]


def test_the_machine_is_named():
    facts = environment.machine()
    assert facts["cores"] > 0 and facts["system"]
