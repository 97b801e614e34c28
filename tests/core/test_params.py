import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from conftest import ROOT, copy_settings
from rontgen.core import params, settings
from rontgen.core.errors import RontgenError

SHIPPED = params.load(ROOT / "params.yaml")
MODELS, BACKBONES, DATASETS, STUDIES, IMAGE_SETS = (
    ", ".join(getattr(SHIPPED, section)) for section in ("models", "backbones", "datasets", "studies", "image_sets")
)

OTHER_CLASSES = (
    "labels name the classes ['NORMAL', 'PNEUMONIA', 'PNEUMOTHORAX', 'TUBERCULOSIS'], "
    "classes lists ['NORMAL', 'PNEUMONIA']"
)
ENTRIES = "labels, counts and median_widths need one entry for each of archives"


def test_a_run_without_leaks_belongs_to_a_reported_one():
    leakfree = [name for name in SHIPPED.runs if name.endswith(settings.LEAKFREE)]
    assert {name.removesuffix(settings.LEAKFREE) for name in leakfree} < set(SHIPPED.runs)
    assert {SHIPPED.image_sets[SHIPPED.runs[name].image_set].split for name in leakfree} == {
        name for name in SHIPPED.splits if name.endswith(settings.LEAKFREE)
    }


def test_a_run_named_by_batch_and_size_has_them():
    for name, row in SHIPPED.runs.items():
        if name.startswith("lungcare_b"):
            batch, size = name.removeprefix("lungcare_b").split("_s")
            assert (row.train.batch_size, SHIPPED.image_sets[row.image_set].size) == (int(batch), int(size))


@pytest.mark.parametrize(("written", "expected"), [("1e-05", 1e-05), ("0.00002", 2e-05), ("1", 1.0)])
def test_a_learning_rate_is_a_number_however_it_is_written(tmp_path, written, expected):
    copy_settings(tmp_path)
    path = tmp_path / "studies/jitet/protocol.yaml"
    text = path.read_text()
    assert text.count("learning_rate: 0.00001,") == 1
    path.write_text(text.replace("learning_rate: 0.00001,", f"learning_rate: {written},"))
    assert params.load(tmp_path / "params.yaml").studies["jitet"].train.fine_tune.learning_rate == expected


