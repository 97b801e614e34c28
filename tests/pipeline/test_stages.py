"""Every stage script runs alone: --help, and one clear line where its input or its params are wrong."""

import json
import shutil
import subprocess
import sys
import zipfile

import pytest

from conftest import ROOT

# script, arguments, and the command that its error names when the input is missing (None: it needs none)
STAGES = [
    ("check", [], None),
    ("inputs", [], None),
    ("weights", ["--model", "vgg16"], "dvc repro inputs"),
    ("download", ["--dataset", "pneumonia"], "dvc repro inputs"),
    ("split", ["--study", "active"], "dvc repro download@pneumonia"),
    ("preprocess", ["--image-set", "smatika_224"], "dvc repro reported_split@smatika"),
    ("balance", ["--image-set", "active"], "dvc repro split"),
    ("train", ["--run", "lungcare_b8_s240"], "dvc repro reported_split@lungcare"),
    ("evaluate", ["--run", "smatika_vgg16"], "dvc repro reported_train@smatika_vgg16"),
    ("compare", [], "dvc repro reported_evaluate@smatika_resnet50v2"),
    ("near_duplicates", ["--dataset", "covid"], "dvc repro download@covid"),
    ("shortcuts", ["--dataset", "covid"], "dvc repro near_duplicates@covid"),
    ("leakage", [], "dvc repro near_duplicates@pneumonia"),
    ("leakage_gap", [], "dvc repro reported_evaluate@smatika_vgg16"),
    ("cards", [], "dvc repro leakage"),
]


@pytest.fixture
def project(tmp_path):
    """The repository's scripts and params, and nothing that a stage wrote."""
    for name in ("params.yaml", "papers.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(project, script, *arguments):
    command = [sys.executable, "-B", f"stages/{script}.py", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60)


def files(project):
    return sorted(path.relative_to(project) for path in project.rglob("*"))


def assert_one_line(result, text):
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert text in result.stderr


@pytest.mark.parametrize("script", [script for script, _, _ in STAGES])
def test_help(project, script):
    result = run(project, script, "--help")
    assert result.returncode == 0
    assert f"Stage {script}:" in result.stdout


@pytest.mark.parametrize(("script", "arguments", "command"), [stage for stage in STAGES if stage[2]])
def test_a_missing_input_is_named_with_its_command(project, script, arguments, command):
    before = files(project)
    assert_one_line(run(project, script, *arguments), f"run `{command}` first")
    assert files(project) == before


@pytest.mark.parametrize(("script", "arguments", "command"), STAGES)
def test_a_misspelt_key_is_named(project, script, arguments, command):
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("  epochs: 20\n", "  epocs: 20\n", 1))
    before = files(project)
    assert_one_line(run(project, script, *arguments), "train: unknown key 'epocs', expected one of epochs,")
    assert files(project) == before


def test_an_unknown_run_is_named(project):
    assert_one_line(run(project, "train", "--run", "smatika_vgg19"), "expected one of active, smatika_resnet50v2")


def test_an_archive_put_there_by_hand_is_used(project):
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("profile: demo", "profile: paper", 1))
    name = "paultimothymooney--chest-xray-pneumonia.zip"
    (project / "data/archives").mkdir(parents=True)
    with zipfile.ZipFile(project / "data/archives" / name, "w") as archive:
        archive.writestr("chest_xray/train/NORMAL/IM-0001-0001.jpeg", b"pixels")
    assert run(project, "inputs").returncode == 0
    result = run(project, "download", "--dataset", "pneumonia")
    assert result.returncode == 0, result.stderr
    assert (project / "data/raw/pneumonia" / name).read_bytes() == (project / "data/archives" / name).read_bytes()
    source = json.loads((project / "data/raw/pneumonia/SOURCE.json").read_text())[name]
    assert source["source"] == "by hand" and source["slug"] == "paultimothymooney/chest-xray-pneumonia"
