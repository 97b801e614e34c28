import itertools
import json
import struct
from pathlib import Path

import pytest

from rontgen import claims, compare, params
from rontgen.papers import load_papers

ROOT = Path(__file__).parents[1]
VERDICTS = ["contradictory", "data unavailable", "not comparable", "reproduced", "not reproduced"]


@pytest.fixture(scope="module", params=["demo", "paper"])
def ledger(request, tmp_path_factory):
    """The ledger of the five papers, for metrics that are the published numbers, seconds aside."""
    folder = tmp_path_factory.mktemp("metrics")
    papers = load_papers(ROOT / "papers.yaml")
    values = params.load(ROOT / "params.yaml").model_copy(update={"profile": request.param})
    write_metrics(papers, folder)
    return compare.compare(papers, values, folder)


def write_metrics(papers, folder, seconds=0.5):
    for study in papers.studies.values():
        for run, cells in study.runs.items():
            files = {"test": {}, "train": {"train_images": 100, "validation_images": 100}, "time": {}}
            intervals = {}
            for cell in cells:
                source, *parents, last = cell.metric.split(".")
                if source == "setting":
                    continue
                level, interval = files[source], intervals
                for parent in parents:
                    level, interval = level.setdefault(parent, {}), interval.setdefault(parent, {})
                level[last] = seconds if source == "time" else float(cell.number)
                interval[last] = {"low": float(cell.number), "high": float(cell.number)}
            for row in files["test"].get("confusion", {}):
                of_class = files["test"].setdefault("classes", {}).setdefault(row, {})
                of_class["support"] = sum(files["test"]["confusion"][row].values())
            (folder / run).mkdir(parents=True, exist_ok=True)
            (folder / f"{run}.json").write_text(json.dumps(files["test"]))
            (folder / run / "intervals.json").write_text(json.dumps(intervals))
            (folder / run / "train.json").write_text(json.dumps(files["train"]))
            (folder / run / "time.json").write_text(json.dumps(files["time"]))


def texts(ledger, folder):
    claims.write(ledger, folder)
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_counts_of_verdicts_are_those_of_the_cells(ledger, tmp_path):
    found = json.loads(texts(ledger, tmp_path)["claims.json"])
    verdicts = found["verdicts"]
    assert list(verdicts) == ["all", "smatika", "jitet", "lungcare", "covid_hybrid", "pirngadi"]
    assert all(list(counts) == VERDICTS for counts in verdicts.values())
    assert sum(verdicts["all"].values()) == len(ledger.cells)
    for verdict in VERDICTS:
        assert sum(verdicts[study][verdict] for study in list(verdicts)[1:]) == verdicts["all"][verdict]
    assert found["headlines"]["smatika"]["against"]["smatika_vgg16"]["least_mcnemar_p"] == 0.0625


def test_what_is_as_published_is_reproduced_in_the_paper_profile_alone(ledger):
    counts = ledger.cells.verdict.value_counts()
    assert counts.get("not reproduced", 0) == 0
    assert (counts.get("reproduced", 0) > 100) == (ledger.profile == "paper")


def test_the_table_has_the_papers_digits_whole_counts_and_four_decimals(ledger, tmp_path):
    lines = texts(ledger, tmp_path)["claims.csv"].splitlines()
    assert lines[0] == "run,metric,place,paper,paper_low,paper_high,ours,low,high,difference,verdict,reason"
    start = 'smatika_vgg16,train.best.train_accuracy,"Section 3, Figure 6",0.9100,,,0.9100,0.8360,0.9580,0.0000,'
    assert [line for line in lines if line.startswith(start)]
    start = "smatika_vgg16,test.accuracy,Section 4,0.92,0.8484,0.9648,0.9200,0.9200,0.9200,0.0000,"
    assert [line for line in lines if line.startswith(start)]
    assert [line for line in lines if ",2.26e6,,,2260000,,,0," in line]
    line = next(line for line in lines if line.startswith("smatika_vgg16,test.confusion.PNEUMONIA.NORMAL,"))
    assert line.count(",2,") == 2


