import shutil

import pytest
from dvc.utils.hydra import apply_overrides

from conftest import ROOT
from rontgen.core import params, sections
from rontgen.core.errors import RontgenError

SHIPPED = params.load(ROOT / "params.yaml")
MODELS, DATASETS, STUDIES = (", ".join(getattr(SHIPPED, name)) for name in ("models", "datasets", "studies"))


def test_a_run_without_leaks_belongs_to_a_reported_one():
    leakfree = [name for name in SHIPPED.reported if name.endswith(sections.LEAKFREE)]
    assert {name.removesuffix(sections.LEAKFREE) for name in leakfree} < set(SHIPPED.reported)
    assert {SHIPPED.reported[name].study for name in leakfree} == set(SHIPPED.leakfree)


def test_a_run_named_by_batch_and_size_has_them():
    for name, row in SHIPPED.reported.items():
        if name.startswith("lungcare_b"):
            batch, size = name.removeprefix("lungcare_b").split("_s")
            assert (row.train.batch_size, SHIPPED.image_sets[row.image_set].size) == (int(batch), int(size))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"models.cnn1.filters": None},
            "models.cnn1: expected the options filters, layers of its family, received layers",
        ),
        ({"models.lstm.pooling": "average"}, "models.lstm: expected the options cell, recurrent_units of its family"),
        ({"models.vgg16.preprocessing": None}, "models.vgg16: expected the options pooling, preprocessing, unfrozen"),
        ({"models.vgg16.backbone": None}, "models.vgg16: family transfer needs a backbone"),
        ({"models.lstm.weights": "imagenet"}, "models.lstm: weights imagenet needs a backbone, received none: set we"),
        ({"reported.smatika_vgg16.family": "cnn"}, "reported.smatika_vgg16.family: expected one of transfer, received"),
    ],
)
def test_a_model_has_the_options_of_its_family(change_params, changes, message):
    change_params(changes)
    with pytest.raises(RontgenError, match=message):
        params.load()


