"""Reported runs seed by seed: what a job sets, and when it is recorded already."""

import json
import re
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest

from conftest import ROOT, copy_repository, copy_settings
from finished_project import recorded
from rontgen.core.errors import RontgenError
from rontgen.core.papers import load_papers
from rontgen.parallel import clone, recording
from rontgen.parallel.clone import Clone, Experiment, Origin
from rontgen.records import records, reproduce
from rontgen.records.reproduce import Trained

STAGES = ("reported_train@pirngadi_simple_rnn", "reported_evaluate@pirngadi_simple_rnn")
RUN, STUDY = "pirngadi_simple_rnn", "studies.pirngadi"
PAPERS = load_papers(ROOT / "studies")
PARTIAL = {"datasets.pneumonia.check_counts": "false"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the settings."""
    copy_settings(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reproduce, "load_papers", lambda: PAPERS)  # which takes a second
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


def test_the_active_run_is_planned_for_each_architecture(project):
    jobs = reproduce.plan(["active"], [1, 2], "protocol", PARTIAL, ["cnn4", "vgg16"])
    assert [job.name for job in jobs] == ["active-cnn4-1", "active-cnn4-2", "active-vgg16-1", "active-vgg16-2"]
    small, large = jobs[0].load().settings, jobs[2].load().settings
    assert (small["model"]["name"], small["image"]["normalize"]) == ("cnn4", "unit")
    assert (large["model"]["name"], large["image"]["normalize"]) == ("vgg16", "backbone")
    alike = ("dataset", "split", "train", "augment", "balance")
    assert {key: small[key] for key in alike} == {key: large[key] for key in alike}
    assert small["train"]["seed"] == small["split"]["seed"] == 1


def test_what_the_active_run_is_set_to_does_not_matter_to_the_comparison(change_params):
    before = reproduce.plan(["active"], [1], "protocol", {}, ["cnn4"])[0].load().settings
    change_params({"dataset": "covid", "model": "vgg16", "split.policy": "balanced", "split.seed": 9, "image.size": 50})
    change_params({"balance": "smote", "train.epochs": 99, "train.mixed_precision": True, "image.channels": 1})
    assert reproduce.plan(["active"], [1], "protocol", {}, ["cnn4"])[0].load().settings == before


def test_every_reading_of_every_run_can_be_set(project):
    for study in PAPERS.studies.values():
        for name, reading in study.readings.items():
            assert len(reproduce.plan(reading.runs, [1], name, {})) == len(reading.runs)


@pytest.mark.parametrize(
    ("key", "value"),
    [(f"{STUDY}.train.seed", "99"), (f"studies/pirngadi/protocol.yaml:{STUDY}.balance", "none"),
     ("profiles.paper.download.source", "demo")],
)  # fmt: skip
def test_what_a_record_fixes_cannot_be_set(project, key, value):
    with pytest.raises(RontgenError, match=f"-S {key}: expected a setting that a record leaves open"):
        job("smote_train_test", {key: value})


SCALE = {"profiles.paper.preprocess.scale": "0.4"}


@pytest.mark.parametrize(
    ("extra", "treatment"),
    [
        (PARTIAL | SCALE | {f"{STUDY}.train.epochs": "3"}, "protocol+scale=0.4+epochs=3"),
        ({"datasets.pneumonia.classes": "[PNEUMONIA, NORMAL]"}, "protocol+classes=[PNEUMONIA, NORMAL]"),
        # these change nothing that is computed
        (PARTIAL | {f"{STUDY}.train.epochs": "50", "studies.jitet.train.epochs": "3"}, "protocol"),
    ],
)
def test_a_treatment_names_what_else_changes_the_run(project, extra, treatment):
    found = job(extra=extra)
    assert found.treatment == treatment
    assert found.name.startswith("pirngadi-simple-rnn-protocol") and found.name.endswith("-3")
    subprocess.run(["git", "check-ref-format", f"refs/exps/{found.name}"], check=True)


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

    def train(prepared, name, job, again, *_):
        asked.append((name, again))
        made = recorded(job.run, job.treatment, job.seed, ("NORMAL", "PNEUMONIA"), 90, 100)
        manifest = made.predictions[["id", "patient"]].assign(subset="test")
        experiment, time = Experiment("", "", b""), {"time": made.metrics["time"]}
        films = pd.DataFrame(columns=["source", "id"])
        return Trained(experiment, made.metrics, made.predictions, films, made.history, manifest, time)

    origin = Origin("fedcba9876543210", b"", {}, None, project / "data")
    monkeypatch.setattr(recording, "origin", lambda: nullcontext(origin))
    monkeypatch.setattr(recording, "free", lambda *_: nullcontext(Clone(project, origin.commit)))
    monkeypatch.setattr(reproduce, "_train", train)
    monkeypatch.setattr(Experiment, "fetch", lambda self: None)
    return asked


def accuracy_of(job):
    return records.read(records.path_of(job.run, job.treatment, job.seed)).metrics["test"]["accuracy"]


def test_what_is_recorded_is_not_trained_again(trained, capsys):
    record_of(job())
    found = list(reproduce.reproduce([job(), job(seed=4)]))
    assert [record.metrics["test"]["accuracy"] for _, record in found] == [0.8, 0.9]
    assert trained == [(job(seed=4).name, False)]
    assert (accuracy_of(job()), accuracy_of(job(seed=4))) == (0.8, 0.9)
    said = capsys.readouterr().err
    assert f"{job().name}: recorded at 0123456; `--again` trains it again and replaces the record" in said


def test_what_is_recorded_is_trained_again_and_replaced_if_told_so(trained):
    record_of(job(), epochs=3)
    ((_, record),) = reproduce.reproduce([job()], again=True)
    assert record.metrics["test"]["accuracy"] == 0.9
    assert trained == [(job().name, True)]
    assert accuracy_of(job()) == 0.9


def test_another_reading_or_seed_or_treatment_is_another_record(trained):
    record_of(job())
    others = [job(seed=4), job("smote_train_test"), job(extra=PARTIAL | SCALE), job("random_completion")]
    list(reproduce.reproduce([job(), *others]))
    assert trained == [(other.name, False) for other in others]


def test_a_record_of_other_settings_is_kept_and_stops_the_job(trained):
    record_of(job())
    path = Path("studies/pirngadi/protocol.yaml")
    path.write_text(path.read_text().replace("batch_size: 16", "batch_size: 8"))
    message = (
        rf"^results/{RUN}/protocol/seed-3: recorded with train.batch_size 16, expected 8: keep the record, or give"
    )
    with pytest.raises(RontgenError, match=message):
        list(reproduce.reproduce([job(seed=4), job()]))
    assert trained == [] and accuracy_of(job()) == 0.8


TINY = {
    "source: kaggle": "source: demo",
    "image_size: 128": "image_size: 32",
    "scale: 1.0": "scale: 0.15",
    "max_epochs:\n": "max_epochs: 3\n",
    "max_per_class:\n": "max_per_class: {train: 24, validation: 12, test: 8}\n",
}


def without_times():
    """The bytes of all files in results/; of provenances what is no time and depends on none."""
    found = {path: path.read_bytes() for path in records.FOLDER.rglob("*") if path.is_file()}
    for path in records.FOLDER.rglob("provenance.json"):
        found[path] = json.loads(found[path])
        assert found[path].pop("time") and found[path]["stages"].pop(f"reported_train@{RUN}")
    return found


@pytest.mark.slow
def test_a_run_is_recorded_as_an_experiment_and_not_trained_again_and_two_at_once_give_the_same(
    tmp_path, monkeypatch, without_identity, capfd
):
    project = copy_repository(tmp_path / "project")
    text = (project / "params.yaml").read_text()
    head, mark, paper = text.partition("  paper:\n")
    for old, new in TINY.items():
        assert paper.count(old) == 1, old
        paper = paper.replace(old, new)
    (project / "params.yaml").write_text(head + mark + paper)
    monkeypatch.chdir(project)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        clone.git(*command)

    planned, other = job(seed=1), job("smote_train_test", seed=2)
    (_, another), (_, record) = reproduce.reproduce([other, planned])
    # nothing that one reading sets carries over to the next
    assert [each.provenance["settings"]["balance"] for each in (another, record)] == ["smote_train_test", "smote"]
    assert records.check(record) == []
    assert record.metrics["train"]["epochs"] == 3
    assert record.provenance["settings"]["train"]["seed"] == record.provenance["settings"]["split"]["seed"] == 1
    # the drawn archives have as many images as Kaggle's, but smaller ones
    assert any("median width of" in line for line in record.provenance["deviations"])
    assert clone.git("status", "--porcelain") == "?? results/"
    assert "pirngadi-simple-rnn-protocol-1" in clone.git("for-each-ref", "refs/exps")

    capfd.readouterr()
    ((_, again),) = reproduce.reproduce([planned])
    assert json.dumps(again.metrics) == json.dumps(record.metrics)
    assert "`--again` trains it again and replaces the record" in capfd.readouterr().err

    one_after_another = without_times()
    Path("results").rename("earlier")
    begun = {other.name: another.metrics["time"], planned.name: record.metrics["time"]}
    for done, side_by_side in reproduce.reproduce([other, planned], again=True, at_once=2):
        assert side_by_side.metrics["time"] != begun[done.name]  # trained anew
    assert without_times() == one_after_another
    said = capfd.readouterr().out
    for job_ in (other, planned):
        assert re.findall(rf"{job_.name}: Running stage '(.*)'", said) == list(STAGES)
    assert f"{planned.name}: {RUN}: 100% of epoch 1 of 3, " in said
