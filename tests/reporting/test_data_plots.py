"""Figures of data are sound, and hold the numbers and images that they were given."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb

from figures import assert_sound, figure_of
from rontgen.data.demo import phantom
from rontgen.reporting import data_plots, plots

CLASSES = ["NORMAL", "PNEUMONIA", "PNEUMOTHORAX", "TUBERCULOSIS"]
COUNTS = pd.DataFrame(
    [("train", name, 1072 * (index + 1), 1072 * (3 - index)) for index, name in enumerate(CLASSES)]
    + [("validation", name, 134, 0) for name in CLASSES],
    columns=["subset", "class", "real", "synthetic"],
)
IMAGES = np.random.default_rng(0).integers(0, 256, (9, 10, 8), dtype=np.uint8)
ROWS = [(IMAGES[0], IMAGES[1], IMAGES[2], 0.374, "PNEUMONIA"), (IMAGES[3], IMAGES[4], IMAGES[5], 0.5, "NORMAL")]
SHEET = {("train", "NORMAL"): IMAGES, ("validation", "PNEUMOTHORAX"): IMAGES[:2], ("test", "COVID"): IMAGES[:0]}
DRAW = {
    "class_counts": lambda path: data_plots.class_counts(COUNTS, "lungcare, 640 px", path),
    "only_real": lambda path: data_plots.class_counts(COUNTS.assign(synthetic=0), "lungcare, 640 px", path),
    "smote_examples": lambda path: data_plots.smote_examples(ROWS, "lungcare, 640 px", path),
    "contact_sheet": lambda path: data_plots.contact_sheet(SHEET, "lungcare, 640 px", path),
}


@pytest.mark.parametrize("name", DRAW)
def test_a_figure_is_sound(name, tmp_path):
    assert_sound(DRAW[name], tmp_path / "figure.png")


def test_bars_hold_the_real_images_and_hatched_on_them_the_synthetic():
    (axes,) = figure_of(DRAW["class_counts"]).axes
    for index, name in enumerate(CLASSES):
        real, synthetic = axes.containers[2 * index : 2 * index + 2]
        assert [bar.get_height() for bar in real] == [1072 * (index + 1), 134]
        on_top = [(bar.get_y(), bar.get_height()) for bar in synthetic]
        assert on_top == [(1072 * (index + 1), 1072 * (3 - index)), (134, 0)]
        assert {bar.get_hatch() for bar in synthetic} == {"///"}
        assert {to_hex(bar.get_facecolor()).upper() for bar in real} == {plots.CLASS_COLORS[name]}
    texts = [text.get_text() for text in axes.texts]
    assert texts[:2] == ["1,072\n+3,216", "134"]
    assert texts[-2:] == ["4,288", "134"]


def test_numbers_on_bars_lie_within_the_axes_and_apart():
    figure = figure_of(DRAW["class_counts"])
    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts]
    assert all(axes.bbox.y1 > box.y1 for box in boxes)
    assert not any(box.overlaps(other) for index, box in enumerate(boxes) for other in boxes[:index])


def test_no_legend_of_synthetic_images_where_there_are_none():
    assert [text.get_text() for text in figure_of(DRAW["only_real"]).axes[0].get_legend().get_texts()] == CLASSES


def test_a_synthetic_image_lies_between_its_parents():
    axes = figure_of(DRAW["smote_examples"]).axes
    for place, image in zip(axes, IMAGES, strict=False):
        np.testing.assert_array_equal(place.images[0].get_array(), image)
    labels = [place.get_xlabel() for place in axes[:3]]
    assert labels == ["first parent, PNEUMONIA", "first + 0.37 × (second − first)", "second parent"]


def test_a_row_of_the_sheet_has_its_label_its_colour_and_at_most_eight_images():
    (axes,) = figure_of(DRAW["contact_sheet"]).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["train / NORMAL", "validation / PNEUMOTHORAX", "test / COVID"]
    sheet = axes.images[0].get_array()
    for row, (tick, (_, name), shown) in enumerate(zip(axes.get_yticks(), SHEET, (8, 2, 0), strict=True)):
        top = row * 11
        assert top < tick < top + 10
        np.testing.assert_array_equal(sheet[top, 0], np.rint(255 * np.array(to_rgb(plots.CLASS_COLORS[name]))))
        for column in range(8):
            tile = sheet[top : top + 10, 3 + column * 9 : 11 + column * 9]
            np.testing.assert_array_equal(tile, IMAGES[column][..., None].repeat(3, 2) if column < shown else 255)


def test_a_sheet_of_large_images_stays_below_a_megabyte(tmp_path):
    streams = np.random.default_rng(0).spawn(8)
    drawings = np.stack([phantom.draw("normal", stream, stream, 240, 200).image for stream in streams])
    sheet = {(subset, name): drawings for subset in ("train", "validation", "test") for name in CLASSES}
    data_plots.contact_sheet(sheet, "lungcare, 640 px", tmp_path / "sheet.png")
    assert 200_000 < (tmp_path / "sheet.png").stat().st_size < 1_000_000
