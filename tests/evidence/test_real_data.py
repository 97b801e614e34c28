"""What records show of a study, on made-up ones."""

import numpy as np
import pytest
from rontgen.evidence.published import Reading
from scipy import stats

from made_up_studies import study, training
from rontgen.evidence import real_data


def test_scores_are_those_of_each_seed():
    assert training().scores("accuracy").tolist() == [0.9, 0.92, 0.94]
    assert training().scores("macro F1").shape == (3,)


def test_the_commands_repeat_seeds_reading_and_what_the_caller_set():
    reading = Reading(why="?", runs=["jitet_mobilenetv2"], set={"studies.jitet.balance": "smote"})
    made = {"profile": "paper", "studies.jitet.split.seed": "1", "a.b": "false"}
    trainings = [training("one", set=made), training("two", set=made)]
    trainings.append(training("two", "smote", set=made | {"studies.jitet.balance": "smote"}))
    assert study(trainings=trainings, readings={"smote": reading}).commands == [
        "rontgen reproduce one two --seeds 1-3 -S a.b=false",
        "rontgen reproduce two --seeds 1-3 --reading smote -S a.b=false",
    ]


def test_seeds_with_other_settings_have_a_command_of_their_own():
    one = training(set={"studies.jitet.train.mixed_precision": "true"})
    one.records[1].provenance["set"] = {}
    assert study(trainings=[one]).commands == [
        "rontgen reproduce jitet_mobilenetv2 --seeds 1,3 -S studies.jitet.train.mixed_precision=true",
        "rontgen reproduce jitet_mobilenetv2 --seeds 2",
    ]


def test_a_reading_without_a_record_has_the_command_that_makes_it_like_the_others():
    reading = Reading(why="?", runs=["one", "two", "three"], set={"studies.jitet.balance": "smote"})
    one = training("one", set={"a.b": "false"})
    trainings = [one, training("two"), training("two", "smote"), training("other")]
    assert study(trainings=trainings, readings={"smote": reading}).not_run_by("smote") == [
        "rontgen reproduce one --reading smote --seeds 1-3 -S a.b=false"
    ]


def test_a_deviation_is_listed_once_with_the_runs_that_have_it():
    one, other = training(deviations=["smaller"]), training(run="other", deviations=["smaller", "shorter"])
    found = study(trainings=[one, other]).deviations
    assert found == {"smaller": ["jitet_mobilenetv2", "other"], "shorter": ["other"]}


@pytest.mark.parametrize(
    ("balance", "published", "expected"),
    [
        ("none", 8000, "524 training images, not the paper's 8,000"),
        ("none", 524, None),
        ("none", None, None),
        ("smote", 8000, None),  # which makes more of them
    ],
)
def test_fewer_training_images_than_the_paper_s_are_a_deviation(balance, published, expected):
    one = training(settings={"balance": balance}, deviations=[])
    for record in one.records:
        record.metrics["train"]["train_images"] = 524
    found = study(trainings=[one], train_images=published).deviations
    assert found == ({expected: ["jitet_mobilenetv2"]} if expected else {})


def test_each_machine_is_listed_with_its_trainings():
    one, other = training("one"), training("other")
    processor = one.records[0].provenance["machine"]["processor"]
    amd = one.records[0].provenance["machine"] | {"processor": "AMD EPYC", "keras_backend": "jax"}
    other.records[1].provenance["machine"] = amd
    found = study(trainings=[one, other]).machines
    assert [[each.run for each in trainings] for trainings in found.values()] == [["one", "other"], ["other"]]
    assert list(found) == [f"{processor}, 2 cores, tensorflow on the cpu", "AMD EPYC, 2 cores, jax on the cpu"]


def test_runs_that_differ_as_seeds_do_are_not_called_different():
    same = real_data.compare_runs([training("a", rights=(90, 80, 85)), training("b", rights=(81, 90, 85))])
    apart = real_data.compare_runs([training("a", rights=(90, 91, 93)), training("b", rights=(70, 72, 71))])
    assert same["p"] > 0.5 and apart["p"] < 0.01
    assert apart["means"] == pytest.approx({"a": 0.9133, "b": 0.71}, abs=1e-4)


def test_the_analysis_of_variance_of_two_runs_is_the_paired_t_test():
    one, other = (90, 91, 93, 88), (85, 89, 90, 87)
    tested = real_data.compare_runs([training("a", rights=one), training("b", rights=other)])
    assert tested["p"] == pytest.approx(stats.ttest_rel(one, other).pvalue)


def test_sphericity_is_one_where_differences_vary_alike_and_least_where_one_run_varies_alone():
    alike = np.array([[3.0, 0, 0], [0, 3, 0], [0, 0, 3], [1, 1, 1]])
    assert real_data.sphericity(alike) == pytest.approx(1)
    alone = np.array([[1.0, 0, 0], [2, 0, 0], [4, 0, 0]])
    assert real_data.sphericity(alone) == pytest.approx(1 / 2)


def test_runs_that_vary_differently_need_larger_differences():
    steady, shaky = [training(name, rights=(90, 91, 92)) for name in "ab"], training("c", rights=(70, 91, 60))
    tested = real_data.compare_runs([*steady, shaky])
    assert stats.f.sf(tested["f"], 2, 4) < tested["p"] == pytest.approx(stats.f.sf(tested["f"], 1, 2))


@pytest.mark.parametrize("others", [[], [("b", (90, 91))], [("b_leakfree", (90, 91, 92))]])
def test_less_than_two_runs_or_three_shared_seeds_are_not_compared(others):
    runs = [training("a"), *(training(run, rights=rights) for run, rights in others)]
    assert real_data.compare_runs(runs) is None
