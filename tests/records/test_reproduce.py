"""Reported runs seed by seed: what a job sets, and when it is recorded already."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT, copy_repository, copy_settings
from finished_project import recorded
from rontgen.core.errors import RontgenError
from rontgen.core.papers import load_papers
from rontgen.parallel import clone
from rontgen.records import records, reproduce

RUN, STUDY = "pirngadi_simple_rnn", "studies.pirngadi"
CODE = "src/rontgen/training/protocol.py"
ARCHIVE = "paultimothymooney--chest-xray-pneumonia.zip"
PAPERS = load_papers(ROOT / "studies")
PARTIAL = {"datasets.pneumonia.check_counts": "false"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one file of code and one archive put in place by hand."""
    copy_settings(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reproduce, "load_papers", lambda: PAPERS)  # which takes a second
    Path(CODE).parent.mkdir(parents=True)
    Path(CODE).write_text("a = 1\n")
    Path("data/archives").mkdir(parents=True)
    Path("data/archives", ARCHIVE).write_bytes(b"archive")
    return tmp_path


def job(reading="protocol", extra=PARTIAL, seed=3, run=RUN):
    (found,) = reproduce.plan([run], [seed], reading, extra)
    return found


# ---- what a job sets


def test_a_seed_is_that_of_the_split_and_of_the_training(project):
    first, second = reproduce.plan([RUN], [1, 2], "protocol", {})
    assert first.changes == {"profile": "paper", f"{STUDY}.split.seed": "1", f"{STUDY}.train.seed": "1"}
    assert (second.seed, second.name) == (2, "pirngadi-simple-rnn-protocol-2")


def test_a_reading_sets_what_paper_yaml_says_and_nothing_else(project):
    difference = job("smote_train_test").stated.items() - job().stated.items()
    assert difference == {(f"{STUDY}.balance", "smote_train_test")}


def test_a_random_completion_is_the_same_every_time_and_another_for_each_seed(project):
    first, second = reproduce.plan([RUN], [1, 2], "random_completion", {})
    assert first == job("random_completion", {}, 1)
    assert first.stated | {f"{STUDY}.split.seed": "2", f"{STUDY}.train.seed": "2"} != second.stated
    assert first.treatment == "random_completion"
    assert first.load().settings != job(seed=1).load().settings


def test_every_reading_of_every_run_can_be_set(project):
    for study in PAPERS.studies.values():
        for name, reading in study.readings.items():
            assert len(reproduce.plan(reading.runs, [1], name, {})) == len(reading.runs)


@pytest.mark.parametrize(
    ("key", "value"),
    [("profile", "demo"), (f"{STUDY}.train.seed", "99"), (f"{STUDY}.balance", "none"),
     (f"studies/pirngadi/protocol.yaml:{STUDY}.balance", "none"), ("profiles.paper.download.source", "synthetic")],
)  # fmt: skip
def test_what_a_record_fixes_cannot_be_set(project, key, value):
    with pytest.raises(RontgenError, match=f"-S {key}: expected a setting that a record leaves open"):
        job("smote_train_test", {key: value})


def test_what_a_random_completion_draws_cannot_be_set(project):
    drawn = next(key for key in job("random_completion").stated if key not in job().stated)
    with pytest.raises(RontgenError, match=f"-S {drawn}: expected a setting that a record leaves open"):
        job("random_completion", {drawn: "1"})