@pytest.mark.parametrize(("written", "expected"), [("1e-05", 1e-05), ("0.00002", 2e-05), ("1", 1.0)])
def test_a_learning_rate_is_a_number_however_it_is_written(tmp_path, written, expected):
    text = (ROOT / "params.yaml").read_text()
    assert text.count("learning_rate: 0.00001\n") == 1
    path = tmp_path / "params.yaml"
    path.write_text(text.replace("learning_rate: 0.00001\n", f"learning_rate: {written}\n"))
    assert params.load(path).studies["jitet"].train.fine_tune.learning_rate == expected


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("modle", "vgg16", "unknown key 'modle', expected one of profile, dataset, split, image, balance, model, "),
        ("train.epoch", 3, "train: unknown key 'epoch', expected one of epochs, batch_size, "),
        ("studies.jitet.split.foo", 3, "studies.jitet.split: unknown key 'foo', expected one of policy, fractions, "),
        ("train.epochs", "ten", "train.epochs: expected integer, received 'ten'"),
        ("train.epochs", 2.5, "train.epochs: expected integer, received 2.5"),
        ("train.epochs", True, "train.epochs: expected integer, received True"),
        ("train.epochs", 0, "train.epochs: expected greater than or equal to 1, received 0"),
        ("train.learning_rate", "1e-05", "train.learning_rate: expected number, received '1e-05'"),
        ("train.learning_rate", 0, "train.learning_rate: expected greater than 0, received 0"),
        ("split.deduplicate", "yes", "split.deduplicate: expected boolean, received 'yes'"),
        ("image.channels", 2, "image.channels: expected 1 or 3, received 2"),
        ("image.size", 4, "image.size: expected greater than or equal to 8, received 4"),
        ("augment.zoom", 1.0, "augment.zoom: expected less than 1, received 1.0"),
        ("balance", "adasyn", "balance: expected 'none', 'smote' or 'smote_train_test', received"),
        ("profile", "full", "profile: expected 'demo' or 'paper', received 'full'"),
        ("split.policy", "random", "split.policy: expected 'stratified', 'balanced' or 'official', received 'random'"),
        ("split", {"policy": "official"}, "split.fractions: expected a value, received nothing"),
        ("studies.smatika.split.counts", None, "studies.smatika.split: policy balanced needs counts"),
        ("split.fractions", None, "split: policy stratified needs fractions"),
        ("studies.pirngadi.split.fractions", None, "studies.pirngadi.split: policy official needs fractions"),
        ("split.fractions.test", None, "split: policy stratified needs fractions.test"),
        ("split.fractions.test", 0.2, "split: fractions must sum to 1, received 1.1"),
        (
            "split.fractions",
            {"train": 0.9, "validation": 0.1, "test": 0.0},
            "split: every fraction in use must be above 0",
        ),
        ("dataset", "xray", f"dataset: expected one of {DATASETS}, received 'xray'"),
        ("model", "vgg19", f"model: expected one of {MODELS}, received 'vgg19'"),
        ("studies.jitet.dataset", "xray", f"studies.jitet.dataset: expected one of {DATASETS}, received 'xray'"),
        (
            "image_sets.jitet_224.study",
            "jite",
            f"image_sets.jitet_224.study: expected one of {STUDIES}, received 'jite'",
        ),
        (
            "image_sets.jitet_224.dataset",
            "covid",
            "image_sets.jitet_224.dataset: expected one of pneumonia, received 'covid'",
        ),
        (
            "reported.smatika_vgg16.model",
            "vgg",
            f"reported.smatika_vgg16.model: expected one of {MODELS}, received 'vgg'",
        ),
        (
            "reported.smatika_vgg16.study",
            "jitet",
            "reported.smatika_vgg16.study: expected one of smatika, received 'jitet'",
        ),
        (
            "reported.smatika_vgg16.image_set",
            "smatika_225",
            f"reported.smatika_vgg16.image_set: expected one of {', '.join(SHIPPED.image_sets)}, "
            "received 'smatika_225'",
        ),
        (
            "datasets.lungs.classes",
            ["NORMAL", "PNEUMONIA"],
            "datasets.lungs: labels name the classes ['NORMAL', 'PNEUMONIA', 'PNEUMOTHORAX', 'TUBERCULOSIS'], "
            "classes lists ['NORMAL', 'PNEUMONIA']",
        ),
        (
            "datasets.covid.counts",
            {},
            "datasets.covid: labels, counts and median_widths need one entry for each of archives",
        ),
        (
            "datasets.covid.archives.covid_radiography",
            {"slug": "a/b", "sha256": "abc"},
            "datasets.covid.archives.covid_radiography.sha256: expected",
        ),
        ("split.keep_copies", True, "split: keep_copies and deduplicate exclude each other: set one of them to false"),
        (
            "models.vgg16.backbone",
            "vgg",
            "models.vgg16.backbone: expected one of mobilenetv2, resnet50, resnet50v2, vgg16, received 'vgg'",
        ),
    ],
)
def test_what_is_wrong_is_named_in_one_line(change_params, key, value, message):
    change_params({key: value})
    with pytest.raises(RontgenError) as caught:
        params.load()
    assert str(caught.value).startswith(f"params.yaml: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1\n", "is not valid YAML: "), ("a: 1\na: 2\n", 'is not valid YAML: .*duplicate key "a"')],
)
def test_broken_yaml_is_one_line(tmp_path, text, message):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(RontgenError, match=message) as caught:
        params.load(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(RontgenError, match="not found: run from the root of the repository"):
        params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize("content", [b"", b"- a\n- b\n", b"\xff\xfe"])
def test_what_is_no_mapping_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(RontgenError) as error:
        params.load(tmp_path / "params.yaml")
    assert "params.yaml" in str(error.value) and "\n" not in str(error.value)


def test_an_archive_may_be_pinned(change_params):
    pinned = {"slug": "owner/name", "version": 3, "sha256": "0" * 64}
    change_params({"datasets.covid.archives.covid_radiography": pinned})
    assert params.load().datasets["covid"].archives["covid_radiography"].model_dump() == pinned


def test_changes_are_read_as_yaml_and_leave_the_values_alone():
    values = {"train": {"epochs": 3, "augment": None}}
    assert params.changed(values, {"train.epochs": "5", "train.augment": "[a, 0.5]"}) == {
        "train": {"epochs": 5, "augment": ["a", 0.5]}
    }
    assert values["train"]["epochs"] == 3


def test_a_change_that_is_not_yaml_is_one_line():
    with pytest.raises(RontgenError, match=r"train.epochs: expected a value in YAML, received '\[1'"):
        params.changed({"train": {"epochs": 3}}, {"train.epochs": "[1"})


@pytest.mark.parametrize("key", ["trian.epochs", "train.epoch", "train.epochs.first", "trian"])
def test_a_change_of_what_is_not_there_is_refused(key):
    with pytest.raises(RontgenError, match=f"expected a key of params.yaml, received '{key}'"):
        params.changed({"train": {"epochs": 3}}, {key: "5"})


def test_the_file_is_as_dvc_writes_it(tmp_path):
    """So that `dvc exp run -S` changes one line."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    apply_overrides(tmp_path / "params.yaml", ["model=vgg16"])
    before, after = (path.read_text().splitlines() for path in (ROOT / "params.yaml", tmp_path / "params.yaml"))
    assert [line for line in before if line not in after] == ["model: resnet50v2           # a key of `models`"]
