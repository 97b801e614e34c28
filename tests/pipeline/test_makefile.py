"""`make setup`: the extras, and the files they are installed from; and what other commands of the Makefile need."""

import os
import re
import shutil
import subprocess
import tomllib

import pytest

from conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = sorted(PROJECT["optional-dependencies"].keys() - {"build", "uv"})


@pytest.fixture
def make(tmp_path):
    """`make -n` in a folder where the base is installed: its result."""
    for path in (ROOT / "Makefile", ROOT / "pyproject.toml", *ROOT.glob("requirements*.txt")):
        shutil.copy(path, tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/installed").touch()

    def run(*arguments, path=None):
        command = ["make", "-n", *arguments]
        # Under `make test` this would be a make of level 1, which prints the folder that it enters
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        environment |= {"PATH": path} if path else {}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    return run


@pytest.mark.parametrize("extras", ["", *EXTRAS, "app dev"])
def test_extras_are_added_to_the_base_which_is_not_installed_twice(make, extras):
    result = make("setup", f"EXTRAS={extras}")
    assert result.returncode == 0, result.stderr
    installed = re.findall(r"uv pip install --compile-bytecode .*--require-hashes -r (\S+) \|\|", result.stdout)
    assert installed == [f"requirements-{extra}.txt" for extra in extras.split()]


def test_an_extra_that_there_is_not_is_one_line(make):
    result = make("setup", "EXTRAS=tpu")
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert f"EXTRAS: expected any of {' '.join(EXTRAS)}, received tpu" in result.stderr


def test_the_report_needs_no_stage(make):
    result = make("report")
    assert (result.returncode, result.stdout.split("\n")) == (0, ["rontgen report", ""]), result.stderr


@pytest.mark.parametrize(("name", "told"), [(None, str(os.getuid())), ("somebody", "somebody")])
def test_dvc_is_told_the_number_of_a_user_without_a_name(make, monkeypatch, name, told):
    monkeypatch.delenv("USER", raising=False)
    if name:
        monkeypatch.setenv("USER", name)
    assert make("--eval", "show:; : $(USER)", "show").stdout == f": {told}\n"


def pins(name):
    """Each package of a compiled file with its version and the condition it is for. Every one has a hash."""
    text = (ROOT / name).read_text()
    found = re.findall(r"^([\w.-]+)(?:\[\S+\])?==(.+?) \\\n    --hash=sha256:", text, re.MULTILINE)
    assert len(found) == len(re.findall(r"^\w", text, re.MULTILINE)) > 0
    return set(found)


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_begins_with_the_base_and_repeats_none_of_it(extra):
    lines = [line for line in (ROOT / f"requirements-{extra}.txt").read_text().splitlines() if line[:1] != "#"]
    assert lines[0] == "-r requirements.txt"
    assert not {name for name, _ in pins("requirements.txt")} & {name for name, _ in pins(f"requirements-{extra}.txt")}


@pytest.mark.parametrize("tool", ["pytest", "mypy", "ruff", "playwright", "jax"])
def test_the_base_has_nothing_that_only_tests_need(tool):
    assert tool not in {name for name, _ in pins("requirements.txt")}
    assert tool in {name for name, _ in pins("requirements-dev.txt")}


@pytest.mark.parametrize(
    ("there", "chosen"), [(["python3.13"], "python3.13"), (["python3.11", "python3.12", "python3.13"], "python3.11")]
)
def test_the_first_python_that_the_machine_has_makes_the_environment(make, tmp_path, there, chosen):
    (tmp_path / ".venv/installed").unlink()
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "make", "test"):
        (programs / name).symlink_to(shutil.which(name))
    for name in there:
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    assert f"{programs}/{chosen} -m venv" in make("setup", path=str(programs)).stdout


def test_the_extras_agree_so_that_several_can_be_installed():
    versions = {}
    for extra in EXTRAS:
        of_extra = {}
        for package, version in pins(f"requirements-{extra}.txt"):
            of_extra.setdefault(package, set()).add(version.partition(" ;")[0])
        for package, found in of_extra.items():
            assert versions.setdefault(package, found) == found, package
