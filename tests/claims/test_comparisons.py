"""Paired comparisons, and what leaks do to errors."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import StratifiedTable

from finished_project import recorded
from made_up_studies import CLASSES, RUN, cell, on_images, paper, seeds, study
from rontgen.evaluation.metrics import prediction_table
from rontgen.records import splits

OTHER = "smatika_resnet50v2"
READINGS = {name: {"why": "x", "runs": [RUN], "set": {"balance": "smote"}} for name in ("one_way", "another")}
TWO_READINGS, TWO_RUNS = paper(readings=READINGS), paper({RUN: [], OTHER: [cell("test.accuracy", "0.97")]})
IDS = [f"{number:012x}" for number in range(101)]


def compared(published, *records):
    return study(published, [record for some in records for record in on_images(some, IDS[:100])]).comparisons


# ---- paired comparisons


def test_readings_are_compared_seed_by_seed_on_the_same_images():
    (found,) = compared(TWO_READINGS, seeds(60, 75, 87), seeds(90, 91, 93, treatment="another"))
    differences = np.array([0.30, 0.16, 0.06])
    low, high = stats.t.interval(0.95, 2, differences.mean(), stats.sem(differences))
    assert (found.first.treatment, found.second.treatment, found.seeds) == ("another", "protocol", 3)
    assert found.accuracy.mean == pytest.approx(differences.mean())
    assert (found.accuracy.low, found.accuracy.high) == (pytest.approx(low), pytest.approx(high))
    assert found.p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    assert found.is_of_readings and not found.is_shown


def test_sensitivity_and_specificity_are_compared_too():
    one, other = seeds(80, 82, 87), seeds(90, 91, 93, treatment="another")
    (found,) = compared(TWO_READINGS, one, other)
    for name in ("sensitivity", "specificity"):
        values = [[record.metrics["test"][name] for record in some] for some in (one, other)]
        assert getattr(found, name).mean == pytest.approx(np.mean(values[1]) - np.mean(values[0]))


def test_seeds_that_agree_by_luck_have_at_least_the_error_of_their_images():
    (found,) = compared(TWO_READINGS, seeds(80, 82, 87), seeds(85, 87, 92, treatment="another"))
    error = np.sqrt(0.05 * 0.95 / 300)
    reach = stats.t.ppf(0.975, 2) * error
    assert (found.accuracy.low, found.accuracy.high) == (pytest.approx(0.05 - reach), pytest.approx(0.05 + reach))
    assert found.p == pytest.approx(2 * stats.t.sf(0.05 / error, 2))


def test_the_same_answers_do_not_differ():
    (found,) = compared(TWO_READINGS, seeds(80, 82, 87), seeds(80, 82, 87, treatment="another"))
    assert (found.accuracy.mean, found.accuracy.low, found.p) == (0, 0, 1)


def test_seeds_tested_on_other_images_are_not_compared():
    one, other = seeds(80, 82, 87), seeds(90, 91, 93, treatment="another")
    assert study(TWO_READINGS, one + other).comparisons
    assert study(TWO_READINGS, on_images(one, IDS[:100]) + on_images(other, IDS[1:])).comparisons == []


def test_fewer_than_three_seeds_in_common_are_not_compared():
    assert compared(TWO_READINGS, seeds(80, 82), seeds(90, 91, 93, treatment="another")) == []


def test_the_order_of_the_images_does_not_matter():
    one, other = seeds(80, 82, 87), seeds(90, 91, 93, treatment="another")
    moved = [replace(record, predictions=record.predictions[::-1]) for record in on_images(other, IDS[:100])]
    (found,) = study(TWO_READINGS, on_images(one, IDS[:100]) + moved).comparisons
    assert found.accuracy.mean == pytest.approx(0.25 / 3)


def test_the_highest_published_run_is_compared_with_the_others_by_each_reading():
    (found,) = compared(TWO_RUNS, seeds(80, 82, 87), seeds(81, 82, 84, run=OTHER))
    assert (found.first.trained, found.second.trained) == (OTHER, RUN)
    assert found.accuracy.mean == pytest.approx(-0.02 / 3)
    assert not found.is_of_readings and not found.is_shown


def test_two_published_rows_of_one_training_are_compared_once():
    published = TWO_RUNS.model_copy(update={"trained_as": {OTHER: RUN}})
    assert compared(published, seeds(80, 82, 87)) == []


def test_p_is_corrected_for_all_comparisons_of_the_study():
    some = [seeds(80, 82, 87), seeds(90, 91, 93, treatment="another"), seeds(80, 83, 88, treatment="one_way")]
    found = compared(TWO_READINGS, *some)
    alone = [compared(TWO_READINGS, some[0], other)[0].p for other in some[2:] + some[1:2]]
    assert [one.first.treatment for one in found] == ["one_way", "another"]
    smaller, larger = sorted(alone)
    assert sorted(one.p for one in found) == [pytest.approx(2 * smaller), pytest.approx(max(2 * smaller, larger))]


# ---- leaks


def leaky(folder, wrong, run=RUN, exposed=20, seed=1):
    """A record of 40 NORMAL images, the first `exposed` of patients in training, and 40 others of unknown patients.

    wrong: errors of the exposed, and of the other NORMAL images.
    """
    record = recorded(run, "protocol", seed, CLASSES, 80, 80)
    patients = [*(f"p{number}" for number in range(40)), *[""] * 40]
    answers = ["PNEUMONIA"] * wrong[0] + ["NORMAL"] * (exposed - wrong[0])
    answers += ["PNEUMONIA"] * wrong[1] + ["NORMAL"] * (40 - exposed - wrong[1]) + ["PNEUMONIA"] * 40
    probabilities = np.array([[0.9, 0.1] if answer == "NORMAL" else [0.1, 0.9] for answer in answers])
    table = prediction_table(
        np.array(IDS[:80]), np.array(patients), np.repeat(CLASSES, 40), list(CLASSES), probabilities
    )
    trained_on = [*(f"{number:012x}" for number in range(200, 200 + exposed)), "00000000ffff"]
    training = pd.DataFrame({"id": trained_on, "patient": [*patients[:exposed], "nobody"], "subset": "train"})
    tested = pd.DataFrame({"id": IDS[:80], "patient": patients, "subset": "test"})
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
    assert (found.run, found.name, found.errors, found.images) == (RUN, "NORMAL", (1, 9), (20, 20))
    assert found.p == pytest.approx(stats.fisher_exact([[1, 19], [9, 11]]).pvalue)
    assert found.conclusion.startswith("undecided: no run without leaks")


def test_seeds_are_taken_together(folder):
    (found,) = effects(leaky(folder, (1, 9)), leaky(folder, (2, 5), seed=2))
    assert (found.errors, found.images) == ((3, 14), (40, 40))


def test_the_run_without_leaks_tells_whether_it_is_the_leak(folder):
    with_leaks = leaky(folder, (0, 10))
    for wrong, conclusion in (
        ((5, 5), "seen: without leaks such images are wrong in 5 of 20, others in 5 of 20"),
        ((1, 9), "undecided: without leaks such images are wrong in 1 of 20"),
    ):
        (found,) = effects(with_leaks, leaky(folder, wrong, run=f"{RUN}_leakfree"))
        tables = [[[0, 20], [10, 10]], [[wrong[0], 20 - wrong[0]], [wrong[1], 20 - wrong[1]]]]
        expected = StratifiedTable([np.array(table) for table in tables]).test_equal_odds().pvalue
        assert found.p_interaction == pytest.approx(expected)
        assert found.conclusion.startswith(conclusion)


def test_a_test_image_that_the_leaky_run_trained_on_is_no_other_image_of_its_patient(folder):
    record, other = leaky(folder, (0, 10)), leaky(folder, (5, 5), run=f"{RUN}_leakfree")
    # in the training of the other, of a patient with no other image
    other.predictions.loc[39, ["id", "patient"]] = ["00000000ffff", "nobody"]
    (found,) = effects(record, other)
    assert found.leakfree == ((5, 5), (20, 20))


def test_few_images_of_a_class_tell_nothing(folder):
    assert effects(leaky(folder, (1, 5), exposed=9)) == []
    assert len(effects(leaky(folder, (1, 5), exposed=10))) == 1


@pytest.mark.parametrize("wrong", [(5, 6), (12, 1)], ids=["alike", "more of them wrong"])
def test_no_effect_is_said_to_be_not_seen(folder, wrong):
    (found,) = effects(leaky(folder, wrong))
    assert found.conclusion == "not seen"


def test_unknown_patients_tell_nothing():
    assert study(paper(), seeds(90, 91, 92)).leak_effects == []
