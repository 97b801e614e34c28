"""A rebuilt workspace against a commit, in a real git and DVC repository."""

import subprocess
from contextlib import chdir
from pathlib import Path

import pytest
from dvc.repo import Repo
from typer.testing import CliRunner

from conftest import mark_project
from finished_project import recorded
from rontgen.__main__ import app
from rontgen.core.errors import RontgenError
from rontgen.records import verify
from rontgen.reporting import comparisons

# of pygtrie, which DVC uses
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

CLASSES = ("NORMAL", "PNEUMONIA")
DVC_YAML = """\
stages:
  draw:
    cmd: mkdir -p data/raw && cp images data/raw/images
    deps: [images]
    outs: [data/raw]
  evaluate:
    foreach: [active, vgg16]
    do:
      cmd: mkdir -p data/predictions times && cp ${item}.csv data/predictions && date +%N > times/${item}/time.json
      deps: [data/raw, "${item}.csv"]
      outs: ["data/predictions/${item}.csv", "times/${item}/time.json"]
"""


def predictions_of(right, images=200):
    return recorded("a_run", "protocol", 1, CLASSES, right, images).predictions


def write(folder, **right):
    for name, number in right.items():
        predictions_of(number).to_csv(folder / f"{name}.csv", index=False)


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verified") / "project"
    folder.mkdir()
    do(folder, "git", "init", "-q", "-b", "main")
    mark_project(folder)
    Repo.init(str(folder)).close()
    (folder / "dvc.yaml").write_text(DVC_YAML)
    (folder / ".gitignore").write_text("/data\n/times\n")
    (folder / "images").write_text("drawn")
    for name in ("active", "vgg16"):
        (folder / "times" / name).mkdir(parents=True)
    write(folder, active=150, vgg16=120)
    reproduce(folder)
    do(folder, "git", "add", "-A")
    do(folder, "git", "commit", "-qm", "built")
    return folder


@pytest.fixture
def project(committed, tmp_path, monkeypatch):
    """The working directory: a copy of the project."""
    do(tmp_path, "cp", "-r", str(committed), "project")
    monkeypatch.chdir(tmp_path / "project")
    return Path.cwd()


def do(folder, *command):
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def reproduce(folder, **options):
    with chdir(folder), Repo() as repo:
        repo.reproduce(**options)


def rebuild(project, **right):
    write(project, **right)
    reproduce(project)


def test_what_is_as_committed_has_the_same_bytes_but_for_times(project):
    reproduce(project, force=True)
    found = verify.verify("HEAD")
    assert list(found.outputs["path"]) == ["data/predictions/active.csv", "data/predictions/vgg16.csv", "data/raw"]
    assert found.outputs["same"].all() and found.runs == {}
    assert found.summary.endswith("3 of 3 outputs have the same bytes, all predictions among them.")


def test_a_run_with_other_bytes_is_compared_image_by_image(project):
    rebuild(project, vgg16=124)
    found = verify.verify("HEAD")
    assert list(found.runs) == ["vgg16"] and found.runs["vgg16"]["same"] == 196 / 200
    assert found.runs["vgg16"]["result"]["metrics"]["accuracy"]["difference"] == pytest.approx(0.02)
    assert (found.significant, found.missing, found.changed) == ([], [], [])
    assert found.summary.endswith(
        "2 of 3 outputs have the same bytes; 1 trained run predicts other numbers; none differs significantly."
    )
    assert CliRunner().invoke(app, ["verify"]).exit_code == 0


def test_a_run_that_one_side_lacks_is_an_output_and_not_compared(project):
    (project / "dvc.yaml").write_text(DVC_YAML.replace("[active, vgg16]", "[active]"))
    (project / "dvc.lock").unlink()
    reproduce(project)
    found = verify.verify("HEAD")
    assert (found.runs, found.missing) == ({}, [])
    assert found.outputs.set_index("path")["same"].to_dict() == {
        "data/predictions/active.csv": True,
        "data/predictions/vgg16.csv": False,
        "data/raw": True,
    }


def test_a_run_that_is_right_less_often_is_significant(project):
    rebuild(project, active=150, vgg16=90)
    found = verify.verify("HEAD")
    assert found.significant == ["vgg16"]
    assert "vgg16 differs significantly." in comparisons.verification(found).splitlines()[-1]
    result = CliRunner().invoke(app, ["verify", "--brief"])
    assert (result.exit_code, result.stdout) == (1, found.summary + "\n")


def test_a_run_that_was_tested_otherwise_is_named_and_not_compared(project):
    predictions_of(150, images=199).to_csv(project / "active.csv", index=False)
    rebuild(project, vgg16=124)
    found = verify.verify("HEAD")
    assert (list(found.runs), list(found.unlike)) == (["vgg16"], ["active"])
    assert "the same test images" in found.unlike["active"]
    assert any(line.startswith("active: expected") for line in comparisons.verification(found).splitlines())
    assert found.summary.endswith(
        "2 trained runs predict other numbers; active: tested on other images, labels or classes; of 1 that can be "
        "compared none differs significantly."
    )
    assert CliRunner().invoke(app, ["verify", "--brief"]).exit_code == 1


def test_many_runs_are_corrected_for():
    def runs(*values):
        return {str(place): {"result": {"mcnemar": {"p_value": value}}} for place, value in enumerate(values)}

    assert verify.significant(runs(0.04)) == ["0"]
    assert verify.significant(runs(0.04, 0.5)) == []
    assert verify.significant({}) == []


def test_predictions_that_are_not_at_hand_are_named(project):
    rebuild(project, vgg16=90)
    md5 = subprocess.run(["git", "show", "HEAD:dvc.lock"], capture_output=True, text=True, check=True).stdout
    md5 = md5.split("- path: data/predictions/vgg16.csv")[1].split("md5: ")[1].split()[0]
    (project / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    found = verify.verify("HEAD")
    assert (found.runs, found.missing) == ({}, ["vgg16"])
    assert found.summary.endswith("1 trained run predicts other numbers, and none of them can be compared here.")
    assert "    vgg16" in comparisons.verification(found).splitlines()


def test_a_changed_setting_is_named(project):
    (project / "dvc.yaml").write_text(DVC_YAML + "# changed\n")
    assert verify.verify("HEAD").changed == ["dvc.yaml"]


def test_a_stale_workspace_is_refused(project):
    write(project, active=140)
    message = "up-to-date workspace, received changes in evaluate@active: run `dvc repro`"
    with pytest.raises(RontgenError, match=message):
        verify.verify("HEAD")


def test_an_unknown_revision_is_refused(project):
    with pytest.raises(RontgenError, match="expected a git revision, received 'nothing'"):
        verify.verify("nothing")


def test_a_revision_without_a_lock_is_refused(project):
    do(project, "git", "rm", "-q", "--cached", "dvc.lock")
    do(project, "git", "commit", "-qm", "without")
    with pytest.raises(RontgenError, match=r"expected dvc.lock at HEAD, received none"):
        verify.verify("HEAD")
