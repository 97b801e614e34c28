"""What needs the project's git repository says what is wrong with it, whichever verb asks."""

import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from rontgen.core.errors import RontgenError
from rontgen.parallel import recording, stages
from rontgen.records import compare, verify

VERBS = {
    "scale": lambda: stages.rebuild_stale(["dvc.yaml"], 1, None, None),
    "reproduce and audit": lambda: ExitStack().enter_context(recording.origin()),
    "diff": lambda: compare.load("HEAD", "active"),
    "verify": lambda: verify.verify("HEAD"),
}
pytestmark = pytest.mark.parametrize("verb", VERBS)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """The working directory: a repository, with a folder `project`."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    Path("project").mkdir()


def refused(verb):
    with pytest.raises(RontgenError) as caught:
        VERBS[verb]()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_project_must_be_the_root_of_a_repository(repository, monkeypatch, verb):
    monkeypatch.chdir("project")
    assert refused(verb).startswith(f"expected a git repository of the project's own, found no .git in {Path.cwd()}")
    assert list(Path.cwd().iterdir()) == []


def test_git_s_remedy_for_the_repository_of_another_user_is_shown(repository, monkeypatch, verb):
    named = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    assert f"git config --global --add safe.directory {Path.cwd()}" in refused(verb)


def test_without_git_it_is_asked_for(repository, monkeypatch, verb):
    monkeypatch.setenv("PATH", "")
    assert refused(verb) == "expected the command git, found none: install it"
