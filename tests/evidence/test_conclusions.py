"""What follows from records, in words, on made-up ones."""

from dataclasses import replace

import numpy as np
import pytest

from made_up_studies import OPEN, paper, study, training
from rontgen.core.cells import Cell
from rontgen.evidence.conclusions import conclusions
from rontgen.evidence.published_training import TrainingScores
from rontgen.evidence.real_data import compare_runs


def test_a_verdict_depends_on_the_reading_where_two_contradict_each_other():
    rows = [("run", "protocol", 5, "not reproduced"), ("run", "own_preprocessing", 5, "reproduced")]
    assert conclusions(study(rows)) == [
        "The verdict on `run` depends on the treatment: not reproduced under *as stated*; reproduced under "
        "*own preprocessing*."
    ]


def test_an_undecided_reading_contradicts_none():
    rows = [("run", "protocol", 3, "inconclusive"), ("run", "own_preprocessing", 3, "reproduced")]
    first, second = conclusions(study(rows))
    assert first == "`run` is inconclusive under *as stated*; reproduced under *own preprocessing*."
    assert second.startswith("The 3 seeds of `run` (*as stated*)")


def test_readings_with_one_verdict_and_a_single_seed_are_told():
    rows = [
        ("run", "protocol", 5, "reproduced"),
        ("run", "smote", 5, "reproduced"),
        ("x", "protocol", 1, "?"),
        ("y", "protocol", 2, "?"),
    ]
    agree, single = conclusions(study(rows))
    assert agree == "`run` is reproduced under every treatment that is recorded: *as stated*, *smote*."
    assert single == "One seed decides nothing, and two are too few; five are the standard. So far: `x`, `y`."


def test_a_verdict_that_no_run_can_change_is_not_one_of_readings():
    rows = [("run", "protocol", 3, "data unavailable"), ("run", "copies", 3, "data unavailable")]
    assert conclusions(study(rows)) == []


def test_a_reading_with_few_seeds_is_not_judged_beside_others():
    rows = [("run", "protocol", 5, "reproduced"), ("run", "smote", 1, "inconclusive")]
    assert conclusions(study(rows)) == [
        "One seed decides nothing, and two are too few; five are the standard. So far: `run` (*smote*)."
    ]


def test_a_narrow_verdict_is_said_to_be_one():
    rows = [("run", "protocol", 3, "reproduced"), ("run", "smote", 3, "reproduced")]
    narrow = study(rows)
    narrow.rows.loc[1, "narrow"] = True
    assert conclusions(narrow)[1:] == ["`run` (*smote*) is reproduced by a narrow margin. It lies in."]


def test_seeds_that_are_too_far_apart_are_told():
    assert conclusions(study([("run", "protocol", 3, "inconclusive")])) == [
        "The 3 seeds of `run` (*as stated*) are too few, or too far apart, to decide: the interval for one more "
        "run is 0.59 to 1.00."
    ]


def test_another_accuracy_in_training_than_the_paper_s_is_said_of_each_reading():
    cell = Cell(metric="train.kept.train_accuracy", value="0.7800", place="Table 2")

    def scores(run, reading, differs):
        return TrainingScores(run, reading, "kept", {"train_accuracy": cell}, {"train_accuracy": REACHED}, differs)

    rows = [
        scores("a", "protocol", ["train_accuracy"]),
        scores("a", "own_preprocessing", ["train_accuracy", "train_loss"]),
        scores("a", "flattened_head", []),
        scores("b", "protocol", ["train_loss"]),
    ]
    assert conclusions(study(training_scores=rows)) == [
        "The training accuracy of `a` differs from the paper's (0.7800): 0.530 (*as stated*), 0.530 (*own "
        "preprocessing*)."
    ]


REACHED = np.array([0.52, 0.54])
LEAKS = {"share": 0.42, "test_any": 42, "test_images": 100, "test_unknown_patient": 0}


def test_the_share_of_leaks_says_of_which_split_and_whether_more_may_be():
    (line,) = conclusions(study(leaks=LEAKS))
    assert line.startswith("Split by the protocol, with its seed, the share of test images with a copy, a near")
    assert "is 42.0% (42 of 100). " in line
    assert line.endswith("What that is worth is open: no run is recorded on a split without leaks.")
    (line,) = conclusions(study(leaks=LEAKS | {"test_unknown_patient": 3}))
    assert " is at least 42.0% (42 of 100)." in line
    assert conclusions(study(leaks=LEAKS | {"test_any": 0})) == []


def test_a_gap_whose_interval_spans_zero_is_not_shown():
    gap = {"seeds": 3, "metrics": {"accuracy": {"gap": 0.01, "low": -0.01, "high": 0.03}}, "note": "3 seeds each"}
    share, line = conclusions(study(gaps={"run": gap}, leaks=LEAKS))
    assert "open" not in share
    assert line.startswith("The leakage gap of `run` is +0.010 in accuracy") and "undecided (3 seeds each)." in line
    gap["metrics"]["accuracy"]["low"] = 0.005
    assert "more than the seeds explain" in conclusions(study(gaps={"run": gap}))[0]


