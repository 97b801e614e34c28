"""The command line: what it accepts, and the one line that it prints when it fails."""

import shutil
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
from typer.testing import CliRunner

from conftest import copy_settings, mark_project
from finished_project import recorded
from rontgen import __main__ as cli
from rontgen import options
from rontgen.core.errors import RontgenError
from rontgen.records import records, splits
from rontgen.training import history

EPOCHS = pd.DataFrame({"epoch": [1, 2], "learning_rate": 0.125}).assign(
    train_loss=[0.75, 0.5],
    train_accuracy=[0.5, 0.75],
    validation_loss=[0.625, 0.375],
    validation_accuracy=[0.625, 0.875],
)


@pytest.mark.parametrize(
    ("text", "numbers"), [("7", [7]), ("1-3", [1, 2, 3]), ("1,3-4", [1, 3, 4]), ("2,1-2", [2, 1]), ("5-5", [5])]
)
def test_seeds_are_numbers_and_ranges(text, numbers):
    assert options.numbers(text) == numbers


@pytest.mark.parametrize("text", ["", "a", "1-", "1;2", "1-2-3", "5-1"])
def test_other_seeds_are_refused(text):
    with pytest.raises(RontgenError, match="--seeds: expected numbers such as 1-5, 7 or 1,3-4"):
        options.numbers(text)


@pytest.fixture
def results(tmp_path, monkeypatch):
    """The folder of a record without contradictions."""
    monkeypatch.chdir(tmp_path)
    mark_project(tmp_path)
    record = recorded("covid_hybrid_lstm", "protocol", 1, ("NORMAL", "COVID"), 80, 100)
    train = history.summary(EPOCHS, kept_epoch=2) | {"train_images": 800, "validation_images": 100}
    tested = record.predictions[["id", "patient"]].assign(subset="test")
    column = splits.write("covid", tested, records.FOLDER)
    record.provenance["split"] = {"dataset": "covid", "column": column}
    record.provenance["settings"] = {"train": {"epochs": 2, "fine_tune": None, "early_stopping": None}}
    return records.write(replace(record, metrics=record.metrics | {"train": train}, history=EPOCHS))


def test_records_are_checked(results):
    done = CliRunner().invoke(cli.app, ["record", "--check"])
    assert (done.exit_code, done.output) == (0, "1 records: every test metric is that of the predictions\n")


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_no_records_are_no_success(results, arguments):
    shutil.rmtree(records.FOLDER)
    done = CliRunner().invoke(cli.app, ["record", *arguments])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "expected records in results/, found none" in done.stderr


def test_a_record_that_does_not_check_is_named(results):
    text = (results / "metrics.json").read_text()
    (results / "metrics.json").write_text(text.replace('"accuracy": 0.8,', '"accuracy": 0.9,'))
    done = CliRunner().invoke(cli.app, ["record", "--check"])
    assert done.exit_code == 2
    assert "covid_hybrid_lstm/protocol/seed-1: accuracy: the predictions give 0.8, the record has 0.9" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such_run"], "expected runs of active, covid_hybrid_resnet50, "),
        (["active"], "expected --model with the run active, and with no other"),
        (["pirngadi_simple_rnn", "--model", "cnn1"], "expected --model with the run active, and with no other"),
        (["active", "--model", "cnn9"], "--model: expected one of cnn1, "),
        (["pirngadi_simple_rnn", "--seeds", "x"], "--seeds: expected numbers"),
        (["pirngadi_simple_rnn", "--reading", "x"], "--reading: expected one of protocol, smote_"),
        (["pirngadi_simple_rnn", "-S", "x"], "--set: expected KEY=VALUE, received 'x'"),
        (["pirngadi_simple_rnn", "-S", "train=1", "-S", "train.seed=2"], "expected a key of params.yaml or a pr"),
        (["pirngadi_simple_rnn", "-S", "studies.pirngadi.train.seed=2"], "-S studies.pirngadi.train.seed: expected a"),
        (["pirngadi_simple_rnn", "-S", "x.y=1"], "params.yaml: unknown key: expected one of dataset, "),
    ],
)
def test_what_cannot_be_reproduced_is_one_line(tmp_path, monkeypatch, arguments, message):
    copy_settings(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.app, ["reproduce", *arguments])
    assert done.exit_code == 2
    assert done.output.startswith(f"error: {message}") and done.output.count("\n") == 1


def test_help_waits_for_no_framework():
    code = "import sys; from rontgen.__main__ import app; assert not {'tensorflow', 'keras', 'dvc'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    done = subprocess.run([sys.executable, "-m", "rontgen", "--help"], check=True, capture_output=True, text=True)
    assert "reproduce" in done.stdout and done.stderr == ""


@pytest.mark.parametrize("verb", ["predict", "serve"])
def test_another_kind_of_model_file_is_refused(verb):
    done = CliRunner().invoke(cli.app, [verb, "active", "--kind", "tflite"])
    assert done.exit_code == 2
    assert "is not one of" in done.stderr and "onnx" in done.stderr
