"""Intervals against SciPy, the metrics of repeated images, and cases worked by hand."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import precision_recall_curve
from statsmodels.stats.proportion import proportion_confint

from prediction_tables import of_probabilities, scored
from rontgen.core.errors import RontgenError
from rontgen.evaluation import intervals
from rontgen.evaluation.bootstrap import Sample
from rontgen.evaluation.metrics import compute_metrics, roc_table

TWO, FOUR = ["NORMAL", "PNEUMONIA"], ["A", "B", "C", "D"]


def predictions_of(images, classes, seed=0, skill=1.5, decimals=None):
    """A prediction table with informative probabilities; with few decimals, there are many ties."""
    random = np.random.default_rng(seed)
    truth = np.arange(images) % len(classes)
    logits = random.normal(size=(images, len(classes)))
    logits[np.arange(images), truth] += skill
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if decimals is not None:
        probabilities = probabilities.round(decimals)
        probabilities[:, 0] = 1 - probabilities[:, 1:].sum(axis=1)
        probabilities = probabilities.clip(0, 1)
    return of_probabilities(np.array(classes)[truth], classes, probabilities)


def decided(truth, predicted):
    """A prediction table of classes a and b, each predicted with probability 0.9."""
    return scored(truth, np.where(np.array(list(predicted)) == "b", 0.9, 0.1))


def bounds(interval):
    return [interval["low"], interval["high"]]


def place(nested, key):
    for name in key:
        nested = nested[name]
    return nested


def weights_of(images):
    return np.random.default_rng(3).integers(0, 4, size=(images, 1)).astype(float)


@pytest.mark.parametrize("decimals", [None, 1])
@pytest.mark.parametrize("classes", [TWO, FOUR])
def test_metrics_of_equal_weights_are_all_of_evaluation_that_weights_can_change(classes, decimals):
    predictions = predictions_of(203, classes, decimals=decimals)
    (expected,) = pd.json_normalize(compute_metrics(predictions, classes)).to_dict("records")
    for name in ("test_images", "majority_accuracy", *(f"classes.{name}.support" for name in classes)):
        del expected[name]
    found = {".".join(key): value for key, value in Sample(predictions, classes).point().items()}
    assert found == pytest.approx(expected, abs=1e-12, rel=1e-12)


@pytest.mark.parametrize("decimals", [None, 1])
@pytest.mark.parametrize("classes", [TWO, FOUR])
def test_a_weight_is_a_number_of_repeats(classes, decimals):
    predictions = predictions_of(50, classes, decimals=decimals)
    weights = weights_of(50)
    repeated = predictions.loc[predictions.index.repeat(weights[:, 0].astype(int))]
    expected = compute_metrics(repeated, classes)
    for key, values in Sample(predictions, classes).metrics(weights).items():
        value = place(expected, key)
        if key[0] == "confusion":  # a share of the class, times the number of its images
            images = predictions["class"].value_counts()[key[1]]
            value *= images / repeated["class"].value_counts()[key[1]]
        assert values[0] == pytest.approx(value, abs=1e-12), key


def test_a_patient_is_drawn_as_one():
    predictions = decided("aabbb", "abbba").assign(patient=["p", "p", "q", "", ""])
    sample = Sample(predictions, ["a", "b"])
    assert sample.units == 4
    metrics = sample.metrics(np.array([[2.0], [0.0], [1.0], [1.0]]))  # p twice, each image without a patient once
    assert metrics["accuracy",][0] == pytest.approx((2 * 1 + 1) / (2 * 2 + 2))


def of_scipy(values):
    found = bootstrap((values,), np.mean, n_resamples=5000, method="percentile", random_state=0)
    return [found.confidence_interval.low, found.confidence_interval.high]


def test_accuracys_interval_is_scipys_bootstrap():
    predictions = predictions_of(300, TWO, skill=1)
    right = (predictions["class"] == predictions["predicted"]).to_numpy(float)
    ours = intervals.bootstrap_intervals(predictions, TWO)["accuracy"]
    assert bounds(ours) == pytest.approx(of_scipy(right), abs=0.008)


def test_a_confusion_count_is_resampled_as_a_share_of_its_class():
    found = intervals.bootstrap_intervals(decided("a" * 40 + "b" * 60, "a" * 30 + "b" * 70), ["a", "b"])
    recall, count = found["classes"]["a"]["recall"], found["confusion"]["a"]["a"]
    assert count == pytest.approx({"low": 40 * recall["low"], "high": 40 * recall["high"]})
    assert count["low"] < 30 < count["high"]


def test_a_share_that_never_changes_has_the_exact_interval():
    found = intervals.bootstrap_intervals(decided("a" * 48 + "b" * 52, "a" * 48 + "b" * 52), ["a", "b"], resamples=50)
    of_all, of_a, of_b = (proportion_confint(images, images, method="beta") for images in (100, 48, 52))
    for key, interval in [
        (("accuracy",), of_all),
        (("weighted", "recall"), of_all),
        (("sensitivity",), of_b),
        (("specificity",), of_a),
        (("classes", "a", "recall"), of_a),
        (("classes", "a", "precision"), of_a),
        (("confusion", "a", "a"), (48 * of_a[0], 48)),
        (("confusion", "a", "b"), (0, 48 * (1 - of_a[0]))),
    ]:
        assert bounds(place(found, key)) == pytest.approx(interval), key


def test_the_exact_interval_counts_patients():
    predictions = decided("aaaabbbb", "aaaabbbb").assign(patient=list("ppqqrrst"))
    found = intervals.bootstrap_intervals(predictions, ["a", "b"], resamples=20)["accuracy"]
    assert bounds(found) == pytest.approx(proportion_confint(5, 5, method="beta"))


def test_a_class_never_predicted_has_a_precision_of_which_nothing_is_known():
    found = intervals.bootstrap_intervals(decided("aaabb", "aaaaa"), ["a", "b"], resamples=50)
    assert found["classes"]["b"]["precision"] == {"low": 0.0, "high": 1.0}


def test_resamples_without_an_image_of_a_class_are_left_out_of_its_metrics():
    predictions = decided("a" * 9 + "b", "a" * 8 + "bb")  # four resamples in ten have no b
    found = intervals.bootstrap_intervals(predictions, ["a", "b"])
    assert np.isfinite(pd.json_normalize(found).to_numpy(float)).all()
    assert found["roc_auc"]["low"] > 0.7


def test_a_resample_without_an_image_of_a_class_has_no_metric_of_it():
    metrics = Sample(decided("aabb", "abbb"), ["a", "b"]).metrics(np.array([[1.0], [1.0], [0.0], [0.0]]))
    undefined = {key for key, values in metrics.items() if np.isnan(values[0])}
    assert undefined == {("roc_auc",), ("average_precision",), ("sensitivity",)} | {
        (*place, name)
        for place in [("macro",), ("classes", "b"), ("confusion", "b")]
        for name in (["a", "b"] if place[0] == "confusion" else ["precision", "recall", "f1"])
    }
    assert metrics["weighted", "recall"][0] == metrics["accuracy",][0] == 0.5


def test_a_class_without_images_is_refused():
    with pytest.raises(RontgenError, match="none of b"):
        intervals.bootstrap_intervals(decided("aa", "ab"), ["a", "b"])


def test_blocks_do_not_change_what_is_drawn(monkeypatch):
    sample = Sample(predictions_of(31, TWO), TWO)
    (whole,) = sample.draws(20)
    monkeypatch.setattr("rontgen.evaluation.bootstrap.BLOCK", 100)
    blocks = list(sample.draws(20))
    assert [block.shape for block in blocks] == [(31, 3)] * 6 + [(31, 2)]
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)
    assert (whole.sum(axis=0) == 31).all()


@pytest.mark.parametrize("classes", [TWO, FOUR])
def test_the_roc_band_holds_the_curve_and_narrows_to_its_ends(classes):
    predictions = predictions_of(300, classes)
    band = intervals.roc_band(predictions, classes, resamples=300)
    assert band.columns.tolist() == ["class", "false_positive_rate", "low", "high"]
    curves = roc_table(predictions, classes)
    assert band["class"].unique().tolist() == curves["class"].unique().tolist()
    for name, part in band.groupby("class"):
        curve = curves[curves["class"] == name]
        rate = np.interp(part["false_positive_rate"], curve["false_positive_rate"], curve["true_positive_rate"])
        assert ((part["low"] <= rate) & (rate <= part["high"])).mean() > 0.95
        assert part[["low", "high"]].iloc[-1].tolist() == [1, 1]
        assert part["false_positive_rate"].tolist() == [hundredth / 100 for hundredth in range(101)]


def test_the_roc_band_of_one_score_is_the_diagonal():
    band = intervals.roc_band(decided("aabb", "bbbb"), ["a", "b"], resamples=50)
    np.testing.assert_allclose(band[["low", "high"]], np.stack([intervals.GRID] * 2, axis=1), atol=1e-12)


def test_a_precision_recall_band_is_scikit_learns_curve_by_steps(monkeypatch):
    predictions = predictions_of(60, TWO, decimals=1)
    weights = weights_of(60)
    top = predictions["PNEUMONIA"] == predictions["PNEUMONIA"].max()
    weights[top] = 0  # the highest score is not drawn
    monkeypatch.setattr(Sample, "draws", lambda *_: iter([weights]))
    band = intervals.precision_recall_band(predictions, TWO)
    precision, recall, _ = precision_recall_curve(
        predictions["class"] == "PNEUMONIA", predictions["PNEUMONIA"], sample_weight=weights[:, 0]
    )
    precision, recall = precision[-2::-1], recall[-2::-1]
    expected = [precision[np.flatnonzero(recall >= point)[0]] for point in band["recall"]]
    np.testing.assert_allclose(band["low"], expected, atol=1e-12)
    np.testing.assert_allclose(band["high"], expected, atol=1e-12)


def test_a_paired_difference_is_second_minus_first():
    first, second = predictions_of(150, TWO, skill=1), predictions_of(150, TWO, seed=1, skill=3)
    found = intervals.paired_difference(first, second, TWO, resamples=300)
    metrics = [compute_metrics(predictions, TWO) for predictions in (first, second)]
    assert set(found) == set(intervals.COMPARED)
    for name, key in intervals.COMPARED.items():
        assert found[name]["difference"] == pytest.approx(place(metrics[1], key) - place(metrics[0], key))
    assert found["accuracy"]["low"] > 0 and found["log_loss"]["high"] < 0


def test_a_paired_difference_of_accuracy_is_the_mean_of_the_images_differences():
    first, second = predictions_of(300, TWO, skill=1), predictions_of(300, TWO, skill=1.3)
    gains = (second["predicted"] == second["class"]).astype(float) - (first["predicted"] == first["class"])
    ours = intervals.paired_difference(first, second, TWO)["accuracy"]
    assert bounds(ours) == pytest.approx(of_scipy(gains), abs=0.006)


def test_runs_are_paired_by_image_whatever_their_order():
    first, second = predictions_of(80, TWO), predictions_of(80, TWO, seed=1)
    shuffled = second.sample(frac=1, random_state=0)
    for compare in (partial(intervals.paired_difference, classes=TWO, resamples=50), intervals.mcnemar):
        assert compare(first, shuffled) == compare(first, second)


def test_a_run_does_not_differ_from_itself():
    predictions = predictions_of(80, FOUR)
    for found in intervals.paired_difference(predictions, predictions, FOUR, resamples=50).values():
        assert found == {"difference": 0, "low": 0, "high": 0}
    assert intervals.mcnemar(predictions, predictions)["p_value"] == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.iloc[:8], "8 shared, 2 only in the first and 0 only in the second"),
        (lambda table: table.assign(id=table["id"] + "x"), "0 shared, 10 only in the first and 10 only in the second"),
        (lambda table: table.assign(**{"class": "NORMAL"}), "other ones for 5 of 10 images"),
    ],
    ids=["fewer images", "other images", "other classes"],
)
def test_runs_of_other_images_or_true_classes_are_refused_with_their_numbers(change, message):
    first = predictions_of(10, TWO)
    with pytest.raises(RontgenError, match=message):
        intervals.aligned(first, change(first))


def test_mcnemar_by_hand():
    found = intervals.mcnemar(decided("aaab", "bbbb"), decided("aaab", "aaab"))
    assert found == {"only_first_right": 0, "only_second_right": 3, "p_value": pytest.approx(2 / 2**3)}


def test_a_metric_without_width_and_without_an_exact_stand_in_has_no_interval():
    found = intervals.bootstrap_intervals(decided("a" * 20 + "b" * 20, "a" * 40), ["a", "b"], resamples=100)
    assert "recall" not in found["macro"] and "recall" in found["classes"]["a"]
    assert found["accuracy"]["low"] < 0.5 < found["accuracy"]["high"]
