"""The pipeline end to end through DVC, on the demo profile made smaller still."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from conftest import copy_repository, replace_in_params

SMALLER = {
    "model: resnet50v2 ": "model: simple_rnn ",
    "  epochs: 10\n": "  epochs: 2\n",
    "      max_epochs: 3 ": "      max_epochs: 2 ",
    "        train: 112\n        validation: 28\n": "        train: 40\n        validation: 12\n",
}

TARGETS = (
    "evaluate",
    "reported_balance@pirngadi_150",
    "reported_evaluate@lungcare_cnn4_leakfree",
    "reported_split@jitet",
    "reported_split@jitet_leakfree",
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clone of the repository with a smaller demo, where the TARGETS were rebuilt, two stages at a time."""
    folder = tmp_path_factory.mktemp("pipeline") / "rontgen"
    copy_repository(folder)
    replace_in_params(folder, SMALLER)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "start")
    python(folder, "-m", "rontgen", "scale", "--jobs", "2", *TARGETS)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "results")
    return folder


def git(folder, *arguments):
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def dvc(folder, *arguments):
    return python(folder, "-m", "dvc", *arguments)


def python(folder, *arguments):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": "src"}
    command = [sys.executable, *arguments]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def read(path):
    return json.loads(path.read_text())


def test_the_active_run_has_metrics_of_its_test_images(project):
    metrics = read(project / "metrics/runs/active/test/metrics.json")
    predictions = pd.read_csv(project / "data/predictions/active.csv")
    assert metrics["test_images"] == len(predictions) > 50
    assert metrics["accuracy"] == pytest.approx((predictions["class"] == predictions["predicted"]).mean())


def test_the_audit_finds_no_patient_in_two_subsets(project):
    shared = read(project / "metrics/split/active.json")["shared"]
    assert set(shared["patients"].values()) == set(shared["images"].values()) == {0}


def test_a_leakfree_split_parts_the_patients_that_its_study_shares(project):
    shared = [read(project / f"metrics/split/{name}.json")["shared"] for name in ("jitet", "jitet_leakfree")]
    assert shared[0]["patients"]["train_test"] > 0
    assert set(shared[1]["patients"].values()) == {0}


def test_a_leakfree_run_is_trained_and_evaluated(project):
    assert read(project / "metrics/runs/lungcare_cnn4_leakfree/test/metrics.json")["test_images"] > 50


def test_smote_evens_the_classes_of_the_thesis(project):
    manifest = pd.read_csv(project / "data/split/pirngadi.csv")
    synthetic = pd.read_csv(project / "data/balanced/pirngadi_150/rows.csv")
    train = manifest[manifest["subset"] == "train"]
    counts = pd.concat([train["class"], synthetic["class"]]).value_counts()
    assert len(synthetic) > 0 and counts["NORMAL"] == counts["PNEUMONIA"]
    assert set(synthetic["first"]) <= set(train["id"])


def test_training_is_followed_by_dvclive(project):
    assert read(project / "metrics/runs/active/train/dvclive/metrics.json")["step"] == 1
    history = pd.read_csv(project / "metrics/runs/active/train/history.csv")
    assert history["epoch"].tolist() == [1, 2]


def test_every_declared_plot_is_drawn(project):
    for name in ("confusion_matrix", "roc", "history"):
        assert (project / f"metrics/runs/active/test/{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_second_repro_runs_nothing(project):
    output = dvc(project, "repro", *TARGETS)
    assert "Running stage" not in output


def test_another_model_changes_the_active_metrics_and_no_reported_run(project):
    output = dvc(project, "exp", "run", "-S", "model=cnn1", "evaluate")
    assert "Running stage 'train'" in output and "Running stage 'split'" not in output
    changes = json.loads(dvc(project, "metrics", "diff", "--json"))
    assert "parameters" in changes["metrics/active.json"]
    assert "Running stage" not in dvc(project, "repro", "reported_evaluate@lungcare_cnn4_leakfree")


def test_what_ran_before_comes_back_without_running(project):
    output = dvc(project, "exp", "run", "-S", "model=simple_rnn", "evaluate")
    assert "Stage 'evaluate' is cached - skipping run" in output
    assert re.findall("Running stage '(.*)'", output) in ([], ["check"])  # params.yaml may be formatted differently
