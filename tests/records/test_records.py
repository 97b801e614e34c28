"""Records: whole files, read back as they were written, whose parts agree with each other."""

import gzip
import json
import shutil
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from conftest import ROOT
from finished_project import EPOCHS, recorded
from rontgen.core import architectures, params, readings, runs
from rontgen.core.errors import RontgenError
from rontgen.core.papers import leaves, load_papers
from rontgen.evaluation.external import answers as given
from rontgen.records import records, splits
from rontgen.training.history import summary

CLASSES = ("NORMAL", "COVID")
RESULTS = ROOT / "results"
COMMITTED = records.read_all(RESULTS)
PAPERS = load_papers(ROOT / "studies")
RAW = params.read(ROOT / "params.yaml")
KEPT = 7
SUBSETS = ("train", "validation")
TRAIN = {"epochs": 20, "fine_tune": None, "early_stopping": None}


def written(folder, seed=1, treatment="protocol"):
    """A record of which every part agrees with the others, and its folder."""
    record = recorded("covid_hybrid_lstm", treatment, seed, CLASSES, 80, 100)
    epochs = np.arange(1, 21)
    history = pd.DataFrame(
        {
            "epoch": epochs,
            "train_loss": 0.7 - epochs / 50,
            "train_accuracy": 0.5 + epochs / 50,
            "validation_loss": 0.3 + abs(epochs - 9) / 20,
            "validation_accuracy": 0.9 - abs(epochs - KEPT) / 50,
            "learning_rate": 0.001,
        }
    )
    history = history.astype("float32").astype(float).astype({"epoch": int})  # as Keras measures
    counts = {"train_images": 800, "validation_images": 100}
    metrics = record.metrics | {"train": summary(history, KEPT) | counts}
    column = write_split(record, ["test"] * 100, "train", folder)
    record.provenance.update(split={"dataset": "covid", "column": column}, settings={"train": TRAIN})
    record = replace(record, history=history, metrics=metrics)
    return record, records.write(record, folder)


def write_split(record, subsets, of_another, folder):
    """A split of the record's test images and another image; returns its column."""
    ids = [*record.predictions["id"], "another"]
    return splits.write("covid", pd.DataFrame({"id": ids, "subset": [*subsets, of_another], "patient": ""}), folder)


def check(folder, path):
    """What is wrong with the record in a folder, without the record's name."""
    name = path.relative_to(folder).as_posix()
    lines = [line.partition(": ") for line in records.check(records.read(path), folder)]
    assert all(start == name for start, _, _ in lines)
    return [wrong for _, _, wrong in lines]


def test_a_record_is_read_as_it_was_written(tmp_path):
    record, path = written(tmp_path)
    read = records.read(path)
    assert (read.run, read.treatment, read.seed, read.metrics) == (record.run, "protocol", 1, record.metrics)
    pd.testing.assert_frame_equal(read.predictions, record.predictions)
    pd.testing.assert_frame_equal(read.history, record.history)
    assert read.provenance == record.provenance
    assert records.check(read, tmp_path) == []


def films(*answers):
    """Answers to films of other archives, each the probability of COVID."""
    probabilities = np.array([[1 - covid, covid] for covid in answers])
    rows = pd.DataFrame({"source": "chest_xray", "id": [str(n) for n in range(len(answers))], "class": "NORMAL"})
    return given(rows.assign(unfamiliar=0), list(CLASSES), probabilities)


def test_answers_to_films_of_other_archives_are_kept_and_held_to_their_probabilities(tmp_path):
    record, _ = written(tmp_path)
    table, perturbed = films(0.2, 0.7), {"marker": {"accuracy": 0.5, "same_decisions": 0.6}}
    path = records.write(replace(record, external=table, metrics=record.metrics | {"perturbed": perturbed}), tmp_path)
    read = records.read(path)
    pd.testing.assert_frame_equal(read.external, table)
    assert read.metrics["perturbed"] == perturbed
    assert records.check(read, tmp_path) == []
    (wrong,) = records.check(replace(read, external=table.assign(predicted="NORMAL")), tmp_path)
    assert "external.csv.gz has other answers than its probabilities give" in wrong


