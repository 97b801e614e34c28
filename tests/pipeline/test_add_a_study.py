"""docs/add-a-study.md is followed word for word: its two files, and its line in dvc.yaml."""

import re
import shutil
import warnings
from contextlib import chdir

import pytest
from dvc.repo import Repo

from conftest import ROOT, copy_settings
from rontgen.core import checks, papers, params
from rontgen.reporting import pages

PAGE = (ROOT / "docs/add-a-study.md").read_text()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The settings, with the example study in a folder of its own."""
    copy_settings(tmp_path)
    for name in ("README.md", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    folder = tmp_path / "studies/example"
    folder.mkdir()
    protocol, paper = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (folder / "protocol.yaml").write_text(protocol)
    (folder / "paper.yaml").write_text(paper)
    pipeline = (tmp_path / "dvc.yaml").read_text()
    (line,) = re.findall(r"`(- studies/example/protocol.yaml)`", PAGE)
    (tmp_path / "dvc.yaml").write_text(pipeline.replace("vars:\n", f"vars:\n  {line}\n"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_two_files_are_valid_and_every_setting_has_an_origin(project):
    values, published = params.load(), papers.load_papers()
    checks.check_runs(values)
    checks.check_origins(published, values)
    assert (
        published.studies["example"].departures("example_cnn2")[0].startswith("train.checkpoint: the paper says model")
    )


def test_dvc_has_its_stages(project):
    with chdir(project), warnings.catch_warnings(), Repo.init(no_scm=True) as repo:
        warnings.simplefilter("ignore", DeprecationWarning)  # from DVC's own use of pygtrie
        names = {stage.addressing for stage in repo.index.stages}
    of_study = {"reported_split@example"}
    of_study |= {f"reported_{kind}@example_224" for kind in ("preprocess", "balance")}
    of_study |= {f"reported_{kind}@example_cnn{layers}" for kind in ("train", "evaluate") for layers in (2, 3)}
    assert {name for name in names if "example" in name} == of_study


def test_its_page_says_what_the_files_say(project):
    page = pages.render()[papers.FOLDER / "example/README.md"]
    assert "# example: The title in English" in page
    assert "| train.epochs | 20 | Section 3, line 71 | 20 epoch |" in page
    assert "| train.batch_size (example_cnn2) | 32 | Not given. 32 is Keras's default. | 16, 64 |" in page
    assert "No run is recorded." in page
