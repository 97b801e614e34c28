import itertools
import json
import re
import struct
from dataclasses import replace

import pytest

from conftest import ROOT
from finished_project import recorded
from rontgen.core import params
from rontgen.core.papers import load_papers
from rontgen.evidence import verdict_table
from rontgen.evidence.ledger import write
from rontgen.evidence.verdicts import compare
from rontgen.reporting import verdict_plot

STUDIES = ["covid_hybrid", "jitet", "lungcare", "pirngadi", "smatika"]  # only their numbers are known here
ALL_PAPERS = load_papers(ROOT / "studies")
PAPERS = ALL_PAPERS.model_copy(update={"studies": {name: ALL_PAPERS.studies[name] for name in STUDIES}})
VALUES = params.load(ROOT / "params.yaml")
VERDICTS = ["contradictory", "data unavailable", "reproduced", "not reproduced", "inconclusive", "not run"]
FINDINGS = ["contradictory", "data unavailable", "consistent", "not consistent"]
FINDINGS += ["not comparable", "not run"]
COVID, PNEUMONIA, LUNGS = (tuple(VALUES.datasets[name].classes) for name in ("covid", "pneumonia", "lungs"))


def several(run, treatment, classes, images, *right):
    return [recorded(run, treatment, seed, classes, count, images) for seed, count in enumerate(right, 1)]


RECORDS = [
    *several("covid_hybrid_resnet50", "protocol", COVID, 100, 50, 58, 62, 55, 60),
    *several("covid_hybrid_resnet50", "own_preprocessing_flattened_head", COVID, 100, 92, 94, 93, 92, 95),
    *several("jitet_mobilenetv2", "protocol", PNEUMONIA, 583, 566),
    *several("lungcare_cnn4", "protocol", LUNGS, 280, 240, 236, 243),
    *several("pirngadi_simple_rnn", "protocol", PNEUMONIA, 624, 469, 455, 462, 450, 470),
]


def ledger_of(records, profile="demo"):
    values = VALUES.model_copy(update={"profile": profile})
    own = [recorded(run, "protocol", 7, COVID, 20 + 2 * place, 60) for place, run in enumerate(values.runs)]
    return compare(PAPERS, values, records, own if profile == "demo" else [])


@pytest.fixture(scope="module", params=["no records", "some records"])
def ledger(request):
    """The ledger of the five papers in the demo profile."""
    return ledger_of(RECORDS if request.param == "some records" else [])


@pytest.fixture(scope="module")
def recorded_ledger():
    return ledger_of(RECORDS)


def texts(ledger, folder):
    write(ledger, folder)
    return {path.name: path.read_text() for path in folder.iterdir()}


def section(page, title):
    return page.partition(f"## {title}\n")[2].partition("\n## ")[0]


# ---- the files


def test_verdicts_are_counted_over_the_published_rows_and_findings_over_the_rest(ledger, tmp_path):
    found = json.loads(texts(ledger, tmp_path)["claims.json"])
    endpoints, numbers = found["endpoints"], found["numbers"]
    assert list(endpoints) == ["all", *STUDIES]
    assert all(list(counts) == VERDICTS for counts in endpoints.values())
    assert sum(endpoints["all"].values()) == 21
    for verdict in VERDICTS:
        assert sum(endpoints[study][verdict] for study in list(endpoints)[1:]) == endpoints["all"][verdict]
    assert list(numbers) == FINDINGS
    assert sum(numbers.values()) == len(ledger.cells) - 21
    assert endpoints["all"]["contradictory"] + numbers["contradictory"] == 20
    assert found["headlines"]["smatika"]["against"]["smatika_vgg16"]["least_mcnemar_p"] == 0.0625


