"""What follows from records, on made-up ones."""

import numpy as np
import pandas as pd
import pytest

from finished_project import recorded
from rontgen.evidence import real_data
from rontgen.evidence.published import Reading
from rontgen.evidence.real_data import StudyEvidence, Training

CLASSES = ("NORMAL", "PNEUMONIA")


def training(run="jitet_mobilenetv2", reading="as_stated", rights=(90, 92, 94), **provenance):
    records = [recorded(run, reading, seed, CLASSES, right, 100) for seed, right in enumerate(rights, 1)]
    for record in records:
        record.provenance.update({"set": {}, "commit": "0123456789"} | provenance)
    return Training(run, reading, records)


def study(rows=(), **values):
    table = pd.DataFrame(rows, columns=["run", "reading", "seeds", "verdict"]).assign(low=0.59, high=1.0)
    empty = {"readings": {}, "trainings": [], "gaps": {}, "leaks": {}, "dataset": "pneumonia", "shortcuts": {}}
    return StudyEvidence(**{"name": "jitet", "rows": table, "between_runs": None} | empty | values)


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


def test_a_deviation_is_listed_once_with_the_runs_that_have_it():
    one, other = training(deviations=["smaller"]), training(run="other", deviations=["smaller", "shorter"])
    found = study(trainings=[one, other]).deviations
    assert found == {"smaller": ["jitet_mobilenetv2", "other"], "shorter": ["other"]}


def test_readings_with_other_verdicts_are_told_apart():
    rows = [("run", "as_stated", 5, "not reproduced"), ("run", "own_preprocessing", 5, "reproduced")]
    assert real_data.conclusions(study(rows)) == [
        "The verdict on `run` depends on the reading: not reproduced when read *as stated*, reproduced when read "
        "*own preprocessing*."
    ]


def test_readings_with_one_verdict_and_a_single_seed_are_told():
    rows = [
        ("run", "as_stated", 5, "reproduced"),
        ("run", "smote", 5, "reproduced"),
        ("x", "as_stated", 1, "?"),
        ("y", "as_stated", 2, "?"),
    ]
    agree, single = real_data.conclusions(study(rows))
    assert agree == "`run` is reproduced under every reading: *as stated*, *smote*."
    assert single == "One seed decides nothing, and two are too few; five are the standard. So far: `x`, `y`."


def test_a_reading_with_few_seeds_is_not_judged_beside_others():
    rows = [("run", "as_stated", 5, "reproduced"), ("run", "smote", 1, "inconclusive")]
    assert real_data.conclusions(study(rows)) == [
        "One seed decides nothing, and two are too few; five are the standard. So far: `run` (*smote*)."
    ]


def test_seeds_that_are_too_far_apart_are_told():
    assert real_data.conclusions(study([("run", "as_stated", 3, "inconclusive")])) == [
        "The 3 seeds of `run` (*as stated*) are too far apart to decide: the interval for one more run is 0.59 to 1.00."
    ]


def test_runs_that_differ_as_seeds_do_are_not_told_apart():
    same = real_data.compare_runs([training("a", rights=(90, 80, 85)), training("b", rights=(81, 90, 85))])
    apart = real_data.compare_runs([training("a", rights=(90, 91, 93)), training("b", rights=(70, 72, 71))])
    assert same["p"] > 0.5 and apart["p"] < 0.01
    assert apart["means"] == pytest.approx({"a": 0.9133, "b": 0.71}, abs=1e-4)
    assert "`a` (0.913) to `b` (0.710), differ by more than" in real_data.conclusions(study(between_runs=apart))[0]
    assert "do not differ" in real_data.conclusions(study(between_runs=same))[0]


def test_the_analysis_of_variance_of_two_runs_is_the_paired_t_test():
    from scipy.stats import ttest_rel

    one, other = (90, 91, 93, 88), (85, 89, 90, 87)
    tested = real_data.compare_runs([training("a", rights=one), training("b", rights=other)])
    assert tested["p"] == pytest.approx(ttest_rel(one, other).pvalue)


@pytest.mark.parametrize("others", [[], [("b", (90, 91))], [("b_leakfree", (90, 91, 92))]])
def test_less_than_two_runs_or_three_shared_seeds_are_not_compared(others):
    runs = [training("a"), *(training(run, rights=rights) for run, rights in others)]
    assert real_data.compare_runs(runs) is None


def test_a_gap_whose_interval_spans_zero_is_not_shown():
    gap = {"metrics": {"accuracy": {"gap": 0.01, "low": -0.01, "high": 0.03}}, "note": "3 seeds each"}
    (line,) = real_data.conclusions(study(gaps={"run": gap}, leaks={"share": 0.42}))
    assert line.startswith("42% of the test images have a copy, a near copy or another image of the same patient in tr")
    assert "validation. The leakage gap of `run` is +0.010 in accuracy" in line
    assert "no gap is shown" in line
    gap["metrics"]["accuracy"]["low"] = 0.005
    assert "more than the seeds explain" in real_data.conclusions(study(gaps={"run": gap}))[0]


def test_a_gap_of_one_seed_is_not_quoted():
    gap = {"metrics": {"accuracy": {"gap": -0.078}}, "note": "one seed each"}
    (line,) = real_data.conclusions(study(gaps={"run": gap}, leaks={}))
    assert line == "What leaks are worth to `run` is open: one seed with them and one without show nothing."


def test_few_seeds_are_weak_evidence_of_a_difference():
    def said(seeds):
        rights = [(90, 91, 93, 92, 90), (70, 72, 71, 70, 73)]
        tested = real_data.compare_runs(
            [training(name, rights=part[:seeds]) for name, part in zip("ab", rights, strict=True)]
        )
        return real_data.conclusions(study(between_runs=tested))[0]

    assert said(3).endswith(", weak evidence with so few seeds).")
    assert "weak" not in said(5)


def test_the_best_shortcut_stands_beside_the_best_model():
    probes = {name: {"roc_auc": auc} for name, auc in (("width", 0.5), ("border", 0.93), ("thumbnail", 0.97))}
    (line,) = real_data.conclusions(study(trainings=[training()], shortcuts={"probes": probes}))
    auc = np.mean(training().scores("ROC-AUC"))
    assert "`border` alone" in line and "0.930" in line and "0.970" in line and f"reaches {auc:.3f}" in line
