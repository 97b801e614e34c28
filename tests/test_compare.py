import json
import re
from pathlib import Path

import pytest

from rontgen import compare, params
from rontgen.errors import RontgenError

ROOT = Path(__file__).parents[1]
PUBLISHED = compare.load_papers(ROOT / "papers.yaml")


def published(run):
    return {cell.metric: cell for cell in PUBLISHED[run].cells}


def counts(run):
    """The published confusion matrix, {true class: {predicted class: images}}; empty where there is none."""
    matrix = {}
    for metric, cell in published(run).items():
        if metric.startswith("test.confusion."):
            true, predicted = metric.split(".")[2:]
            matrix.setdefault(true, {})[predicted] = int(cell.value)
    return matrix


def rates(matrix):
    """Every rate of a confusion matrix, by metric."""
    images = sum(sum(row.values()) for row in matrix.values())
    found = {"test.test_images": images, "test.accuracy": sum(matrix[c][c] for c in matrix) / images}
    averages = {}
    for name, row in matrix.items():
        support = sum(row.values())
        precision, recall = row[name] / sum(matrix[true][name] for true in matrix), row[name] / support
        scores = {
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / (precision + recall),
        }
        found[f"test.classes.{name}.support"] = support
        for score, value in scores.items():
            found[f"test.classes.{name}.{score}"] = value
            for kind, weight in {"macro": 1 / len(matrix), "weighted": support / images}.items():
                averages[f"test.{kind}.{score}"] = averages.get(f"test.{kind}.{score}", 0) + weight * value
    return found | averages


# ---- papers.yaml


def test_every_reported_run_has_its_published_numbers():
    reported = params.load(ROOT / "params.yaml").reported
    assert len(PUBLISHED) == 21
    assert {name: run.paper for name, run in PUBLISHED.items()} == {name: run.study for name, run in reported.items()}


@pytest.mark.parametrize("run", [run for run in PUBLISHED if counts(run)])
def test_rates_follow_from_the_counts_or_the_note_says_not(run):
    expected = rates(counts(run))
    compared = [cell for cell in PUBLISHED[run].cells if cell.metric in expected]
    assert len(compared) >= 5
    for cell in compared:
        if abs(float(cell.value) - expected[cell.metric]) > cell.rounding + 1e-9:
            assert f"own counts give {expected[cell.metric]:.4f}" in cell.note, cell
            assert float(cell.value) == pytest.approx(expected[cell.metric], abs=0.0005), cell


@pytest.mark.parametrize("run", [f"lungcare_cnn{layers}" for layers in (1, 2, 3, 4)])
@pytest.mark.parametrize("score", ["precision", "recall", "f1"])
def test_the_averages_of_the_layer_study_follow_from_its_classes(run, score):
    cells = published(run)
    classes = [cell for metric, cell in cells.items() if re.fullmatch(rf"test\.classes\.\w+\.{score}", metric)]
    assert len(classes) == 4
    mean = sum(float(cell.value) for cell in classes) / 4
    slack = 0.005 + 0.005 + 1e-9  # the classes are rounded, and so is their average
    assert float(cells[f"test.macro.{score}"].value) == pytest.approx(mean, abs=slack)
    assert cells[f"test.weighted.{score}"].value == cells[f"test.macro.{score}"].value
    if score == "recall":
        assert cells["test.accuracy"].value == cells["test.macro.recall"].value


@pytest.mark.parametrize("run", [run for run in PUBLISHED if "time.seconds" in published(run)])
def test_an_accuracy_other_than_the_recall_of_equal_classes_is_noted(run):
    cells = published(run)
    differs = cells["test.accuracy"].value != cells["test.macro.recall"].value
    assert differs == ("impossible" in cells["test.accuracy"].note)


# ---- load_papers


def load(tmp_path, cells, run="a_run", more=""):
    path = tmp_path / "papers.yaml"
    path.write_text(f"{run}:\n  paper: a_study\n{more}  cells:\n" + "".join(f"    - {{{cell}}}\n" for cell in cells))
    return compare.load_papers(path)


ACCURACY = "metric: test.accuracy, value: 0.90, place: Table 1"


def test_the_published_digits_are_the_precision(tmp_path):
    cells = [
        ACCURACY,
        "metric: test.parameters, value: 2.26e6, place: x",
        "metric: test.log_loss, value: 9, place: x",
    ]
    assert [cell.rounding for cell in load(tmp_path, cells)["a_run"].cells] == [0.005, 5000, 0.5]