def refused(change_params, key, value, message):
    """Check that a value is refused in one line, which names its file."""
    change_params({key: value})
    with pytest.raises(RontgenError) as caught:
        params.load()
    study = key.split(".")[1].partition("_")[0] if key.split(".")[0] in params.PROTOCOL else None
    file = f"studies/{study}/protocol.yaml" if study else "params.yaml"
    assert str(caught.value).startswith(f"{file}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.epochs", "ten", "expected integer, received 'ten'"),
        ("train.epochs", True, "expected integer, received True"),
        ("train.epochs", 0, "expected greater than or equal to 1, received 0"),
        ("train.learning_rate", "1e-05", "expected number, received '1e-05'"),
        ("split.deduplicate", "yes", "expected boolean, received 'yes'"),
        ("image.channels", 2, "expected 1 or 3, received 2"),
        ("augment.zoom", 1.0, "expected less than 1, received 1.0"),
        ("balance", "adasyn", "expected 'none', 'smote', 'smote_train_test' or 'smote_all', received"),
        ("dataset", "xray", f"expected one of {DATASETS}, received 'xray'"),
        ("model", "vgg19", f"expected one of {MODELS}, received 'vgg19'"),
        ("models.vgg16.backbone", "vgg", f"expected one of {BACKBONES}, received 'vgg'"),
        ("studies.jitet.dataset", "xray", f"expected one of {DATASETS}, received 'xray'"),
        ("splits.jitet.study", "jite", f"expected one of {STUDIES}, received 'jite'"),
        ("image_sets.jitet_224.dataset", "covid", "expected one of pneumonia, received 'covid'"),
        ("runs.smatika_vgg16.model", "vgg", f"expected one of {MODELS}, received 'vgg'"),
        ("runs.smatika_vgg16.study", "jitet", "expected one of smatika, received 'jitet'"),
        ("runs.smatika_vgg16.image_set", "smatika_225", f"expected one of {IMAGE_SETS}, received 'smatika_225'"),
        ("runs.smatika_vgg16.family", "cnn", "expected one of transfer, received"),
        ("runs.smatika_vgg16.weights", "resnet50", "expected one of vgg16, random, rec"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(change_params, key, value, message):
    refused(change_params, key, value, f"{key}: {message}")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "modle",
            "vgg16",
            "unknown key: expected one of dataset, split, image, balance, augment, train, profile, ",
        ),
        ("train.epoch", 3, "train: unknown key: expected one of epochs, batch_size, "),
        ("studies.jitet.split.foo", 3, "studies.jitet.split: unknown key: expected one of policy, fractions, "),
        ("split", {"policy": "official"}, "split.group_by: expected a value, received nothing"),
        ("studies.smatika.split.counts", None, "studies.smatika.split: policy balanced needs counts"),
        ("split.fractions", None, "split: policy stratified needs fractions"),
        ("studies.pirngadi.split.fractions", None, "studies.pirngadi.split: policy official needs fractions"),
        ("split.fractions.test", None, "split: policy stratified needs fractions.test"),
        ("split.fractions.test", 0.2, "split: fractions must sum to 1, received 1.1"),
        ("split.fractions", {"train": 0.9, "validation": 0.1, "test": 0}, "split: every fraction in use must be above"),
        ("split.keep_copies", True, "split: keep_copies and deduplicate exclude each other: set one of them to false"),
        ("datasets.lungs.classes", ["NORMAL", "PNEUMONIA"], f"datasets.lungs: {OTHER_CLASSES}"),
        ("datasets.covid.counts", {}, f"datasets.covid: {ENTRIES}"),
        ("datasets.covid.archives.a", {"slug": "a/b", "sha256": "abc"}, "datasets.covid.archives.a.sha256: expected"),
        ("models.vgg16.backbone", None, "models.vgg16: family transfer needs a backbone"),
        ("models.vgg16.preprocessing", None, "models.vgg16: expected the options pooling, preprocessing, unfrozen"),
        ("models.cnn1.filters", None, "models.cnn1: expected the options filters, layers of its family, received lay"),
        ("models.lstm.pooling", "average", "models.lstm: expected the options cell, recurrent_units of its family"),
        ("models.lstm.pool_to", 2, "models.lstm: pool_to: expected a recurrent network behind a backbone"),
    ],
)
def test_settings_that_do_not_fit_together_are_named(change_params, key, value, message):
    refused(change_params, key, value, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1\n", r"params\.yaml is not valid YAML: "),
        (b"a: 1\na: 2\n", r'params\.yaml is not valid YAML: .*duplicate key "a"'),
        (b"\xff\xfe", r"params\.yaml is not valid YAML: "),
        (b"", r"params\.yaml: expected keys such as profile and dataset, received None"),
        (b"- a\n- b\n", r"params\.yaml: expected keys such as profile and dataset, received \['a', 'b'\]"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(RontgenError, match=message) as caught:
        params.load(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(RontgenError, match="not found: run from the root of the repository"):
        params.load(tmp_path / "params.yaml")


def test_an_archive_may_be_pinned(change_params):
    pinned = {"slug": "owner/name", "version": 3, "sha256": "0" * 64}
    change_params({"datasets.covid.archives.covid_radiography": pinned})
    assert params.load().datasets["covid"].archives["covid_radiography"].model_dump() == pinned


def test_changes_are_read_as_yaml_and_leave_the_values_alone():
    values = {"train": {"epochs": 3, "augment": None}}
    changed = params.changed(values, {"train.epochs": "5", "train.augment": "[a, 0.5]"})
    assert changed == {"train": {"epochs": 5, "augment": ["a", 0.5]}}
    assert values["train"]["epochs"] == 3


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("train.epochs", "[1", r"train.epochs: expected a value in YAML, received '\[1'"),
        ("train.epochs.first", "5", r"expected a key of params.yaml or a .*'train\.epochs\.first'"),
    ],
)
def test_a_change_that_is_not_yaml_or_below_a_single_value_is_refused(key, text, message):
    with pytest.raises(RontgenError, match=message):
        params.changed({"train": {"epochs": 3}}, {key: text})


def test_a_change_of_what_is_not_there_is_refused_with_what_is():
    with pytest.raises(RontgenError, match="did you mean epochs"):
        params.validate(params.changed(params.read(ROOT / "params.yaml"), {"train.epoch": "5"}))


def test_a_change_may_name_its_file():
    assert params.changed({}, {"studies/a/protocol.yaml:train.epochs": "9"}) == {"train": {"epochs": 9}}


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