def test_a_gap_of_one_seed_is_not_quoted():
    gap = {"seeds": 1, "metrics": {"accuracy": {"gap": -0.078}}, "note": "one seed each"}
    (line,) = conclusions(study(gaps={"run": gap}, leaks={}))
    assert line == "What leaks are worth to `run` is open: one seed with them and one without show nothing."


def test_a_gap_that_is_the_same_in_every_seed_has_no_interval():
    gap = {"seeds": 2, "metrics": {"accuracy": {"gap": 0.0}}, "note": "2 seeds each"}
    assert conclusions(study(gaps={"run": gap})) == [
        "The leakage gap of `run` is +0.000 in accuracy in every seed (2 seeds each)."
    ]


def compared(*rights, label="our completion"):
    """What is said of the difference between runs with these right answers of 100, a seed each."""
    trainings = [training(name, rights=right, label=label) for name, right in zip("abc", rights, strict=False)]
    return conclusions(study(trainings=trainings, between_runs=compare_runs(trainings)))[0]


def test_few_seeds_are_weak_evidence_of_a_difference():
    rights = [(90, 91, 93, 92, 90), (70, 72, 71, 70, 73)]
    said = compared(*rights)
    shown = "A difference is shown between the 2 runs (*our completion*), from `a` (0.912) to `b` (0.712): "
    assert said.startswith(shown) and "few" not in said
    assert compared(*(right[:3] for right in rights)).endswith("; so few seeds can show only large differences.")


def test_a_difference_that_chance_explains_is_not_shown():
    said = compared((90, 80, 85), (81, 90, 85), label="as stated")
    assert said.startswith("No difference is shown between the 2 runs (*as stated*), ")


def with_shortcuts(*trainings):
    probes = {name: {"roc_auc": auc} for name, auc in (("size", 0.99), ("border", 0.93), ("thumbnail", 0.97))}
    return conclusions(study(trainings=trainings, shortcuts={"probes": probes, "images": 5840}))


def test_the_best_run_by_the_protocol_is_compared_with_the_border_and_the_thumbnail():
    own, best = training(treatment="own", rights=(99, 99), label="own"), training("best", rights=(95, 96))
    (line,) = with_shortcuts(training(), own, best, training("run_leakfree", rights=(99, 99)))
    assert "0.930, and a 16 × 16 thumbnail, lungs included, with 0.970, both" in line and "5,840 images of" in line
    auc = np.mean(best.scores("ROC-AUC"))
    assert line.endswith(f"`best` (*as stated*) has {auc:.3f} on its test images.")


def test_another_reading_is_compared_with_them_where_the_protocol_was_not_run():
    own = training(treatment="own", rights=(80, 81), label="own")
    (line,) = with_shortcuts(own)
    assert line.endswith(f"`{own.run}` (*own*) has {np.mean(own.scores('ROC-AUC')):.3f} on its test images.")
    assert with_shortcuts(training("run_leakfree")) == with_shortcuts() == []


def test_the_protocol_is_called_our_completion_where_the_paper_leaves_something_open():
    published = paper(["run", "other"], origins_of={"run": {"train.batch_size": OPEN}})
    rows = [("run", "protocol+scale=0.4", 5, "reproduced"), ("run", "smote", 5, "not reproduced")]
    rows += [("other", "protocol", 1, "?")]
    assert conclusions(study(rows, published)) == [
        "The verdict on `run` depends on the treatment: reproduced under *our completion, scale 0.4*; not reproduced "
        "under *smote*.",
        "One seed decides nothing, and two are too few; five are the standard. So far: `other`.",
    ]


def completed(accuracies, published="0.90", seeds=None):
    """What is said of random completions of a run with these accuracies."""
    records = training("run", "random_completion", [round(100 * accuracy) for accuracy in accuracies]).records
    records = [replace(record, seed=seed) for record, seed in zip(records, seeds or range(1, 99), strict=False)]
    found = study([("run", "protocol", 0, "not run")], completions={"run": records})
    return conclusions(replace(found, rows=found.rows.assign(paper=published)))


def test_random_completions_are_counted_that_come_near_the_paper():
    assert completed([0.80, 0.79, 1.0, 0.5, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]) == [
        "8 of 10 random completions of `run` come within 10 points of the paper's 0.9: they reach 0.500 to 1.000."
    ]


def test_random_completions_without_leaks_are_held_against_the_same_row():
    records = training("run_leakfree", "random_completion", [90] * 10).records
    rows = [("run", "protocol", 0, "not run")]
    (line,) = conclusions(study(rows, completions={"run_leakfree": records}))
    assert line.startswith("10 of 10 random completions of `run_leakfree` come within 10 points of the paper's 0.9:")


@pytest.mark.parametrize(("seeds", "said"), [([1, 2, 3], "1-3"), ([1, 2, 7], "1-2,7")])
def test_few_random_completions_are_no_fair_sample(seeds, said):
    (line,) = completed([0.9, 0.9, 0.6], seeds=seeds)
    assert line.startswith("2 of 3 random completions of `run` come within")
    assert f"seeds {said} of 10 that are planned" in line and "no fair sample" in line
    assert "fair sample" not in completed([0.9] * 10)[0]
