"""A reading as changes of settings: what paper.yaml sets, and what a random completion draws."""

import math
from collections import Counter

import pytest
from ruamel.yaml import YAML

from conftest import ROOT
from made_up_studies import OPEN, PAPERS, RUN, VALUES, paper
from rontgen.core import checks, nested, params, readings, runs
from rontgen.core.errors import RontgenError

RAW = params.read(ROOT / "params.yaml")


def ranged(*values, **interval):
    return {"ours": "It is not given.", "range": list(values) or interval}


def drawn(origins, seed=1, study="smatika", run=RUN, **values):
    return readings.draw(paper([run], origins=origins, **values), study, run, seed)


# ---- changes


SET = {"image.normalize": "backbone", "model.dropout": "0.1", "train.early_stopping": {"monitor": "val_loss"}}
READ = paper([RUN, "smatika_resnet50v2"], readings={"own": {"why": "?", "runs": [RUN], "set": SET}})


def test_the_protocol_changes_nothing():
    assert readings.changes(paper([RUN], origins={"balance": OPEN}), VALUES, RUN, "protocol", 1) == {}


def test_a_reading_sets_the_keys_that_hold_its_settings():
    assert readings.changes(READ, VALUES, RUN, "own", 1) == {
        f"runs.{RUN}.image.normalize": "backbone",
        "models.vgg16.dropout": "0.1",
        "studies.smatika.train.early_stopping": "{monitor: val_loss}",
    }


def test_a_random_completion_sets_what_it_draws():
    study = paper([RUN], origins={"train.batch_size": OPEN, "model.dropout": ranged("0.1", "0.2")})
    found = readings.draw(study, "smatika", RUN, 3)
    assert readings.changes(study, VALUES, RUN, "random_completion", 3) == {
        "studies.smatika.train.batch_size": found["train.batch_size"],
        "models.vgg16.dropout": found["model.dropout"],
    }


@pytest.mark.parametrize(
    ("run", "reading", "known"),
    [
        (RUN, "other", "protocol, own, random_completion"),
        ("smatika_resnet50v2", "own", "protocol, random_completion"),
        (f"{RUN}_leakfree", "own", "protocol, random_completion"),
    ],
)
def test_a_reading_that_a_run_has_not_is_refused(run, reading, known):
    with pytest.raises(RontgenError, match=f"^--reading: expected one of {known} for {run}, received '{reading}'$"):
        readings.changes(READ, VALUES, run, reading, 1)


# ---- the key of a setting


OTHER = {
    "model.dropout": "0.123",
    "weights": "random",
    "image.size": "100",
    "image.normalize": "symmetric",
    "image.channels": "1",
    "train.batch_size": "5",
    "train.checkpoint": "last",
    "balance": "smote_all",
    "split.group_by": "patient",
    "augment": "null",
}


@pytest.mark.parametrize(
    ("run", "setting"),
    [
        *((RUN, key) for key in OTHER),
        *(("lungcare_b8_s480", key) for key in OTHER if key != "weights"),
        (f"{RUN}_leakfree", "image.size"),
    ],
)
def test_a_change_of_the_key_of_a_setting_changes_that_setting_of_the_run_and_no_other(run, setting):
    # models on a backbone have three channels, which params.validate leaves to checks.check_runs
    changes = {"profile": "paper", readings.key_of(VALUES, run, setting): OTHER[setting]}
    before = runs.load_run(run, VALUES).settings
    after = runs.load_run(run, params.validate(params.changed(RAW, changes))).settings
    assert nested.find(after, setting) == YAML(typ="safe").load(OTHER[setting]) != nested.find(before, setting)
    assert {key for key in after if after[key] != before[key]} == {setting.partition(".")[0]}


# ---- values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.10", "0.10"),
        ("", "null"),
        (None, "null"),
        (True, "true"),
        (0.001, "0.001"),
        (20, "20"),
        ({"a": ["1", ""], "b": "3"}, "{a: [1, null], b: 3}"),
    ],
)
def test_a_value_is_one_line_of_yaml(value, text):
    assert readings.text(value) == text