def test_an_unknown_run_is_refused(project):
    with pytest.raises(RontgenError, match=r"expected runs of covid_hybrid_resnet50, .*, received 'pirngadi'"):
        job(run="pirngadi")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({f"{STUDY}.train.speed": "3"}, rf"^studies/pirngadi/protocol.yaml: {STUDY}.train: unknown key: .*'speed'"),
        ({f"{STUDY}.train.epochs": "many"}, rf"^studies/pirngadi/protocol.yaml: {STUDY}.train.epochs: expected"),
        ({"dataset": "x"}, r"^params.yaml: dataset: expected one of"),
        ({"profile.x": "1"}, r"expected a key of params.yaml or a protocol.yaml, received 'profile.x'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_before_anything_runs(project, extra, message):
    with pytest.raises(RontgenError, match=message):
        job(extra=extra)


def test_a_leakfree_run_has_the_readings_that_name_it(project):
    assert job(run="jitet_mobilenetv2_leakfree").run == "jitet_mobilenetv2_leakfree"
    assert job("plain_validation", run="smatika_vgg16_leakfree").reading == "plain_validation"
    with pytest.raises(RontgenError, match="--reading: expected one of protocol, random_completion for jitet_mob"):
        job("last_weights", run="jitet_mobilenetv2_leakfree")


SCALE = {"profiles.paper.preprocess.scale": "0.4"}


@pytest.mark.parametrize(
    ("extra", "treatment"),
    [
        ({}, "protocol"),
        (PARTIAL, "protocol"),  # it changes nothing that is computed
        (SCALE, "protocol+scale=0.4"),
        (PARTIAL | SCALE | {f"{STUDY}.train.epochs": "3"}, "protocol+scale=0.4+epochs=3"),
        ({f"{STUDY}.train.epochs": "50"}, "protocol"),
        ({"studies.jitet.train.epochs": "3"}, "protocol"),
    ],
)
def test_a_treatment_names_what_else_changes_the_run(project, extra, treatment):
    found = job(extra=extra)
    assert found.treatment == treatment
    assert found.name == f"pirngadi-simple-rnn-{treatment}-3".replace("_", "-")


def test_what_a_run_without_leaks_does_anyway_is_no_treatment(project):
    extra = {"studies.smatika.split.on_shortage": "shrink"}
    assert job(extra=extra, run="smatika_vgg16").treatment == "protocol+on_shortage=shrink"
    assert job(extra=extra, run="smatika_vgg16_leakfree").treatment == "protocol"


# ---- what is recorded already


def record_of(job, **train):
    """The record that the job would leave, but for some settings of its training."""
    record = recorded(job.run, job.treatment, job.seed, ("NORMAL", "PNEUMONIA"), 80, 100)
    settings = job.load().settings
    record.provenance.update(commit="0123456789abcdef", settings=settings | {"train": settings["train"] | train})
    records.write(record)
    return record


@pytest.fixture
def trained(project, monkeypatch):
    """The names of the jobs that the clone was asked to train, and whether again; each leaves a record."""
    asked = []
    monkeypatch.setattr(clone, "commit", lambda: "fedcba9876543210")
    monkeypatch.setattr(clone, "prepare", lambda commit: project)
    monkeypatch.setattr(clone, "run", lambda folder, commit, name, changes, targets, again: asked.append((name, again)))
    monkeypatch.setattr(reproduce, "_collect", lambda job, *_: recorded(
        job.run, job.treatment, job.seed, ("NORMAL", "PNEUMONIA"), 90, 100
    ))  # fmt: skip
    return asked


def accuracy_of(job):
    return records.read(records.path_of(job.run, job.treatment, job.seed)).metrics["test"]["accuracy"]


def test_what_is_recorded_is_not_trained_again(trained, capsys):
    record_of(job())
    found = list(reproduce.reproduce([job(), job(seed=4)]))
    assert [(record.metrics["test"]["accuracy"], now) for _, record, now in found] == [(0.8, False), (0.9, True)]
    assert trained == [(job(seed=4).name, False)]
    assert (accuracy_of(job()), accuracy_of(job(seed=4))) == (0.8, 0.9)
    said = capsys.readouterr().err
    assert f"{job().name}: recorded at 0123456; `--again` trains it again and replaces the record" in said


@pytest.mark.parametrize("epochs", [50, 3], ids=["same settings", "other settings"])
def test_what_is_recorded_is_trained_again_and_replaced_if_told_so(trained, epochs):
    record_of(job(), epochs=epochs)
    ((_, record, now),) = reproduce.reproduce([job()], again=True)
    assert (record.metrics["test"]["accuracy"], now) == (0.9, True)
    assert trained == [(job().name, True)]
    assert accuracy_of(job()) == 0.9


def test_another_reading_or_seed_or_treatment_is_another_record(trained):
    record_of(job())
    others = [job(seed=4), job("smote_train_test"), job(extra=PARTIAL | SCALE), job("random_completion")]
    assert [now for _, _, now in reproduce.reproduce([job(), *others])] == [False] + [True] * 4
    assert trained == [(other.name, False) for other in others]


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("train", "epochs", 3, "train.epochs 3, expected 50"),
        ("image", "size", 60, "image.size 60, expected 150"),
        ("model", "dropout", 0.1, "model.dropout 0.1, expected 0.5"),
    ],
)
def test_a_record_of_other_settings_is_kept_and_stops_the_job(trained, section, key, value, said):
    record = record_of(job())
    record.provenance["settings"][section][key] = value
    records.write(record)
    message = rf"^results/{RUN}/protocol/seed-3: recorded with {said}: keep the record, or give `--again` to replace it"
    with pytest.raises(RontgenError, match=message):
        list(reproduce.reproduce([job(seed=4), job()]))
    assert trained == [] and accuracy_of(job()) == 0.8