def test_times_are_in_a_table_of_their_own(ledger, tmp_path):
    found = texts(ledger, tmp_path)
    assert len(found["claims_time.csv"].splitlines()) == 1 + 9
    assert "lungcare_b8_s240,time.seconds,Table 3,7:39:20,,,0.5000,,,-27559.5000," in found["claims_time.csv"]
    assert "time.seconds" not in found["claims.csv"] + found["claims.md"]


def test_other_times_change_no_other_file(tmp_path):
    papers, values = load_papers(ROOT / "papers.yaml"), params.load(ROOT / "params.yaml")
    found = []
    for seconds in (1.0, 2.0):
        folder = tmp_path / str(seconds)
        write_metrics(papers, folder, seconds)
        found.append(texts(compare.compare(papers, values, folder), folder / "out"))
    changed = [name for name in found[0] if found[0][name] != found[1][name]]
    assert changed == ["claims_time.csv"]


def test_the_page_starts_with_the_counts_and_the_tests_and_shows_every_sum(ledger, tmp_path):
    page = texts(ledger, tmp_path)["claims.md"]
    titles = [line for line in page.splitlines() if line.startswith("## ")]
    assert titles == [
        "## The best accuracy of each study against its others",
        "## Contradictions",
        "## Data that the public archives lack",
        "## All numbers",
    ]
    assert ("Demo profile" in page) == (ledger.profile == "demo")
    assert "| smatika | smatika_resnet50v2 | 97 of 100 | smatika_vgg16 | 92 | 0.213 | 0.0625 |" in page
    for number, violation in enumerate(ledger.violations, 1):
        assert f"- ({number}) " in page
        assert violation.reason in page


def test_a_settled_cell_cites_the_sums_that_settle_it(ledger, tmp_path):
    page = texts(ledger, tmp_path)["claims.md"]
    (number,) = [n for n, found in enumerate(ledger.violations, 1) if "0.970297" in found.reason]
    (line,) = [line for line in page.splitlines() if "| 0.9705 |" in line]
    assert f"| contradictory | ({number}); the mean of" in line
    (number,) = [n for n, found in enumerate(ledger.violations, 1) if "distinct" in found.reason]
    (line,) = [line for line in page[page.index("### lungcare_cnn5") :].splitlines() if "| 0.81 |" in line][:1]
    assert line.endswith(f"| data unavailable | ({number}) |")
    of_section = page[page.index("### lungcare_b8_s240") :].splitlines()
    (line,) = [line for line in of_section if line.startswith("| test.accuracy |")][:1]
    assert line.count("(") == 3  # the recall, and what it would make of precision and F1; not the missing data


def test_every_table_of_the_page_is_whole(ledger, tmp_path):
    lines = texts(ledger, tmp_path)["claims.md"].splitlines()
    for above, below in itertools.pairwise(lines):
        if above.startswith("|") and below.startswith("|"):
            assert above.count(" | ") == below.count(" | ")


def test_the_terminal_table_is_aligned_narrow_and_counts_verdicts(ledger):
    lines = claims.show(ledger).splitlines()
    assert len(lines) == 2 + 21 + 2
    assert max(map(len, lines)) <= 110
    row = lines[2].split()
    assert row[:5] == ["smatika_resnet50v2", "0.97", "0.9700", "0.9700-0.9700", "+0.0000"]
    assert len({line.index(found) for line, found in zip(lines[2:-2], accuracy_verdicts(ledger), strict=True)}) == 1
    assert lines[-1].startswith(f"{len(ledger.cells)} numbers: 27 contradictory, ")


def accuracy_verdicts(ledger):
    return list(ledger.cells[ledger.cells.metric == "test.accuracy"].verdict)


def test_the_figure_is_the_same_every_time_and_900_pixels_wide(ledger, tmp_path):
    for name in ("one.png", "two.png"):
        claims.draw(ledger, tmp_path / name)
    image = (tmp_path / "one.png").read_bytes()
    assert image.startswith(b"\x89PNG")
    assert image == (tmp_path / "two.png").read_bytes()
    assert struct.unpack(">I", image[16:20]) == (900,)
    assert b"tEXt" not in image