def test_the_counts_are_those_of_the_records(recorded_ledger, tmp_path):
    found = json.loads(texts(recorded_ledger, tmp_path)["claims.json"])
    assert found["endpoints"]["covid_hybrid"] == dict.fromkeys(VERDICTS, 0) | {"not reproduced": 1, "not run": 2}
    assert found["endpoints"]["jitet"] == dict.fromkeys(VERDICTS, 0) | {"inconclusive": 1}
    assert found["endpoints"]["pirngadi"] == dict.fromkeys(VERDICTS, 0) | {"reproduced": 1}
    assert found["other_readings"] == dict.fromkeys(VERDICTS, 0) | {"reproduced": 1}
    without = json.loads(texts(ledger_of([]), tmp_path)["claims.json"])
    assert without["endpoints"]["all"] == dict.fromkeys(VERDICTS, 0) | {
        "contradictory": 4,
        "data unavailable": 10,
        "not run": 7,
    }
    assert sum(without["other_readings"].values()) == 0


def test_the_demo_is_counted_in_the_demo_profile_alone(tmp_path):
    found = json.loads(texts(ledger_of([]), tmp_path)["claims.json"])
    assert found["demo"] == {"runs": len(VALUES.runs), "learn": int(ledger_of([]).demo.learns.sum())}
    assert 0 < found["demo"]["learn"] < found["demo"]["runs"]
    assert "demo" not in json.loads(texts(ledger_of([], "paper"), tmp_path)["claims.json"])


def test_no_number_of_the_demo_is_in_the_tables(tmp_path):
    other = [recorded(run, "protocol", 8, COVID, 41, 60) for run in VALUES.runs]
    files = texts(ledger_of(RECORDS), tmp_path)
    changed = texts(compare(PAPERS, VALUES, RECORDS, other), tmp_path)
    assert [name for name in files if files[name] != changed[name]] == ["claims.json"]


def test_each_row_and_reading_has_a_line(recorded_ledger, tmp_path):
    lines = texts(recorded_ledger, tmp_path)["endpoints.csv"].splitlines()
    names = "study,run,trained,reading,treatment,label,paper,paper_low,paper_high,"
    names += "seeds,mean,spread,low,high,verdict,narrow,reason"
    assert lines[0] == names
    assert len(lines) == 1 + sum(
        len(study.readings_of(run)) - 1 for study in PAPERS.studies.values() for run in study.runs
    )
    row = recorded_ledger.endpoints.set_index(["run", "reading"]).loc["covid_hybrid_resnet50", "protocol"]
    numbers = ",".join(f"{row[name]:.4f}" for name in ("mean", "spread", "low", "high"))
    treated = "protocol,protocol,our completion"
    start = f"covid_hybrid,covid_hybrid_resnet50,covid_hybrid_resnet50,{treated},0.93,0.8611,0.9714,5,{numbers},"
    assert [line for line in lines if line.startswith(start + "not reproduced,")]
    start = "lungcare,lungcare_b32_s240,lungcare_cnn4,protocol,protocol,our completion,0.91,0.8851,0.9315,3,0.8560,"
    assert [line for line in lines if line.startswith(start)]
    treated = "own_preprocessing,own_preprocessing,own preprocessing"
    start = f"smatika,smatika_vgg16,smatika_vgg16,{treated},0.92,0.8484,0.9648,0,,,,,not run,False,"
    assert [line for line in lines if line.startswith(start + "`rontgen reproduce")]


def test_the_table_has_the_papers_digits_whole_counts_and_four_decimals(recorded_ledger, tmp_path):
    lines = texts(recorded_ledger, tmp_path)["claims.csv"].splitlines()
    assert lines[0] == "run,metric,place,paper,paper_low,paper_high,ours,low,high,difference,finding,reason"
    start = r'smatika_vgg16,test.accuracy,"[^"]+",0.92,0.8484,0.9648,,,,,not run,`rontgen reproduce smatika_vgg16'
    assert [line for line in lines if re.match(start, line)]
    assert [line for line in lines if ",about 2.26e6,,,2260546,,,546," in line]
    assert [line for line in lines if ",at most 15,,,20,,,5,not consistent," in line]
    start = "pirngadi_simple_rnn,train.final.train_accuracy,"
    (line,) = [line for line in lines if line.startswith(start)]
    assert ",0.7931,,,0.9000,0.9000,0.9000,0.1069,not consistent," in line


