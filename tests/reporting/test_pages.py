"""The pages that quote papers and records."""

import gzip
import json
import re
import shutil
from contextlib import chdir
from pathlib import Path

import pytest

from conftest import ROOT, copy_settings
from made_up_studies import RUN, on_images, paper, seeds, study
from rontgen.core.errors import RontgenError
from rontgen.evaluation.metrics import compute_metrics
from rontgen.records import records
from rontgen.reporting import pages

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
    return text.partition(pages.BEGIN)[2].partition(pages.END)[0]


def committed():
    """The text of every page, by its path, which the first test holds to what would be written."""
    written = (pages.README, pages.REAL_DATA, pages.ARCHITECTURES)
    paths = [*(ROOT / path for path in written), *ROOT.glob("studies/*/README.md")]
    return {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in paths}


def test_the_pages_are_those_of_the_papers_and_records(project):
    assert len(committed()) == 3 + len(list(Path("studies").glob("*/paper.yaml")))
    assert pages.render() == committed(), "run `rontgen docs`"


@pytest.mark.slow
def test_one_prediction_of_one_record_changes_every_page_that_quotes_it(project):
    before, seed = committed(), Path("results/covid_hybrid_resnet50_lstm/protocol/seed-1")
    predictions = seed / "predictions.csv.gz"
    lines = gzip.decompress(predictions.read_bytes()).decode().splitlines()
    right = next(place for place, line in enumerate(lines) if ",COVID,COVID," in line)
    lines[right] = lines[right].replace(",COVID,COVID,", ",NORMAL,COVID,")
    predictions.write_bytes(gzip.compress("\n".join([*lines, ""]).encode()))
    record = records.read(seed)
    metrics = json.loads((seed / "metrics.json").read_text())
    size = {name: metrics["test"][name] for name in ("parameters", "model_megabytes")}
    metrics["test"] = compute_metrics(record.predictions, record.classes) | size
    (seed / "metrics.json").write_text(json.dumps(metrics))
    after = pages.render()
    changed = {path for path in before if before[path] != after[path]}
    assert changed == {pages.README, Path("studies/covid_hybrid/README.md")}


@pytest.mark.slow
def test_another_setting_and_place_change_the_page_of_their_study_alone(project):
    before = committed()
    changes = {
        "paper.yaml": ("pelatihan sebanyak 50", "pelatihan sebanyak 60"),
        "protocol.yaml": ("epochs: 50", "epochs: 51"),
    }
    for file, (old, new) in changes.items():
        path = PAGE.with_name(file)
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
    after = pages.render()
    assert {path for path in before if before[path] != after[path]} == {PAGE}
    assert all(new in after[PAGE] and new not in before[PAGE] for new in ("pelatihan sebanyak 60", "| 51 |"))


@pytest.fixture(scope="module")
def without_some(tmp_path_factory):
    """The pages, by their paths, without the records of pirngadi and of the highest published row of covid_hybrid."""
    folder = tmp_path_factory.mktemp("without_some")
    copy_settings(folder)
    shutil.copy(ROOT / "README.md", folder)
    removed = shutil.ignore_patterns("pirngadi_*", "covid_hybrid_resnet50_lstm")
    shutil.copytree(ROOT / "results", folder / "results", ignore=removed)
    with chdir(folder):
        return {path: path.read_text(encoding="utf-8") for path in pages.write()}


@pytest.mark.slow
def test_a_study_without_records_says_so(without_some):
    text = without_some[PAGE]
    assert "No run is recorded." in text and "**Not run.** Not recorded: rontgen reproduce" in text
    assert "pirngadi_simple_rnn 0.72 | not run | – | **not run** |" in results_of(without_some[pages.README])


@pytest.mark.slow
def test_a_row_that_claims_more_than_any_recorded_one_stands_above_it(without_some):
    results = results_of(without_some[pages.README])
    first, second = [line for line in results.splitlines() if "covid_hybrid_resnet50" in line][:2]
    start = "| [covid_hybrid](studies/covid_hybrid/README.md): "
    assert first == f"{start}covid_hybrid_resnet50_lstm 0.95 | not run | – | **not run** |"
    assert second.startswith("| covid_hybrid_resnet50 0.93 | our completion: 0.688 (5 trainings) | ")


def test_readme_has_at_most_fifteen_rows_and_three_sentences():
    lines = results_of(committed()[pages.README]).splitlines()
    assert 5 <= sum(line.startswith("|") for line in lines) - 2 <= 15
    assert [line[:2] for line in lines if re.match(r"\d\. ", line)] == ["1.", "2.", "3."]


def test_of_each_verdict_that_a_row_has_the_nearest_treatment_is_shown():
    readings = {name: {"why": "x", "runs": [RUN], "set": {"balance": "smote"}} for name in ("near", "far", "same")}
    records = seeds(89, 90, 91) + seeds(60, 61, 62, treatment="far") + seeds(70, 71, 72, treatment="near")
    found = study(paper(readings=readings), records + seeds(90, 90, 91, treatment="same"))
    assert [row.treatment for row in pages.shown(found)] == ["protocol", "near"]


def test_the_sentences_count_the_verdicts_and_name_the_widest_swing():
    readings = {"another": {"why": "x", "runs": [RUN], "set": {"balance": "smote"}}}
    ids = [f"{number:012x}" for number in range(100)]
    records = on_images(seeds(89, 90, 92), ids) + on_images(seeds(60, 62, 62, treatment="another"), ids)
    first, second = pages.remembered([study(paper(readings=readings), records)])
    assert first.startswith("Of 1 published test accuracies, 1 could be judged")
    assert ": 1 reproduced. For 0 others" in first
    assert f"{RUN} is 29.0 points less accurate by “another” than by “as stated”." in second


def test_a_readme_without_the_marks_is_refused(project):
    text = pages.README.read_text(encoding="utf-8")
    pages.README.write_text(text.replace(pages.END, ""), encoding="utf-8")
    with pytest.raises(RontgenError, match=r"README.md: expected the lines .*: run `git checkout README.md`"):
        pages.write()


def test_tables_have_as_many_cells_in_each_row():
    for path, text in committed().items():
        if path == pages.README:
            continue
        table = []
        for line in [*text.splitlines(), ""]:
            if line.startswith("|"):
                table.append(line.replace("\\|", "").count("|"))
            else:
                assert len(set(table)) <= 1, f"{path}: {table}"
                table = []


def test_every_link_between_the_pages_leads_somewhere():
    for path, text in committed().items():
        if path != pages.README:
            for link in (part.partition(")")[0] for part in text.split("](")[1:]):
                target = (ROOT / path.parent / link.partition("#")[0]).resolve()
                assert link.startswith(("http", "#")) or target.exists(), f"{path}: {link}"
