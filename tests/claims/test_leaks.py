"""What leaks do to the answers, and the gap between a run and its run without leaks."""

from dataclasses import replace
from itertools import groupby

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import StratifiedTable

from finished_project import recorded
from made_up_studies import CLASSES, RUN, paper, seeds, study
from rontgen.claims.leaks import measure_gap, pair
from rontgen.claims.trainings import Training
from rontgen.evaluation.metrics import prediction_table
from rontgen.records import splits

IDS = [f"{number:012x}" for number in range(80)]


def leaky(folder, wrong, run=RUN, exposed=20, seed=1):
    """A record of 40 NORMAL images, the first `exposed` of patients in training, and 40 others of unknown patients.

    wrong: errors of the exposed, and of the other NORMAL images.
    """
    record = recorded(run, "protocol", seed, CLASSES, 80, 80)
    patients = [*(f"p{number}" for number in range(40)), *[""] * 40]
    is_wrong = np.r_[np.arange(exposed) < wrong[0], np.arange(40 - exposed) < wrong[1]]
    pneumonia = np.where(np.r_[is_wrong, np.ones(40, bool)], 0.9, 0.1)
    probabilities = np.c_[1 - pneumonia, pneumonia]
    table = prediction_table(np.array(IDS), np.array(patients), np.repeat(CLASSES, 40), list(CLASSES), probabilities)
    trained_on = [*(f"{number:012x}" for number in range(200, 200 + exposed)), "00000000ffff"]
    training = pd.DataFrame({"id": trained_on, "patient": [*patients[:exposed], "nobody"], "subset": "train"})
    tested = pd.DataFrame({"id": IDS, "patient": patients, "subset": "test"})
    column = splits.write("pneumonia", pd.concat([training, tested]), folder / "results")
    record.provenance["split"] = {"dataset": "pneumonia", "column": column}
    return replace(record, predictions=table)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def effects(*records):
    return study(paper(), list(records)).leak_effects


def test_errors_are_counted_by_whether_the_patient_is_trained_on(folder):
    (found,) = effects(leaky(folder, (1, 9)))
    assert (found.run, found.name, found.answers.tolist()) == (RUN, "NORMAL", [[1, 19], [9, 11]])
    assert found.p == pytest.approx(stats.fisher_exact([[1, 19], [9, 11]]).pvalue)
    assert found.conclusion.startswith("undecided: no run without leaks")


def test_seeds_are_taken_together(folder):
    (found,) = effects(leaky(folder, (1, 9)), leaky(folder, (2, 5), seed=2))
    assert found.answers.tolist() == [[3, 37], [14, 26]]


@pytest.mark.parametrize(
    ("wrong", "conclusion"),
    [
        ((5, 5), "seen: without leaks such images are wrong in 5 of 20, others in 5 of 20"),
        ((1, 9), "undecided: without leaks such images are wrong in 1 of 20"),
    ],
)
def test_the_run_without_leaks_tells_whether_it_is_the_leak(folder, wrong, conclusion):
    (found,) = effects(leaky(folder, (0, 10)), leaky(folder, wrong, run=f"{RUN}_leakfree"))
    tables = [[[0, 20], [10, 10]], [[wrong[0], 20 - wrong[0]], [wrong[1], 20 - wrong[1]]]]
    expected = StratifiedTable([np.array(table) for table in tables]).test_equal_odds().pvalue
    assert found.p_interaction == pytest.approx(expected)
    assert found.conclusion.startswith(conclusion)


def test_a_test_image_that_the_leaky_run_trained_on_is_no_other_image_of_its_patient(folder):
    record, other = leaky(folder, (0, 10)), leaky(folder, (5, 5), run=f"{RUN}_leakfree")
    # in the training of the other, of a patient with no other image
    other.predictions.loc[39, ["id", "patient"]] = ["00000000ffff", "nobody"]
    (found,) = effects(record, other)
    assert found.leakfree.tolist() == [[5, 15], [5, 15]]


def test_few_images_of_a_class_and_unknown_patients_tell_nothing(folder):
    assert effects(leaky(folder, (1, 5), exposed=9)) == effects(*seeds(90, 91, 92)) == []
    assert len(effects(leaky(folder, (1, 5), exposed=10))) == 1


@pytest.mark.parametrize("wrong", [(5, 6), (12, 1)], ids=["alike", "more of them wrong"])
def test_no_effect_is_said_to_be_not_seen(folder, wrong):
    (found,) = effects(leaky(folder, wrong))
    assert found.conclusion == "not seen"


# ---- the gap


def record(run, seed, treatment="protocol", processor="Zilog Z80"):
    made = recorded(run, treatment, seed, CLASSES, 80 if run.endswith("_leakfree") else 88, 100)
    made.provenance["machine"]["processor"] = processor
    return made


def paired(run, *records):
    ordered = sorted(records, key=lambda one: (one.run, one.treatment))
    grouped = groupby(ordered, key=lambda one: (one.run, one.treatment))
    trainings = [Training(*key, "", list(some)) for key, some in grouped]
    return [(one.name, other.name) for one, other in pair(trainings, run)]


def test_records_are_paired_by_run_and_seed():
    # the leak-free runs of seed 3 and of b are not recorded, nor is c
    recorded_seeds = {"a": (10, 2, 3), "a_leakfree": (2, 10), "b": (2,), "c_leakfree": (2,)}
    records = [record(run, seed) for run, some in recorded_seeds.items() for seed in some]
    expected = [(f"a/protocol/seed-{seed}", f"a_leakfree/protocol/seed-{seed}") for seed in (2, 10)]
    assert paired("a", *records) == expected
    assert paired("b", *records) == paired("c", *records) == []


@pytest.mark.parametrize(
    ("run", "leakfree", "is_a_pair"),
    [
        ("smote", "smote", True),
        ("protocol", "smote", False),
        ("protocol+x=1+y=2", "protocol+y=2", True),  # a split without leaks needs less
        ("protocol", "protocol+x=1", False),
        ("protocol+x=1", "protocol+x=2", False),
    ],
)
def test_both_runs_of_a_pair_have_one_reading_and_what_was_set_without_leaks(run, leakfree, is_a_pair):
    assert bool(paired("a", record("a", 1, run), record("a_leakfree", 1, leakfree))) is is_a_pair


def test_the_treatment_with_most_pairs_counts():
    records = [record(run, seed, "smote") for seed in (1, 2) for run in ("a", "a_leakfree")]
    others = [record(run, 3) for run in ("a", "a_leakfree")]
    expected = [(f"a/smote/seed-{seed}", f"a_leakfree/smote/seed-{seed}") for seed in (1, 2)]
    assert paired("a", *others, *records) == expected


def test_a_gap_between_machines_says_so():
    pairs = [(record("a", seed), record("a_leakfree", seed)) for seed in (1, 2)]
    found = measure_gap(pairs)
    assert "machines" not in found.note
    pairs[1] = (record("a", 2), record("a_leakfree", 2, processor="AMD EPYC"))
    assert measure_gap(pairs) == replace(found, note=f"{found.note}; trained on different machines")
