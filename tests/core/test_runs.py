import dataclasses
from pathlib import Path

import pytest

from conftest import ROOT
from rontgen.core import checks, nested, params, runs
from rontgen.core.errors import RontgenError


@pytest.fixture(scope="module")
def shipped():
    return params.load(ROOT / "params.yaml")


@pytest.fixture
def profile(shipped, monkeypatch):
    """Choose the profile of params.yaml as shipped."""

    def choose(name):
        monkeypatch.setattr(params, "load", lambda: shipped.model_copy(update={"profile": name}))

    return choose


def test_the_active_run_alone_follows_the_top_level_keys(change_params):
    change_params({"profile": "paper"})
    reported = runs.load_run("jitet_mobilenetv2")
    changes = {"dataset": "covid", "model": "cnn4", "balance": "smote", "augment": None, "split.seed": 11}
    changes |= {"image.size": 96, "image.channels": 1, "image.normalize": "symmetric", "train.epochs": 9}
    change_params(changes)
    run = runs.load_run("active")
    assert (run.name, run.image_set.name, run.image_set.split.name) == ("active", "active", "active")
    assert (run.start.name, run.start.folder) == ("random", Path("data/weights/active"))  # cnn4 has no backbone
    found = run.settings | {"model": run.model_name}
    assert {key: nested.find(found, key) for key in changes} == changes
    assert runs.load_run("jitet_mobilenetv2") == reported


def test_a_row_changes_only_what_it_names(profile):
    profile("paper")
    row, study = runs.load_run("lungcare_b8_s640"), runs.load_run("lungcare_cnn4")
    assert (row.train.batch_size, study.train.batch_size) == (8, 32)
    assert row.train.model_copy(update={"batch_size": 32}) == study.train
    assert (row.image_set.name, row.image_set.size) == ("lungcare_640", 640)


@pytest.mark.parametrize(("scale", "size"), [(0.13, 83), (0.01, 8)])
def test_a_profile_scales_and_caps(change_params, scale, size):
    change_params({"profiles.demo.preprocess.scale": scale})
    change_params({"profiles.demo.train.max_epochs": 3, "profiles.demo.train.max_variants": 2})
    change_params({"profiles.demo.split.max_per_class": {"train": 9, "validation": 8, "test": 7}})
    run = runs.load_run("lungcare_b8_s640")
    assert (run.image_set.size, run.train.epochs, run.augment.variants) == (size, 3, 2)
    assert (run.image_set.split.max_per_class.test, run.image_set.split.check_counts) == (7, False)


def test_the_active_run_has_what_it_is_given(change_params, shipped):
    change_params({"profiles.demo.train.max_epochs": 1})
    change_params({"profiles.demo.split.max_per_class": {"train": 9, "validation": 8, "test": 7}})
    run = runs.load_run("active")
    assert (run.train, run.augment, run.image_set.split.max_per_class) == (shipped.train, shipped.augment, None)


@pytest.mark.parametrize(
    ("cap", "epochs", "fine_tune"),
    [(2, 1, 1), (3, 2, 1), (9, 5, 4), (100, 10, 5), (None, 10, 5)],
)
def test_the_two_phases_share_the_cap(change_params, cap, epochs, fine_tune):
    change_params({"profiles.demo.train.max_epochs": cap})
    train = runs.load_run("jitet_mobilenetv2").train
    assert (train.epochs, train.fine_tune.epochs) == (epochs, fine_tune)


def test_the_paper_profile_changes_nothing(profile, shipped):
    profile("paper")
    run, study = runs.load_run("lungcare_b8_s640"), shipped.studies["lungcare"]
    assert (run.image_set.size, run.train.epochs, run.augment) == (640, 20, study.augment)
    assert (run.image_set.split.max_per_class, run.image_set.split.check_counts) == (None, True)
    assert runs.load_run("jitet_mobilenetv2").train == shipped.studies["jitet"].train


def test_counts_are_not_checked_where_the_dataset_says_so(change_params):
    change_params({"profile": "paper", "datasets.pneumonia.check_counts": False})
    assert not runs.load_split("active").check_counts
    assert runs.load_split("lungcare").check_counts


@pytest.mark.parametrize("name", ["demo", "paper"])
def test_every_reported_run_resolves_and_can_be_built(profile, shipped, name):
    profile(name)
    checks.check_runs(params.load())
    for key, row in shipped.runs.items():
        run, image_set = runs.load_run(key), shipped.image_sets[row.image_set]
        assert run.image_set == runs.load_image_set(row.image_set)
        assert run.image_set.split == runs.load_split(image_set.split)
        assert run.classes == shipped.datasets[image_set.dataset].classes
        assert run.start.name == row.weights


def test_the_command_of_a_stage_is_that_of_its_part_of_the_run(profile):
    profile("demo")
    run = runs.load_run("lungcare_cnn4_leakfree")
    assert run.image_set.split.split_command == "dvc repro reported_split@lungcare_leakfree"
    assert run.image_set.preprocess_command == "dvc repro reported_preprocess@lungcare_240_leakfree"
    assert run.image_set.balance_command == "dvc repro reported_balance@lungcare_240_leakfree"
    assert run.train_command == "dvc repro reported_train@lungcare_cnn4_leakfree"
    assert runs.load_run("active").train_command == "dvc repro train"