def test_a_count_of_several_seeds_may_have_a_part(recorded_ledger, tmp_path):
    lines = texts(recorded_ledger, tmp_path)["claims.csv"].splitlines()
    (line,) = [line for line in lines if line.startswith("covid_hybrid_resnet50,test.confusion.COVID.COVID,")]
    assert ",47,,,28.4000," in line  # 25, 29, 31, 27 and 30


def test_times_are_in_a_table_of_their_own(tmp_path):
    found = several("lungcare_b8_s240", "protocol", LUNGS, 280, 200, 210)
    files = texts(ledger_of(found), tmp_path)
    assert len(files["claims_time.csv"].splitlines()) == 1 + 9
    assert re.search(r'lungcare_b8_s240,time.seconds,".*",7:39:20,,,101.5000,,,-27458.5000,', files["claims_time.csv"])
    assert "time.seconds" not in files["claims.csv"] + files["claims.md"]


# ---- the page


def test_the_page_starts_with_the_verdicts_and_shows_every_sum(ledger, tmp_path):
    page = texts(ledger, tmp_path)["claims.md"]
    assert [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")] == [
        "The verdicts: test accuracy of each published row",
        "What was run, and where it deviates from the paper",
        "The other numbers",
        "The best accuracy of each study against its others",
        "Contradictions",
        "Data missing from the public archives",
        "All numbers",
    ]
    assert "| smatika | smatika_resnet50v2 | 97 of 100 | smatika_vgg16 | 92 | 0.213 | 0.0625 |" in page
    for number, violation in enumerate(ledger.violations, 1):
        assert f"- ({number}) " in page
        assert violation.reason in page


def test_a_row_has_a_line_for_each_reading_that_was_run(recorded_ledger, tmp_path):
    verdicts = section(
        texts(recorded_ledger, tmp_path)["claims.md"], "The verdicts: test accuracy of each published row"
    )
    lines = [line for line in verdicts.splitlines() if line.startswith("| covid_hybrid_resnet50 |")]
    assert [line.split(" | ")[1] for line in lines] == ["our completion", "own preprocessing flattened head"]
    assert verdicts.count("| our completion |") == 21
    assert "| all | 4 | 10 | 1 | 1 | 1 | 4 | 21 |" in verdicts


def test_runs_are_listed_with_seeds_and_deviations(recorded_ledger, tmp_path):
    runs = section(texts(recorded_ledger, tmp_path)["claims.md"], "What was run, and where it deviates from the paper")
    assert "- lungcare_cnn4, protocol, seeds 1, 2, 3\n  - 2 images missing from the archive\n- pirngadi" in runs
    assert "- jitet_mobilenetv2, protocol, seed 1\n" in runs
    without = texts(ledger_of([]), tmp_path)["claims.md"]
    assert "Nothing yet: `rontgen reproduce RUN --seeds 1-5`." in without


def test_each_treatment_that_was_run_has_a_line_and_random_completions_have_none(tmp_path):
    found = several("covid_hybrid_resnet50", "protocol+scale=0.4", COVID, 100, 50, 58)
    found += several("covid_hybrid_resnet50", "protocol", COVID, 100, 50)
    found += several("covid_hybrid_resnet50", "random_completion", COVID, 100, 50, 60)
    page = texts(ledger_of(found), tmp_path)["claims.md"]
    verdicts = section(page, "The verdicts: test accuracy of each published row")
    lines = [line for line in verdicts.splitlines() if line.startswith("| covid_hybrid_resnet50 |")]
    assert [line.split(" | ")[1] for line in lines] == ["our completion, scale 0.4", "our completion"]
    assert "| covid_hybrid | 0 | 0 | 0 | 0 | 1 | 2 | 3 |" in verdicts  # a row counts once
    runs = section(page, "What was run, and where it deviates from the paper")
    assert "- covid_hybrid_resnet50, random completion, seeds 1, 2\n" in runs