def test_a_change_of_the_protocol_file_stops_the_job_that_is_recorded(trained):
    record_of(job())
    path = Path("studies/pirngadi/protocol.yaml")
    path.write_text(path.read_text().replace("batch_size: 16", "batch_size: 8"))
    with pytest.raises(RontgenError, match=r"recorded with train.batch_size 16, expected 8"):
        list(reproduce.reproduce([job()]))


def commit_everything():
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start", "--allow-empty"]):
        subprocess.run(["git", *command], check=True, env=os.environ | clone.IDENTITY)


@pytest.mark.parametrize("path", [CODE, "params.yaml", "studies/pirngadi/protocol.yaml", "studies/pirngadi/paper.yaml"])
def test_a_change_that_is_not_committed_is_refused(project, path):
    commit_everything()
    Path("README.md").write_text("no code")
    assert len(clone.commit()) == 40
    with Path(path).open("a") as file:
        file.write("# changed\n")
    with pytest.raises(RontgenError, match=f"expected committed code, received changes in {path}"):
        list(reproduce.reproduce([job()]))


def test_code_that_is_not_committed_is_refused(project, without_identity):
    subprocess.run(["git", "init", "-q"], check=True)
    with pytest.raises(RontgenError, match="expected committed code, received changes in "):
        list(reproduce.reproduce([job()]))


def test_two_at_once_are_refused(project):
    with clone.alone(), pytest.raises(RontgenError, match="another `rontgen reproduce` or `rontgen audit` is at"):
        list(reproduce.reproduce([job()]))


@pytest.fixture
def command(project, monkeypatch):
    """The one command that the clone is to run for some changes."""
    commands = []
    monkeypatch.setattr(clone, "git", lambda *arguments, cwd=None: "")
    monkeypatch.setattr(
        clone.subprocess, "run", lambda words, **_: commands.append(words) or subprocess.CompletedProcess(words, 0)
    )

    def of(changes, again=False):
        clone.run(project, "0" * 40, "a-name", changes, ["a_target"], again)
        ((_, *words),) = commands
        return words

    return of


@pytest.mark.parametrize(
    ("key", "override"),
    [
        ("profile", "profile=1"),
        ("models.simple_rnn.dropout", "models.simple_rnn.dropout=1"),
        ("params.yaml:profile", "profile=1"),
        (f"{STUDY}.train.epochs", f"studies/pirngadi/protocol.yaml:++{STUDY}.train.epochs=1"),
        (f"runs.{RUN}.image.normalize", f"studies/pirngadi/protocol.yaml:++runs.{RUN}.image.normalize=1"),
        ("image_sets.jitet_224.size", "studies/jitet/protocol.yaml:++image_sets.jitet_224.size=1"),
        (f"studies/pirngadi/protocol.yaml:{STUDY}.balance", f"studies/pirngadi/protocol.yaml:++{STUDY}.balance=1"),
    ],
)
def test_a_setting_is_given_to_the_file_that_has_it(command, key, override):
    words = command({key: "1"})
    assert words[:4] == ["-m", "dvc", "exp", "run"]
    assert words[-5:] == ["--name", "a-name", "-S", override, "a_target"]


@pytest.mark.parametrize("again", [False, True])
def test_the_clone_runs_stages_again_only_if_told_so(command, again):
    assert ("--force" in command({}, again)) is again


def test_a_clone_keeps_nothing_that_a_killed_run_left(project):
    Path("data/archives/.gitignore").write_text("*\n!.gitignore\n")
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True)
    commit_everything()
    folder = clone.prepare(clone.commit())
    (folder / "params.yaml").write_text("profile: another reading\n")
    (folder / "studies/jitet/protocol.yaml").write_text("studies: another reading\n")
    (folder / "dvc.lock").write_text("schema: '2.0'\nstag")
    assert clone.prepare(clone.commit()) == folder
    for path in ("params.yaml", "studies/jitet/protocol.yaml"):
        assert (folder / path).read_bytes() == Path(path).read_bytes()
    assert not (folder / "dvc.lock").exists()
    assert [path.name for path in (folder / "data/archives").glob("*.zip")] == [ARCHIVE]


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
    commit_everything()

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
    assert "pirngadi-simple-rnn-protocol-1" in refs

    ((_, again, trained),) = reproduce.reproduce([planned])
    assert not trained
    assert json.dumps(again.metrics) == json.dumps(record.metrics)
    assert "`--again` trains it again and replaces the record" in capfd.readouterr().err
