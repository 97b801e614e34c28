"""What every page, the workflow and the Dockerfile refer to exists."""

import re

import pytest
import typer
from ruamel.yaml import YAML

from conftest import ROOT
from rontgen.__main__ import app

PAGES = [page for folder in ("", "[!.]*/", "[!.]*/*/") for page in sorted(ROOT.glob(f"{folder}*.md"))]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
INSTRUCTIONS = [*PAGES, *WORKFLOWS, ROOT / "Dockerfile", ROOT / ".devcontainer/devcontainer.json"]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
VERBS = set(typer.main.get_command(app).commands)


def name(path):
    return path.relative_to(ROOT).as_posix()


def anchors(path):
    """The anchors of a page's headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_link_leads_to_a_file_and_a_heading(page):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)\s#]*)(?:#([^)\s]*))?\)", page.read_text()):
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_file_of_code_exists(page):
    named = re.findall(r"\b(?:src|stages|analyses|benchmarks|tests)/[\w/]+\.\w+", page.read_text())
    assert [path for path in named if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("path", INSTRUCTIONS, ids=name)
def test_a_command_exists(path):
    text = path.read_text()
    assert set(re.findall(r"(?:`|^|RUN |run: |&& |: \")make ([a-z]+)", text, re.MULTILINE)) <= TARGETS
    assert set(re.findall(r"(?:`|^|!|bin/)rontgen ([a-z]+)\b", text, re.MULTILINE)) <= VERBS


@pytest.mark.parametrize("path", WORKFLOWS, ids=name)
def test_a_workflow_runs_the_commands_of_the_readme(path):
    jobs = YAML(typ="safe").load(path)["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert {"make lint", "make test", "make repro"} <= set(commands)
