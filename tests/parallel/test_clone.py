"""The clones in which DVC runs: what they have, and what they refuse."""

import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo

from conftest import copy_settings
from rontgen.core.errors import RontgenError
from rontgen.parallel import clone, recording
from rontgen.parallel.clone import Clone

CODE = "src/rontgen/training/protocol.py"
ARCHIVE = "paultimothymooney--chest-xray-pneumonia.zip"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A committed project with one file of code and one archive, in a folder whose name is not ASCII."""
    folder = tmp_path / "a prôject"
    folder.mkdir()
    monkeypatch.chdir(folder)
    copy_settings(folder)
    for path, text in {
        CODE: "a = 1\n",
        f"data/archives/{ARCHIVE}": "zip",
        "data/archives/.gitignore": "*\n!.*\n",
    }.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    clone.git("init", "-q")
    Repo.init().close()
    clone.git("add", "-A")
    clone.git("commit", "-qm", "start")
    return folder


def test_a_change_that_is_not_committed_is_refused(project):
    Path("README.md").write_text("no code")
    assert len(clone.last_commit()) == 40
    for path in (CODE, "params.yaml", "studies/pirngadi/protocol.yaml", "studies/pirngadi/paper.yaml"):
        before = Path(path).read_text()
        Path(path).write_text(before + "# changed\n")
        with pytest.raises(RontgenError, match=f"expected committed code, received changes in {path}"):
            clone.last_commit()
        Path(path).write_text(before)
    Path("stages").mkdir()
    Path("stages/new.py").write_text("")
    clone.git("config", "status.showUntrackedFiles", "no")  # as a user may have it
    with pytest.raises(RontgenError, match="expected committed code, received changes in stages/new"):
        clone.last_commit()


def test_two_at_once_are_refused(project):
    with (
        recording.at_last_commit("one"),
        pytest.raises(RontgenError, match="`rontgen reproduce` or `rontgen audit` at a time, another is at work"),
        recording.at_last_commit("one"),
    ):
        pass


def test_the_hooks_of_a_user_do_not_run_in_a_clone(project, tmp_path, monkeypatch):
    """Neither those of all repositories nor those of every new one, which DVC runs without git."""
    hooks = tmp_path / "template/hooks"
    hooks.mkdir(parents=True)
    (hooks / "post-checkout").write_text("#!/bin/sh\nexit 1\n")
    (hooks / "post-checkout").chmod(0o755)
    config = tmp_path / "gitconfig"
    config.write_text(f"[core]\nhooksPath = {hooks}\n[init]\ntemplateDir = {hooks.parent}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "0")
    with recording.at_last_commit("work") as made:
        assert not (made.folder / ".git/hooks").exists()


def test_a_clone_has_the_commit_and_nothing_that_a_killed_run_left(project, without_identity):
    with recording.at_last_commit("work") as first:
        pass
    left = {
        "params.yaml": "profile: demo",
        "studies/jitet/protocol.yaml": "studies:",
        "dvc.lock": "schema: '2.0'\nstag",
    }
    for path, text in left.items():
        (first.folder / path).write_text(text)
    Path(CODE).write_text("a = 2\n")
    clone.git("commit", "-qam", "another")
    Path("data/archives", ARCHIVE).rename("data/archives/another.zip")
    with recording.at_last_commit("work") as found, Repo() as mine, Repo(str(found.folder)) as its:
        assert found.commit == clone.git("rev-parse", "HEAD") == clone.git("rev-parse", "HEAD", cwd=found.folder)
        assert Path(its.cache.local_cache_dir).resolve() == Path(mine.cache.local_cache_dir)
        for path in (CODE, "params.yaml", "studies/jitet/protocol.yaml"):
            assert (found.folder / path).read_bytes() == Path(path).read_bytes()
        assert not (found.folder / "dvc.lock").exists()
        assert {path.name: path.read_text() for path in (found.folder / "data/archives").glob("*.zip")} == {
            "another.zip": "zip"
        }


def test_a_snapshot_has_what_is_not_committed_and_leaves_the_project_as_it_is(project):
    Path(CODE).write_text("a = 2\n")
    Path("new.py").write_text("b = 1\n")
    Path("params.yaml").unlink()
    before = clone.git("status", "--porcelain"), clone.git("rev-parse", "HEAD")
    commit = clone.snapshot()
    files = clone.git("ls-tree", "-r", "--name-only", commit).splitlines()
    assert (clone.git("status", "--porcelain"), clone.git("rev-parse", "HEAD")) == before
    assert clone.git("show", f"{commit}:{CODE}") == "a = 2" and "new.py" in files
    assert "params.yaml" not in files and f"data/archives/{ARCHIVE}" not in files


@pytest.fixture
def command(project, monkeypatch):
    """What follows `dvc exp run`, each time it is run for some changes."""
    asked = []

    def run(words, **_):
        asked.append(words)
        return subprocess.CompletedProcess(words, 0, b"", b"")

    def of(changes, again=()):
        with monkeypatch.context() as patch:
            patch.setattr(clone.subprocess, "run", run)
            Clone(project, "0" * 40).run("a-name", changes, ["a_target"], again)
        found = [words for words in asked if words[0] == sys.executable]
        assert all(words[1:5] == ["-m", "dvc", "exp", "run"] for words in found)
        return [words[5:] for words in found]

    return of


PIRNGADI = "studies/pirngadi/protocol.yaml:++"


@pytest.mark.parametrize(
    ("key", "override"),
    [
        ("profile", "params.yaml:++profile=1"),
        ("runs.pirngadi_simple_rnn.size", f"{PIRNGADI}runs.pirngadi_simple_rnn.size=1"),
        ("studies/pirngadi/protocol.yaml:studies.pirngadi.balance", f"{PIRNGADI}studies.pirngadi.balance=1"),
    ],
)
def test_a_setting_is_given_to_the_file_that_has_it(command, key, override):
    assert command({key: "1"}) == [["--name", "a-name", "-S", override, "a_target"]]


def test_only_the_stages_that_are_named_run_again(command):
    first, second = command({}, again=["a_stage"])
    assert first == ["--name", "a-name", "a_target"]
    assert second == ["--name", "a-name", "--force", "--single-item", "a_stage"]