def test_a_settled_cell_cites_the_sums_that_settle_it(ledger, tmp_path):
    page = texts(ledger, tmp_path)["claims.md"]
    (number,) = [n for n, found in enumerate(ledger.violations, 1) if ": SMOTE made 0, and" in found.reason]
    (line,) = [line for line in page.splitlines() if line.startswith("| data.synthetic.PNEUMONIA |")]
    (cell,) = [cell for cell in PAPERS.studies["pirngadi"].cells if cell.metric == "data.synthetic.PNEUMONIA"]
    assert line.endswith(f"| contradictory | ({number}); {cell.note} |")
    (number,) = [n for n, found in enumerate(ledger.violations, 1) if "distinct" in found.reason]
    (line,) = [line for line in page[page.index("### lungcare_cnn5") :].splitlines() if "| 0.81 |" in line][:1]
    assert line.endswith(f"| data unavailable | ({number}) |")
    of_section = page[page.index("### lungcare_b8_s240") :].splitlines()
    (line,) = [line for line in of_section if line.startswith("| test.accuracy |")][:1]
    assert line.count("(") == 3  # the recall, and what it implies for precision and F1; not the missing data


def test_every_table_of_the_page_is_whole(ledger, tmp_path):
    lines = texts(ledger, tmp_path)["claims.md"].splitlines()
    for above, below in itertools.pairwise(lines):
        if above.startswith("|") and below.startswith("|"):
            assert above.count(" | ") == below.count(" | ")


# ---- the terminal


def test_the_terminal_shows_a_line_for_each_row_and_reading_that_was_run(recorded_ledger):
    lines = verdict_table.show(recorded_ledger).splitlines()
    assert max(map(len, lines)) <= 110
    start = next(number for number, line in enumerate(lines) if line.startswith("---")) + 1
    table = lines[start : lines.index("", start) - 1]  # below it stands what … means
    assert [line.split()[:3] for line in table] == [
        ["covid_hybrid_resnet50", "0.93", "5"],
        ["own", "preprocessing", "flattened"],
        ["jitet_mobilenetv2", "0.9747", "1"],
        ["lungcare_cnn4", "0.87", "3"],
        ["lungcare_b32_s240", "0.91", "3"],
        ["pirngadi_simple_rnn", "0.72", "5"],
    ]
    verdicts = ["not reproduced", "reproduced", "inconclusive", "data unavailable", "contradictory", "reproduced"]
    assert len({line.index(verdict) for line, verdict in zip(table, verdicts, strict=True)}) == 1
    row = recorded_ledger.endpoints.set_index(["run", "reading"]).loc["pirngadi_simple_rnn", "protocol"]
    assert table[-1].split()[3:5] == [f"{row['mean']:.4f}", f"{row.low:.4f}-{row.high:.4f}"]
    assert table[2].split()[3:] == [f"{566 / 583:.4f}", "inconclusive"]  # one seed has no interval


def test_rows_without_records_are_listed_by_verdict(ledger):
    lines = verdict_table.show(ledger).splitlines()
    listed = " ".join(line.strip() for line in lines if line.startswith("  "))
    missing = ledger.endpoints[(ledger.endpoints.reading == "protocol") & (ledger.endpoints.seeds == 0)]
    assert all(listed.count(f"{run},") + listed.count(f"{run} ") + listed.endswith(run) >= 1 for run in missing.run)
    for verdict, some in missing.groupby("verdict"):
        said = "not run" if verdict == "not run" else f"{verdict}, not run"
        assert f"  {said} ({len(some)}): " in "\n".join(lines)
    assert f"{len(ledger.cells) - 21} other published numbers: 16 contradictory, " in "\n".join(lines)


