"""What follows from the records of a study, in words."""

from dataclasses import replace

import numpy as np
import pytest

from made_up_studies import OPEN, RUN, cell, on_images, paper, seeds, study
from rontgen.claims.comparisons import Difference
from rontgen.claims.findings import findings, in_brief, points
from rontgen.claims.leaks import Gap, LeakEffect

OTHER = "smatika_resnet50v2"
TWO_RUNS = paper({RUN: [], OTHER: [cell("test.accuracy", "0.97")]})
READINGS = {"another": {"why": "x", "runs": [RUN], "set": {"balance": "smote"}}}
TWO_READINGS = paper(readings=READINGS)
LEAKS = {"test_any": 40, "test_images": 100, "share": 0.4, "test_unknown_patient": 0}
GAP = Gap(3, Difference(0.02, -0.01, 0.05), "3 seeds each")


def said(*known, **values):
    return "\n".join(findings(study(*known, **values)))


def brief(*known):
    return in_brief(study(*known))


# ---- in brief


def test_a_study_in_brief_is_the_papers_number_ours_and_how_close():
    found = study(paper(origins={"balance": OPEN}), seeds(89, 90, 91))
    bound = points(found.main.replication.bound)
    assert in_brief(found) == (
        "The paper reports 0.90. 3 trainings by our completion reach 0.900 on average: the two are at most "
        f"{bound} points apart."
    )


def test_what_is_never_nothing_apart_has_both_ends():
    found = study(paper(), seeds(60, 61, 62))
    ends = f"{points(found.main.replication.least)} to {points(found.main.replication.greatest)} points apart"
    assert f"the two are {ends}" in in_brief(found)


def test_another_reading_with_another_verdict_is_named():
    another = seeds(89, 90, 91, treatment="another")
    known = TWO_READINGS, seeds(60, 61, 62) + another
    assert "By another reading (another) it is reproduced: 0.900." in brief(*known)
    depends = f"The verdict on {RUN} depends on the reading. not reproduced: as stated; reproduced: another."
    assert depends in said(*known)
    known = TWO_READINGS, seeds(89, 90, 91) + another
    assert "another reading" not in brief(*known)
    assert f"{RUN} is reproduced by every reading that is recorded: as stated, another." in said(*known)


def test_what_has_fewer_than_five_seeds_is_named_with_the_time_of_a_training():
    few = said(paper(), seeds(89, 90, 91, time__seconds=[590, 600, 610]))
    assert f"there are fewer (and what a training took): {RUN} (as stated): 3 seeds, 10 minutes." in few
    assert "For want of time" not in said(paper(), seeds(89, 90, 91, 90, 90))


def test_random_completions_are_named_beside_the_verdict():
    text = brief(paper(), seeds(60, 61, 62) + seeds(*[50] * 4, treatment="random_completion"))
    assert "0 of 4 random completions come within 10 points of it; 10 are planned" in text
    text = brief(paper(), seeds(60, 61, 62) + seeds(*[50] * 9, 85, treatment="random_completion"))
    assert "1 of 10 random completions come within 10 points of it (0 to 45% of all such" in text


def test_a_training_that_differs_takes_from_what_is_reproduced():
    published = paper({RUN: [cell("train.final.train_accuracy", "0.50")]})
    records = seeds(89, 90, 91, train__final__train_accuracy=[0.98, 0.99, 0.97])
    assert "But the training differs from the paper's." in brief(published, records)
    assert "train accuracy (final) 0.980, the paper's 0.50" in said(published, records)


def test_the_papers_highest_number_is_named_where_it_is_not_recorded():
    assert brief(TWO_RUNS, seeds(89, 90, 91)).endswith(f"The paper's highest, 0.97 ({OTHER}), is not run.")


def test_what_arithmetic_settles_is_said():
    published = paper({RUN: [cell("test.weighted.recall", "0.70")]})
    text = brief(published, seeds(89, 90, 91))
    assert "numbers for this row cannot all be true if its accuracy and its other scores are of the same" in text
    text = brief(paper(["lungcare_cnn5"]), seeds(80, 82, 81, run="lungcare_cnn5"), "lungcare")
    assert "But the paper's images are not all openly available." in text


def test_a_study_without_a_record_names_the_command():
    assert brief(paper(), []) == f"Not recorded: rontgen reproduce {RUN} --seeds 1-5 does so."


# ---- findings


def test_one_or_two_seeds_are_too_few():
    text = f"One seed decides nothing, and two are too few; five are the standard. So far: {RUN} (as stated)."
    assert text in said(paper(), seeds(90, 91))


