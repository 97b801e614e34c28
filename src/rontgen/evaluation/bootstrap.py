"""A bootstrap of a run's test images: every metric of many resamples at once.

Patients are resampled, not images, because two images of one patient carry less information than images of two
(Field and Welsh 2007). A resample is the number of times that each patient is drawn, so all 2,000 form one matrix of
weights, and the counts and sums behind the metrics are products with it. Sparse products add up in one order, whatever
the number of threads.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csr_array

from rontgen.core.errors import RontgenError
from rontgen.evaluation.metrics import CALIBRATION_BINS, confidence_bins, positive_classes
from rontgen.evaluation.proportions import exact_interval

PERCENTILES = (2.5, 97.5)

# Weights at a time: 4 MB of them, and as much for each of the few arrays made of them
BLOCK = 500_000

# A metric's place in the nested dict of evaluation.metrics: ("classes", "NORMAL", "recall")
Key = tuple[str, ...]


class Sample:
    """The test images of one run, ready to be weighted.

    Raises RontgenError if a class has no image: its metrics would be undefined.
    """

    def __init__(self, predictions: pd.DataFrame, classes: list[str]):
        self.classes = classes
        probabilities = predictions[classes].to_numpy()
        truth = pd.Index(classes).get_indexer(predictions["class"])
        predicted = pd.Index(classes).get_indexer(predictions["predicted"])
        self.support = np.bincount(truth, minlength=len(classes))
        for name in np.array(classes)[self.support == 0]:
            raise RontgenError(f"expected test images of every class, received none of {name}: give it a larger share")

        patient = predictions["patient"]
        unit = pd.factorize(patient)[0]
        unknown = (patient == "").to_numpy()
        unit[unknown] = len(unit) + np.arange(unknown.sum())
        unit = np.unique(unit, return_inverse=True)[1]
        self.units = unit.max() + 1

        self._sums = self._matrix_of_sums(probabilities, truth, predicted, unit)
        self._curves = [
            self._matrices_of_curve(probabilities[:, index], truth == index, unit)
            for index in (classes.index(name) for name in positive_classes(classes))
        ]
        self._trials = {
            key: (np.unique(unit[among]).size, images) for key, among, images in self._proportions(truth, predicted)
        }

    def draws(self, resamples: int) -> Iterator[np.ndarray]:
        """How often each unit (a patient, or an image without a patient ID) is drawn: float (units, resamples), in
        blocks of resamples, the same ones each time."""
        random, step = np.random.default_rng(0), max(1, BLOCK // self.units)
        for start in range(0, resamples, step):
            count = min(step, resamples - start)
            drawn = random.integers(self.units, size=(count, self.units)) + self.units * np.arange(count)[:, None]
            weights = np.bincount(drawn.ravel(), minlength=count * self.units).reshape(count, self.units)
            yield np.ascontiguousarray(weights.T, dtype=np.float64)

    def metrics(self, weights: np.ndarray) -> dict[Key, np.ndarray]:
        """Every metric of evaluation.metrics that weights can change, each float (resamples,).

        weights: float (units, resamples). NaN where a resample has no image of a class that the metric needs. Counts
        of the confusion matrix are the class's share of the resample, times its images.
        """
        names, size = self.classes, len(self.classes)
        sums = self._sums @ weights
        table = sums[: size * size].reshape(size, size, -1)
        gaps, (log_loss, brier_score) = sums[size * size : -2], sums[-2:]
        total, support, taken = table.sum(axis=(0, 1)), table.sum(axis=1), table.sum(axis=0)
        hits = np.stack([table[index, index] for index in range(size)])
        with np.errstate(invalid="ignore"):
            shares = table / support[:, None]
            specificity = 1 - (taken - hits) / (total - support)
        absent = support == 0
        values = {
            "precision": np.where(absent, np.nan, hits / np.maximum(taken, 1)),
            "recall": np.stack([shares[index, index] for index in range(size)]),
            "f1": np.where(absent, np.nan, 2 * hits / np.maximum(support + taken, 1)),
        }
        areas = np.array([_areas(*curve) for _, *curve in self.curves(weights)])
        positive = [names.index(name) for name in positive_classes(names)]
        metrics: dict[Key, np.ndarray] = {
            ("accuracy",): hits.sum(axis=0) / total,
            ("log_loss",): log_loss / total,
            ("roc_auc",): areas[:, 0].mean(axis=0),
            ("average_precision",): areas[:, 1].mean(axis=0),
            ("brier_score",): brier_score / total,
            ("expected_calibration_error",): np.abs(gaps).sum(axis=0) / total,
            ("sensitivity",): values["recall"][positive].mean(axis=0),
            ("specificity",): specificity[positive].mean(axis=0),
        }
        metrics |= {("macro", name): value.mean(axis=0) for name, value in values.items()}
        metrics |= {
            ("weighted", name): np.where(absent, 0, value * support).sum(axis=0) / total
            for name, value in values.items()
        }
        metrics |= {
            ("classes", name, measure): value[index]
            for index, name in enumerate(names)
            for measure, value in values.items()
        }
        return metrics | {
            ("confusion", name, other): shares[index, column] * self.support[index]
            for index, name in enumerate(names)
            for column, other in enumerate(names)
        }

    def point(self) -> dict[Key, float]:
        """Every metric of the images as they are."""
        return {key: float(value[0]) for key, value in self.metrics(np.ones((self.units, 1))).items()}

    def interval(self, key: Key, values: np.ndarray) -> tuple[float, float] | None:
        """The 95% interval of the metric `key` from its values in the resamples, float (resamples,).

        If all of these are equal, it is the exact interval for a share of images, and None for other metrics.
        """
        low, high = np.nanpercentile(values, PERCENTILES)
        if np.nanmin(values) == np.nanmax(values):
            if key not in self._trials:
                return None
            units, images = self._trials[key]
            low, high = (images * bound for bound in exact_interval(low / images * units, units))
        return float(low), float(high)

    def curves(self, weights: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Of each curve its class, and the weight of the class and of the rest at or above each score, falling.

        float (scores, resamples), one row for each distinct score.
        """
        for name, (positives, negatives) in zip(positive_classes(self.classes), self._curves, strict=True):
            yield name, np.cumsum(positives @ weights, axis=0), np.cumsum(negatives @ weights, axis=0)

    def _matrix_of_sums(
        self, probabilities: np.ndarray, truth: np.ndarray, predicted: np.ndarray, unit: np.ndarray
    ) -> csr_array:
        """What each unit adds to: images by true and predicted class, their confidence amiss by bin, both losses."""
        images, size = len(truth), len(self.classes)
        confidence, bins = confidence_bins(probabilities)
        is_class = np.eye(size)[truth]
        epsilon = np.finfo(np.float64).eps  # as in scikit-learn, which keeps the logarithm finite so
        log_loss = -np.log(np.clip(probabilities[np.arange(images), truth], epsilon, 1 - epsilon))
        # from 0 to 1 for two classes, from 0 to 2 for several, as in scikit-learn
        brier_score = ((probabilities - is_class) ** 2).sum(axis=1) / (2 if size == 2 else 1)
        first = size * size
        rows = [
            (truth * size + predicted, np.ones(images)),
            (first + bins, confidence - (truth == predicted)),
            (np.full(images, first + CALIBRATION_BINS), log_loss),
            (np.full(images, first + CALIBRATION_BINS + 1), brier_score),
        ]
        return _sparse(rows, unit, (first + CALIBRATION_BINS + 2, self.units))

    def _matrices_of_curve(
        self, scores: np.ndarray, is_class: np.ndarray, unit: np.ndarray
    ) -> tuple[csr_array, csr_array]:
        """The images of the class, and of the rest, of each unit at each distinct score, from the highest down."""
        rank = np.unique(-scores, return_inverse=True)[1]
        shape = (rank.max() + 1, self.units)
        return tuple(
            _sparse([(rank[among], np.ones(among.sum()))], unit[among], shape) for among in (is_class, ~is_class)
        )

    def _proportions(self, truth: np.ndarray, predicted: np.ndarray) -> Iterator[tuple[Key, np.ndarray, int]]:
        """The metrics that are shares of images: of which ones, and the number that the metric is a share times."""
        everything = np.ones(len(truth), dtype=bool)
        yield ("accuracy",), everything, 1
        yield ("weighted", "recall"), everything, 1
        if len(self.classes) == 2:
            yield ("sensitivity",), truth == 1, 1
            yield ("specificity",), truth == 0, 1
        for index, name in enumerate(self.classes):
            yield ("classes", name, "precision"), predicted == index, 1
            yield ("classes", name, "recall"), truth == index, 1
            for other in self.classes:
                yield ("confusion", name, other), truth == index, int(self.support[index])


def _sparse(rows: list[tuple[np.ndarray, np.ndarray]], unit: np.ndarray, shape: tuple[int, int]) -> csr_array:
    """A matrix of `shape` from (row, value) of each image; the images of one unit are summed."""
    positions, values = (np.concatenate(part) for part in zip(*rows, strict=True))
    return coo_array((values, (positions, np.tile(unit, len(rows)))), shape=shape).tocsr()


def _areas(true_positives: np.ndarray, false_positives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ROC-AUC and average precision of each resample, from what Sample.curves gives. NaN where a side is empty."""
    positives, negatives = true_positives[-1], false_positives[-1]
    new_positives = np.diff(true_positives, axis=0, prepend=0)
    new_negatives = np.diff(false_positives, axis=0, prepend=0)
    with np.errstate(invalid="ignore"):
        # Of pairs with the same score, half count as in order
        below = (new_negatives * (true_positives - new_positives / 2)).sum(axis=0)
        auc = below / (positives * negatives)
        precision = true_positives / np.maximum(true_positives + false_positives, 1)
        return auc, (new_positives * precision).sum(axis=0) / positives