def test_a_duration_is_read_as_seconds(tmp_path):
    run = load(tmp_path, [ACCURACY, "metric: time.seconds, value: 7:39:20, place: Table 3"])["a_run"]
    assert (run.cells[1].value, run.cells[1].rounding) == (27560, 0.5)


@pytest.mark.parametrize(
    ("cells", "more", "message"),
    [
        (["metric: test.acuracy, value: 1, place: x"], "", "a_run.cells.0.metric: .*received 'test.acuracy'"),
        (["metric: my.test.accuracy, value: 1, place: x"], "", "received 'my.test.accuracy'"),
        (["metric: accuracy, value: 1, place: x"], "", "a_run.cells.0.metric: .*received 'accuracy'"),
        (["metric: train.middle.train_loss, value: 1, place: x"], "", "received 'train.middle.train_loss'"),
        (["metric: test.accuracy, value: high, place: x"], "", "a_run.cells.0.value: .*received 'high'"),
        (["metric: test.accuracy, value: nan, place: x"], "", "a_run.cells.0.value: .*received 'nan'"),
        (["metric: test.accuracy, value: 1"], "", "a_run.cells.0.place: Field required"),
        ([ACCURACY + ", remark: x"], "", "a_run.cells.0.remark: Extra inputs .*received 'x'"),
        ([ACCURACY], "  author: x\n", "a_run.author: Extra inputs"),
        ([ACCURACY, ACCURACY], "", "one cell per metric, test.accuracy has more"),
        (["metric: test.log_loss, value: 1, place: x"], "", "expected a cell test.accuracy"),
        (["metric: [, value: 1"], "", "not valid YAML"),
    ],
)
def test_a_mistake_is_named_in_one_line(tmp_path, cells, more, message):
    with pytest.raises(RontgenError, match=message) as caught:
        load(tmp_path, cells, more=more)
    assert "papers.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(RontgenError, match=r"papers\.yaml not found"):
        compare.load_papers(tmp_path / "papers.yaml")


# ---- compare

MATRIX = {"NORMAL": {"NORMAL": 40, "PNEUMONIA": 10}, "PNEUMONIA": {"NORMAL": 4, "PNEUMONIA": 46}}


def ours(folder, run="a_run", matrix=MATRIX, **test):
    """Metrics files as the stages write them, for a test that gave this confusion matrix."""
    flat = {"parameters": 2_260_546, "log_loss": 0.3, **test}
    for metric, value in rates(matrix).items():
        _, *parents, last = metric.split(".")
        level = flat
        for parent in parents:
            level = level.setdefault(parent, {})
        level[last] = value
    (folder / run).mkdir(parents=True, exist_ok=True)
    (folder / f"{run}.json").write_text(json.dumps({**flat, "confusion": matrix}))
    (folder / run / "train.json").write_text(json.dumps({"epochs": 2, "best": {"validation_accuracy": 0.8}}))
    (folder / run / "time.json").write_text(json.dumps({"seconds": 12.34567, "device": "cpu"}))


