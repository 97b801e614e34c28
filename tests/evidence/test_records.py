"""Records: whole files, read back as they were written, whose metrics are those of their predictions."""

import json
import shutil

import pytest

from conftest import ROOT
from finished_project import recorded
from rontgen.core.errors import RontgenError
from rontgen.core.vocabulary import AS_STATED
from rontgen.evidence import records

CLASSES = ("NORMAL", "COVID")
COMMITTED = records.read_all(ROOT / "results")


def written(folder, seed=1):
    record = recorded("covid_hybrid_lstm", "as_stated", seed, CLASSES, 80, 100)
    return record, records.write(record, folder)


def test_a_record_is_read_as_it_was_written(tmp_path):
    record, path = written(tmp_path)
    read = records.read(path)
    assert (read.run, read.reading, read.seed, read.metrics) == (record.run, "as_stated", 1, record.metrics)
    assert read.predictions.equals(record.predictions) and read.history.equals(record.history)
    assert records.check(read) == []


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


@pytest.mark.parametrize("name", records.FILES)
def test_a_missing_file_is_named_with_the_command(tmp_path, name):
    _, path = written(tmp_path)
    (path / name).unlink()
    with pytest.raises(RontgenError, match=f"received no {name}: run `git checkout"):
        records.read(path)


@pytest.mark.parametrize("name", records.FILES)
def test_a_damaged_file_is_one_line(tmp_path, name):
    _, path = written(tmp_path)
    (path / name).write_text("")
    with pytest.raises(RontgenError, match="run `git checkout") as caught:
        records.read(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_lacks_a_key_is_one_line(tmp_path):
    _, path = written(tmp_path)
    (path / "metrics.json").write_text('{"test": {}}')
    with pytest.raises(RontgenError, match="received no key 'train': run `git checkout"):
        records.read(path)


def test_a_changed_metric_is_found(tmp_path):
    _, path = written(tmp_path)
    metrics = json.loads((path / "metrics.json").read_text())
    metrics["test"]["macro"]["f1"] += 0.001
    (path / "metrics.json").write_text(json.dumps(metrics))
    (wrong,) = records.check(records.read(path))
    assert wrong.startswith("covid_hybrid_lstm/as_stated/seed-1: macro.f1: the predictions give 0.")


def test_a_changed_prediction_is_found(tmp_path):
    _, path = written(tmp_path)
    text = (path / "predictions.csv").read_text()
    (path / "predictions.csv").write_text(text.replace("NORMAL,NORMAL", "NORMAL,COVID", 1))
    assert any(": accuracy: " in line for line in records.check(records.read(path)))


def test_an_epoch_that_is_missing_is_found(tmp_path):
    _, path = written(tmp_path)
    lines = (path / "history.csv").read_text().splitlines()
    (path / "history.csv").write_text("\n".join(lines[:-1]) + "\n")
    assert records.check(records.read(path)) == [
        "covid_hybrid_lstm/as_stated/seed-1: history.csv has 19 epochs, the record says 20"
    ]


def test_a_folder_that_is_no_seed_is_refused(tmp_path):
    _, path = written(tmp_path)
    shutil.move(path, path.with_name("seed-one"))
    with pytest.raises(RontgenError, match="expected a folder seed-<number>"):
        records.read_all(tmp_path)


@pytest.mark.parametrize("record", COMMITTED, ids=lambda record: record.name)
def test_the_metrics_of_a_committed_record_are_those_of_its_predictions(record):
    assert records.check(record) == []
    assert len(record.provenance["commit"]) == 40


# Settings of a model that records of the first commits do not hold
ADDED = {"family", "preprocessing"}


def leaves(settings, prefix=""):
    """Each setting by its dotted key, without the model's name or the study's before it."""
    found = {}
    for key, value in settings.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


@pytest.mark.parametrize("record", COMMITTED, ids=lambda record: record.name)
def test_the_settings_of_a_committed_record_are_as_stated_but_for_what_it_set(record):
    stated = {(other.run, other.seed): other for other in COMMITTED if other.reading == AS_STATED}
    first = stated[record.run, record.seed]
    settings, others = leaves(record.provenance["settings"]), leaves(first.provenance["settings"])
    lacking = {key for key in settings.keys() ^ others.keys() if key.rpartition(".")[2] in ADDED}
    differ = {key for key in settings.keys() | others.keys() if settings.get(key) != others.get(key)} - lacking
    set_here = dict(record.provenance["set"].items() ^ first.provenance["set"].items())
    assert differ == {key.split(".", 2)[2] if key.startswith("studies.") else key.split(".", 1)[1] for key in set_here}


def test_committed_records_hold_text_alone():
    assert COMMITTED
    suffixes = {path.suffix for path in (ROOT / "results").rglob("*") if path.is_file()}
    assert suffixes == {".json", ".csv", ".md"}


def test_what_an_archive_is_is_known_by_its_sha256(tmp_path):
    record = recorded("covid_hybrid_lstm", "as_stated", 3, CLASSES, 80, 100)
    record.provenance["archives"] = {"one": {"sha256": "1" * 64}, "other": {"sha256": "2" * 64}}
    records.write(record, tmp_path)
    assert records.read_all(tmp_path)[0].deviations == record.provenance["deviations"]
    (tmp_path / records.SOURCES).write_text(json.dumps({"2" * 64: "other is a copy", "3" * 64: "another"}))
    assert records.read_all(tmp_path)[0].deviations == ["other is a copy", *record.provenance["deviations"]]
