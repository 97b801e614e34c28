"""The verdict on each published row, and the description of every other number."""

import math
import re

import numpy as np
import pytest
from scipy import stats

from made_up_studies import CLASSES, OPEN, PAPERS, RUN, VALUES, cell, on_images, paper, papers, seeds, study
from rontgen.claims import replication, studies, verdicts
from rontgen.core.errors import RontgenError
from rontgen.evaluation.proportions import exact_interval

READINGS = {name: {"why": "x", "runs": [RUN], "set": {"balance": "smote"}} for name in ("one_way", "another")}


def published(numbers=(), run=RUN, of_study=(), **more):
    return paper({run: [cell(*number) for number in numbers]}, cells=[cell(*number) for number in of_study], **more)


def rows(some, found, name="smatika"):
    return study(some, found, name).rows


def described(metric, value, found, *more, **of_study):
    """The number of one metric, published together with further ones."""
    numbers = study(published([(metric, *np.atleast_1d(value)), *more], **of_study), found).numbers
    return next(one.description for one in numbers if one.cell.metric == metric)


# ---- the verdict on a published row


def test_a_row_is_judged_by_the_seeds_of_its_records():
    found = seeds(88, 90, 93, 91, 89)
    (row,) = rows(paper(), found)
    distinct = len({image for record in found for image in record.predictions["id"]})
    judged = replication.judge((0.895, 0.905), 100, [88, 90, 93, 91, 89], [100] * 5, distinct)
    assert 100 < distinct < 500
    assert (row.replication, row.verdict, row.reasons) == (judged, judged.verdict, list(judged.reasons))
    assert row.accuracies == [0.88, 0.90, 0.93, 0.91, 0.89]
    assert (row.paper.text, row.paper_interval) == ("0.90", exact_interval(90, 100))
    assert (row.training, row.fit) == ([], "")


def test_copies_of_one_picture_are_one_test_image():
    ids = [f"{image:03d}" for image in range(50)]
    found = on_images(seeds(88, 90, 93, 91, 89), [*ids, *(f"{image}-2" for image in ids)])
    (row,) = rows(paper(), found)
    assert row.replication == replication.judge((0.895, 0.905), 100, [88, 90, 93, 91, 89], [100] * 5, 50)


SAME = {"same_test_images": {"why": "As many.", "place": "Section 4, line 1", "runs": [RUN]}}


@pytest.mark.parametrize(
    ("extra", "size", "shift", "is_same"),
    [(SAME, 100, 0, True), ({}, 100, 0, False), (SAME, 101, 0, False), (SAME, 100, 1, False)],
)
def test_the_same_test_images_are_judged_as_such(extra, size, shift, is_same):
    right = [88, 90, 93, 91, 89]
    found = [
        on_images([record], map(str, range(seed * shift, seed * shift + 100)))[0]
        for seed, record in enumerate(seeds(*right))
    ]
    (row,) = rows(published([("test.test_images", size)], **extra), found)
    expected = replication.judge((0.895, 0.905), size, right, [100] * 5, 100 + 4 * shift, same_images=is_same)
    assert row.replication.bound == pytest.approx(expected.bound)
    assert (row.other_images is not None) == is_same


def test_without_a_record_the_command_that_makes_one_is_named():
    (row,) = rows(paper(), [])
    assert (row.verdict, row.records, row.replication) == ("not run", [], None)
    assert row.reasons == [f"rontgen reproduce {RUN} --seeds 1-5"]
    assert verdicts.command(RUN, "one_way") == f"rontgen reproduce {RUN} --seeds 1-5 --reading one_way"


def test_each_treatment_has_a_row_and_the_one_with_the_most_seeds_is_first():
    found = seeds(60, treatment="protocol") + seeds(90, 90, treatment="protocol+b=1")
    found += seeds(70, 70, treatment="protocol+a=1") + seeds(80, treatment="another+a=1")
    some = rows(paper(readings=READINGS), found)
    assert [row.treatment for row in some] == ["protocol+a=1", "protocol+b=1", "protocol", "another+a=1"]
    assert [row.label for row in some] == ["as stated, a 1", "as stated, b 1", "as stated", "another, a 1"]
    assert [len(row.records) for row in some] == [2, 2, 1, 1]


def test_a_treatment_of_too_few_seeds_comes_last_and_describes_the_numbers_all_the_same():
    found = seeds(60, 61, test__log_loss=[0.9, 0.9]) + seeds(80, 82, 84, treatment="another")
    assert [row.treatment for row in rows(paper(readings=READINGS), found)] == ["another", "protocol"]
    assert described("test.log_loss", "0.3", found, readings=READINGS).ours == pytest.approx(0.9)