def verdict(tmp_path, *cells, profile="paper", **metrics):
    """The verdict on the last of the cells."""
    if not any("test.accuracy" in cell for cell in cells):
        cells = [ACCURACY, *cells]
    ours(tmp_path, **metrics)
    return compare.compare(load(tmp_path, cells), tmp_path, profile).verdict.iloc[-1]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        # 86 of 100: the exact interval is 0.7763 to 0.9213
        ("metric: test.accuracy, value: 0.92", "holds"),
        ("metric: test.accuracy, value: 0.93", "does not hold"),
        ("metric: test.accuracy, value: 0.925", "does not hold"),
        ("metric: test.accuracy, value: 0.77", "does not hold"),
        ("metric: test.accuracy, value: 0.9", "holds"),
        ("metric: test.weighted.recall, value: 0.93", "does not hold"),
        ("metric: test.macro.recall, value: 0.92", "holds"),
        ("metric: test.macro.precision, value: 0.86", "no verdict"),
        # 46 of 50: 0.8077 to 0.9778
        ("metric: test.classes.PNEUMONIA.recall, value: 0.81", "holds"),
        ("metric: test.classes.PNEUMONIA.recall, value: 0.80", "does not hold"),
        ("metric: test.sensitivity, value: 0.80", "does not hold"),
        # 40 of 50: 0.6628 to 0.8997
        ("metric: test.specificity, value: 0.91", "does not hold"),
        ("metric: test.specificity, value: 0.90", "holds"),
        ("metric: test.specificity, value: 0.66", "holds"),
        ("metric: test.specificity, value: 0.65", "does not hold"),
        # 46 of 56: 0.6960 to 0.9109
        ("metric: test.classes.PNEUMONIA.precision, value: 0.91", "holds"),
        ("metric: test.classes.PNEUMONIA.precision, value: 0.92", "does not hold"),
        ("metric: test.classes.PNEUMONIA.f1, value: 0.5", "no verdict"),
        ("metric: test.log_loss, value: 0.3", "no verdict"),
        ("metric: train.best.validation_accuracy, value: 0.80", "no verdict"),
        ("metric: time.seconds, value: 0:00:12", "no verdict"),
        ("metric: test.parameters, value: 2260546", "holds"),
        ("metric: test.parameters, value: 2260545", "does not hold"),
        ("metric: test.parameters, value: 2.26e6", "holds"),
        ("metric: test.parameters, value: 2.27e6", "does not hold"),
        ("metric: test.model_megabytes, value: 9", "no verdict"),
    ],
)
def test_verdicts_in_the_paper_profile(tmp_path, cell, expected):
    more = {"sensitivity": 0.92, "specificity": 0.8, "model_megabytes": 9.6}
    assert verdict(tmp_path, cell + ", place: x", **more) == expected


def count_cells(tp, fn):
    return [
        f"metric: test.confusion.PNEUMONIA.NORMAL, value: {fn}, place: x",
        f"metric: test.confusion.PNEUMONIA.PNEUMONIA, value: {tp}, place: x",
    ]


@pytest.mark.parametrize(
    ("tp", "fn", "expected"),
    [
        (48, 2, "holds"),
        (49, 1, "does not hold"),
        (41, 9, "holds"),
        (40, 10, "does not hold"),
        (46, 5, "not comparable (other test size)"),
    ],
)
def test_counts_are_judged_as_shares_of_a_class_of_the_same_size(tmp_path, tp, fn, expected):
    assert verdict(tmp_path, *count_cells(tp, fn)) == expected


def test_the_macro_recall_of_unequal_classes_has_no_verdict(tmp_path):
    matrix = {"NORMAL": {"NORMAL": 40, "PNEUMONIA": 11}, "PNEUMONIA": {"NORMAL": 4, "PNEUMONIA": 46}}
    assert verdict(tmp_path, "metric: test.macro.recall, value: 0.86, place: x", matrix=matrix) == "no verdict"


def test_the_precision_of_a_class_never_predicted_has_no_verdict(tmp_path):
    ours(tmp_path)
    path = tmp_path / "a_run.json"
    metrics = json.loads(path.read_text())
    metrics["confusion"] = {
        "NORMAL": {"NORMAL": 50, "PNEUMONIA": 0},
        "PNEUMONIA": {"NORMAL": 50, "PNEUMONIA": 0},
    }
    path.write_text(json.dumps(metrics))
    papers = load(tmp_path, [ACCURACY, "metric: test.classes.PNEUMONIA.precision, value: 0.9, place: x"])
    assert compare.compare(papers, tmp_path, "paper").verdict.iloc[-1] == "no verdict"


def test_the_demo_profile_is_never_judged(tmp_path):
    assert verdict(tmp_path, ACCURACY, profile="demo") == "not comparable (demo profile)"


def test_the_difference_is_ours_less_the_papers(tmp_path):
    ours(tmp_path)
    row = compare.compare(load(tmp_path, [ACCURACY]), tmp_path, "demo").iloc[0]
    assert (row.run, row.metric, row.paper, row.ours, row.place) == (
        "a_run",
        "test.accuracy",
        0.9,
        0.86,
        "Table 1",
    )
    assert row.difference == pytest.approx(-0.04)


