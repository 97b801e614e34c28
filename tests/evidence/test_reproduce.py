"""Reported runs seed by seed: what a job sets, and when a record still matches its job."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT, copy_repository
from finished_project import recorded
from rontgen.core.errors import RontgenError
from rontgen.data import archives
from rontgen.evidence import clone, records, reproduce

RUN, STUDY = "pirngadi_simple_rnn", "studies.pirngadi"
CODE = "src/rontgen/training/protocol.py"
PARTIAL = {"datasets.pneumonia.check_counts": "false"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one file of code and one archive put in place by hand."""
    for name in ("params.yaml", "papers.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    Path(CODE).parent.mkdir(parents=True)
    Path(CODE).write_text("a = 1\n")
    Path("data/archives").mkdir(parents=True)
    put_by_hand(b"archive")
    return tmp_path


def put_by_hand(content):
    path = Path("data/archives/paultimothymooney--chest-xray-pneumonia.zip")
    path.write_bytes(content)
    return {path.name: archives.sha256(path)}


def job(reading="as_stated", extra=PARTIAL, seed=3):
    (found,) = reproduce.plan([RUN], [seed], reading, extra)
    return found


def test_a_seed_is_that_of_the_split_and_of_the_training(project):
    first, second = reproduce.plan([RUN], [1, 2], "as_stated", {})
    assert first.changes == {"profile": "paper", f"{STUDY}.split.seed": "1", f"{STUDY}.train.seed": "1"}
    assert (second.seed, second.name) == (2, "pirngadi-simple-rnn-as-stated-2")


def test_a_reading_sets_what_papers_yaml_says_and_nothing_else(project):
    difference = job("smote_train_test").stated.items() - job().stated.items()
    assert difference == {(f"{STUDY}.balance", "smote_train_test")}


def test_every_reading_of_every_run_can_be_set(project):
    from rontgen.evidence.published import load_papers

    for study in load_papers(Path("papers.yaml")).studies.values():
        for name, reading in study.readings.items():
            assert len(reproduce.plan(reading.runs, [1], name, {})) == len(reading.runs)


@pytest.mark.parametrize(
    ("key", "value"),
    [("profile", "demo"), (f"{STUDY}.train.seed", "99"), (f"{STUDY}.balance", "none"),
     ("profiles.paper.download.source", "synthetic")],
)  # fmt: skip
def test_what_a_record_fixes_cannot_be_set(project, key, value):
    with pytest.raises(RontgenError, match=f"-S {key}: expected a setting that a record leaves open"):
        job("smote_train_test", {key: value})


def test_a_leakfree_run_is_reproduced_as_stated_alone(project):
    assert reproduce.plan(["jitet_mobilenetv2_leakfree"], [1], "as_stated", {})[0].run == "jitet_mobilenetv2_leakfree"
    with pytest.raises(RontgenError, match="--reading: expected one of as_stated for"):
        reproduce.plan(["jitet_mobilenetv2_leakfree"], [1], "last_weights", {})


def record_of(project, job):
    """The record that the job would leave with today's code, settings and data."""
    record = recorded(job.run, job.reading, job.seed, ("NORMAL", "PNEUMONIA"), 80, 100)
    stage = {
        "cmd": "python stages/train.py",
        "deps": {CODE: "md5 of code", "data/split/pirngadi.csv": "md5 of an output"},
        "outs": {},
        "params": {f"{STUDY}.train": train_of(job), "profile": "paper", "datasets": "a whole section"},
    }
    commit = committed("start")
    record.provenance.update(
        commit=commit, stages={"train": stage}, by_hand={"archives": put_by_hand(b"archive"), "weights": {}}
    )
    records.write(record)
    return commit


def committed(message):
    """Commit everything; returns the commit."""
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", message, "--allow-empty"]):
        subprocess.run(["git", *command], check=True)
    return subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def train_of(job):
    from rontgen.core import params

    return params.changed(params.read(), job.changes)["studies"]["pirngadi"]["train"]


def test_a_record_of_the_same_code_data_and_settings_is_the_jobs(project):
    commit = record_of(project, job())
    assert reproduce._recorded(job(), commit).seed == 3
    assert reproduce._recorded(job(seed=4), commit) is None
    Path("README.md").write_text("no code")
    assert reproduce._recorded(job(), committed("no code")).seed == 3


def test_a_record_of_other_code_is_not(project):
    record_of(project, job())
    Path(CODE).write_text("a = 2\n")
    assert reproduce._recorded(job(), committed("other code")) is None


def test_a_record_of_a_commit_that_is_not_there_is_not(project):
    commit = record_of(project, job())
    record = reproduce._recorded(job(), commit)
    record.provenance["commit"] = "0" * 40
    records.write(record)
    assert reproduce._recorded(job(), commit) is None


def test_a_record_of_other_settings_is_not(project):
    commit = record_of(project, job())
    assert reproduce._recorded(job(extra=PARTIAL | {f"{STUDY}.train.epochs": "3"}), commit) is None


def test_a_record_of_another_archive_is_not(project):
    commit = record_of(project, job())
    put_by_hand(b"another archive")
    assert reproduce._recorded(job(), commit) is None


def test_code_that_is_not_committed_is_refused(project, without_identity):
    subprocess.run(["git", "init", "-q"], check=True)
    with pytest.raises(RontgenError, match="expected committed code, received changes in "):
        list(reproduce.reproduce([job()]))


def test_two_at_once_are_refused(project):
    with clone.alone(), pytest.raises(RontgenError, match="another `rontgen reproduce` or `rontgen audit` is at"):
        list(reproduce.reproduce([job()]))


def test_a_clone_keeps_nothing_that_a_killed_run_left(project, monkeypatch):
    for name, value in clone.IDENTITY.items():
        monkeypatch.setenv(name, value)
    Path("data/archives/.gitignore").write_text("*\n!.gitignore\n")
    git, dvc = ["git"], [sys.executable, "-m", "dvc"]
    for command in ([*git, "init", "-q"], [*dvc, "init", "-q"], [*git, "add", "-A"], [*git, "commit", "-qm", "start"]):
        subprocess.run(command, check=True)
    folder = clone.prepare(clone.commit())
    (folder / "params.yaml").write_text("profile: another reading\n")
    (folder / "dvc.lock").write_text("schema: '2.0'\nstag")
    assert clone.prepare(clone.commit()) == folder
    assert (folder / "params.yaml").read_bytes() == Path("params.yaml").read_bytes()
    assert not (folder / "dvc.lock").exists()
    assert [path.name for path in (folder / "data/archives").glob("*.zip")] == list(put_by_hand(b"archive"))


TINY = {
    "source: kaggle": "source: synthetic",
    "image_size: 128": "image_size: 32",
    "scale: 1.0": "scale: 0.15",
    "max_epochs:\n": "max_epochs: 3\n",
    "max_per_class:\n": "max_per_class: {train: 24, validation: 12, test: 8}\n",
}


@pytest.mark.slow
def test_a_run_is_recorded_as_an_experiment_and_not_trained_again(tmp_path, monkeypatch, without_identity, capfd):
    project = copy_repository(tmp_path / "project")
    text = (project / "params.yaml").read_text()
    head, mark, paper = text.partition("  paper:\n")
    for old, new in TINY.items():
        assert paper.count(old) == 1, old
        paper = paper.replace(old, new)
    (project / "params.yaml").write_text(head + mark + paper)
    monkeypatch.chdir(project)
    for name, value in clone.IDENTITY.items():
        monkeypatch.setenv(name, value)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run(["git", *command], check=True)
    for name in clone.IDENTITY:
        monkeypatch.delenv(name)

    planned, other = job(seed=1), job("smote_train_test", seed=1)
    (_, another, _), (_, record, trained) = reproduce.reproduce([other, planned])
    # nothing that one reading sets carries over to the next
    assert [each.provenance["settings"]["balance"] for each in (another, record)] == ["smote_train_test", "smote"]
    assert trained and records.check(record) == []
    assert record.metrics["train"]["epochs"] == 3
    assert record.provenance["settings"]["train"]["seed"] == record.provenance["settings"]["split"]["seed"] == 1
    # the drawn archives have as many images as Kaggle's, but smaller ones
    assert any("median width of" in line for line in record.provenance["deviations"])
    status = subprocess.run(["git", "status", "--porcelain"], check=True, capture_output=True, text=True).stdout
    assert status == "?? results/\n"
    refs = subprocess.run(["git", "for-each-ref", "refs/exps"], check=True, capture_output=True, text=True).stdout
    assert "pirngadi-simple-rnn-as-stated-1" in refs

    ((_, again, trained),) = reproduce.reproduce([planned])
    assert not trained
    assert json.dumps(again.metrics) == json.dumps(record.metrics)
    assert "recorded for this code, data and settings" in capfd.readouterr().err
