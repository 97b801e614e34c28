"""The table of architectures: what the active run's records give."""

import json
from dataclasses import replace

import pytest

from figures import assert_sound, figure_of
from made_up_studies import on_images, seeds
from rontgen.claims import architectures
from rontgen.reporting import architectures_plot

IDS = [f"{number:012x}" for number in range(100)]
PERTURBED = {"marker": {"accuracy": 0.5, "same_decisions": 0.6}}


def records(model, *right, parameters=1000, **changes):
    made = on_images(seeds(*right, run="active", treatment=model, **changes), IDS)
    for record in made:
        record.metrics["test"]["parameters"] = parameters
        record.metrics["perturbed"] = PERTURBED
    return made


# The first two cannot be told apart, the third is worse than both
BEST, SMALL, WORST = (
    records("vgg16", 96, 97, 98, 97, 96, parameters=9000),
    records("cnn4", 96, 96, 98, 97, 96),
    records("lstm", 60, 61, 60, 62, 61, parameters=10),
)


def table(*groups, costs=None, tmp_path=None):
    path = tmp_path / "costs.json" if tmp_path else architectures.COSTS
    if costs:
        path.write_text(json.dumps({"machine": "Z80", "milliseconds": costs}))
    return architectures.gather([record for group in groups for record in group], path)


def test_the_most_accurate_comes_first_and_groups_share_a_letter(tmp_path):
    found = table(WORST, SMALL, BEST, tmp_path=tmp_path)
    assert [(one.name, one.groups) for one in found.architectures] == [("vgg16", "a"), ("cnn4", "a"), ("lstm", "b")]
    assert len(found.pairs) == 3 and found.architectures[0].seeds == [1, 2, 3, 4, 5]
    assert found.architectures[2].score("accuracy").mean == pytest.approx(0.608)


def test_groups_are_the_largest_sets_of_which_no_pair_differs():
    letters = architectures._letters(["a", "b", "c"], {("a", "c")})
    assert letters == {"a": "a", "b": "ab", "c": "b"}


def test_one_begins_with_the_cheapest_that_is_shown_to_lose_little_against_the_best(tmp_path):
    assert table(WORST, SMALL, BEST, tmp_path=tmp_path).first.name == "cnn4"
    times = {"vgg16": {"keras": 1.0, "onnx": 0.5}, "cnn4": {"keras": 2.0, "onnx": 0.5}, "lstm": {"keras": 0.1}}
    found = table(WORST, SMALL, BEST, costs=times, tmp_path=tmp_path)
    assert found.first.name == "vgg16"
    said = architectures.conclusion(found)
    assert said.startswith("Begin with vgg16:") and said.endswith(
        "Of 3 pairs 2 differ significantly: few seeds tell little apart."
    )


def test_a_difference_that_is_not_shown_is_no_reason_to_begin_with_the_cheaper_one(tmp_path):
    scattered = records("lstm", 99, 70, 99, 60, 99, parameters=10)
    found = table(scattered, BEST, tmp_path=tmp_path)
    assert [one.groups for one in found.architectures] == ["a", "a"]
    assert found.first.name == "vgg16"


def test_fewer_seeds_than_planned_are_said(tmp_path):
    few = records("cnn4", 90, 91, 92)
    assert "So far there are 3 seeds or more of each, of 5." in architectures.conclusion(table(few, tmp_path=tmp_path))


def test_sensitivity_is_taken_where_nine_of_ten_normal_films_are_right():
    (record,) = records("cnn4", 100)
    normal, sick = (record.predictions["class"] == name for name in record.classes)
    scores = record.predictions.assign(PNEUMONIA=0.0)
    scores.loc[normal, "PNEUMONIA"] = [0.9] * 5 + [0.5] * 5 + [0.1] * 40
    scores.loc[sick, "PNEUMONIA"] = [0.95] * 20 + [0.6] * 10 + [0.4] * 20
    assert architectures.sensitivity_at_specificity(replace(record, predictions=scores)) == pytest.approx(0.6)


def test_a_perturbation_costs_the_accuracy_that_is_missing(tmp_path):
    found = table(WORST, tmp_path=tmp_path).architectures[0]
    assert found.losses["marker"].mean == pytest.approx(0.108)


def test_other_records_and_other_settings_make_no_row(tmp_path):
    others = records("cnn4+epochs=3", 90) + seeds(90)
    assert table(others, tmp_path=tmp_path) is None


@pytest.mark.slow
def test_the_figure_has_a_point_for_each_model_with_a_cost(tmp_path):
    times = {"vgg16": {"keras": 20.0}, "lstm": {"keras": 2.0}}
    found = table(WORST, SMALL, BEST, costs=times, tmp_path=tmp_path)
    assert_sound(lambda path: architectures_plot.draw(found, path), tmp_path / "figure.png")
    left, right = figure_of(lambda path: architectures_plot.draw(found, path)).axes
    assert sorted(left.get_legend_handles_labels()[1]) == ["lstm", "vgg16"]
    assert sorted(right.get_legend_handles_labels()[1]) == ["cnn4", "lstm", "vgg16"]
    architectures_plot.draw(None, tmp_path / "empty.png")