def test_a_leakfree_split_parts_no_patient_and_keeps_no_copy(change_params):
    change_params({"profile": "paper", "studies.lungcare.split.keep_copies": True})
    own, leakfree = runs.load_split("lungcare"), runs.load_split("lungcare_leakfree")
    assert (own.is_leakfree, leakfree.is_leakfree) == (False, True)
    changed = {"group_by": "patient", "deduplicate": True, "keep_copies": False, "on_shortage": "shrink"}
    assert leakfree.rule == own.rule.model_copy(update=changed)
    assert dataclasses.replace(leakfree, name=own.name, rule=own.rule, list=own.list) == own


@pytest.mark.parametrize("name", ["smatika_vgg16", "jitet_mobilenetv2", "lungcare_cnn4"])
def test_a_leakfree_run_differs_in_its_split_alone(profile, name):
    profile("demo")
    run, leakfree = runs.load_run(name), runs.load_run(f"{name}_leakfree")
    assert leakfree.image_set.split.is_leakfree
    assert (leakfree.image_set.size, leakfree.image_set.balance) == (run.image_set.size, run.image_set.balance)
    assert dataclasses.replace(leakfree, name=run.name, image_set=run.image_set) == run


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image.size": 10}, r"image.size: expected at least 221 for resnet50v2 in the profile demo, .*received 10"),
        ({"profile": "paper", "image.size": 31}, r"image.size: expected at least 32 for resnet50v2 .*, received 31"),
        ({"image_sets.jitet_224.size": 20}, r"image_sets.jitet_224.size: expected at least 221 .*, received 20"),
        ({"image.channels": 1}, r"^image.channels: expected 3 for resnet50v2, received 1"),
        ({"studies.jitet.image.channels": 1}, r"studies.jitet.image.channels: expected 3 for mobilenetv2, received 1"),
        ({"model": "cnn1", "image.normalize": "backbone"}, r"^image.normalize: .* cnn1, which has no backbone"),
    ],
)
def test_a_run_that_cannot_be_built_is_named_before_anything_runs(change_params, changes, message):
    change_params(changes)
    with pytest.raises(RontgenError, match=message):
        checks.check_runs(params.load())


@pytest.mark.parametrize(
    ("load", "name", "message"),
    [
        (runs.load_dataset, "xray", "--dataset: expected one of pneumonia, covid, lungs,"),
        (runs.load_split, "lungs", "--split: expected one of active, covid_hybrid, jitet, jitet_leakfree, .*,"),
        (runs.load_image_set, "lungcare", "--image-set: expected one of active, covid_hybrid_224, jitet_224, .*,"),
        (runs.load_run, "cnn4", "--run: expected one of active, covid_hybrid_resnet50, covid_hybrid_lstm, .*,"),
        (runs.load_start, "resnet51", "--backbone: expected one of active, mobilenetv2, .*,"),
    ],
)
def test_an_unknown_name_lists_the_known_ones(profile, load, name, message):
    profile("demo")
    with pytest.raises(RontgenError, match=f"^{message} received '{name}'$"):
        load(name)


def test_a_dataset_comes_with_its_source(profile):
    profile("demo")
    dataset, download = runs.load_dataset("lungs")
    assert (len(dataset.archives), download.source) == (3, "demo")
    profile("paper")
    assert runs.load_dataset("lungs")[1].source == "kaggle"


def test_initial_weights_follow_the_profile_and_the_file(change_params):
    change_params({"profile": "paper", "backbones.vgg16.file": None, "backbones.resnet50.sha256": "0" * 64})
    start = runs.load_start("resnet50")
    assert (start.pretrained, start.sha256, start.folder) == (True, "0" * 64, Path("data/weights/resnet50"))
    assert start.weights_command == "dvc repro weights@resnet50"
    active = runs.load_start("active")
    assert (active.name, active.file, active.place) == ("resnet50v2", runs.load_start("resnet50v2").file, "active")
    assert active.weights_command == "dvc repro initial_weights"
    assert not runs.load_start("vgg16").pretrained
    assert not runs.load_start("random").pretrained
    change_params({"profile": "demo"})
    assert not runs.load_start("resnet50").pretrained


def test_a_run_may_start_from_random_weights_and_normalise_its_own_way(change_params):
    changes = {"weights": "random", "image": {"normalize": "backbone"}}
    change_params({"profile": "paper"} | {f"runs.covid_hybrid_resnet50.{key}": new for key, new in changes.items()})
    run, other = runs.load_run("covid_hybrid_resnet50"), runs.load_run("covid_hybrid_resnet50_lstm")
    assert (run.start.name, run.settings["weights"], run.image.normalize) == ("random", "random", "backbone")
    assert (other.start.name, other.settings["weights"], other.image.normalize) == ("resnet50", "resnet50", "unit")


def test_a_leakfree_run_makes_no_synthetic_image_from_test_images(change_params):
    change_params({"studies.jitet.balance": "smote_train_test"})
    assert runs.load_image_set("jitet_224").balance == "smote_train_test"
    assert runs.load_image_set("jitet_224_leakfree").balance == "smote"
