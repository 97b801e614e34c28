"""What the records say beside the verdicts: paired comparisons, and what leaks do to errors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.multitest import multipletests

from rontgen.claims.verdicts import Found, Row
from rontgen.core.settings import LEAKFREE
from rontgen.records import splits
from rontgen.records.records import FOLDER, Record

FEWEST = 3  # seeds that both have
FEWEST_IMAGES = 10  # of a class, with and without their patient in training
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Difference:
    """The first less the second: the mean over the seeds, and the 95% interval of Student's t."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Two trainings tested on the same images, seed by seed.

    first, second: rows of the two, of one run by two readings or of two runs by one.
    accuracy, sensitivity, specificity: their differences; an interval is of this pair alone.
    p: of the accuracy, by Student's t, with Holm's (1979) correction over all comparisons of the study.
    """

    first: Row
    second: Row
    seeds: int
    accuracy: Difference
    sensitivity: Difference
    specificity: Difference
    p: float

    @property
    def is_of_readings(self) -> bool:
        return self.first.trained == self.second.trained

    @property
    def is_shown(self) -> bool:
        return self.p < SIGNIFICANT


def compare(rows: Sequence[Row]) -> list[Comparison]:
    """Each reading of a run against its first that is recorded, and, by each reading, the run of the highest published
    accuracy against the others of the study.

    The standard error is that over the seeds, and at least that over the paired images: seeds may agree by luck.
    """
    recorded = [row for row in rows if row.records]
    # two published rows may be one training
    trainings = list({(row.trained, row.treatment): row for row in recorded}.values())
    pairs = []
    for run in dict.fromkeys(row.trained for row in trainings):
        first, *others = [row for row in trainings if row.trained == run]
        pairs += [(other, first) for other in others]
    for treatment in dict.fromkeys(row.treatment for row in trainings):
        some = sorted(
            (row for row in recorded if row.treatment == treatment), key=lambda row: row.paper.number, reverse=True
        )
        by_run: dict[str, Row] = {}
        for row in some:
            by_run.setdefault(row.trained, row)
        best, *others = by_run.values()
        pairs += [(best, other) for other in others]
    found = [one for first, second in pairs if (one := _paired(first, second))]
    if not found:
        return []
    _, corrected, *_ = multipletests([one.p for one in found], SIGNIFICANT, "holm")
    return [replace(one, p=float(p)) for one, p in zip(found, corrected, strict=True)]


def _paired(first: Row, second: Row) -> Comparison | None:
    """None where fewer than FEWEST seeds of both were tested on the same images. p is not corrected yet."""
    others = {record.seed: record for record in second.records}
    pairs = [
        (one, others[one.seed])
        for one in first.records
        if one.seed in others and set(one.predictions["id"]) == set(others[one.seed].predictions["id"])
    ]
    if len(pairs) < FEWEST:
        return None
    answers = np.concatenate([_right(one.predictions) - _right(other.predictions) for one, other in pairs])
    by_image = float(answers.std() / np.sqrt(len(answers)))
    differences = {
        name: np.array([one.metrics["test"][name] - other.metrics["test"][name] for one, other in pairs])
        for name in ("accuracy", "sensitivity", "specificity")
    }
    seeds, error = len(pairs), max(float(stats.sem(differences["accuracy"])), by_image)
    return Comparison(
        first=first,
        second=second,
        seeds=seeds,
        accuracy=_difference(differences["accuracy"], by_image),
        sensitivity=_difference(differences["sensitivity"]),
        specificity=_difference(differences["specificity"]),
        p=float(2 * stats.t.sf(abs(differences["accuracy"].mean()) / error, seeds - 1)) if error else 1.0,
    )


def _difference(values: np.ndarray, least_error: float = 0.0) -> Difference:
    reach = float(stats.t.ppf(0.975, len(values) - 1) * max(stats.sem(values), least_error))
    return Difference(float(values.mean()), float(values.mean()) - reach, float(values.mean()) + reach)


def _right(table: pd.DataFrame) -> np.ndarray:
    """Whether each answer is right, 0 or 1, in the order of the images' ids."""
    return (table["predicted"] == table["class"]).to_numpy(float)[np.argsort(table["id"].to_numpy())]


