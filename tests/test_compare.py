import json
from pathlib import Path

import pytest

from rontgen import compare, params
from rontgen.errors import RontgenError
from rontgen.papers import Cell, Papers, PublishedStudy, exact_interval, load_papers

ROOT = Path(__file__).parents[1]
PAPERS = load_papers(ROOT / "papers.yaml")
VALUES = params.load(ROOT / "params.yaml").model_copy(update={"profile": "paper"})
RUN = "smatika_vgg16"

TEST = {
    "test_images": 100,
    "accuracy": 0.86,
    "log_loss": 0.3,
    "parameters": 2_260_546,
    "model_megabytes": 9.4,
    "classes": {"NORMAL": {"f1": 0.85, "support": 50}, "PNEUMONIA": {"recall": 0.92, "support": 50}},
    "confusion": {"NORMAL": {"NORMAL": 40, "PNEUMONIA": 10}, "PNEUMONIA": {"NORMAL": 4, "PNEUMONIA": 46}},
}
INTERVALS = {
    "accuracy": {"low": 0.79, "high": 0.925},
    "log_loss": {"low": 0.25, "high": 0.35},
    "classes": {
        "NORMAL": {"f1": {"low": 0.77, "high": 0.91}},
        "PNEUMONIA": {"recall": {"low": 0.84, "high": 0.98}},
    },
    "confusion": {"PNEUMONIA": {"NORMAL": {"low": 1, "high": 8}, "PNEUMONIA": {"low": 42, "high": 49}}},
}
TRAIN = {
    "epochs": 20,
    "best_epoch": 4,
    "train_images": 80,
    "validation_images": 20,
    "best": {"train_accuracy": 0.95, "validation_accuracy": 0.75, "validation_loss": 0.5},
}


def cell(metric, value):
    return Cell(metric=metric, value=str(value), place="x")


def ours(folder, run=RUN, test=TEST, intervals=INTERVALS):
    """Metrics files as the stages write them."""
    (folder / run).mkdir(parents=True, exist_ok=True)
    for name, values in (
        (f"{run}.json", test),
        (f"{run}/intervals.json", intervals),
        (f"{run}/train.json", TRAIN),
        (f"{run}/time.json", {"seconds": 12.34567, "device": "cpu"}),
    ):
        (folder / name).write_text(json.dumps(values))


def papers(numbers, study="smatika", run=RUN, of_study=()):
    cells = [cell(*number) for number in numbers]
    if "test.accuracy" not in {each.metric for each in cells}:
        cells.append(cell("test.accuracy", "0.86"))
    published = PublishedStudy(cells=[cell(*number) for number in of_study], runs={run: cells})
    return Papers(archives=PAPERS.archives, studies={study: published})


def row(folder, metric, value, *more, values=VALUES, **metrics):
    """The row of one cell, beside further cells."""
    ours(folder, **metrics)
    cells = compare.compare(papers([(metric, value), *more]), values, folder).cells
    return cells[cells.metric == metric].iloc[0]


@pytest.mark.parametrize(
    ("metric", "value", "verdict"),
    [
        # our interval is 0.79 to 0.925
        ("test.accuracy", "0.92", "reproduced"),
        ("test.accuracy", "0.93", "reproduced"),
        ("test.accuracy", "0.94", "not reproduced"),
        ("test.accuracy", "0.931", "not reproduced"),
        ("test.accuracy", "0.78", "not reproduced"),
        ("test.accuracy", "0.8", "reproduced"),
        ("test.log_loss", "0.35", "reproduced"),
        ("test.log_loss", "0.36", "not reproduced"),
        ("test.classes.NORMAL.f1", "0.91", "reproduced"),
        ("test.classes.NORMAL.f1", "0.92", "not reproduced"),
        ("test.test_images", "100", "reproduced"),
        ("test.test_images", "101", "not reproduced"),
        ("test.classes.NORMAL.support", "50", "reproduced"),
        ("test.classes.NORMAL.support", "51", "not reproduced"),
        ("test.parameters", "2260546", "reproduced"),
        ("test.parameters", "2260545", "not reproduced"),
        ("test.parameters", "2.26e6", "reproduced"),
        ("test.parameters", "2.27e6", "not reproduced"),
        ("test.model_megabytes", "9", "reproduced"),
        ("test.model_megabytes", "9.0", "not reproduced"),
        ("train.epochs", "20", "reproduced"),
        ("train.best_epoch", "4", "not comparable"),
        ("train.best.validation_loss", "0.5", "not comparable"),
        ("time.seconds", "0:00:12", "not comparable"),
    ],
)
def test_verdicts_in_the_paper_profile(tmp_path, metric, value, verdict):
    assert row(tmp_path, metric, value).verdict == verdict