@pytest.mark.parametrize("treatment", ["protocol", "own_preprocessing", "own_preprocessing+scale=0.4+max_epochs=10"])
def test_a_record_lies_in_the_folder_of_its_treatment(tmp_path, treatment):
    record, path = written(tmp_path, 3, treatment)
    assert path == tmp_path / "covid_hybrid_lstm" / treatment / "seed-3"
    assert records.read(path).name == record.name == f"covid_hybrid_lstm/{treatment}/seed-3"
    assert record.reading == treatment.partition("+")[0]


@pytest.mark.parametrize(
    ("extra", "treatment"),
    [
        ({}, "a_reading"),
        ({"profiles.paper.preprocess.scale": "0.4"}, "a_reading+scale=0.4"),
        ({"a.b.scale": "0.4", "train.max_epochs": "10"}, "a_reading+scale=0.4+max_epochs=10"),
    ],
)
def test_a_treatment_is_a_reading_with_the_ends_of_other_keys(extra, treatment):
    assert records.treatment_of("a_reading", extra) == treatment
    assert records.reading_of(treatment) == "a_reading"


def test_the_options_make_the_record_again():
    record = recorded("a", "protocol", 3, CLASSES, 8, 10)
    assert record.options("1-3") == "--seeds 1-3"
    record = recorded("a", "smote+scale=0.4", 3, CLASSES, 8, 10)
    record.provenance["extra"] = {"profiles.paper.preprocess.scale": "0.4", "a.b": "true"}
    assert record.options("3") == "--seeds 3 --reading smote -S profiles.paper.preprocess.scale=0.4 -S a.b=true"


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([1, 2, 3], "1-3"), ([1], "1"), ([1, 3], "1,3"), ([1, 2, 4, 6, 7], "1-2,4,6-7"), ([9, 10], "9-10"), ([], "")],
)
def test_numbers_in_a_row_are_a_range(numbers, text):
    assert records.ranges(numbers) == text


def test_what_a_random_completion_drew_is_told_without_seeds_and_names():
    record = recorded("a", "random_completion", 3, CLASSES, 8, 10)
    fixed = {"profile": "paper", "studies.a_study.split.seed": "3", "studies.a_study.train.seed": "3"}
    drawn = {"studies.a_study.train.batch_size": "16", "models.cnn4.dropout": "0.3", "image_sets.a_240.size": "640"}
    record.provenance["set"] = fixed | drawn
    assert record.drawn == {"train.batch_size": "16", "dropout": "0.3", "size": "640"}


def test_a_record_takes_the_place_of_an_earlier_one(tmp_path):
    record, path = written(tmp_path)
    (path / "metrics.json").write_text("{}")
    assert records.write(record, tmp_path) == path
    assert records.read(path).metrics == record.metrics
    assert [entry.name for entry in path.parent.iterdir()] == ["seed-1"]


def test_records_are_in_the_order_of_their_seeds(tmp_path):
    for seed in (10, 9, 1):
        written(tmp_path, seed)
    assert [record.seed for record in records.read_all(tmp_path)] == [1, 9, 10]


@pytest.mark.parametrize(
    ("name", "content", "received"),
    [
        *[(name, None, f"received no {name}: ") for name in records.FILES],
        *[(name, "", "") for name in records.FILES],
        ("metrics.json", '{"test": {}}', "received no key 'train': "),
    ],
)
def test_a_missing_or_damaged_file_is_one_line_with_the_command(tmp_path, name, content, received):
    _, path = written(tmp_path)
    (path / name).unlink() if content is None else (path / name).write_text(content)
    with pytest.raises(RontgenError, match=f"{received}run `git checkout") as caught:
        records.read(path)
    assert "\n" not in str(caught.value)


# ---- a record that contradicts itself


def test_a_changed_metric_is_found(tmp_path):
    record, path = written(tmp_path)
    record.metrics["test"]["macro"]["f1"] += 0.001
    records.write(record, tmp_path)
    (wrong,) = check(tmp_path, path)
    assert wrong.startswith("macro.f1: the predictions give 0.")