@pytest.mark.parametrize(
    ("highest", "p", "end"),
    [("0.97", "0.082", "no pairing of the answers would make"), ("0.99", "0.0", "it depends on the pairing")],
)
def test_the_papers_comparison_is_answered_from_its_counts(highest, p, end):
    text = said(paper({RUN: [], OTHER: [cell("test.accuracy", highest)]}), [])
    right = round(100 * float(highest))
    assert f"By the published accuracies, {OTHER} has {right} of 100 right and {RUN} 90: Fisher's exact p = {p}" in text
    least = 2.0 ** (1 - (right - 90))
    assert f"at least {least:.2g}: {end if least >= 0.05 else 'it depends on the pairing'}" in text
    assert f"Whether {OTHER} ({highest}) is better than the others is not examined: it is not recorded." in text


def test_the_papers_comparison_is_answered_by_pairs():
    ids = [f"{number:012x}" for number in range(100)]
    text = said(TWO_RUNS, on_images(seeds(80, 82, 87), ids) + on_images(seeds(81, 82, 84, run=OTHER), ids))
    start = f"{OTHER} against {RUN} (as stated), on the same test images: -0.7 points ("
    assert start in text and "for this pair alone): no difference is shown, p = " in text


def test_leaks_and_what_they_do_are_told():
    effect = LeakEffect(RUN, "as stated", "NORMAL", np.array([[1, 19], [9, 11]]))
    text = said(paper(), seeds(90, 91, 92), leaks=LEAKS, leak_effects=[effect])
    assert "40.0% of the test images (40 of 100) have a copy" in text
    wrong = "1 of 20 answers are wrong where another image of the patient was trained on, 9 of 20"
    assert f"{RUN}, NORMAL: {wrong}" in text
    assert "An effect of leaks is undecided: no run without leaks to compare with." in text
    assert "at least 40.0%" in said(paper(), [], leaks=LEAKS | {"test_unknown_patient": 5})
    assert "protocol.yaml" not in said(paper(), [], leaks=LEAKS | {"test_any": 0})


@pytest.mark.parametrize(
    ("gap", "end"),
    [
        (GAP, "95% interval -0.010 to +0.050: undecided (3 seeds each)."),
        (replace(GAP, accuracy=Difference(0.05, 0.01, 0.09)), "more than the seeds explain"),
        (replace(GAP, accuracy=Difference(0.05, 0.05 - 1e-12, 0.05 + 1e-12)), "+0.050 in accuracy in every seed"),
        (replace(GAP, seeds=1), "is open: one seed with them and one without show nothing."),
    ],
)
def test_a_leakage_gap_is_undecided_where_it_is(gap, end):
    assert end in said(paper(), seeds(90, 91, 92), gaps={RUN: gap})


def test_shortcuts_stand_beside_the_best_run():
    probes = {"border": {"roc_auc": 0.8}, "thumbnail": {"roc_auc": 0.9}}
    text = said(paper(), seeds(90, 91, 92), shortcuts={"images": 1000, "probes": probes})
    assert "The border alone" in text and "all 1,000 images of pneumonia" in text
    assert f"The best of this study's runs by as stated, {RUN}, has" in text
    assert "border" not in said(paper(), [], shortcuts={"images": 1000, "probes": probes})


def test_the_row_that_stands_for_a_study_is_the_highest_that_is_recorded():
    assert study(TWO_RUNS, seeds(60, 61, 62)).main.run == RUN
    assert study(TWO_RUNS, []).main.run == OTHER
    assert study(TWO_RUNS, seeds(60, 61, 62) + seeds(60, 61, 62, run=OTHER)).main.run == OTHER


def test_the_largest_class_alone_takes_from_a_verdict_that_it_would_reach_too():
    known = paper({RUN: [cell("test.accuracy", "0.55")]}), seeds(54, 55, 56)
    assert "But always naming the largest class gives 0.500, within 10 points too." in brief(*known)
    text = said(*known)
    assert f"within 10 points of the 0.55 of {RUN}: a verdict on accuracy alone says little here." in text
    higher = paper({RUN: [cell("test.accuracy", "0.65")]}), seeds(64, 65, 66)
    assert "largest class" not in brief(*higher)


def test_the_verdict_on_other_images_is_told_where_they_are_taken_to_be_the_same():
    same = {"why": "As many.", "place": "Section 4, line 1", "runs": [RUN]}
    ids = [f"{number:012x}" for number in range(100)]
    found = study(paper(same_test_images=same), on_images(seeds(88, 90, 92), ids))
    other = found.main.other_images
    assert other.bound > found.main.replication.bound
    told = f"Were they others: {RUN} (as stated) {other.verdict}, at most {points(other.bound)} points apart."
    assert told in "\n".join(findings(found))