@pytest.mark.parametrize("file", ["a_run.json", "a_run/train.json", "a_run/time.json"])
def test_a_missing_metrics_file_names_the_run_the_file_and_the_command(tmp_path, file):
    cells = [ACCURACY, "metric: train.epochs, value: 2, place: x", "metric: time.seconds, value: 2, place: x"]
    papers = load(tmp_path, cells)
    ours(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(RontgenError, match=f"^a_run: .*{file} not found: run `dvc repro paper_evaluate@a_run` first$"):
        compare.compare(papers, tmp_path, "demo")


@pytest.mark.parametrize(
    ("metric", "stage"),
    [
        ("test.classes.COVID.recall", "evaluate"),
        ("test.roc_auc", "evaluate"),
        ("train.best.train_loss", "train"),
    ],
)
def test_a_number_that_our_metrics_lack_is_named(tmp_path, metric, stage):
    with pytest.raises(RontgenError, match=f"^a_run: our metrics have None for {metric}.*paper_{stage}@a_run`$"):
        verdict(tmp_path, f"metric: {metric}, value: 1, place: x")


# ---- tables and figure


@pytest.fixture
def frame(tmp_path):
    cells = [
        "metric: test.accuracy, value: 0.86, place: Table 1, note: a note",
        "metric: test.log_loss, value: 0.30004, place: x",
        *count_cells(49, 1),
        "metric: time.seconds, value: 0:00:10, place: x",
    ]
    ours(tmp_path)
    return compare.compare(load(tmp_path, cells), tmp_path, "paper")


def test_the_table_has_whole_counts_and_four_decimals(tmp_path, frame):
    compare.write_tables(frame, tmp_path / "out")
    assert (tmp_path / "out/comparison.csv").read_text() == (
        "run,metric,paper,ours,difference,verdict,place,note\n"
        "a_run,test.accuracy,0.8600,0.8600,0.0000,holds,Table 1,a note\n"
        "a_run,test.log_loss,0.3000,0.3000,0.0000,no verdict,x,\n"
        "a_run,test.confusion.PNEUMONIA.NORMAL,1,4,3,does not hold,x,\n"
        "a_run,test.confusion.PNEUMONIA.PNEUMONIA,49,46,-3,does not hold,x,\n"
    )


def test_times_have_a_table_of_their_own(tmp_path, frame):
    compare.write_tables(frame, tmp_path / "out")
    assert (tmp_path / "out/comparison_time.csv").read_text().splitlines()[1:] == [
        "a_run,time.seconds,10.0000,12.3457,2.3457,no verdict,x,"
    ]
    assert "time." not in (tmp_path / "out/comparison.md").read_text()


def test_the_markdown_has_a_table_per_run_and_counts_what_holds(tmp_path, frame):
    compare.write_tables(frame, tmp_path / "out")
    text = (tmp_path / "out/comparison.md").read_text()
    assert "1 of 3 published numbers that can be judged hold; 4 are compared." in text
    assert "## a_run\n\n| metric | paper | ours | difference | verdict | place | note |\n| --- |" in text
    assert "| test.accuracy | 0.8600 | 0.8600 | 0.0000 | holds | Table 1 | a note |" in text


def test_the_headline_has_a_row_per_run(frame):
    lines = compare.headline(frame).splitlines()
    assert lines[2].split() == ["a_run", "0.8600", "0.8600", "+0.0000", "1", "of", "3", "4", "holds"]
    assert lines[-1] == "1 of 3 published numbers that can be judged hold; 4 are compared."


def test_the_demo_headline_is_aligned_narrow_and_says_that_nothing_is_comparable(tmp_path):
    cells = ["metric: test.accuracy, value: 0.9, place: x"]
    papers = {}
    for run in PUBLISHED:
        ours(tmp_path, run)
        papers |= load(tmp_path, cells, run)
    lines = compare.headline(compare.compare(papers, tmp_path, "demo")).splitlines()
    assert len(lines) == 2 + 21 + 2
    assert max(map(len, lines)) <= 110
    assert len({line.index("not comparable") for line in lines[2:-2]}) == 1
    assert lines[-1].startswith("No row is comparable: the demo profile's images are synthetic")


def test_the_figure_is_the_same_every_time(tmp_path, frame):
    for name in ("one.png", "two.png"):
        compare.draw(frame, tmp_path / name)
    image = (tmp_path / "one.png").read_bytes()
    assert image.startswith(b"\x89PNG")
    assert image == (tmp_path / "two.png").read_bytes()
    assert b"tEXt" not in image