# ---- what a random completion draws


ORIGINS = {
    "train.batch_size": ranged("8", "16", "32", "64"),
    "train.epochs": ranged("5", "10", "20", "30"),
    "train.learning_rate": ranged(low="0.0001", high="0.01", log="true"),
}
SEEDS = range(1, 301)


def test_a_seed_draws_these_numbers_on_every_machine():
    assert [drawn(ORIGINS, seed) for seed in (1, 3)] == [
        {"train.batch_size": "32", "train.epochs": "10", "train.learning_rate": "0.000422"},
        {"train.batch_size": "16", "train.epochs": "5", "train.learning_rate": "0.000306"},
    ]


def test_studies_and_settings_are_drawn_apart():
    origins = {key: ranged(low="0.001", high="1000000", log="true") for key in ("augment.zoom", "augment.shear")}
    found = drawn(origins)
    assert found["augment.zoom"] != found["augment.shear"]
    assert drawn(origins, study="jitet")["augment.zoom"] != found["augment.zoom"]


def test_a_setting_is_drawn_whatever_else_is_open():
    for seed in range(1, 6):
        whole = drawn(ORIGINS, seed)
        for key, origin in ORIGINS.items():
            assert drawn({key: origin}, seed) == {key: whole[key]}
        assert drawn({"augment.zoom": ranged("0", "1")} | ORIGINS, seed).items() >= whole.items()


def test_the_runs_of_a_study_share_what_they_draw():
    own = {"train.epochs": {"stated": "Section 1, line 2"}, "model.dropout": ranged("0.1", "0.2")}
    study = paper(["a_run", "b_run"], origins=ORIGINS, origins_of={"b_run": own})
    for seed in range(1, 6):
        first, second, leakfree = (readings.draw(study, "s", run, seed) for run in ("a_run", "b_run", "b_run_leakfree"))
        assert set(first) ^ set(second) == {"train.epochs", "model.dropout"}
        assert all(first[key] == second[key] for key in first.keys() & second)
        assert leakfree == second


def test_only_what_is_open_and_no_choice_of_the_code_is_drawn():
    departs = {"departs": "?", "says": "?", "place": "Section 1, line 2"}
    closed = {"balance": ranged("none"), "fixed.resize": ranged("bilinear", "nearest"), "weights": departs}
    assert set(drawn({"dataset": departs | {"range": ["a", "b"]}} | ORIGINS | closed)) == {"dataset", *ORIGINS}


def test_every_value_of_a_list_is_drawn_about_as_often():
    counts = Counter(drawn({"balance": ranged("8", "null", "true", {"a": "1"})}, seed)["balance"] for seed in SEEDS)
    assert set(counts) == {"8", "null", "true", "{a: 1}"}
    assert min(counts.values()) > 50


def test_numbers_are_drawn_evenly_on_a_logarithmic_scale():
    interval = ranged(low="0.001", high="0.1", log="true")
    values = [float(drawn({"train.learning_rate": interval}, seed)["train.learning_rate"]) for seed in SEEDS]
    assert all(0.001 <= value <= 0.1 for value in values)
    assert len(set(values)) > 200
    below = sum(value < 0.01 for value in values)
    assert abs(below - len(values) / 2) < 4 * math.sqrt(len(values)) / 2


# ---- the random completions of the five studies


@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("run", VALUES.runs)
def test_a_random_completion_of_any_run_can_be_trained_and_is_what_was_drawn(run, seed):
    name = VALUES.runs[run].study
    study = PAPERS.studies[name]
    changes = {"profile": "paper"} | readings.changes(study, VALUES, run, "random_completion", seed)
    values = params.validate(params.changed(RAW, changes))
    checks.check_runs(values)
    settings = runs.load_run(run, values).settings
    found = readings.draw(study, name, run, seed)
    assert len(changes) == len(found) + 1
    for key, text in found.items():
        if not (run.endswith("_leakfree") and key.startswith("split.")):  # which keeps patients and copies together
            assert nested.find(settings, key) == YAML(typ="safe").load(text), key
