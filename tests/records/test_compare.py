"""Runs of the workspace, of commits and of experiments against each other, in a real git and DVC repository."""

import json
import re
import shutil
import subprocess
import sys
from contextlib import chdir

import numpy as np
import pytest
from dvc.repo import Repo
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from conftest import mark_project
from rontgen.__main__ import app
from rontgen.evaluation import intervals
from rontgen.evaluation.metrics import compute_metrics, prediction_table

# of pygtrie, which DVC uses
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

CLASSES = ["NORMAL", "PNEUMONIA"]

DVC_YAML = """\
stages:
  evaluate:
    cmd: mkdir -p data/predictions && cp active.csv data/predictions/active.csv && cp vgg.csv data/predictions/vgg.csv
    deps: [active.csv, vgg.csv]
    outs: [data/predictions/active.csv, data/predictions/vgg.csv]
"""


def predictions_of(right, images=80, classes=CLASSES, patients=None):
    """A prediction table in which the first `right` images are correct."""
    truth = np.arange(images) % 2
    said = np.where(np.arange(images) < right, truth, 1 - truth)
    probabilities = np.full((images, len(classes)), 0.05)
    probabilities[np.arange(images), said] = 1 - 0.05 * (len(classes) - 1)
    ids = np.array([f"{image:03}" for image in range(images)])
    owners = np.full(images, "", dtype=object) if patients is None else patients
    return prediction_table(ids, owners, np.array(classes, dtype=object)[truth], classes, probabilities)


