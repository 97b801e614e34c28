"""Metrics against hand-worked cases and the papers' own counts."""

import io

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from prediction_tables import of_probabilities, scored
from rontgen.core.errors import RontgenError
from rontgen.evaluation.metrics import (
    calibrated_error,
    calibration_table,
    compute_metrics,
    confidence_bins,
    precision_recall_table,
    predict,
    prediction_table,
    read_predictions,
    roc_table,
)


def table(confusion, classes):
    """A prediction table whose counts by (true, predicted) are given; probability 0.9 for the predicted class."""
    rows = [pair for pair, count in confusion.items() for _ in range(count)]
    low = 0.1 / (len(classes) - 1)
    probabilities = [[0.9 if name == predicted else low for name in classes] for _, predicted in rows]
    return of_probabilities([true for true, _ in rows], classes, probabilities)


def test_rates_of_a_published_confusion_matrix():
    """ResNet50V2's (SMATIKA Jurnal 2025, Section 4)."""
    classes = ["NORMAL", "PNEUMONIA"]
    counts = {("NORMAL", "NORMAL"): 48, ("NORMAL", "PNEUMONIA"): 2}
    counts |= {("PNEUMONIA", "NORMAL"): 1, ("PNEUMONIA", "PNEUMONIA"): 49}
    found = compute_metrics(table(counts, classes), classes)
    assert found["accuracy"] == pytest.approx(0.97)
    assert found["classes"]["PNEUMONIA"]["precision"] == pytest.approx(49 / 51)
    assert found["classes"]["PNEUMONIA"]["recall"] == found["sensitivity"] == pytest.approx(0.98)
    assert found["specificity"] == pytest.approx(0.96)
    assert found["test_images"] == 100 and found["majority_accuracy"] == 0.5
    assert found["confusion"]["NORMAL"] == {"NORMAL": 48, "PNEUMONIA": 2}


def test_macro_is_the_plain_and_weighted_the_supports_mean():
    counts = {("a", "a"): 6, ("a", "b"): 2, ("b", "b"): 1, ("b", "a"): 1}
    metrics = compute_metrics(table(counts, ["a", "b"]), ["a", "b"])
    assert metrics["macro"]["recall"] == pytest.approx((6 / 8 + 1 / 2) / 2)
    assert metrics["weighted"]["recall"] == pytest.approx(0.7)
    assert metrics["macro"]["precision"] == pytest.approx((6 / 7 + 1 / 3) / 2)


def test_specificity_of_several_classes_is_the_mean_over_them():
    counts = {("a", "a"): 2, ("a", "b"): 2, ("b", "b"): 4, ("c", "c"): 4}
    metrics = compute_metrics(table(counts, ["a", "b", "c"]), ["a", "b", "c"])
    assert metrics["specificity"] == pytest.approx((1 + 6 / 8 + 1) / 3)
    assert metrics["sensitivity"] == pytest.approx((0.5 + 1 + 1) / 3)


def test_a_class_never_predicted_has_precision_zero():
    metrics = compute_metrics(table({("a", "a"): 3, ("b", "a"): 2}, ["a", "b"]), ["a", "b"])
    assert metrics["classes"]["b"]["precision"] == 0.0


def test_auc_and_log_loss_come_from_probabilities():
    metrics = compute_metrics(scored("aabb", [0.2, 0.6, 0.7, 0.9]), ["a", "b"])
    assert metrics["roc_auc"] == 1.0
    assert metrics["log_loss"] == pytest.approx(-np.mean(np.log([0.8, 0.4, 0.7, 0.9])))


def test_average_precision_is_the_mean_precision_at_each_image_of_the_class():
    metrics = compute_metrics(scored("baba", [0.9, 0.8, 0.7, 0.1]), ["a", "b"])
    assert metrics["average_precision"] == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_areas_of_several_classes_are_their_means():
    classes = ["a", "b", "c"]
    predictions = table({("a", "a"): 2, ("b", "a"): 2, ("b", "b"): 1, ("c", "c"): 3}, classes)
    found = compute_metrics(predictions, classes)
    for metric, score in (("roc_auc", roc_auc_score), ("average_precision", average_precision_score)):
        each = [score(predictions["class"] == name, predictions[name]) for name in classes]
        assert found[metric] == pytest.approx(np.mean(each))


