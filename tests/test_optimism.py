import numpy as np
import pytest
from matplotlib.figure import Figure

from rontgen import evaluation, optimism

CLASSES = ["NORMAL", "COVID"]


def predictions(right, wrong):
    """So many images of each class put right, and so many wrong, each of a patient of its own."""
    names = np.repeat(CLASSES * 2, [right, right, wrong, wrong])
    sick = np.repeat([0.1, 0.9, 0.8, 0.2], [right, right, wrong, wrong])
    ids = [str(index) for index in range(len(names))]
    return evaluation.prediction_table(ids, ids, names, CLASSES, np.stack([1 - sick, sick], axis=1))


def test_optimism_is_the_paper_style_result_minus_the_leak_free_one():
    measured = optimism.measure(predictions(45, 5), predictions(60, 20))
    assert measured["accuracy"]["paper_style"] == pytest.approx(0.9)
    assert measured["accuracy"]["leakfree"] == pytest.approx(0.75)
    assert measured["accuracy"]["optimism"] == pytest.approx(0.15)
    assert measured["macro_f1"]["paper_style"] == pytest.approx(0.9)
    for found in measured.values():
        assert found["optimism"] == pytest.approx(found["paper_style"] - found["leakfree"])
        assert found["low"] <= found["optimism"] <= found["high"]


def test_a_large_difference_leaves_out_zero_and_none_does_not():
    assert optimism.measure(predictions(95, 5), predictions(60, 40))["accuracy"]["low"] > 0
    same = optimism.measure(predictions(40, 10), predictions(40, 10))["accuracy"]
    assert same["low"] < 0 < same["high"]


def test_it_is_drawn_the_same_every_time(tmp_path):
    measured = {"a_run": optimism.measure(predictions(45, 5), predictions(60, 20))}
    for name in ("a.png", "b.png"):
        optimism.draw(measured, True, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_the_legend_names_each_sign_once(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(optimism, "Figure", lambda **options: drawn.append(Figure(**options)) or drawn[0])
    found = optimism.measure(predictions(45, 5), predictions(60, 20))
    optimism.draw(dict.fromkeys("abc", found), True, tmp_path / "a.png")
    (legend,) = drawn[0].legends
    assert [text.get_text() for text in legend.get_texts()] == [
        optimism.OPTIMISTIC["label"], optimism.NOT_SHOWN["label"],
    ]  # fmt: skip
