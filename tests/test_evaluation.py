"""Metrics against hand-worked cases and the papers' own counts."""

import numpy as np
import pandas as pd
import pytest

from rontgen import evaluation


def table(confusion, classes):
    """A prediction table whose counts by (true, predicted) are given; probability 0.9 for what is predicted."""
    rows = [pair for pair, count in confusion.items() for _ in range(count)]
    low = 0.1 / (len(classes) - 1)
    probabilities = np.array([[0.9 if name == predicted else low for name in classes] for _, predicted in rows])
    names = np.array([true for true, _ in rows], dtype=object)
    return evaluation.prediction_table(np.arange(len(rows)).astype(str), names, classes, probabilities)


@pytest.fixture
def smatika():
    """ResNet50V2's confusion matrix (SMATIKA Jurnal 2025, Section 4)."""
    counts = {("NORMAL", "NORMAL"): 48, ("NORMAL", "PNEUMONIA"): 2}
    counts |= {("PNEUMONIA", "NORMAL"): 1, ("PNEUMONIA", "PNEUMONIA"): 49}
    return evaluation.metrics(table(counts, ["NORMAL", "PNEUMONIA"]), ["NORMAL", "PNEUMONIA"])


def test_rates_of_a_published_confusion_matrix(smatika):
    assert smatika["accuracy"] == pytest.approx(0.97)
    assert smatika["classes"]["PNEUMONIA"]["precision"] == pytest.approx(49 / 51)
    assert smatika["classes"]["PNEUMONIA"]["recall"] == smatika["sensitivity"] == pytest.approx(0.98)
    assert smatika["specificity"] == pytest.approx(0.96)
    assert smatika["test_images"] == 100 and smatika["majority_accuracy"] == 0.5


def test_confusion_is_by_true_then_predicted_class(smatika):
    assert smatika["confusion"]["NORMAL"] == {"NORMAL": 48, "PNEUMONIA": 2}


def test_macro_is_the_plain_and_weighted_the_supports_mean():
    counts = {("a", "a"): 6, ("a", "b"): 2, ("b", "b"): 1, ("b", "a"): 1}
    metrics = evaluation.metrics(table(counts, ["a", "b"]), ["a", "b"])
    assert metrics["macro"]["recall"] == pytest.approx((6 / 8 + 1 / 2) / 2)
    assert metrics["weighted"]["recall"] == pytest.approx(0.7)
    assert metrics["macro"]["precision"] == pytest.approx((6 / 7 + 1 / 3) / 2)


def test_specificity_of_several_classes_is_the_mean_over_them():
    counts = {("a", "a"): 2, ("a", "b"): 2, ("b", "b"): 4, ("c", "c"): 4}
    metrics = evaluation.metrics(table(counts, ["a", "b", "c"]), ["a", "b", "c"])
    assert metrics["specificity"] == pytest.approx((1 + 6 / 8 + 1) / 3)
    assert metrics["sensitivity"] == pytest.approx((0.5 + 1 + 1) / 3)


def test_a_class_never_predicted_has_precision_zero():
    metrics = evaluation.metrics(table({("a", "a"): 3, ("b", "a"): 2}, ["a", "b"]), ["a", "b"])
    assert metrics["classes"]["b"]["precision"] == 0.0


def test_auc_and_log_loss_come_from_probabilities():
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.1, 0.9]])
    names = np.array(["a", "a", "b", "b"], dtype=object)
    predictions = evaluation.prediction_table(np.array(list("1234")), names, ["a", "b"], probabilities)
    metrics = evaluation.metrics(predictions, ["a", "b"])
    assert metrics["roc_auc"] == 1.0
    assert metrics["log_loss"] == pytest.approx(-np.mean(np.log([0.8, 0.4, 0.7, 0.9])))


def test_probability_of_one_half_is_the_second_class():
    predictions = evaluation.prediction_table(
        np.array(["1"]), np.array(["a"], dtype=object), ["a", "b"], np.array([[0.5, 0.5]])
    )
    assert predictions["predicted"].tolist() == ["b"]


def test_one_sigmoid_unit_becomes_two_columns():
    class Model:
        def predict_on_batch(self, images):
            return images[:, 0, 0].astype(np.float32) / 255

    images = np.full((70, 2, 2, 1), 51, np.uint8)
    np.testing.assert_allclose(evaluation.predict(Model(), images), np.tile([0.8, 0.2], (70, 1)), rtol=1e-6)


def test_roc_of_two_classes_is_the_positive_ones():
    counts = {("a", "a"): 3, ("a", "b"): 1, ("b", "b"): 4}
    curve = evaluation.roc_table(table(counts, ["a", "b"]), ["a", "b"])
    assert set(curve["class"]) == {"b"}
    assert np.isfinite(curve["threshold"]).all()
    assert pd.Series([0.25, 1.0]).isin(curve["false_positive_rate"]).all()
