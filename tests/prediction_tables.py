"""Prediction tables of images without patients."""

import numpy as np

from rontgen.evaluation.metrics import prediction_table


def of_probabilities(truth, classes, probabilities):
    """Of images 0, 1, … with these true classes and probabilities (images, classes)."""
    ids, patients = np.arange(len(truth)).astype(str), np.full(len(truth), "", dtype=object)
    return prediction_table(ids, patients, np.array(list(truth), dtype=object), classes, np.array(probabilities))


def scored(truth, scores):
    """Of classes a and b; scores: the probability of b."""
    return of_probabilities(truth, ["a", "b"], np.stack([1 - np.array(scores), scores], axis=1))
