"""Where a command runs: the project's folder, its sources, its repository, and DVC's copies of it."""

import getpass
import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conftest import ROOT, mark_project
from rontgen.__main__ import app
from rontgen.core import project
from rontgen.core.errors import RontgenError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project without sources, and the working directory."""
    (tmp_path / "a project").mkdir()
    monkeypatch.chdir(tmp_path / "a project")
    mark_project(Path.cwd())
    return Path.cwd()


@pytest.mark.parametrize("verb", ["record", "report", "docs", "verify", "scale", "audit", "export"])
def test_in_a_subfolder_a_verb_names_the_folder_to_change_to(folder, monkeypatch, verb):
    (folder / "docs/images").mkdir(parents=True)
    monkeypatch.chdir("docs/images")
    done = CliRunner().invoke(app, [verb])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and f"received {Path.cwd()}: `cd '{folder}'` first" in done.stderr
    assert list(Path.cwd().iterdir()) == []


def test_outside_of_any_project_a_verb_says_what_the_folder_has(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RontgenError, match=r"^expected the project's folder, which has studies/common.yaml, received "):
        project.enter()


def test_help_is_given_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["verify", "--help"]).exit_code == 0


def test_a_copy_with_sources_of_its_own_is_not_worked_on_by_others(folder):
    shutil.copytree(ROOT / "src/rontgen/core", "src/rontgen/core")
    with pytest.raises(RontgenError, match=rf"received those of {ROOT}/src/rontgen: .*`PYTHONPATH=src`"):
        project.enter()


def test_a_verb_in_a_hook_leaves_the_repository_that_git_names(folder, monkeypatch):
    subprocess.run(["git", "init", "-q"], check=True)
    named = {"GIT_DIR": "/nowhere/.git", "GIT_WORK_TREE": "/nowhere", "GIT_INDEX_FILE": "index", "GIT_PREFIX": "docs/"}
    for name, value in {**named, "GIT_CONFIG_COUNT": "0"}.items():
        monkeypatch.setenv(name, value)
    CliRunner().invoke(app, ["record"])
    assert not named.keys() & os.environ.keys() and "GIT_CONFIG_COUNT" in os.environ
    subprocess.run(["git", "status"], check=True, capture_output=True)


@pytest.fixture
def nobody(monkeypatch):
    """A user without a name, as in a container."""

    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("USER", "")
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_a_user_without_a_name_is_a_number(folder, nobody):
    project.enter()
    assert getpass.getuser() == str(os.getuid())


def test_a_user_without_a_home_is_told_to_name_one(folder, nobody, monkeypatch):
    monkeypatch.delenv("HOME")
    with pytest.raises(RontgenError, match=r"expected a home folder, .* `export HOME=/tmp`"):
        project.enter()


def test_what_git_ignores_and_a_copy_has_not_is_named_with_the_option(folder, monkeypatch):
    names = [Path("data/archives", f"{name}.zip") for name in "abc"]
    copy = folder / ".dvc/tmp/exps/standalone/tmp1"
    for path in (folder / names[0], folder / names[1], copy / names[1]):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    project.require_copied(names)
    monkeypatch.chdir(copy)
    project.require_copied(names[1:])
    with pytest.raises(RontgenError, match=f"give `dvc exp run` -C {names[0]}, or leave out"):
        project.require_copied(names)
    download = Path("data/kaggle/version-2/a.zip")
    (folder / download).parent.mkdir(parents=True)
    (folder / download).touch()
    with pytest.raises(RontgenError, match=r"give `dvc exp run` -C data/kaggle, or leave out"):
        project.require_copied([download])
