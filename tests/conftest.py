import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import settings
from ruamel.yaml import YAML

from rontgen.core import nested, params, project
from rontgen.core.imports import keep_freed_memory
from rontgen.core.io import locked

ROOT = Path(__file__).parents[1]

# Tests look file by file at what a stage opens and leaves behind: compiled Python files would be among those
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
sys.dont_write_bytecode = True

project.leave_hook()  # tests make repositories of their own

# git and `dvc exp run` need to know who commits; on a fresh machine that is not configured
IDENTITY = {f"GIT_{who}_{what}": "tests@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
os.environ |= IDENTITY

# Of the configuration of whoever runs the tests, what would reach the repositories that tests make
UNWANTED = dict.fromkeys(["commit.gpgSign", "tag.gpgSign", "core.autocrlf"], "false") | {"init.templateDir": ""}
UNWANTED |= dict.fromkeys(["core.hooksPath", "core.excludesFile"], os.devnull)
os.environ["GIT_CONFIG_COUNT"] = str(len(UNWANTED))
os.environ |= {f"GIT_CONFIG_KEY_{number}": key for number, key in enumerate(UNWANTED)}
os.environ |= {f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(UNWANTED.values())}

keep_freed_memory()
os.environ["KERAS_HOME"] = os.devnull  # no keras.json of whoever runs the tests

# The same examples every time, none kept on disk; no deadline, for a machine shared with other work.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items):
    """Modules with slow tests go first, so that at the end no process waits long for another."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


# Stage outputs that git tracks, and what is only read
WRITTEN = ("dvc.lock", "results/", "metrics/", "plots/", "docs/", "data/predictions/")


def mark_project(folder):
    """Make a folder the project's in the eyes of the command line."""
    (folder / project.STUDIES).parent.mkdir(parents=True)
    (folder / project.STUDIES).touch()


def copy_repository(folder):
    """The files that git tracks, without results, as a project of its own; returns its folder."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if not name.startswith(WRITTEN) and (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def replace_in_params(folder, changes):
    """Replace lines of a folder's params.yaml, whose comments stay: {"model: resnet50v2 ": "model: cnn1 ", …}."""
    path = folder / "params.yaml"
    text = path.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)


def copy_pipeline(folder, *more):
    """What the stages depend on and no stage writes, and some more files, without the repository's outputs."""
    for name in ("src", "stages", "analyses"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    copy_settings(folder)
    for name in (".dvc/config", ".dvcignore", "dvc.yaml", "data/archives/.gitignore", *more):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def leaves(value, key=""):
    """The dotted keys of the single values of settings; of an empty section its own."""
    if not isinstance(value, dict) or not value:
        return [key]
    return [leaf for name, child in value.items() for leaf in leaves(child, f"{key}.{name}" if key else name)]


@pytest.fixture
def write_zip(tmp_path):
    """Write a zip of {member: bytes} under tmp_path; returns its path."""

    def write(members, name="owner--name.zip"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for member, data in members.items():
                archive.writestr(member, data)
        return path

    return write


@pytest.fixture
def change_params(tmp_path, monkeypatch):
    """Work in a folder with a copy of the settings, and change keys in them: {"train.epochs": 3, …}."""
    copy_settings(tmp_path)
    monkeypatch.chdir(tmp_path)

    def change(changes):
        for key, value in changes.items():
            path = params.file_of(key)
            values = YAML(typ="safe", pure=True).load(path)
            nested.put(values, key, value)
            path.write_text(json.dumps(values))  # which is YAML too

    return change


def copy_settings(folder):
    """Copy params.yaml, the studies' files and the demo's archive to a folder."""
    shutil.copy(ROOT / "params.yaml", folder)
    for name in ("studies", "data/demo"):
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)


@pytest.fixture
def without_identity(tmp_path, monkeypatch):
    """A fresh machine, where git knows no user name and no e-mail."""
    home = tmp_path / "home"
    home.mkdir()
    for name in (*IDENTITY, "EMAIL", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL"):
        monkeypatch.delenv(name, raising=False)
    # and where git cannot make up an e-mail from the host name
    guess_nothing = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.useConfigOnly", "GIT_CONFIG_VALUE_0": "true"}
    for name, value in ({"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"} | guess_nothing).items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def project_to_serve(tmp_path_factory, worker_id):
    """The project of tests/served_project.py, made once for all pytest-xdist workers: change nothing in it."""
    import served_project

    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent
    with locked(folder / "lock"):
        if not (folder / "to_serve").exists():
            served_project.make(folder / "making").rename(folder / "to_serve")
    return folder / "to_serve"