def write(table, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Commits `first` and `second` (70 and 40 right, vgg always 60), the experiment `tiny` (10 right), workspace 50."""
    folder = tmp_path_factory.mktemp("project")

    def do(*command):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    do("git", "init", "-q", "-b", "main")
    mark_project(folder)
    (folder / "dvc.yaml").write_text(DVC_YAML)
    write(predictions_of(60), folder / "vgg.csv")
    with chdir(folder), Repo.init() as repo:
        for tag, right in (("first", 70), ("second", 40)):
            write(predictions_of(right), folder / "active.csv")
            repo.reproduce()
            do("git", "add", "-A")
            do("git", "commit", "-q", "-m", tag)
            do("git", "tag", tag)
    write(predictions_of(10), folder / "active.csv")
    do(sys.executable, "-m", "dvc", "exp", "run", "-q", "-n", "tiny")
    write(predictions_of(50, patients=np.repeat([f"p{number}" for number in range(40)], 2)), folder / "active.csv")
    with chdir(folder), Repo() as repo:
        repo.reproduce()
    return folder


@pytest.fixture
def run(repository, monkeypatch):
    """Call the command in the repository; returns its exit code, stdout and stderr."""

    def call(*arguments, folder=repository):
        monkeypatch.chdir(folder)
        done = CliRunner().invoke(app, ["diff", *arguments])
        return done.exit_code, done.stdout, done.stderr

    return call


@pytest.fixture
def copy(repository, tmp_path):
    """The folder of a copy of the repository."""
    return shutil.copytree(repository, tmp_path / "copy", symlinks=True)


def compared(result):
    """What a call with --json printed."""
    code, out, err = result
    assert (code, err) == (0, "")
    return json.loads(out)


def refused(result):
    """The one line of the error of a call."""
    code, out, err = result
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


@pytest.fixture
def workspace(tmp_path, run):
    """Compare two prediction tables as runs a and b in a folder that is not a repository."""

    def compare(first, second, *arguments):
        mark_project(tmp_path)
        write(first, tmp_path / "data/predictions/a.csv")
        write(second, tmp_path / "data/predictions/b.csv")
        return run("a", "b", *arguments, folder=tmp_path)

    return compare


@pytest.mark.parametrize(
    ("name", "arguments", "right"),
    [
        ("active", [], 50),
        ("HEAD~1", [], 70),
        ("tiny", [], 10),
        ("first:vgg", [], 60),
        ("first", ["--run", "vgg"], 60),
    ],
)
def test_names_of_runs_revisions_and_experiments(run, name, arguments, right):
    accuracy = compared(run("second:active", name, "--json", *arguments))["metrics"]["accuracy"]
    assert accuracy["first"] == pytest.approx(40 / 80)
    assert accuracy["second"] == pytest.approx(right / 80)


def test_markdown_has_the_numbers_of_the_table(workspace):
    code, out, err = workspace(predictions_of(40), predictions_of(60), "--markdown")
    assert (code, err) == (0, "")
    assert out.startswith("A: a, in the workspace, B: b, in the workspace; 80 test images.\n\n| metric |")
    assert re.search(
        r"^\| accuracy \| 0\.5000 \| 0\.7500 \| \+0\.2500 \| \+0\.\d+ to \+0\.\d+ \* \|$", out, re.MULTILINE
    )
    assert "only B on 20, p = 0.0000. **B is right more often than A: accuracy differs by +25.0 perc" in out
    html = MarkdownIt("commonmark").enable("table").render(out)
    assert html.count("<tr>") == 1 + len(intervals.COMPARED) and "<p>* The interval" in html


def test_one_format_at_a_time(workspace):
    result = workspace(predictions_of(40), predictions_of(60), "--markdown", "--json")
    assert refused(result) == "error: expected one of --json and --markdown, received both\n"


def test_predictions_of_a_revision_come_from_the_remote_where_the_cache_lacks_them(run, copy, tmp_path):
    (copy / ".dvc/cache").rename(tmp_path / "remote")
    add = ["remote", "add", "-q", "--local", "--default", "store", tmp_path / "remote"]
    subprocess.run([sys.executable, "-m", "dvc", *add], cwd=copy, check=True)
    result = compared(run("first", "tiny", "--json", folder=copy))
    assert result["metrics"]["accuracy"]["first"] == pytest.approx(70 / 80)


def test_predictions_in_neither_cache_nor_remote_are_refused(run, copy):
    shutil.rmtree(copy / ".dvc/cache")
    error = refused(run("first", "active", folder=copy))
    assert "active, at first" in error and "dvc fetch" in error and "dvc repro evaluate" in error
    assert "data/predictions/nothing.csv" in refused(run("first:nothing", "active"))


@pytest.mark.parametrize("name", ["nothing", "nothing:active", ":active"])
def test_a_name_of_nothing_is_refused_with_what_was_tried(run, name):
    error = refused(run(name, "active"))
    assert "expected the name of a run, a git revision or a DVC experiment" in error and name.partition(":")[0] in error


def test_outside_a_repository_only_runs_of_the_workspace_are_known(workspace, run, tmp_path):
    assert workspace(predictions_of(60), predictions_of(70))[0] == 0
    assert "expected a git repository of the project's own" in refused(run("a", "HEAD", folder=tmp_path))


def test_the_table_marks_intervals_that_leave_out_zero(run):
    code, out, _ = run("first", "second")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert lines["A:"].startswith("A: active, at first (") and lines["B:"].startswith("B: active, at second (")
    assert "80 test images: 80 of no known patient; classes NORMAL, PNEUMONIA" in out
    assert lines["accuracy"].split()[1:4] == ["0.8750", "0.5000", "-0.3750"] and lines["accuracy"].endswith(" *")
    assert "only A right on 30 images, only B on 0, p = 0.0000" in lines["McNemar:"]
    assert out.splitlines()[-1].startswith("A is right more often than B: accuracy differs by -37.5 percentage points")


@pytest.mark.parametrize(
    ("images", "right", "mark", "said", "conclusion"),
    [
        (80, (60, 61), False, "", r"The difference in accuracy, \+1\.2 percentage points \(.*"),
        (100, (90, 94), True, "only A right on 0 images, only B on 4, p = 0.1250", r".*may be chance\."),
        (80, (60, 60), False, "p = 1.0000", r"A and B are right on the same images\."),
    ],
    ids=["within chance", "four images of a hundred whose interval leaves out zero", "a run against itself"],
)
def test_a_difference_that_may_be_chance_has_no_winner(workspace, images, right, mark, said, conclusion):
    code, out, _ = workspace(*(predictions_of(number, images) for number in right))
    assert code == 0
    lines = out.splitlines()
    assert next(line for line in lines if line.startswith("accuracy")).endswith(" *") is mark
    assert said in out
    assert re.fullmatch(conclusion, lines[-1])


def test_json_holds_the_whole_comparison(workspace):
    first = predictions_of(60, patients=np.array([f"p{image // 4}" for image in range(76)] + [""] * 4))
    second = predictions_of(80)
    result = compared(workspace(first, second, "--json"))
    assert result["first"] == "a, in the workspace" and result["classes"] == CLASSES
    assert (result["images"], result["patients"], result["images_without_patient"]) == (80, 19, 4)
    assert result["mcnemar"] == intervals.mcnemar(first, second)
    expected = intervals.paired_difference(first, second, CLASSES)
    for name, row in result["metrics"].items():
        assert {key: row[key] for key in ("difference", "low", "high")} == pytest.approx(expected[name])
        assert row["second"] - row["first"] == pytest.approx(row["difference"])
    assert result["metrics"]["macro_f1"]["second"] == pytest.approx(compute_metrics(second, CLASSES)["macro"]["f1"])
    assert result["conclusion"].startswith("B is right more often than A")


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (predictions_of(60, images=70), "70 shared, 10 only in the first and 0 only in the second"),
        (predictions_of(60, classes=[*CLASSES, "COVID"]), "received NORMAL, PNEUMONIA in the first and NORMAL, PNEUMO"),
        (predictions_of(60).drop(columns="PNEUMONIA"), "expected columns id, patient, class, predicted"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(workspace, second, message):
    assert message in refused(workspace(predictions_of(60), second))


@pytest.mark.slow
def test_two_runs_of_the_workspace_wait_for_neither_keras_nor_dvc():
    code = "import sys, rontgen.records.compare, rontgen.reporting.comparisons; "
    code += "sys.exit(bool({'keras', 'tensorflow', 'dvc'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