def test_a_verdict_says_that_it_is_of_our_completion_where_the_paper_leaves_something_open():
    found = seeds(60, 62, 58, treatment="protocol+a=1") + seeds(89, 90, 91, 90, treatment="another")
    some = rows(paper(origins={"balance": OPEN}, readings=READINGS), found)
    assert [row.words for row in some] == ["not reproduced by our completion, a 1", "reproduced"]
    assert [row.words for row in rows(paper(), seeds(89, 90, 91))] == ["reproduced by as stated"]


def test_random_completions_are_a_spread_of_their_own():
    found = study(paper(), seeds(79, 80, 85, 100, 50, treatment="random_completion"))
    assert [(row.treatment, row.verdict) for row in found.rows] == [("protocol", "not run")]
    (drawn,) = found.completions
    assert (drawn.paper, drawn.near, drawn.interval, drawn.are_complete) == (0.9, 3, exact_interval(3, 5), False)
    (drawn,) = study(paper(), seeds(*[90] * 10, treatment="random_completion")).completions
    assert drawn.are_complete and drawn.near == 10


def test_a_row_that_is_trained_as_another_has_its_records():
    found = seeds(85, 86, 84, run="lungcare_cnn4", images=280, classes=VALUES.datasets["lungs"].classes)
    by_run = {row.run: row for study in studies.gather(PAPERS, VALUES, found) for row in study.rows}
    one, other = by_run["lungcare_b32_s240"], by_run["lungcare_cnn4"]
    assert (one.trained, len(one.records)) == ("lungcare_cnn4", 3)
    assert one.replication.mean == other.replication.mean == pytest.approx(85 / 280)
    assert by_run["lungcare_b32_s480"].records == []


def test_a_run_of_what_contradicts_itself_stands_beside_the_contradiction():
    recall = [("test.macro.recall", "0.80"), ("test.weighted.recall", "0.80")]
    (without,), (row,) = (rows(published(recall), found) for found in ([], seeds(88, 90, 93)))
    assert without.verdict == row.verdict == "contradictory"
    assert without.reasons == row.reasons and "the two are one number" in row.reasons[0]
    assert row.replication.mean == pytest.approx(271 / 300)


def test_a_condition_falls_where_the_rows_scores_contradict_each_other_whatever_they_mean():
    recall = ("test.weighted.recall", "0.80")
    (row,) = rows(published([recall]), [])
    assert row.words == "contradictory if its accuracy and its other scores are of the same test images"
    assert row.short == "contradictory *"
    scores = {"precision": "0.90", "recall": "0.90", "f1": "0.10"}
    certain = [(f"test.classes.NORMAL.{name}", value) for name, value in scores.items()]
    (row,) = rows(published([recall, *certain]), [])
    assert row.words == row.short == "contradictory"
    assert "their harmonic mean" in row.reasons[0] and "the two are one number" in row.reasons[1]


@pytest.mark.parametrize(
    ("values", "fit"),
    [([0.9, 0.91, 0.92], "not shown to differ"), ([0.70, 0.71, 0.72], "differs"), ([0.9], "")],
    ids=str,
)
def test_the_training_is_compared_too(values, fit):
    numbers = [("train.final.train_accuracy", "0.91")]
    found = seeds(*[90] * len(values), train__final__train_accuracy=values)
    (row,) = rows(published(numbers), found)
    assert row.fit == fit
    assert row.short.endswith(" †") == (fit == "differs")
    assert [scores.differs for scores in row.training] == ([["train_accuracy"]] if fit == "differs" else [[]])


def test_several_numbers_of_a_training_are_corrected_for():
    epochs = ("first", "kept", "best", "final")
    values = {f"train__{epoch}__train_accuracy": [0.90, 0.91, 0.92] for epoch in epochs}
    alone, *_ = rows(published([("train.final.train_accuracy", "0.97")]), seeds(90, 90, 90, **values))
    numbers = [(f"train.{epoch}.train_accuracy", "0.97" if epoch == "final" else "0.91") for epoch in epochs]
    together, *_ = rows(published(numbers), seeds(90, 90, 90, **values))
    assert (alone.fit, together.fit) == ("differs", "not shown to differ")


@pytest.mark.parametrize(("run", "treatment"), [("smatika_vgg19", "protocol"), (RUN, "my_own+a=1")])
def test_a_record_of_what_no_paper_has_is_named(run, treatment):
    command = re.escape(f"`git rm -r results/{run}/{treatment}`")
    message = f"^results/{run}/{re.escape(treatment)}: expected a run and reading of a paper.yaml, .* {command}$"
    with pytest.raises(RontgenError, match=message):
        study(paper(), seeds(90, run=run, treatment=treatment))


