"""Figures of a run are sound, and hold what they were given."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from figures import assert_sound, figure_of
from rontgen.core import params
from rontgen.reporting import plots

CLASSES = ["NORMAL", "PNEUMONIA", "PNEUMOTHORAX", "TUBERCULOSIS"]
INTERVAL = {"low": 0.951, "high": 0.975}
GRID = np.linspace(0, 1, 101)


def curves(x, y, values):
    points = {x: np.linspace(0, 1, 5), y: values, "threshold": 0.5}
    return pd.concat([pd.DataFrame({"class": name, **points}) for name in CLASSES], ignore_index=True)


def bands(x, low, high):
    """A band for each class, with an upper limit that is lower by 0.01 from class to class."""
    limits = {x: GRID, "low": low}
    tables = [pd.DataFrame({"class": name, "high": high - 0.01 * i} | limits) for i, name in enumerate(CLASSES)]
    return pd.concat(tables)


ROC = curves("false_positive_rate", "true_positive_rate", [0, 0.8, 0.9, 0.95, 1])
ROC_BAND = bands("false_positive_rate", np.sqrt(GRID) * 0.9, np.sqrt(GRID))
PRECISION_RECALL = curves("recall", "precision", [1, 1, 0.9, 0.7, 0.3])
PRECISION_RECALL_BAND = bands("recall", 0.9 - 0.7 * GRID, 1 - 0.6 * GRID)
PREVALENCE = {"NORMAL": 0.4, "PNEUMONIA": 0.3, "PNEUMOTHORAX": 0.2, "TUBERCULOSIS": 0.1}
CALIBRATION = pd.DataFrame(
    {
        "low": [0.2, 0.5, 0.9],
        "high": [0.3, 0.6, 1.0],
        "images": [2, 30, 1200],
        "confidence": [0.27, 0.55, 0.97],
        "accuracy": [0.5, 0.4, 0.95],
        "accuracy_low": [0.01, 0.25, 0.93],
        "accuracy_high": [0.99, 0.6, 0.97],
    }
)
HISTORY = pd.DataFrame({"epoch": [1, 2], "train_loss": [0.6, 0.4], "validation_loss": [0.7, 0.5]}).assign(
    train_accuracy=[0.6, 0.8], validation_accuracy=[0.5, 0.7]
)
CONFUSION = {true: {name: 1200 * (true == name) + 3 for name in CLASSES} for true in CLASSES}
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 12), dtype=np.uint8)
HEAT = np.stack([np.zeros((16, 12)), np.eye(16, 12), np.full((16, 12), 0.5)]).astype(np.float32)
CAPTIONS = ["NORMAL, 0.98", "PNEUMOTHORAX, taken for TUBERCULOSIS, 0.98", "PNEUMONIA, 0.51"]

DRAW = {
    "confusion": lambda path: plots.confusion_matrix(CONFUSION, "lungcare_b16_s640", path),
    "roc": lambda path: plots.roc(ROC, ROC_BAND, 0.964, INTERVAL, "lungcare_b16_s640", path),
    "precision_recall": lambda path: plots.precision_recall(
        PRECISION_RECALL, PRECISION_RECALL_BAND, 0.964, INTERVAL, PREVALENCE, "lungcare_b16_s640", path
    ),
    "calibration": lambda path: plots.calibration(CALIBRATION, 0.0612, 0.034, "lungcare_b16_s640", path),
    "history": lambda path: plots.history(HISTORY, 2, "lungcare_b16_s640", path),
    "heatmaps": lambda path: plots.heatmaps(IMAGES, HEAT, CAPTIONS, "input gradient", "lungcare_b16_s640", path),
}


def drawn(name):
    return figure_of(DRAW[name])


@pytest.mark.parametrize("name", DRAW)
def test_a_figure_is_sound(name, tmp_path):
    assert_sound(DRAW[name], tmp_path / "figure.png")


def test_every_class_of_every_dataset_has_its_own_colour_and_marker():
    classes = {name for dataset in params.load().datasets.values() for name in dataset.classes}
    for cue in (plots.CLASS_COLORS, plots.CLASS_MARKERS):
        assert classes == set(cue)
        assert len(set(cue.values())) == len(classes)


@pytest.mark.parametrize("name", ["roc", "precision_recall"])
def test_curves_and_bands_have_the_colours_of_their_classes(name):
    (axes,) = drawn(name).axes
    lines = {line.get_label(): to_hex(line.get_color()).upper() for line in axes.lines}
    assert {name: lines[name] for name in CLASSES} == {name: plots.CLASS_COLORS[name] for name in CLASSES}
    bands = [to_hex(band.get_facecolor()[0]).upper() for band in axes.collections]
    assert bands == [plots.CLASS_COLORS[name] for name in CLASSES]


@pytest.mark.parametrize(("name", "measure"), [("roc", "ROC-AUC"), ("precision_recall", "average precision")])
def test_the_title_has_the_measure_with_its_interval(name, measure):
    title = drawn(name).axes[0].get_title()
    assert title == f"lungcare_b16_s640\n{measure} 0.964 (0.951–0.975)"


def test_the_band_lies_between_its_limits():
    for index, band in enumerate(drawn("roc").axes[0].collections):
        corners = band.get_paths()[0].vertices
        at_half = corners[np.isclose(corners[:, 0], 0.5), 1]
        np.testing.assert_allclose(sorted(set(at_half)), [np.sqrt(0.5) * 0.9, np.sqrt(0.5) - 0.01 * index])


def test_each_class_has_its_prevalence_as_a_dotted_line():
    (axes,) = drawn("precision_recall").axes
    dotted = {to_hex(line.get_color()).upper(): line.get_ydata() for line in axes.lines if line.get_linestyle() == ":"}
    for name, share in PREVALENCE.items():
        assert list(dotted[plots.CLASS_COLORS[name]]) == [share, share]


def test_precision_is_that_of_the_recall_it_reaches():
    # Between two recalls the precision is that of the higher one: the area under the steps is the average precision
    curve = next(line for line in drawn("precision_recall").axes[0].lines if line.get_label() == "NORMAL")
    assert curve.get_drawstyle() == "steps-pre"
    assert curve.get_xdata()[0] == 0


def test_calibration_shows_the_bins_with_their_intervals():
    top, bottom = drawn("calibration").axes
    assert top.get_title() == "lungcare_b16_s640\nBrier score 0.061, ECE 0.034"
    (bars,) = top.containers
    segments = bars.lines[2][0].get_segments()
    np.testing.assert_allclose([segment[:, 1] for segment in segments], CALIBRATION[["accuracy_low", "accuracy_high"]])
    np.testing.assert_allclose([segment[0, 0] for segment in segments], CALIBRATION["confidence"])
    heights = {round(bar.get_x(), 1): bar.get_height() for bar in bottom.patches}
    assert heights == {0.2: 2, 0.5: 30, 0.9: 1200}


def test_each_image_is_beside_its_heatmap_and_an_empty_one_is_said():
    pairs = drawn("heatmaps").axes[:3]
    for axes, image, heat, caption in zip(pairs, IMAGES, HEAT, CAPTIONS, strict=True):
        plain, under, over = axes.images
        np.testing.assert_array_equal(plain.get_array(), image)
        np.testing.assert_array_equal(under.get_array(), image)
        np.testing.assert_array_equal(over.get_array(), heat)
        assert under.get_extent() == over.get_extent()
        right_of_plain, left_of_over = plain.get_extent()[1], over.get_extent()[0]
        assert right_of_plain < left_of_over
        assert axes.get_title() == caption
    assert [len(axes.texts) for axes in pairs] == [1, 0, 0]


def test_where_there_is_no_heat_the_image_is_seen():
    assert plots.HEAT(0.0)[3] == 0
    assert plots.HEAT(1.0)[3] == 0.75


def test_figures_are_the_same_whatever_the_user_has_configured(tmp_path):
    (tmp_path / "matplotlibrc").write_text("font.size: 30\nsavefig.dpi: 20\n")
    code = "import matplotlib; from rontgen.reporting import plots; print(matplotlib.rcParams['font.size'])"
    environment = os.environ | {"MATPLOTLIBRC": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == "10.0\n"