@pytest.mark.parametrize(
    ("metric", "successes", "trials"),
    [("train.best.train_accuracy", 76, 80), ("train.best.validation_accuracy", 15, 20)],
)
def test_an_accuracy_in_training_has_the_exact_interval_of_its_images(tmp_path, metric, successes, trials):
    low, high = exact_interval(successes, trials)
    found = row(tmp_path, metric, f"{high:.4f}")
    assert (found.low, found.high, found.verdict) == (low, high, "reproduced")
    assert row(tmp_path, metric, f"{low - 0.001:.4f}").verdict == "not reproduced"


@pytest.mark.parametrize(
    ("right", "wrong", "verdict"),
    [(49, 1, "reproduced"), (42, 8, "reproduced"), (41, 9, "not reproduced"), (46, 5, "not comparable")],
)
def test_counts_are_judged_where_both_tests_have_as_many_images_of_the_class(tmp_path, right, wrong, verdict):
    counts = [("NORMAL.NORMAL", 40), ("NORMAL.PNEUMONIA", 10), ("PNEUMONIA.NORMAL", wrong)]
    more = [(f"test.confusion.{name}", count) for name, count in counts]
    accuracy = ("test.accuracy", f"{(40 + right) / (50 + right + wrong):.4f}")
    found = row(tmp_path, "test.confusion.PNEUMONIA.PNEUMONIA", right, *more, accuracy)
    assert found.verdict == verdict
    if verdict == "not comparable":
        assert found.reason == "other test size: our test has 50 images of PNEUMONIA, the paper's 51"


def test_the_demo_profile_is_never_judged(tmp_path):
    demo = VALUES.model_copy(update={"profile": "demo"})
    found = row(tmp_path, "test.test_images", "100", values=demo)
    assert (found.verdict, found.reason) == ("not comparable", "the demo profile: synthetic images, smaller settings")


def test_a_contradiction_comes_before_everything(tmp_path):
    values = VALUES.model_copy(update={"profile": "demo"})
    found = row(tmp_path, "train.best_epoch", "21", ("train.epochs", "20"), values=values)
    assert (found.verdict, found.reason) == ("contradictory", "best epoch 21 of epochs 20")


def test_missing_data_come_after_contradictions_and_before_the_rest(tmp_path):
    ours(tmp_path, "lungcare_cnn5")
    numbers = [("train.best_epoch", "21"), ("train.epochs", "20"), ("time.seconds", "0:00:12")]
    study = papers(numbers, "lungcare", "lungcare_cnn5", [("setting.model.filters", "32")])
    verdicts = compare.compare(study, VALUES, tmp_path).cells.set_index("metric").verdict
    assert verdicts.to_dict() == {
        "setting.model.filters": "reproduced",
        "train.best_epoch": "contradictory",
        "train.epochs": "contradictory",
        "time.seconds": "data unavailable",
        "test.accuracy": "data unavailable",
    }


def test_several_contradictions_are_all_given(tmp_path):
    supports = [(f"test.classes.{name}.support", "50") for name in ("NORMAL", "PNEUMONIA")]
    wrong = [("test.test_images", "100"), ("test.macro.f1", "0.10"), ("test.accuracy", "0.99")]
    intervals = INTERVALS | {"macro": {"recall": None, "f1": None}}
    test = TEST | {"macro": {"recall": 0.86, "f1": 0.86}}
    found = row(tmp_path, "test.macro.recall", "0.80", *supports, *wrong, test=test, intervals=intervals)
    assert found.verdict == "contradictory"
    assert found.reason.count("; ") == 2  # one of them within the first reason


# ---- settings and counts of the data


@pytest.mark.parametrize(
    ("metric", "value", "verdict"),
    [
        ("setting.augment.rotation", "20", "reproduced"),
        ("setting.augment.rotation", "21", "not reproduced"),
        ("setting.view.size", "224", "reproduced"),
        ("setting.train.learning_rate", "1e-3", "reproduced"),
        ("setting.train.learning_rate", "0.00101", "not reproduced"),
    ],
)
def test_a_setting_is_that_of_params_yaml(tmp_path, metric, value, verdict):
    ours(tmp_path)
    found = compare.compare(papers([], of_study=[(metric, value)]), VALUES, tmp_path).cells.iloc[0]
    assert (found.run, found.metric, found.verdict) == ("smatika", metric, verdict)


def test_a_setting_of_a_run_is_its_own(tmp_path):
    ours(tmp_path, "lungcare_b8_s480")
    numbers = [("setting.train.batch_size", "8"), ("setting.view.size", "480"), ("setting.model.layers", "4")]
    cells = compare.compare(papers(numbers, "lungcare", "lungcare_b8_s480"), VALUES, tmp_path).cells
    assert list(cells.verdict[:3]) == ["reproduced"] * 3