def test_a_record_of_a_leakfree_run_judges_no_row():
    found = study(paper(), seeds(88, 90) + seeds(50, 52, run=f"{RUN}_leakfree"))
    assert [len(row.records) for row in found.rows] == [2]


# ---- the other numbers: results


def test_a_result_is_what_the_seeds_have_and_one_more_would_give():
    losses = [0.30, 0.32, 0.35, 0.31]
    mean, spread = np.mean(losses), np.std(losses, ddof=1)
    expected = stats.t.interval(0.95, 3, loc=mean, scale=spread * math.sqrt(1.25))
    within_rounding = f"{expected[1] + 0.0004:.3f}"
    for value, finding in (("0.32", "consistent"), (within_rounding, "consistent"), ("0.43", "not consistent")):
        found = described("test.log_loss", value, seeds(90, 90, 90, 90, test__log_loss=losses))
        assert (found.ours, found.low, found.high) == (pytest.approx(mean), *map(pytest.approx, expected))
        assert found.finding == finding


def test_the_interval_of_a_rate_ends_at_one_and_all_of_it_tells_nothing():
    found = described("test.roc_auc", "0.99", seeds(90, 90, 90, test__roc_auc=[0.9, 0.99, 1.0]))
    assert (found.high, found.finding) == (1, "consistent")
    assert described("test.log_loss", "0.1", seeds(90, 90, test__log_loss=[0.1, 0.9])).low == 0
    found = described("test.roc_auc", "0.99", seeds(90, 90, test__roc_auc=[0.1, 0.9]))
    assert (found.low, found.high, found.finding) == (0, 1, "not comparable")


def test_one_seed_shows_no_spread_and_a_duration_is_not_compared():
    found = described("test.log_loss", "0.3", seeds(90, test__log_loss=[0.3]))
    assert (found.ours, found.reasons) == (0.3, ["one seed, so that its spread is not known"])
    found = described("time.seconds", "0:01:40", seeds(90, 91, time__seconds=[100.0, 110.0]))
    assert (found.ours, found.finding) == (105, "not comparable")


@pytest.mark.parametrize(
    ("metric", "value", "expected", "finding"),
    [
        ("test.test_images", ["101"], 100, "not consistent"),
        ("test.classes.NORMAL.support", ["50"], 50, "consistent"),
        ("test.classes.NORMAL.support", ["51"], 50, "not consistent"),
        ("test.parameters", ["2260546"], 2_260_546, "consistent"),
        ("test.parameters", ["2.27e6"], 2_260_546, "not consistent"),
        ("test.model_megabytes", ["9"], 9.042, "consistent"),
        ("test.model_megabytes", ["9.3"], 9.042, "not consistent"),
        ("test.model_megabytes", ["9.3", "about"], 9.042, "consistent"),
        ("train.epochs", ["15", "at_most"], 12, "consistent"),
        ("train.epochs", ["11", "at_most"], 12, "not consistent"),
    ],
)
def test_what_no_seed_changes_fits_or_does_not(metric, value, expected, finding):
    size = {"test__parameters": [2_260_546] * 2, "test__model_megabytes": [9.042] * 2, "train__epochs": [12] * 2}
    found = described(metric, value, seeds(90, 91, **size))
    assert (found.ours, found.finding) == (expected, finding)
    assert math.isnan(found.low)


def test_epochs_that_were_cut_for_want_of_time_are_not_compared():
    found = seeds(90, 91, train__epochs=[10, 10])
    assert described("train.epochs", "20", found).finding == "not consistent"
    found[0].provenance["extra"] = {"profiles.paper.train.max_epochs": "10"}
    assert described("train.epochs", "20", found).finding == "not comparable"


def test_a_limit_holds_for_every_seed():
    found = described("train.epochs", ["15", "at_most"], seeds(90, 91, train__epochs=[12, 16]))
    assert (found.ours, found.low, found.high, found.finding) == (14, 12, 16, "not consistent")


@pytest.mark.parametrize(("images", "finding"), [(100, "consistent"), (90, "not comparable")])
def test_counts_are_compared_where_both_tests_have_as_many_images_of_the_class(images, finding):
    matrix = [("NORMAL.NORMAL", 45), ("NORMAL.PNEUMONIA", 5), ("PNEUMONIA.NORMAL", 5)]
    more = [(f"test.confusion.{name}", count) for name, count in matrix]
    found = described("test.confusion.PNEUMONIA.PNEUMONIA", 45, seeds(80, 84, 78, images=images), *more)
    assert found.finding == finding
    if finding == "not comparable":
        assert found.reasons == ["other test size: our test has 45 images of PNEUMONIA, the paper's 50"]
        assert found.low < found.ours < found.high


