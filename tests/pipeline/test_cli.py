"""The command line: what it accepts, and the one line that it prints when it fails."""

import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from conftest import ROOT
from finished_project import recorded
from rontgen import __main__ as cli
from rontgen.core.errors import RontgenError
from rontgen.evidence import records


@pytest.mark.parametrize(
    ("text", "numbers"), [("7", [7]), ("1-3", [1, 2, 3]), ("1,3-4", [1, 3, 4]), ("2,1-2", [2, 1]), ("5-5", [5])]
)
def test_seeds_are_numbers_and_ranges(text, numbers):
    assert cli._numbers(text) == numbers


@pytest.mark.parametrize("text", ["", "a", "1-", "1;2", "1-2-3", "5-1"])
def test_other_seeds_are_refused(text):
    with pytest.raises(RontgenError, match="--seeds: expected numbers such as 1-5, 7 or 1,3-4"):
        cli._numbers(text)


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return records.write(recorded("covid_hybrid_lstm", "as_stated", 1, ("NORMAL", "COVID"), 80, 100))


def test_records_are_checked(results):
    done = CliRunner().invoke(cli.app, ["record", "--check"])
    assert (done.exit_code, done.output) == (0, "1 records: every test metric is that of the predictions\n")


def test_a_record_that_does_not_check_is_named(results):
    text = (results / "metrics.json").read_text()
    (results / "metrics.json").write_text(text.replace('"accuracy": 0.8,', '"accuracy": 0.9,'))
    done = CliRunner().invoke(cli.app, ["record", "--check"])
    assert done.exit_code == 2
    assert "covid_hybrid_lstm/as_stated/seed-1: accuracy: the predictions give 0.8, the record has 0.9" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such_run"], "expected runs of smatika_resnet50v2, "),
        (["pirngadi_simple_rnn", "--seeds", "x"], "--seeds: expected numbers"),
        (["pirngadi_simple_rnn", "--reading", "x"], "--reading: expected one of as_stated, smote_train_test for "),
        (["pirngadi_simple_rnn", "-S", "x"], "--set: expected KEY=VALUE, received 'x'"),
        (["pirngadi_simple_rnn", "-S", "x.y=1"], "expected a key of params.yaml, received 'x.y'"),
    ],
)
def test_what_cannot_be_reproduced_is_one_line(tmp_path, monkeypatch, arguments, message):
    for name in ("params.yaml", "papers.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
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
