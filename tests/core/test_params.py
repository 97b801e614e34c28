import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from conftest import ROOT, copy_settings
from rontgen.core import params, sections
from rontgen.core.errors import RontgenError

SHIPPED = params.load(ROOT / "params.yaml")
MODELS, DATASETS, STUDIES = (", ".join(getattr(SHIPPED, name)) for name in ("models", "datasets", "studies"))


def test_a_run_without_leaks_belongs_to_a_reported_one():
    leakfree = [name for name in SHIPPED.runs if name.endswith(sections.LEAKFREE)]
    assert {name.removesuffix(sections.LEAKFREE) for name in leakfree} < set(SHIPPED.runs)
    assert {SHIPPED.image_sets[SHIPPED.runs[name].image_set].split for name in leakfree} == {
        name for name in SHIPPED.splits if name.endswith(sections.LEAKFREE)
    }


def test_a_run_named_by_batch_and_size_has_them():
    for name, row in SHIPPED.runs.items():
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
        ({"models.lstm.pool_to": 2}, "models.lstm: pool_to: expected a recurrent network behind a backbone"),
        ({"runs.smatika_vgg16.family": "cnn"}, "runs.smatika_vgg16.family: expected one of transfer, received"),
        ({"runs.smatika_vgg16.weights": "resnet50"}, "runs.smatika_vgg16.weights: expected one of vgg16, random, rec"),
    ],
)
def test_a_model_has_the_options_of_its_family(change_params, changes, message):
    change_params(changes)
    with pytest.raises(RontgenError, match=message):
        params.load()


@pytest.mark.parametrize(("written", "expected"), [("1e-05", 1e-05), ("0.00002", 2e-05), ("1", 1.0)])
def test_a_learning_rate_is_a_number_however_it_is_written(tmp_path, written, expected):
    copy_settings(tmp_path)
    path = tmp_path / "studies/jitet/protocol.yaml"
    text = path.read_text()
    assert text.count("learning_rate: 0.00001,") == 1
    path.write_text(text.replace("learning_rate: 0.00001,", f"learning_rate: {written},"))
    assert params.load(tmp_path / "params.yaml").studies["jitet"].train.fine_tune.learning_rate == expected


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
        ("balance", "adasyn", "balance: expected 'none', 'smote', 'smote_train_test' or 'smote_all', received"),
        ("profile", "full", "profile: expected 'demo' or 'paper', received 'full'"),
        ("split.policy", "random", "split.policy: expected 'stratified', 'balanced' or 'official', received 'random'"),
        ("split", {"policy": "official"}, "split.group_by: expected a value, received nothing"),
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
            "splits.jitet.study",
            "jite",
            f"splits.jitet.study: expected one of {STUDIES}, received 'jite'",
        ),
        (
            "image_sets.jitet_224.dataset",
            "covid",
            "image_sets.jitet_224.dataset: expected one of pneumonia, received 'covid'",
        ),
        (
            "runs.smatika_vgg16.model",
            "vgg",
            f"runs.smatika_vgg16.model: expected one of {MODELS}, received 'vgg'",
        ),
        (
            "runs.smatika_vgg16.study",
            "jitet",
            "runs.smatika_vgg16.study: expected one of smatika, received 'jitet'",
        ),
        (
            "runs.smatika_vgg16.image_set",
            "smatika_225",
            f"runs.smatika_vgg16.image_set: expected one of {', '.join(SHIPPED.image_sets)}, received 'smatika_225'",
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
            "models.vgg16.backbone: expected one of mobilenetv2, resnet50, resnet50v2, vgg16, random, received 'vgg'",
        ),
    ],
)
def test_what_is_wrong_is_named_in_one_line(change_params, key, value, message):
    change_params({key: value})
    with pytest.raises(RontgenError) as caught:
        params.load()
    study = key.split(".")[1].partition("_")[0] if key.split(".")[0] in params.PROTOCOL else None
    file = f"studies/{study}/protocol.yaml" if study else "params.yaml"
    assert str(caught.value).startswith(f"{file}: {message}")
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


def test_a_change_below_a_single_value_is_refused():
    with pytest.raises(RontgenError, match=r"expected a key of params.yaml or a .*'train\.epochs\.first'"):
        params.changed({"train": {"epochs": 3}}, {"train.epochs.first": "5"})


@pytest.mark.parametrize(("key", "hint"), [("trian.epochs", "you mean train"), ("train.epoch", "you mean epochs")])
def test_a_change_of_what_is_not_there_is_refused_with_what_is(key, hint):
    with pytest.raises(RontgenError, match=hint):
        params.validate(params.changed(params.read(ROOT / "params.yaml"), {key: "5"}))


def test_a_change_may_name_its_file():
    changes = {"studies/jitet/protocol.yaml:studies.jitet.train.epochs": "9"}
    values = params.validate(params.changed(params.read(ROOT / "params.yaml"), changes))
    assert values.studies["jitet"].train.epochs == 9


def test_a_key_is_found_in_its_file():
    assert params.file_of("studies.jitet.train.epochs", ROOT) == Path("studies/jitet/protocol.yaml")
    assert params.file_of("runs.smatika_vgg16.weights", ROOT) == Path("studies/smatika/protocol.yaml")
    assert params.file_of("models.vgg16.dropout", ROOT) == Path("params.yaml")


def test_two_studies_may_not_have_one_entry(tmp_path):
    copy_settings(tmp_path)
    shutil.copytree(tmp_path / "studies/jitet", tmp_path / "studies/twin")
    with pytest.raises(RontgenError, match=r"twin/protocol\.yaml: studies\.jitet is in another study's protocol"):
        params.read(tmp_path / "params.yaml")


def test_a_protocol_has_sections_of_its_own_alone(tmp_path):
    copy_settings(tmp_path)
    (tmp_path / "studies/jitet/protocol.yaml").write_text("models: {}\n")
    with pytest.raises(RontgenError, match=r"expected the sections studies, .*, received 'models'"):
        params.read(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("name", "change", "line"),
    [
        ("params.yaml", "model=vgg16", "model: resnet50v2           # a key of `models`"),
        ("studies/jitet/protocol.yaml", "studies.jitet.train.epochs=9", "      epochs: 10"),
    ],
)
def test_a_change_by_dvc_keeps_the_rest_of_the_file(tmp_path, name, change, line):
    copy_settings(tmp_path)
    apply_overrides(tmp_path / name, [change])
    before, after = ((folder / name).read_text() for folder in (ROOT, tmp_path))
    # ruamel.yaml breaks long lines anew: as words, nothing else changes
    assert [word for word in before.split() if word not in after.split()] == [line.split()[1]]
