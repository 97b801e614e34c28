"""What records show of a study, on made-up ones."""

import numpy as np
import pytest
from scipy import stats

from conftest import ROOT
from made_up_studies import OPEN, cell, paper, study, training
from rontgen.core import params
from rontgen.core.papers import Papers
from rontgen.evidence import real_data, verdicts


def test_scores_are_those_of_each_seed():
    assert training().scores("accuracy").tolist() == [0.9, 0.92, 0.94]
    assert training().scores("macro F1").shape == (3,)


SMOTE = {"smote": {"why": "?", "runs": ["one", "two", "three"], "set": {"balance": "smote"}}}


def test_the_commands_repeat_seeds_reading_and_what_the_caller_set():
    made = {"set": {"profile": "paper", "studies.jitet.split.seed": "1"}, "extra": {"a.b": "false"}}
    trainings = [training("one", **made), training("two", **made), training("two", "smote+b=false", **made)]
    assert study(trainings=trainings).commands == [
        "rontgen reproduce one two --seeds 1-3 -S a.b=false",
        "rontgen reproduce two --seeds 1-3 --reading smote -S a.b=false",
    ]


def test_seeds_with_other_settings_have_a_command_of_their_own():
    one = training(extra={"studies.jitet.train.mixed_precision": "true"})
    one.records[1].provenance["extra"] = {}
    assert study(trainings=[one]).commands == [
        "rontgen reproduce jitet_mobilenetv2 --seeds 1,3 -S studies.jitet.train.mixed_precision=true",
        "rontgen reproduce jitet_mobilenetv2 --seeds 2",
    ]


def test_random_completions_have_a_command_too():
    records = training("two", "random_completion").records
    assert study(trainings=[training("one")], completions={"two": records}).commands == [
        "rontgen reproduce one --seeds 1-3",
        "rontgen reproduce two --seeds 1-3 --reading random_completion",
    ]


def test_the_runs_of_a_reading_that_have_no_record_are_named():
    trainings = [training("one"), training("two", "smote+scale=0.4"), training("other")]
    published = paper(["one", "two", "three", "other"], readings=SMOTE)
    assert study(trainings=trainings, published=published).not_run_by("smote") == ["one", "three"]


def test_a_deviation_is_listed_once_with_the_runs_that_have_it():
    one, other = training(deviations=["smaller"]), training(run="other", deviations=["smaller", "shorter"])
    found = study(trainings=[one, other]).deviations
    assert found == {"smaller": ["jitet_mobilenetv2", "other"], "shorter": ["other"]}


def test_what_departs_from_the_paper_by_choice_is_a_deviation_of_each_run_that_has_it():
    departs = {"departs": "It would not train.", "says": "0.9", "place": "Section 2, line 3"}
    published = paper(["one", "two"], origins_of={"one": {"train.learning_rate": departs}})
    trainings = [training("one", deviations=["smaller"]), training("one", "smote", deviations=[])]
    trainings += [training("one_leakfree", deviations=[]), training("two", deviations=["smaller"])]
    assert study(trainings=trainings, published=published).deviations == {
        "train.learning_rate: the paper says 0.9 (Section 2, line 3). It would not train.": ["one", "one_leakfree"],
        "smaller": ["one", "two"],
    }


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
    cells = [cell("data.train", published)] if published else []
    found = study(trainings=[one], published=paper(cells=cells)).deviations
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


# ---- gathering


@pytest.fixture
def gathered(tmp_path, monkeypatch):
    """Gather made-up records of smatika, without the audits."""
    monkeypatch.chdir(tmp_path)
    values = params.load(ROOT / "params.yaml")
    reading = {"plain_validation": {"why": "?", "runs": ["smatika_vgg16"], "set": {"augment.validation": "false"}}}

    def gather(*trainings, origins=None):
        published = paper(["smatika_resnet50v2", "smatika_vgg16"], readings=reading, origins=origins or {})
        papers = Papers(archives={}, sources={}, studies={"smatika": published})
        found = [record for one in trainings for record in one.records]
        (study,) = real_data.gather(papers, values, verdicts.compare(papers, values, found, []), found)
        return study

    return gather


def test_each_treatment_is_a_training_with_its_label(gathered):
    found = gathered(
        training("smatika_vgg16", "plain_validation+scale=0.4"),
        training("smatika_vgg16", "protocol"),
        training("smatika_vgg16_leakfree", "protocol"),
        origins={"train.batch_size": OPEN},
    )
    assert [(one.run, one.treatment, one.label) for one in found.trainings] == [
        ("smatika_vgg16", "protocol", "our completion"),
        ("smatika_vgg16", "plain_validation+scale=0.4", "plain validation, scale 0.4"),
        ("smatika_vgg16_leakfree", "protocol", "our completion"),
    ]
    assert all(one.seeds == [1, 2, 3] for one in found.trainings)


def test_random_completions_stand_apart_from_the_trainings(gathered):
    found = gathered(training("smatika_vgg16", "random_completion", rights=(50, 60)), training("smatika_resnet50v2"))
    assert [one.run for one in found.trainings] == ["smatika_resnet50v2"]
    assert {run: [record.seed for record in some] for run, some in found.completions.items()} == {
        "smatika_vgg16": [1, 2]
    }


def test_rows_are_those_of_the_protocol_and_of_what_was_run(gathered):
    def rows(*trainings):
        return gathered(*trainings).rows[["run", "treatment"]].to_numpy().tolist()

    protocols = [["smatika_resnet50v2", "protocol"], ["smatika_vgg16", "protocol"]]
    assert rows() == protocols
    assert rows(training("smatika_vgg16", "plain_validation")) == [*protocols, ["smatika_vgg16", "plain_validation"]]


def test_a_gap_is_measured_where_both_splits_are_recorded(gathered):
    with_leaks, without = training("smatika_vgg16"), training("smatika_vgg16_leakfree", rights=(80, 82, 84))
    assert gathered(with_leaks).gaps == gathered(without).gaps == {}
    gaps = gathered(with_leaks, without).gaps
    assert list(gaps) == ["smatika_vgg16"] and gaps["smatika_vgg16"]["seeds"] == 3