def test_brier_score_is_the_squared_error_of_the_positive_classs_probability():
    metrics = compute_metrics(scored("ab", [0.2, 0.4]), ["a", "b"])
    assert metrics["brier_score"] == pytest.approx((0.2**2 + 0.6**2) / 2)


def test_calibration_error_is_the_gap_of_each_bin_weighted_by_its_images():
    # confidences 0.9 and 0.88, in one bin, one of them right; 0.65 three times, all wrong
    metrics = compute_metrics(scored("baabb", [0.9, 0.88, 0.65, 0.35, 0.35]), ["a", "b"])
    assert metrics["expected_calibration_error"] == pytest.approx(0.4 * (0.89 - 0.5) + 0.6 * (0.65 - 0))


def test_calibration_has_a_row_for_each_bin_with_images():
    calibration = calibration_table(scored("bbba", [0.92, 0.96, 0.94, 0.3]), ["a", "b"])
    assert calibration[["low", "high", "images"]].to_numpy().tolist() == [[0.6, 0.7, 1], [0.9, 1.0, 3]]
    assert calibration["confidence"].tolist() == pytest.approx([0.7, 0.94])


def test_accuracy_of_a_bin_has_the_exact_interval():
    calibration = calibration_table(scored("bbbba", [0.92, 0.96, 0.94, 0.95, 0.93]), ["a", "b"])
    interval = proportion_confint(4, 5, method="beta")
    assert calibration[["accuracy_low", "accuracy_high"]].iloc[0].tolist() == pytest.approx(interval)


def test_a_bin_holds_its_upper_edge():
    confidence, bins = confidence_bins(np.array([[0.4, 0.6], [0.3, 0.7], [0.0, 1.0], [0.39, 0.61]]))
    assert bins.tolist() == [5, 6, 9, 6]
    assert confidence.tolist() == [0.6, 0.7, 1.0, 0.61]


def test_precision_recall_of_two_classes_is_the_positive_ones_by_falling_threshold():
    curve = precision_recall_table(scored("baba", [0.9, 0.8, 0.7, 0.1]), ["a", "b"])
    assert set(curve["class"]) == {"b"}
    assert curve["threshold"].tolist() == [0.9, 0.8, 0.7, 0.1]
    assert curve["recall"].tolist() == [0.5, 0.5, 1.0, 1.0]
    assert curve["precision"].tolist() == pytest.approx([1, 1 / 2, 2 / 3, 2 / 4])


def test_several_classes_have_a_curve_each():
    predictions = table({("a", "a"): 2, ("b", "b"): 1, ("c", "a"): 3}, ["a", "b", "c"])
    for curves in (precision_recall_table, roc_table):
        assert set(curves(predictions, ["a", "b", "c"])["class"]) == {"a", "b", "c"}


def test_probability_of_one_half_is_the_second_class():
    assert scored("a", [0.5])["predicted"].tolist() == ["b"]


def test_columns_of_a_prediction_table():
    predictions = prediction_table(
        np.array(["1", "2"]), np.array(["p", ""]), np.array(["a", "b"]), ["a", "b"], np.array([[0.7, 0.3], [0.6, 0.4]])
    )
    assert predictions.columns.tolist() == ["id", "patient", "class", "predicted", "a", "b"]
    assert predictions["patient"].tolist() == ["p", ""]
    assert predictions["predicted"].tolist() == ["a", "a"]


