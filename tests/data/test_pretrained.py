"""A backbone's weights: put in place by hand and pinned, Keras's own and checked, or none."""

import os
import re
from dataclasses import replace
from pathlib import Path

import keras
import pytest

import run_stages
from conftest import ROOT
from rontgen.core import params, runs
from rontgen.core.errors import RontgenError
from rontgen.core.runs import BY_HAND, Start
from rontgen.data import archives, arrays, pretrained

KERAS_FILES = {name: entry.file for name, entry in params.load(ROOT / "params.yaml").backbones.items()}
START = Start("vgg16", True, KERAS_FILES["vgg16"], None, "vgg16")
RANDOM = replace(START, pretrained=False)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    BY_HAND.mkdir(parents=True)
    monkeypatch.setenv("KERAS_HOME", os.environ.get("KERAS_HOME", ""))  # because `write` sets it


@pytest.fixture
def no_network(monkeypatch):
    def offline(**options):
        raise Exception("URL fetch failure on somewhere: None -- no network")

    monkeypatch.setattr(keras.applications, "VGG16", offline)


def put(name, content=b"weights"):
    path = BY_HAND / name
    path.write_bytes(content)
    return {name: archives.sha256(path)}


def refused(start, listed):
    """What the error says of weights that are refused, after which nothing may be left of them."""
    with pytest.raises(RontgenError) as caught:
        pretrained.write(start, listed)
    assert list(START.folder.parent.iterdir()) == []
    return str(caught.value)


def test_a_pinned_file_is_brought_and_read():
    listed = put("vgg16.weights.h5")
    (sha256,) = listed.values()
    facts = pretrained.write(replace(START, sha256=sha256), listed)
    assert facts == pretrained.Pretrained("other file", "vgg16.weights.h5", sha256)
    assert arrays.read_weights(START).read_bytes() == b"weights"


@pytest.mark.parametrize("name", ["vgg16.weights.h5", KERAS_FILES["vgg16"]])
def test_a_copy_of_the_project_downloads_no_weights_that_the_project_has(tmp_path, monkeypatch, no_network, name):
    put(name)
    Path(".dvc/tmp/exps/tmp1").mkdir(parents=True)
    monkeypatch.chdir(".dvc/tmp/exps/tmp1")
    assert f"{BY_HAND / name}: expected it in this copy of {tmp_path}" in refused(START, {})


@pytest.mark.parametrize("pinned", ["0" * 64, None])
def test_a_file_of_another_hash_is_refused_with_how_to_pin_it(pinned):
    listed = put("vgg16.weights.h5")
    (sha256,) = listed.values()
    message = refused(replace(START, sha256=pinned), listed)
    assert re.search(f"received {sha256}: .* set backbones.vgg16.sha256={sha256}", message)


def test_a_file_under_kerass_name_must_have_the_hash_that_keras_publishes(no_network):
    assert "expected Keras's own file, received another one" in refused(START, put(KERAS_FILES["vgg16"]))


def test_a_file_that_keras_replaces_by_a_download_is_refused(monkeypatch):
    def download(**options):
        Path(os.environ["KERAS_HOME"], "models", KERAS_FILES["vgg16"]).write_bytes(b"Keras's")

    monkeypatch.setattr(keras.applications, "VGG16", download)
    assert "expected Keras's own file, received another one" in refused(START, put(KERAS_FILES["vgg16"]))


def test_a_file_of_a_backbone_without_a_published_hash_must_be_pinned():
    start = Start("mobilenetv2", True, KERAS_FILES["mobilenetv2"], None, "mobilenetv2")
    assert "set backbones.mobilenetv2.sha256=" in refused(start, put(start.file))


def test_without_a_network_the_remedies_are_named(no_network):
    message = refused(START, {})
    assert "no network" in message and "run `dvc repro weights@vgg16` again" in message
    assert "set backbones.vgg16.file=null" in message
    assert str(BY_HAND / KERAS_FILES["vgg16"]) in message and "\n" not in message


def test_kerass_own_file_is_downloaded_into_a_home_of_its_own(monkeypatch):
    homes = []

    def download(**options):
        homes.append(Path(os.environ["KERAS_HOME"]))
        (homes[0] / "models").mkdir()
        (homes[0] / "models" / KERAS_FILES["vgg16"]).write_bytes(b"Keras's")

    monkeypatch.setattr(keras.applications, "VGG16", download)
    facts = pretrained.write(replace(START, sha256="0" * 64), {})
    assert (facts.source, facts.file) == ("keras", KERAS_FILES["vgg16"])
    assert arrays.read_weights(START).read_bytes() == b"Keras's"
    assert not homes[0].exists()


def test_random_weights_have_a_folder_without_a_file():
    pretrained.write(RANDOM, {})
    assert arrays.read_weights(START) is None
    assert [path.name for path in START.folder.iterdir()] == [pretrained.FACTS]


def test_all_runs_of_a_backbone_begin_with_its_one_file(change_params):
    listed = put("resnet50.weights.h5")
    put("vgg16.weights.h5", b"of another backbone")
    change_params({"profile": "paper", "backbones.resnet50.sha256": listed["resnet50.weights.h5"]})
    for stage in ("inputs", "weights --backbone resnet50", "weights --backbone random"):
        run_stages.run(stage)
    names = ("covid_hybrid_resnet50", "covid_hybrid_resnet50_lstm", "covid_hybrid_lstm")
    alone, before_lstm, lstm = (arrays.read_weights(runs.load_run(name).start) for name in names)
    assert alone == before_lstm and alone.read_bytes() == b"weights"
    assert lstm is None


def test_weights_that_were_not_brought_are_named_with_the_command():
    with pytest.raises(RontgenError, match=r"SOURCE.json not found: run `dvc repro weights@vgg16` first"):
        arrays.read_weights(START)
