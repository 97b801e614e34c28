"""The counts behind published numbers, and what they alone say."""

import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from made_up_studies import CLASSES, PAPERS, cell, paper
from rontgen.claims.published import Published, headline


def published(cells=(), of_study=()):
    study = paper({"a_run": cells}, cells=list(of_study))
    return Published.of("a_study", "a_run", study, list(CLASSES))


def confusion(tn, fp, fn, tp):
    counts = {"NORMAL.NORMAL": tn, "NORMAL.PNEUMONIA": fp, "PNEUMONIA.NORMAL": fn, "PNEUMONIA.PNEUMONIA": tp}
    return [cell(f"test.confusion.{name}", count) for name, count in counts.items()]


def test_supports_are_those_of_the_counts_then_of_the_report_then_of_the_data():
    report = [cell(f"test.classes.{name}.support", 60) for name in CLASSES]
    data = [cell(f"data.test.{name}", 70) for name in CLASSES]
    assert published([*confusion(45, 5, 1, 49), *report], data).supports == {"NORMAL": 50, "PNEUMONIA": 50}
    assert published(report, data).equal_support == 60
    assert published([], data).equal_support == 70
    assert published([], data[:1]).supports is None


def test_validation_images_are_a_share_of_the_images_where_that_is_whole():
    share = cell("data.share.validation", "0.1")
    assert published([], [share, cell("data.images", 1000)]).validation_images == 100
    assert published([], [share, cell("data.images", 1001)]).validation_images is None
    assert published([], [cell("data.validation", 7)]).validation_images == 7


@pytest.mark.parametrize("epoch", ["first", "kept", "best", "final"])
def test_a_validation_accuracy_is_of_the_validation_images_at_any_epoch(epoch):
    metric = f"train.{epoch}.validation_accuracy"
    run = published([cell(metric, "0.90")], [cell("data.validation", 50)])
    assert (run.successes(metric), run.trials(metric)) == ((45, 45), 50)


@pytest.mark.parametrize(
    ("metric", "value", "successes", "trials"),
    [
        ("test.accuracy", "0.90", (90, 90), 100),
        ("test.macro.recall", "0.94", (94, 94), 100),
        ("test.classes.PNEUMONIA.recall", "0.98", (49, 49), 50),
        ("test.classes.PNEUMONIA.precision", "0.907", (49, 49), 54),
        ("test.classes.PNEUMONIA.precision", "0.9", (46, 51), 54),
    ],
)
def test_a_rate_is_so_many_of_its_images(metric, value, successes, trials):
    run = published([*confusion(45, 5, 1, 49), cell(metric, value)])
    assert (run.successes(metric), run.trials(metric)) == (successes, trials)


def test_the_papers_own_interval_is_exact_and_spans_all_counts_that_print_alike():
    assert published().own_interval("test.accuracy") == pytest.approx(proportion_confint(90, 100, method="beta"))
    run = published([cell("test.test_images", 1000)])
    low, high = proportion_confint(895, 1000, method="beta")[0], proportion_confint(905, 1000, method="beta")[1]
    assert run.own_interval("test.accuracy") == pytest.approx((low, high))


def test_a_rate_of_unpublished_images_has_no_interval():
    run = published([cell("test.classes.NORMAL.recall", "0.9")])
    assert run.own_interval("test.classes.NORMAL.recall") is None


# ---- headline


def runs_of(study):
    return [Published.of(study, run, PAPERS.studies[study], list(CLASSES)) for run in PAPERS.studies[study].runs]


def one_of(run, accuracy, images=100):
    study = paper({run: [cell("test.accuracy", accuracy), cell("test.test_images", images)]})
    return Published.of("a_study", run, study, list(CLASSES))


def test_no_pairing_makes_the_headline_of_smatika_significant():
    tested = headline(runs_of("smatika"))
    assert (tested.best, tested.right, tested.images) == ("smatika_resnet50v2", 97, 100)
    assert (tested.other, tested.other_right) == ("smatika_vgg16", 92)
    assert tested.fisher_p == pytest.approx(0.21341, abs=1e-5)
    every = [mcnemar([[0, 5 + c], [c, 0]], exact=True).pvalue for c in range(4)]  # the best has at most 3 wrong answers
    assert tested.least_mcnemar_p == min(every) == 0.0625


def test_the_best_is_tested_against_the_next_one():
    tested = headline([one_of("a_run", "0.85"), one_of("b_run", "0.96"), one_of("c_run", "0.90")])
    assert (tested.best, tested.right, tested.other, tested.other_right) == ("b_run", 96, "c_run", 90)
    assert tested.least_mcnemar_p == pytest.approx(mcnemar([[0, 6], [0, 0]], exact=True).pvalue)


def test_a_run_on_another_number_of_images_is_no_next_one():
    runs = [one_of("a_run", "0.85"), one_of("b_run", "0.96"), one_of("c_run", "0.90", images=200)]
    assert headline(runs).other == "a_run"
    assert headline(runs[1:]) is None


def test_equal_accuracies_have_a_p_of_one_and_a_single_run_none():
    assert headline([one_of("a_run", "0.90"), one_of("b_run", "0.90")]).least_mcnemar_p == 1.0
    assert headline([one_of("a_run", "0.90")]) is None