def test_a_prediction_table_survives_its_csv(tmp_path):
    predictions = scored("ab", [1 / 3, 2 / 3]).assign(id=["0123", "1e55"], patient=["", "007"])
    predictions.to_csv(tmp_path / "x.csv", index=False)
    read = read_predictions(tmp_path / "x.csv", "x.csv", "dvc repro evaluate")
    pd.testing.assert_frame_equal(read, predictions, check_dtype=False, check_exact=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a prediction table"),
        ("id,patient,class,predicted,a\n1,,a,a,1\n", "expected columns id, patient, class, predicted"),
        ("id,patient,class,predicted,a,b\n", "in every row"),
        ("id,patient,class,predicted,a,b\n1,,a,a,0.6,0.4\n2,,a,a\n", "in every row"),
        ("id,patient,class,predicted,a,b\n1,,a,a,0.6,1.4\n", "in every row"),
        ("id,patient,class,predicted,a,b\n1,,a,c,0.6,0.4\n", "in every row"),
        ("id,patient,class,predicted,a,b\n1,,a,a,0.6,0.4\n1,,a,a,0.6,0.4\n", "expected each image once"),
        ("id,patient,class,predicted,a,b\n1,,a,a,0.6,0.402\n", "that sum to 1 in every row, received others for 1 im"),
        (
            "id,patient,class,predicted,a,b\n1,,a,b,0.6,0.4\n",
            "class that the probabilities give, received another for 1",
        ),
        ("id,patient,class,predicted,a,b\n1,,a,a,0.5,0.5\n2,,a,b,0.5,0.5\n", "received another for 1 images"),
        ("id,patient,class,predicted,a,b,c\n1,,a,b,0.4,0.3,0.3\n", "received another for 1 images"),
    ],
)
def test_a_file_that_is_no_prediction_table_is_refused(text, message):
    with pytest.raises(RontgenError, match=f"x.csv.*{message}.*`dvc repro evaluate`"):
        read_predictions(io.StringIO(text), "x.csv", "dvc repro evaluate")


def test_probabilities_that_are_rounded_are_read():
    text = "id,patient,class,predicted,a,b,c\n1,,a,a,0.3334,0.3333,0.3334\n"
    assert read_predictions(io.StringIO(text), "x.csv", "")["predicted"].tolist() == ["a"]


class Diverged:
    def __init__(self, value):
        self.value = value

    def predict_on_batch(self, images):
        return np.array([[0.5], [self.value], [self.value]], np.float32)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_whose_outputs_are_not_finite_is_named(value):
    message = "^models/x.keras: expected finite probabilities, received NaN .* 2 of 3 images: train it with a lower"
    with pytest.raises(RontgenError, match=message):
        predict(Diverged(value), np.zeros((3, 2, 2, 1), np.uint8), "models/x.keras")


def test_of_probabilities_that_are_not_finite_there_are_no_metrics():
    with pytest.raises(RontgenError, match="expected finite probabilities, received NaN or infinity for 1 of 2 images"):
        compute_metrics(scored("ab", [0.5, np.nan]), ["a", "b"])


def test_one_sigmoid_unit_becomes_two_columns():
    class Model:
        def predict_on_batch(self, images):
            return images[:, 0, 0].astype(np.float32) / 255

    images = np.full((70, 2, 2, 1), 51, np.uint8)
    np.testing.assert_allclose(predict(Model(), images), np.tile([0.8, 0.2], (70, 1)), rtol=1e-6)


def test_roc_of_two_classes_is_the_positive_ones():
    counts = {("a", "a"): 3, ("a", "b"): 1, ("b", "b"): 4}
    curve = roc_table(table(counts, ["a", "b"]), ["a", "b"])
    assert set(curve["class"]) == {"b"}
    assert np.isfinite(curve["threshold"]).all()
    assert pd.Series([0.25, 1.0]).isin(curve["false_positive_rate"]).all()


def one_bin(images, confidence=0.85):
    return np.full((images, 2), [confidence, 1 - confidence])


def test_the_calibration_error_of_chance_falls_with_the_number_of_images():
    """In one bin it is |k/n − p| of a binomial k: here what 95% of them stay below."""
    random = np.random.default_rng(1)
    for images in (25, 400):
        expected = np.quantile(np.abs(random.binomial(images, 0.85, 100_000) / images - 0.85), 0.95)
        assert calibrated_error([one_bin(images)]) == pytest.approx(expected, rel=0.12)


def test_of_several_tests_it_is_that_of_their_mean():
    assert calibrated_error([one_bin(100)] * 10) < 0.8 * calibrated_error([one_bin(100)])