def test_the_demo_stands_apart_and_says_which_runs_learn(ledger):
    evidence, _, demo = verdict_table.show(ledger).partition("\nThe demo: proof that everything runs.")
    lines = demo.splitlines()
    assert max(map(len, lines)) <= 110
    assert evidence == verdict_table.show(replace(ledger, demo=ledger.demo[:3])).partition("\nThe demo")[0]
    for row in ledger.demo.itertuples():
        (line,) = [line for line in lines if line.startswith(f"{row.run} ")]
        assert line.split()[1:] == ["60", f"{row.accuracy:.4f}", "0.5000", *(["learns"] if row.learns else [])]
    above, learn = (ledger.demo.accuracy > 0.5).sum(), ledger.demo.learns.sum()
    assert 0 < learn < above < len(ledger.demo)
    summary = f"{above} of {len(ledger.demo)} runs are right more often than naming the largest class would be; {learn}"
    assert summary in " ".join(lines)


def test_the_paper_profile_shows_no_demo():
    assert "demo" not in verdict_table.show(ledger_of(RECORDS, "paper"))


# ---- the figure


def test_the_figure_is_the_same_every_time_and_900_pixels_wide(ledger, tmp_path):
    for name in ("one.png", "two.png"):
        verdict_plot.draw(ledger.endpoints, tmp_path / name)
    image = (tmp_path / "one.png").read_bytes()
    assert image.startswith(b"\x89PNG")
    assert image == (tmp_path / "two.png").read_bytes()
    assert struct.unpack(">I", image[16:20]) == (900,)
    assert b"tEXt" not in image


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draw a figure and return its axes, captured as matplotlib saves it."""
    kept = []
    monkeypatch.setattr(verdict_plot.Figure, "savefig", lambda figure, path, **_: (kept.append(figure), path.touch()))

    def draw(ledger):
        verdict_plot.draw(ledger.endpoints, tmp_path / "figure.png")
        return kept.pop().axes[0]

    return draw


def test_the_figure_has_a_line_for_each_row_and_each_reading_that_was_run(recorded_ledger, drawn):
    axes = drawn(recorded_ledger)
    rows = recorded_ledger.endpoints
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert len(labels) == 21 + (rows.seeds > 0).sum()
    place = labels.index("covid_hybrid_resnet50")
    assert labels[place : place + 4] == [
        "covid_hybrid_resnet50",
        "our completion",
        "own preprocessing flattened head",
        "covid_hybrid_lstm",
    ]
    said = [text.get_text() for text in axes.texts]
    assert said[place : place + 4] == ["", "not reproduced, 5 seeds", "reproduced, 5 seeds", "not run"]
    assert said[labels.index("lungcare_b8_s240")] == "contradictory, not run"
    assert said[labels.index("jitet_mobilenetv2") + 1] == "inconclusive, 1 seed"


def test_a_narrow_verdict_is_called_narrow(recorded_ledger, drawn):
    rows = recorded_ledger.endpoints.assign(narrow=False)
    rows.loc[(rows.run == "covid_hybrid_resnet50") & (rows.reading == "protocol"), "narrow"] = True
    axes = drawn(replace(recorded_ledger, endpoints=rows))
    place = [label.get_text() for label in axes.get_yticklabels()].index("covid_hybrid_resnet50")
    said = [text.get_text() for text in axes.texts[place + 1 : place + 3]]
    assert said == ["narrowly not reproduced, 5 seeds", "reproduced, 5 seeds"]


def test_ours_is_filled_by_the_protocol_and_hollow_by_another_reading(recorded_ledger, drawn):
    rows = recorded_ledger.endpoints[recorded_ledger.endpoints.seeds > 0]
    marks = {
        line.get_xdata()[0]: line
        for line in drawn(recorded_ledger).lines
        if line.get_marker() == "D" and len(line.get_xdata())
    }
    for row in rows.to_dict("records"):
        filled = marks[row["mean"]].get_markerfacecolor() != "white"
        assert filled == (row["reading"] == "protocol")


def test_the_demo_moves_nothing_in_the_figure(drawn):
    def marks(ledger):
        return [line.get_xydata().tolist() for line in drawn(ledger).lines]

    own = [recorded(run, "protocol", 8, COVID, 41, 60) for run in VALUES.runs]
    assert marks(ledger_of(RECORDS)) == marks(compare(PAPERS, VALUES, RECORDS, own))