def test_a_changed_class_is_found(tmp_path):
    _, path = written(tmp_path)
    text = gzip.decompress((path / "predictions.csv.gz").read_bytes())
    (path / "predictions.csv.gz").write_bytes(gzip.compress(text.replace(b"NORMAL,NORMAL", b"COVID,NORMAL", 1)))
    assert any(line.startswith("accuracy: ") for line in check(tmp_path, path))


OTHER_METRICS = "history.csv gives other training metrics than metrics.json"


def test_an_epoch_that_is_missing_is_found(tmp_path):
    record, path = written(tmp_path)
    records.write(replace(record, history=record.history[:-1]), tmp_path)
    assert check(tmp_path, path) == [
        "history.csv has 19 epochs, the record says 20",
        OTHER_METRICS,
        "its settings would have ended its history elsewhere",
    ]


def test_a_training_metric_that_is_missing_is_found(tmp_path):
    record, path = written(tmp_path)
    del record.metrics["train"]["first"]
    records.write(record, tmp_path)
    assert check(tmp_path, path) == [OTHER_METRICS]


@pytest.mark.parametrize(
    ("epoch", "key", "change"),
    [
        *[(None, key, 1) for key in ("kept_epoch", "best_accuracy_epoch", "best_loss_epoch")],
        *[
            (epoch, f"{subset}_{score}", 0.001)
            for epoch in EPOCHS
            for subset in SUBSETS
            for score in ("loss", "accuracy")
        ],
    ],
)
def test_an_epoch_or_a_score_that_is_not_that_of_the_history_is_found(tmp_path, epoch, key, change):
    record, path = written(tmp_path)
    train = record.metrics["train"]
    (train[epoch] if epoch else train)[key] += change
    records.write(record, tmp_path)
    assert check(tmp_path, path) == [OTHER_METRICS]


def stopped(folder, monitor, patience, trained_with=None, epochs=20):
    """What is wrong with a record that early stopping is said to have ended. Its validation loss is least in epoch 9,
    its validation accuracy is highest in epoch 7."""
    record, path = written(folder)
    stopping = {"monitor": monitor, "patience": patience}
    record.provenance["settings"] = {"train": TRAIN | {"epochs": epochs, "early_stopping": stopping}}
    record.provenance.update({"trained_with": trained_with} if trained_with else {})
    records.write(record, folder)
    return check(folder, path)


def test_a_history_that_early_stopping_would_have_ended_is_found(tmp_path):
    assert stopped(tmp_path, "val_loss", 12) == []
    assert stopped(tmp_path, "val_accuracy", 12) == [
        "early stopping by {'monitor': 'val_accuracy', 'patience': 12} would have ended its history elsewhere"
    ]


def test_a_history_is_as_long_as_its_early_stopping_lets_it_be(tmp_path):
    assert stopped(tmp_path, "val_loss", 11, epochs=40) == []  # epoch 20 is the eleventh without a better one
    assert len(stopped(tmp_path, "val_loss", 10, epochs=40)) == 1


def test_another_rule_of_stopping_than_the_recorded_one_is_the_same_training_only_if_neither_stops(tmp_path):
    assert stopped(tmp_path, "val_loss", 14, {"monitor": "val_accuracy"}) == []
    assert len(stopped(tmp_path, "val_loss", 12, {"monitor": "val_accuracy"})) == 1
    assert len(stopped(tmp_path, "val_accuracy", 12, {"monitor": "val_loss"})) == 1


def test_a_history_of_more_epochs_than_the_settings_is_found(tmp_path):
    record, path = written(tmp_path)
    record.provenance["settings"]["train"] = TRAIN | {"epochs": 19}
    records.write(record, tmp_path)
    assert len(check(tmp_path, path)) == 1