def test_an_item_of_a_list_is_a_setting(tmp_path):
    ours(tmp_path, "covid_hybrid_resnet50_lstm")
    numbers = [(f"setting.model.recurrent_units.{place}", units) for place, units in enumerate((32, 16, 9))]
    cells = compare.compare(papers(numbers, "covid_hybrid", "covid_hybrid_resnet50_lstm"), VALUES, tmp_path).cells
    assert list(cells.verdict[:3]) == ["reproduced", "reproduced", "not reproduced"]


@pytest.mark.parametrize("metric", ["setting.train.speed", "setting.model.recurrent_units.0", "setting.augment.zoom.0"])
def test_a_setting_that_params_yaml_lacks_is_named(tmp_path, metric):
    with pytest.raises(RontgenError, match=f"{metric}: expected one value in params.yaml, received"):
        row(tmp_path, metric, "1")


def test_a_setting_in_which_the_runs_differ_is_none_of_the_study(tmp_path):
    study = PAPERS.studies["lungcare"]
    study = study.model_copy(update={"cells": [cell("setting.view.size", "240")]})
    with pytest.raises(RontgenError, match=r"setting\.view\.size: expected one value"):
        compare.compare(Papers(archives={}, studies={"lungcare": study}), VALUES, tmp_path)


@pytest.mark.parametrize(
    ("metric", "value", "verdict", "ours_"),
    [
        ("data.images.PNEUMONIA", 4273, "reproduced", 4273),
        ("data.images.PNEUMONIA", 4265, "reproduced", 4265),
        ("data.images.PNEUMONIA", 4264, "not comparable", 4273),
        ("data.images", 5840, "reproduced", 5840),
        ("data.train.NORMAL", 1341, "reproduced", 1341),
        ("data.train.NORMAL", 1340, "not reproduced", 1341),
        ("data.smote.NORMAL", 10, "not comparable", None),
        ("data.share.train", 0.9, "not reproduced", 0.8585),
    ],
)
def test_counts_of_the_data_are_those_of_the_archive(tmp_path, metric, value, verdict, ours_):
    ours(tmp_path)
    found = compare.compare(papers([], of_study=[(metric, value)]), VALUES, tmp_path).cells.iloc[0]
    assert found.verdict == verdict
    assert found.ours == pytest.approx(ours_, abs=1e-4) if ours_ else found.ours != found.ours


# ---- the frame


def test_a_row_holds_both_numbers_and_both_intervals(tmp_path):
    found = row(tmp_path, "test.accuracy", "0.90", ("test.test_images", "100"))
    assert (found.study, found.run, found.place, found.paper) == ("smatika", RUN, "x", "0.90")
    assert (found.paper_low, found.paper_high) == exact_interval(90, 100)
    assert (found.ours, found.low, found.high) == (0.86, 0.79, 0.925)
    assert found.difference == pytest.approx(-0.04)


@pytest.mark.parametrize("file", [f"{RUN}.json", f"{RUN}/intervals.json", f"{RUN}/train.json", f"{RUN}/time.json"])
def test_a_missing_metrics_file_names_the_run_the_file_and_the_command(tmp_path, file):
    ours(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(RontgenError, match=f"^{RUN}: .*{file} not found: run `dvc repro paper_evaluate@{RUN}` first$"):
        compare.compare(papers([("train.epochs", "2"), ("time.seconds", "2")]), VALUES, tmp_path)


@pytest.mark.parametrize(
    ("metric", "stage"),
    [("test.classes.PNEUMONIA.f1", "evaluate"), ("test.roc_auc", "evaluate"), ("train.best.train_loss", "train")],
)
def test_a_number_that_our_metrics_lack_is_named(tmp_path, metric, stage):
    with pytest.raises(RontgenError, match=f"^{RUN}: our metrics have None for {metric}.*paper_{stage}@{RUN}`$"):
        row(tmp_path, metric, "1")


def test_an_accuracy_without_its_interval_is_an_error(tmp_path):
    with pytest.raises(
        RontgenError, match=f"^{RUN}: .*intervals.json has none for test.accuracy.*paper_evaluate@{RUN}"
    ):
        row(tmp_path, "test.accuracy", "0.9", intervals={})


def test_a_run_that_params_yaml_lacks_is_named(tmp_path):
    with pytest.raises(RontgenError, match="expected runs of smatika_resnet50v2, smatika_vgg16, received 'a_run'"):
        compare.compare(papers([], run="a_run"), VALUES, tmp_path)


def test_a_study_that_params_yaml_lacks_is_named(tmp_path):
    with pytest.raises(RontgenError, match=r"expected studies of smatika, .*received 'a_study'"):
        compare.compare(papers([], study="a_study"), VALUES, tmp_path)
