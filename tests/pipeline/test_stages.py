"""Every stage script runs alone: --help, and one clear line where its input or its params are wrong."""

import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import ROOT, copy_pipeline, copy_settings, replace_in_params
from rontgen.core import params
from rontgen.records import records

# script, arguments, and the command that its error names when the input is missing (None: it needs none)
STAGES = [
    ("check", [], None),
    ("inputs", [], None),
    ("weights", ["--backbone", "vgg16"], "dvc repro inputs"),
    ("download", ["--dataset", "pneumonia"], "dvc repro inputs"),
    ("split", ["--split", "active"], "dvc repro download@pneumonia"),
    ("split", ["--split", "jitet_leakfree"], "dvc repro near_duplicates@pneumonia"),
    ("preprocess", ["--image-set", "smatika_224"], "dvc repro reported_split@smatika"),
    ("balance", ["--image-set", "active"], "dvc repro preprocess"),
    ("train", ["--run", "lungcare_b8_s240"], "dvc repro reported_preprocess@lungcare_240"),
    ("evaluate", ["--run", "smatika_vgg16"], "dvc repro reported_train@smatika_vgg16"),
    ("compare", [], None),
    ("compare", ["--show", "demo"], "dvc repro reported_evaluate@covid_hybrid_resnet50"),
    ("near_duplicates", ["--dataset", "covid"], "dvc repro download@covid"),
    ("shortcuts", ["--dataset", "covid"], "dvc repro near_duplicates@covid"),
    ("leakage", [], "dvc repro near_duplicates@pneumonia"),
]

RECORDED = "pirngadi_simple_rnn"


