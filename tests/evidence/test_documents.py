"""The pages that quote papers and records."""

import json
import shutil
from pathlib import Path

import pytest

from conftest import ROOT, copy_settings
from rontgen.core.errors import RontgenError
from rontgen.evidence import documents

SEED = Path("results/pirngadi_simple_rnn/protocol/seed-1")
PAGE = Path("studies/pirngadi/README.md")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The working directory: what the pages are written from, and the pages."""
    copy_settings(tmp_path)
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "results", tmp_path / "results")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    monkeypatch.chdir(tmp_path)


def results_of(text):
    """What README quotes."""
    return text.partition(documents.BEGIN)[2].partition(documents.END)[0]


def test_the_pages_are_those_of_the_papers_and_records(project):
    pages = [documents.README, documents.REAL_DATA, *Path("studies").glob("*/README.md")]
    assert len(pages) == 2 + len(list(Path("studies").glob("*/paper.yaml")))
    written = {path: path.read_text(encoding="utf-8") for path in pages}
    assert documents.render() == written, "run `rontgen docs`"


def test_another_number_in_a_record_changes_every_page_that_quotes_it(project):
    before = documents.render()
    predictions = SEED / "predictions.csv"
    lines = predictions.read_text().splitlines()
    wrong = [line.replace(",PNEUMONIA,PNEUMONIA,", ",PNEUMONIA,NORMAL,") for line in lines]
    assert wrong != lines
    predictions.write_text("\n".join(wrong) + "\n")
    metrics = json.loads((SEED / "metrics.json").read_text())
    metrics["test"]["accuracy"] /= 2
    (SEED / "metrics.json").write_text(json.dumps(metrics))
    after = documents.render()
    assert {path for path in before if before[path] != after[path]} == {documents.README, PAGE}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("paper.yaml", "pelatihan sebanyak 50", "pelatihan sebanyak 60"),
        ("protocol.yaml", "epochs: 50", "epochs: 51"),
    ],
)
def test_another_setting_or_place_changes_the_page_of_its_study_alone(project, file, old, new):
    before = documents.render()
    path = PAGE.with_name(file)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    after = documents.render()
    assert {path for path in before if before[path] != after[path]} == {PAGE}
    assert old.rpartition(" ")[2] in before[PAGE] and new.rpartition(" ")[2] in after[PAGE]


def test_a_study_without_records_says_so_and_is_not_in_the_readme(project):
    assert "pirngadi" in results_of(documents.README.read_text(encoding="utf-8"))
    shutil.rmtree(SEED.parents[1])
    assert set(documents.write()) >= {documents.README, PAGE}
    assert "No run is recorded." in PAGE.read_text(encoding="utf-8")
    assert "pirngadi" not in results_of(documents.README.read_text(encoding="utf-8"))


def test_a_row_that_claims_more_than_any_recorded_one_stands_above_it(project):
    shutil.rmtree("results/covid_hybrid_resnet50_lstm")
    results = results_of(documents.render()[documents.README])
    rows = [line for line in results.splitlines() if "(covid_hybrid_resnet50" in line]
    start = "| [covid_hybrid](studies/covid_hybrid/README.md) | "
    assert rows[0] == f"{start}0.95 (covid_hybrid_resnet50_lstm) | not run | **not run** |"
    assert rows[1].startswith("|  | 0.93 (covid_hybrid_resnet50) | our completion: ")


def test_a_readme_without_the_marks_is_refused(project):
    text = documents.README.read_text(encoding="utf-8")
    documents.README.write_text(text.replace(documents.END, ""), encoding="utf-8")
    with pytest.raises(RontgenError, match=r"README.md: expected the lines .*: run `git checkout README.md`"):
        documents.write()


def test_tables_have_as_many_cells_in_each_row(project):
    for path, text in documents.render().items():
        if path == documents.README:
            continue
        table = []
        for line in [*text.splitlines(), ""]:
            if line.startswith("|"):
                table.append(line.replace("\\|", "").count("|"))
            else:
                assert len(set(table)) <= 1, f"{path}: {table}"
                table = []


def test_every_link_between_the_pages_leads_somewhere(project):
    for path, text in documents.render().items():
        if path != documents.README:
            for link in (part.partition(")")[0] for part in text.split("](")[1:]):
                target = (ROOT / path.parent / link.partition("#")[0]).resolve()
                assert link.startswith(("http", "#")) or target.exists(), f"{path}: {link}"