@dataclass(frozen=True)
class LeakEffect:
    """Errors on test images of one class, by whether another image of their patient was trained on.

    All answers count as independent, though seeds repeat images and images patients, so that p are too small.

    run, label: what was trained, over all seeds. name: of the class.
    errors, images: each (patient in training, patient not in training).
    p: Fisher's exact test of the two.
    leakfree: the same images' kinds in the run without leaks, where no patient is in training: errors and images.
    p_interaction: whether the two runs differ in that, by Breslow and Day's (1980) test; None where none can be made.
    """

    run: str
    label: str
    name: str
    errors: tuple[int, int]
    images: tuple[int, int]
    p: float
    leakfree: tuple[tuple[int, int], tuple[int, int]] | None
    p_interaction: float | None

    @property
    def conclusion(self) -> str:
        """Whether leaks are seen to make answers right."""
        fewer = self.errors[0] * self.images[1] < self.errors[1] * self.images[0]
        if self.p >= SIGNIFICANT or not fewer:
            return "not seen"
        if self.leakfree is None:
            return "undecided: no run without leaks to compare with"
        (errors, others), (images, other_images) = self.leakfree
        said = f"without leaks such images are wrong in {errors} of {images}, others in {others} of {other_images}"
        if self.p_interaction is not None and self.p_interaction < SIGNIFICANT:
            return f"seen: {said}"
        return f"undecided: {said}, the same tendency or too few errors to tell"


def leak_effects(rows: Sequence[Row], found: Found, classes: Sequence[str]) -> list[LeakEffect]:
    """For each run whose patients are known, by its first treatment that is recorded, one for each class.

    The split is that which each record used. Seeds are taken together, so that an image may count more than once.
    """
    patients = splits.read_patients(FOLDER)
    effects, seen = [], set[str]()
    for row in rows:
        if row.trained in seen or not any((record.predictions["patient"] != "").any() for record in row.records):
            continue
        seen.add(row.trained)
        treated = set(row.treatment.split("+"))
        leakfree = {
            record.seed: record
            for (run, treatment), records in found.items()
            if run == row.trained + LEAKFREE and set(treatment.split("+")) <= treated
            for record in records
        }
        tables = [_exposed(record, record, patients) for record in row.records]
        without = [_exposed(leakfree[one.seed], one, patients) for one in row.records if one.seed in leakfree]
        for name in classes:
            with_leaks = _count(tables, name)
            if min(with_leaks[1]) < FEWEST_IMAGES:
                continue
            other = _count(without, name) if without else None
            if other and min(other[1]) < FEWEST_IMAGES:
                other = None
            effects.append(
                LeakEffect(
                    row.trained,
                    row.label,
                    name,
                    *with_leaks,
                    float(stats.fisher_exact(_table(*with_leaks)).pvalue),
                    other,
                    _interaction(with_leaks, other) if other else None,
                )
            )
    return effects


def _exposed(tested: Record, trained: Record, patients: pd.Series) -> pd.DataFrame:
    """Of the test images of known patients in one record: class, wrong, and whether another record trained on another
    image of the patient."""
    split = trained.provenance["split"]
    subsets = splits.read(**split, results=FOLDER)
    training = splits.image_of(pd.Series(subsets.index[subsets == "train"])).drop_duplicates()
    images = patients.reindex(training).dropna().value_counts()  # in training, by patient
    table = tested.predictions[tested.predictions["patient"] != ""]
    itself = splits.image_of(table["id"]).isin(training)
    return pd.DataFrame(
        {
            "class": table["class"],
            "wrong": table["predicted"] != table["class"],
            "exposed": table["patient"].map(images).fillna(0) > itself,
        }
    )


def _count(tables: list[pd.DataFrame], name: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Errors and images of a class, each exposed and not."""
    table = pd.concat(tables)
    groups = [table[(table["class"] == name) & (table["exposed"] == exposed)] for exposed in (True, False)]
    exposed, others = groups
    return (int(exposed["wrong"].sum()), int(others["wrong"].sum())), (len(exposed), len(others))


def _table(errors: tuple[int, int], images: tuple[int, int]) -> np.ndarray:
    return np.array([[wrong, count - wrong] for wrong, count in zip(errors, images, strict=True)])


def _interaction(*runs: tuple[tuple[int, int], tuple[int, int]]) -> float | None:
    tables = [_table(*run) for run in runs]
    if any(table.sum(axis=0).min() == 0 for table in tables):  # no error at all, or nothing else
        return None
    return float(StratifiedTable(np.stack(tables, axis=-1)).test_equal_odds().pvalue)
