"""The pages that quote records."""

import json
import shutil
from pathlib import Path

import pytest

from conftest import ROOT
from rontgen.core.errors import RontgenError
from rontgen.evidence import documents

SEED = Path("results/pirngadi_simple_rnn/as_stated/seed-1")
QUOTING = [documents.README, documents.REAL_DATA, documents.CARDS / "pirngadi_simple_rnn.md"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The working directory: what the pages are written from, and the pages."""
    for name in ("params.yaml", "papers.yaml", "README.md", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "results", tmp_path / "results")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    monkeypatch.chdir(tmp_path)


def test_the_pages_are_those_of_the_records(project):
    written = {path: path.read_text(encoding="utf-8") for path in [documents.README, documents.REAL_DATA]}
    written |= {path: path.read_text(encoding="utf-8") for path in documents.CARDS.glob("*.md")}
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
    assert {path for path in before if before[path] != after[path]} == set(QUOTING)


def test_the_card_of_a_run_without_records_is_removed(project):
    shutil.rmtree(SEED.parents[1])
    documents.write()
    assert not (documents.CARDS / "pirngadi_simple_rnn.md").exists()
    _, _, rest = documents.README.read_text(encoding="utf-8").partition(documents.BEGIN)
    assert "pirngadi" not in rest.partition(documents.END)[0]


def test_a_row_that_claims_more_than_any_recorded_one_stands_above_it(project):
    shutil.rmtree("results/covid_hybrid_resnet50_lstm")
    rows = [line for line in documents.render()[documents.README].splitlines() if "covid_hybrid_resnet50" in line]
    assert rows[0] == "| `covid_hybrid` | 0.95 (covid_hybrid_resnet50_lstm) | not run | **not run** |"
    assert rows[1].startswith("|  | 0.93 (covid_hybrid_resnet50) | as stated: ")


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
