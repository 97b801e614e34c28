"""What leaks do to the answers: errors by whether another image of the patient was trained on, and the leakage gap."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.contingency_tables import StratifiedTable

from rontgen.claims.comparisons import SIGNIFICANT, Difference, mean_over_seeds
from rontgen.claims.trainings import Training
from rontgen.claims.verdicts import Row
from rontgen.core.settings import LEAKFREE
from rontgen.evaluation import metrics
from rontgen.records import splits
from rontgen.records.records import FOLDER, Record

# Of a class: with and without their patient in training; or in both tests, for with fewer one image is over 10 points
FEWEST_IMAGES = 10


@dataclass(frozen=True)
class LeakEffect:
    """Errors on test images of one class, by whether another image of their patient was trained on.

    All answers count as independent, though seeds repeat images and images patients, so that p are too small.

    run, label: what was trained, over all seeds. name: of the class.
    answers: int (2, 2): those on images whose patient is in training and those on others, wrong and right.
    leakfree: the same images' kinds in the run without leaks, where no patient is in training; None without such a run.
    """

    run: str
    label: str
    name: str
    answers: np.ndarray
    leakfree: np.ndarray | None = None

    @property
    def p(self) -> float:
        """Fisher's exact test of the answers."""
        return float(stats.fisher_exact(self.answers).pvalue)

    @property
    def p_interaction(self) -> float | None:
        """Whether the two runs differ in that, by Breslow and Day's (1980) test; None where none can be made."""
        tables = [self.answers] if self.leakfree is None else [self.answers, self.leakfree]
        if len(tables) < 2 or any(table.sum(axis=0).min() == 0 for table in tables):  # no error at all, or nothing else
            return None
        return float(StratifiedTable(np.stack(tables, axis=-1)).test_equal_odds().pvalue)

    @property
    def conclusion(self) -> str:
        """Whether leaks are seen to make answers right."""
        (wrong, right), (others_wrong, others_right) = self.answers
        if self.p >= SIGNIFICANT or wrong * others_right >= others_wrong * right:
            return "not seen"
        if self.leakfree is None:
            return "undecided: no run without leaks to compare with"
        (errors, others), (images, other_images) = self.leakfree[:, 0], self.leakfree.sum(axis=1)
        said = f"without leaks such images are wrong in {errors} of {images}, others in {others} of {other_images}"
        if self.p_interaction is not None and self.p_interaction < SIGNIFICANT:
            return f"seen: {said}"
        return f"undecided: {said}, the same tendency or too few errors to tell"


@dataclass(frozen=True)
class Gap:
    """How much more accurate a run is than its leak-free run.

    accuracy: the mean over the seeds, with its interval, without width where one seed or equal gaps show no spread. All
        seeds split the same archive, so it covers other seeds, not other images.
    note: how many seeds and images, in words.
    """

    seeds: int
    accuracy: Difference
    note: str


def leak_effects(rows: Sequence[Row], trainings: Sequence[Training], classes: Sequence[str]) -> list[LeakEffect]:
    """For each run whose patients are known, by its first treatment that is recorded, one for each class.

    The split is that which each record used. Seeds are taken together, so that an image may count more than once.
    """
    patients = splits.read_patients(FOLDER)
    firsts: dict[str, Row] = {}
    for row in rows:
        if any((record.predictions["patient"] != "").any() for record in row.records):
            firsts.setdefault(row.trained, row)
    effects = []
    for row in firsts.values():
        leakfree = {
            record.seed: record
            for training in trainings
            if training.run == row.trained + LEAKFREE and _is_treated_alike(row.treatment, training.treatment)
            for record in training.records
        }
        with_leaks = [_exposed(record, record, patients) for record in row.records]
        without = [_exposed(leakfree[one.seed], one, patients) for one in row.records if one.seed in leakfree]
        for name in classes:
            answers = _count(with_leaks, name)
            if answers is not None:
                other = _count(without, name) if without else None
                effects.append(LeakEffect(row.trained, row.label, name, answers, other))
    return effects


def _is_treated_alike(treatment: str, leakfree: str) -> bool:
    """Whether what else was set for a leak-free run was set for the run too, which may need more: a split without leaks
    always shrinks to the smallest class."""
    return set(leakfree.split("+")) <= set(treatment.split("+"))


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


def _count(tables: list[pd.DataFrame], name: str) -> np.ndarray | None:
    """LeakEffect.answers of a class; None where fewer than FEWEST_IMAGES are exposed, or are not."""
    table = pd.concat(tables)
    wrong = [table["wrong"][(table["class"] == name) & (table["exposed"] == exposed)] for exposed in (True, False)]
    if min(map(len, wrong)) < FEWEST_IMAGES:
        return None
    return np.array([[some.sum(), (~some).sum()] for some in wrong])


def pair(trainings: Sequence[Training], run: str) -> list[tuple[Record, Record]]:
    """The records of a run and of its leak-free run for each seed that both have, by the treatment with most of them.

    Both have one reading.
    """
    found = [
        [(one, other) for other in without.records for one in training.records if one.seed == other.seed]
        for without in trainings
        for training in trainings
        if (training.run, without.run) == (run, run + LEAKFREE)
        and _is_treated_alike(training.treatment, without.treatment)
    ]
    return max(found, key=len, default=[])


def measure_gap(pairs: list[tuple[Record, Record]]) -> Gap:
    """The leakage gap, from the records of a run and of its leak-free run, a pair for each seed.

    Both are scored on the images in both test sets if these are FEWEST_IMAGES or more of each class in every seed,
    otherwise each on its own test set. All seeds are scored alike, so that their mean is meaningful.
    """
    tables = [(run.predictions, leakfree.predictions) for run, leakfree in pairs]
    shared = [(run[run["id"].isin(other["id"])], other[other["id"].isin(run["id"])]) for run, other in tables]
    paired = all(_is_enough(table) for both in shared for table in both)
    scored = shared if paired else tables
    gaps = np.array([_accuracy(run) - _accuracy(leakfree) for run, leakfree in scored])
    images, leakfree_images = (sum(map(len, some)) for some in zip(*scored, strict=True))
    count = "one seed each" if len(pairs) == 1 else f"{len(pairs)} seeds each"
    where = "the same " if paired else f"{images:,} and "
    note = f"{count}; scored on {where}{leakfree_images:,} test images" + (" in all" if len(pairs) > 1 else "")
    one, other = ({record.provenance["machine"]["processor"] for record in side} for side in zip(*pairs, strict=True))
    return Gap(len(pairs), mean_over_seeds(gaps), note + ("; trained on different machines" if one != other else ""))


def _is_enough(table: pd.DataFrame) -> bool:
    counts = table["class"].value_counts()
    return all(counts.get(name, 0) >= FEWEST_IMAGES for name in table.columns[len(metrics.COLUMNS) :])


def _accuracy(table: pd.DataFrame) -> float:
    return float((table["class"] == table["predicted"]).mean())
