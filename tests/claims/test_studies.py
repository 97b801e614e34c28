"""The records of a study: how they depart from the paper, and how to repeat them."""

import pytest

from made_up_studies import PAPERS, RUN, VALUES, cell, paper, seeds, study, training
from rontgen.claims import studies
from rontgen.claims.trainings import Completions

SMOTE = {"smote": {"why": "?", "runs": ["one", "two", "three"], "set": {"balance": "smote"}}}


def of(*trainings, published=None, completions=()):
    given = {"paper": published or paper(), "trainings": list(trainings), "completions": completions}
    return study(paper(), [], **given)


def test_scores_are_those_of_each_seed():
    assert training().scores("accuracy").tolist() == [0.9, 0.92, 0.94]
    assert training().scores("macro F1").shape == (3,)


def test_the_commands_repeat_seeds_reading_and_what_the_caller_set():
    made = {"set": {"profile": "paper", "studies.jitet.split.seed": "1"}, "extra": {"a.b": "false"}}
    trainings = [training("one", **made), training("two", **made), training("two", "smote+b=false", **made)]
    assert of(*trainings).commands == [
        "rontgen reproduce one two --seeds 1-3 -S a.b=false",
        "rontgen reproduce two --seeds 1-3 --reading smote -S a.b=false",
    ]


def test_seeds_with_other_settings_have_a_command_of_their_own():
    one = training(extra={"studies.jitet.train.mixed_precision": "true"})
    one.records[1].provenance["extra"] = {}
    assert of(one).commands == [
        f"rontgen reproduce {RUN} --seeds 1,3 -S studies.jitet.train.mixed_precision=true",
        f"rontgen reproduce {RUN} --seeds 2",
    ]


def test_random_completions_have_a_command_too():
    drawn = Completions("two", "random_completion", "", seeds(90, 91, run="two", treatment="random_completion"), 0.9)
    assert of(training("one"), completions=[drawn]).commands == [
        "rontgen reproduce one --seeds 1-3",
        "rontgen reproduce two --seeds 1-2 --reading random_completion",
    ]


def test_the_runs_of_a_reading_that_have_no_record_are_named():
    published = paper(["one", "two", "three", "other"], readings=SMOTE)
    trainings = [training("one"), training("two", "smote+scale=0.4"), training("other")]
    assert of(*trainings, published=published).not_run_by("smote") == ["one", "three"]


def test_a_deviation_is_listed_once_with_the_runs_that_have_it():
    one, other = training(deviations=["smaller"]), training(run="other", deviations=["smaller", "shorter"])
    assert of(one, other).deviations == {"smaller": [RUN, "other"], "shorter": ["other"]}


def test_what_departs_from_the_paper_by_choice_is_a_deviation_of_each_run_that_has_it():
    departs = {"departs": "It would not train.", "says": "0.9", "place": "Section 2, line 3"}
    published = paper(["one", "two"], origins_of={"one": {"train.learning_rate": departs}})
    trainings = [training("one", deviations=["smaller"]), training("one", "smote", deviations=[])]
    trainings += [training("one_leakfree", deviations=[]), training("two", deviations=["smaller"])]
    assert of(*trainings, published=published).deviations == {
        "train.learning_rate: the paper says 0.9 (Section 2, line 3). It would not train.": ["one", "one_leakfree"],
        "smaller": ["one", "two"],
    }


@pytest.mark.parametrize(
    ("balance", "published", "expected"),
    [
        ("none", 8000, "524 training images, not the paper's 8,000"),
        ("none", 524, None),
        ("none", 624, None),  # with the 100 that it validates on
        ("none", None, None),
        ("smote", 8000, None),  # which makes more of them
    ],
)
def test_fewer_training_images_than_the_paper_s_are_a_deviation(balance, published, expected):
    one = training(settings={"balance": balance}, deviations=[])
    for record in one.records:
        record.metrics["train"]["train_images"] = 524
    cells = [cell("data.train", published)] if published else []
    assert of(one, published=paper(cells=cells)).deviations == ({expected: [RUN]} if expected else {})


def test_each_machine_is_listed_once():
    one, other = training("one"), training("other")
    processor = one.records[0].provenance["machine"]["processor"]
    amd = one.records[0].provenance["machine"] | {"processor": "AMD EPYC", "keras_backend": "jax"}
    other.records[1].provenance["machine"] = amd
    expected = [f"{processor}, 2 cores, tensorflow on the cpu", "AMD EPYC, 2 cores, jax on the cpu"]
    assert of(one, other).machines == expected


def test_the_trainings_of_a_study_are_those_that_are_recorded_the_protocol_first():
    published = paper(readings={"another": {"why": "x", "runs": [RUN], "set": {"balance": "smote"}}})
    records = seeds(90, treatment="another") + seeds(90, run=f"{RUN}_leakfree") + seeds(90, 91)
    records += seeds(90, treatment="random_completion")
    found = study(published, records)
    expected = [(RUN, "protocol"), (RUN, "another"), (f"{RUN}_leakfree", "protocol")]
    assert [(one.run, one.treatment) for one in found.trainings] == expected
    assert [one.run for one in found.completions] == [RUN]


def test_missing_audits_leave_a_study_without(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = studies.gather(PAPERS, VALUES, [])
    assert [one.name for one in found] == list(PAPERS.studies)
    assert all((one.leaks, one.shortcuts, one.gaps) == ({}, {}, {}) for one in found)