@pytest.fixture
def project(tmp_path):
    """The repository's scripts and settings, and nothing that a stage wrote."""
    copy_settings(tmp_path)
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    shutil.copytree(ROOT / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.fixture
def recorded(project):
    """The project with the repository's records of one run by its protocol."""
    for name in (f"{RECORDED}/protocol", "splits"):
        shutil.copytree(ROOT / "results" / name, project / "results" / name)
    return project


def run(project, script, *arguments):
    """Run a script in this process; returns its exit code and what it printed."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(project)
        patch.setattr(sys, "argv", [f"stages/{script}.py", *arguments])
        try:
            runpy.run_path(f"stages/{script}.py", run_name="__main__")
        except SystemExit as end:
            code = end.code
    return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())


def in_profile_paper(project):
    replace_in_params(project, {"profile: demo": "profile: paper"})


def files(project):
    return sorted(path.relative_to(project) for path in project.rglob("*"))


def assert_one_line(project, text, script, *arguments):
    """The script ends with that error, on one line, and writes nothing."""
    before = files(project)
    result = run(project, script, *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert text in result.stderr
    assert files(project) == before


@pytest.mark.parametrize("script", sorted({script for script, _, _ in STAGES}))
def test_help(project, script):
    result = run(project, script, "--help")
    assert result.returncode == 0
    assert f"Stage {script}:" in result.stdout


@pytest.mark.slow
def test_help_waits_for_no_keras(project):
    code = "import sys, runpy; sys.argv[1:] = ['--help']\n"
    for script in sorted({script for script, _, _ in STAGES}):
        code += f"try: runpy.run_path('stages/{script}.py', run_name='__main__')\nexcept SystemExit: pass\n"
    code += "sys.exit(bool({'keras', 'tensorflow', 'dvc'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], cwd=project, check=True)


@pytest.mark.parametrize(("script", "arguments", "command"), [stage for stage in STAGES if stage[2]])
def test_a_missing_input_is_named_with_its_command(project, script, arguments, command):
    assert_one_line(project, f"run `{command}` first", script, *arguments)


@pytest.mark.parametrize("script", [("check",), ("compare",), ("train", "--run", "active")])
def test_a_misspelt_key_is_named(project, script):
    replace_in_params(project, {"  epochs: 10\n": "  epocs: 10\n"})
    assert_one_line(project, "train: unknown key: expected one of epochs,", *script)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "studies/jitet/protocol.yaml",
            "      epochs: 10\n",
            "      epocs: 10\n",
            "studies/jitet/protocol.yaml: studies.jitet.train: unknown key: expected one of epochs,",
        ),
        (
            "studies/jitet/paper.yaml",
            "\n  split.fractions: ",
            "\n  split.other: ",
            "studies/jitet/paper.yaml: expected where split.fractions.train of jitet_mobilenetv2 comes from",
        ),
        # its runs would be known to the scripts, and no stage would train them
        (
            "dvc.yaml",
            "  - studies/jitet/protocol.yaml\n",
            "",
            "studies/jitet/protocol.yaml is not in dvc.yaml: add it under vars",
        ),
    ],
    ids=["misspelt key", "setting without an origin", "study that DVC does not read"],
)
def test_the_check_names_what_is_wrong_with_a_study(project, file, old, new, message):
    text = (project / file).read_text()
    assert text.count(old) == 1
    (project / file).write_text(text.replace(old, new))
    assert_one_line(project, message, "check")


def test_the_check_writes_the_same_for_other_settings(project):
    """All stages come after it: what it writes must not make them run again."""
    written = []
    for changes in ({}, {"  epochs: 10\n": "  epochs: 13\n"}):
        replace_in_params(project, changes)
        assert run(project, "check").returncode == 0
        written.append((project / "data/checked").read_bytes())
    assert written[0] == written[1]


def test_an_unknown_run_is_named(project):
    assert_one_line(project, "expected one of active, covid_hybrid_resnet50, ", "train", "--run", "smatika_vgg19")


def test_an_archive_put_there_by_hand_is_used(project):
    in_profile_paper(project)
    name = "paultimothymooney--chest-xray-pneumonia.zip"
    (project / "data/archives").mkdir(parents=True)
    with zipfile.ZipFile(project / "data/archives" / name, "w") as archive:
        archive.writestr("chest_xray/train/NORMAL/IM-0001-0001.jpeg", b"pixels")
    assert run(project, "inputs").returncode == 0
    result = run(project, "download", "--dataset", "pneumonia")
    assert result.returncode == 0, result.stderr
    assert (project / "data/raw/pneumonia" / name).samefile(project / "data/archives" / name)
    source = json.loads((project / "data/raw/pneumonia/SOURCE.json").read_text())[name]
    assert source["source"] == "by hand" and source["slug"] == "paultimothymooney/chest-xray-pneumonia"


@pytest.mark.slow
def test_the_mean_accuracy_of_the_seeds_is_the_same_in_either_profile(recorded):
    """And the same bytes, whatever the order of a set."""
    written = []
    for seed, changes in (("1", {}), ("2", {"profile: demo": "profile: paper"})):
        replace_in_params(recorded, changes)
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-B", "stages/compare.py"], cwd=recorded, env=environment, check=True)
        written.append([(recorded / name).read_bytes() for name in ("metrics/reported.json", "plots/claims.png")])
    assert written[0] == written[1]
    reported = json.loads((recorded / "metrics/reported.json").read_text())
    accuracies = [record.metrics["test"]["accuracy"] for record in records.read_all(recorded / "results")]
    entry = reported[RECORDED]["protocol"]
    assert reported == {RECORDED: {"protocol": entry}} and entry["seeds"] == len(accuracies) > 1
    assert entry["accuracy"] == pytest.approx(sum(accuracies) / len(accuracies), abs=1e-6)
    assert 0 < entry["bound"] < 0.2


def test_the_verdicts_are_shown_and_nothing_is_written(recorded):
    before = files(recorded)
    result = run(recorded, "compare", "--show", "verdicts")
    assert result.returncode == 0, result.stderr
    assert re.search(rf"^{RECORDED}\b.* 0\.72 ", result.stdout, re.MULTILINE)
    assert files(recorded) == before


def test_a_stage_that_writes_a_folder_can_be_run_again_by_hand(project):
    for script, arguments in (("inputs", []), ("weights", ["--backbone", "vgg16"])):
        for _ in range(2):
            result = run(project, script, *arguments)
            assert result.returncode == 0, result.stderr


def test_a_stage_imports_the_sources_beside_it(tmp_path, monkeypatch):
    stages = params.read_yaml(ROOT / "dvc.yaml")["stages"]
    commands = [entry.get("do", entry)["cmd"] for entry in stages.values()]
    assert {command.partition("python ")[0] for command in commands} == {"PYTHONPATH=src "}
    copy_pipeline(tmp_path)
    (tmp_path / "src/rontgen/core/checks.py").write_text("raise SystemExit('of this copy')\n")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    done = subprocess.run(commands[0], shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "of this copy\n")