@pytest.mark.parametrize("some", [[], seeds(90, treatment="another"), seeds(90, treatment="random_completion")])
def test_without_a_record_by_the_protocol_nothing_is_described(some):
    found = described("test.log_loss", "0.3", some, readings=READINGS)
    assert (found.finding, found.reasons) == ("not run", ["no record"])
    assert math.isnan(found.ours)


def test_the_treatment_of_the_protocol_with_the_most_seeds_describes_the_numbers():
    found = seeds(90, test__log_loss=[0.9]) + seeds(90, 91, treatment="protocol+a=1", test__log_loss=[0.3, 0.4])
    assert described("test.log_loss", "0.3", found).ours == pytest.approx(0.35)


def test_missing_data_come_after_contradictions_and_before_the_rest():
    numbers = [("train.kept_epoch", "21"), ("train.epochs", "20"), ("time.seconds", "0:00:12")]
    found = study(published(numbers, run="lungcare_cnn5"), seeds(80, 82, 81, run="lungcare_cnn5"), "lungcare")
    assert [(row.words, len(row.records)) for row in found.rows] == [("not openly available", 3)]
    assert {one.cell.metric: one.description.finding for one in found.numbers} == {
        "train.kept_epoch": "contradictory",
        "train.epochs": "contradictory",
        "time.seconds": "not openly available",
        "test.test_images": "not openly available",
    }


def test_several_contradictions_are_all_given():
    supports = [(f"test.classes.{name}.support", "50") for name in CLASSES]
    wrong = [("test.macro.f1", "0.10"), ("test.accuracy", "0.99")]
    found = described("test.macro.recall", "0.80", [], *supports, *wrong)
    assert (found.finding, len(found.reasons)) == ("contradictory", 2)


@pytest.mark.parametrize("metric", ["test.classes.PNEUMONIA.f1", "train.best.train_loss"])
def test_a_number_that_a_record_lacks_is_named(metric):
    found = seeds(90)
    *parents, last = metric.split(".")
    section = found[0].metrics
    for parent in parents:
        section = section[parent]
    del section[last]
    message = f"^{RUN}/protocol/seed-1: expected a number for {metric}, received None"
    message += f".*paper.yaml, .*`rontgen reproduce {RUN} --seeds 1 --again`$"
    with pytest.raises(RontgenError, match=message):
        described(metric, "0.9", found)


# ---- counts of the data


@pytest.mark.parametrize(
    ("metric", "value", "finding", "expected"),
    [
        ("data.images.PNEUMONIA", 4265, "consistent", 4265),
        ("data.images.PNEUMONIA", 4264, "not comparable", 4273),
        ("data.images", 5840, "consistent", 5840),
        ("data.train.NORMAL", 1341, "consistent", 1341),
        ("data.train.NORMAL", 1340, "not consistent", 1341),
        ("data.smote.NORMAL", 10, "not comparable", math.nan),
        ("data.share.train", 0.9, "not consistent", 0.8585),
    ],
)
def test_counts_of_the_data_are_those_of_the_archive(metric, value, finding, expected):
    (found, *_) = study(published(of_study=[(metric, value)]), []).numbers
    assert (found.owner, found.description.finding) == ("smatika", finding)
    assert found.description.ours == pytest.approx(expected, abs=1e-4, nan_ok=True)


def test_a_sentence_that_the_numbers_do_not_bear_out_is_a_contradiction_of_no_number():
    better = {"says": "A is better.", "place": "Section 4", "metric": "test.accuracy", "order": "falling"}
    better["condition"] = "if it is meant of both"
    cells = {RUN: [cell("test.accuracy", "0.80")], "smatika_resnet50v2": [cell("test.accuracy", "0.90")]}
    found = study(paper(cells, orderings=[better | {"pairs": [(RUN, "smatika_resnet50v2")]}]), [])
    (violation,) = found.violations
    assert (violation.cells, violation.condition) == ((("smatika", "Section 4"),), "if it is meant of both")
    assert "“A is better.”" in violation.reason
    assert {row.verdict for row in found.rows} == {one.description.finding for one in found.numbers} == {"not run"}


# ---- what no protocol.yaml has


def test_a_run_that_its_study_lacks_is_named():
    message = r"^studies/smatika/paper.yaml: expected runs of smatika_resnet50v2, smatika_vgg16, .*, received 'a_run'$"
    with pytest.raises(RontgenError, match=message):
        study(paper(["a_run"]), [])


def test_a_study_without_a_protocol_is_named():
    with pytest.raises(RontgenError, match=r"^studies/a_study: expected a protocol.yaml with studies.a_study: see "):
        studies.gather(papers(paper(), "a_study"), VALUES, [])


def test_every_published_row_is_judged():
    found = [row.run for study in studies.gather(PAPERS, VALUES, []) for row in study.rows]
    assert found == [run for study in PAPERS.studies.values() for run in study.runs]