def test_another_rule_of_stopping_is_told_among_the_deviations():
    record = recorded("a", "protocol", 1, CLASSES, 8, 10)
    before = record.deviations
    record.provenance["trained_with"] = {"monitor": "val_loss"}
    assert record.deviations[:-1] == before and "watched val_loss in these trainings" in record.deviations[-1]


def test_test_images_that_the_split_has_not_are_found(tmp_path):
    record, path = written(tmp_path)
    column = write_split(record, ["train", *["test"] * 99], "test", tmp_path)
    record.provenance["split"]["column"] = column
    records.write(record, tmp_path)
    assert check(tmp_path, path) == [f"the test images are not those of covid, column {column}"]


def test_a_split_that_is_missing_is_refused(tmp_path):
    record, _ = written(tmp_path)
    record.provenance["split"]["dataset"] = "lungs"
    with pytest.raises(RontgenError, match=r"lungs.csv.gz: expected a column"):
        records.check(record, tmp_path)


@pytest.mark.parametrize("place", ["covid_hybrid_lstm/smote/seed-1", "covid_hybrid_lstm/protocol/seed-2"])
def test_a_record_that_was_moved_is_found(tmp_path, place):
    _, path = written(tmp_path)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    path.rename(tmp_path / place)
    assert check(tmp_path, tmp_path / place) == ["provenance.json has another reading or seed"]


def test_a_folder_that_is_no_seed_is_refused(tmp_path):
    _, path = written(tmp_path)
    shutil.move(path, path.with_name("seed-one"))
    with pytest.raises(RontgenError, match="expected a folder seed-<number>"):
        records.read_all(tmp_path)


# ---- the committed records


@pytest.mark.parametrize("record", COMMITTED, ids=lambda record: record.name)
def test_a_committed_record_contradicts_itself_nowhere(record):
    assert records.check(record, RESULTS) == []
    assert record.provenance["run"] == record.run
    assert len(record.provenance["commit"]) == 40


@cache
def settings_today(run, changes):
    return runs.load_run(run, params.validate(params.changed(RAW, dict(changes)))).settings


@pytest.mark.parametrize("record", COMMITTED, ids=lambda record: record.name)
def test_a_committed_record_was_trained_with_the_settings_of_its_address(record):
    """Those that `rontgen reproduce` would set for this run, reading and seed today, and what else the record set."""
    values, set_, extra = params.validate(RAW), record.provenance["set"], record.provenance["extra"]
    if record.run == runs.ACTIVE:
        planned = architectures.changes(values, record.reading, record.seed)
    else:
        study = values.runs[record.run].study
        seeds = {f"studies.{study}.{part}.seed": str(record.seed) for part in ("split", "train")}
        changes = readings.changes(PAPERS.studies[study], values, record.run, record.reading, record.seed)
        planned = {"profile": "paper"} | seeds | changes
    assert set_ == planned
    settings = settings_today(record.run, tuple((set_ | extra).items()))
    assert dict(leaves(record.provenance["settings"])) == dict(leaves(settings))
    without = {key: tuple((name, value) for name, value in (set_ | extra).items() if name != key) for key in extra}
    changing = {key: extra[key] for key in extra if settings_today(record.run, without[key]) != settings}
    assert record.treatment == records.treatment_of(record.reading, changing)


def test_committed_records_hold_text_alone():
    assert COMMITTED
    endings = {path.name.partition(".")[2] for path in RESULTS.rglob("*") if path.is_file()}
    assert endings == {"json", "csv", "csv.gz", "md"}


def test_what_an_archive_is_is_known_by_its_sha256(tmp_path):
    record = recorded("covid_hybrid_lstm", "protocol", 3, CLASSES, 80, 100)
    record.provenance["archives"] = {"one": {"sha256": "1" * 64}, "other": {"sha256": "2" * 64}}
    records.write(record, tmp_path)
    assert records.read_all(tmp_path)[0].deviations == record.provenance["deviations"]
    (tmp_path / records.SOURCES).write_text(json.dumps({"2" * 64: "other is a copy", "3" * 64: "another"}))
    assert records.read_all(tmp_path)[0].deviations == ["other is a copy", *record.provenance["deviations"]]
