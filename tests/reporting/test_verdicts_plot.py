"""The figure of the verdicts."""

import numpy as np
import pytest
from PIL import Image

from figures import assert_sound, figure_of
from made_up_studies import RUN, cell, paper, seeds, study
from rontgen.reporting import verdicts_plot

OTHER = "smatika_resnet50v2"


@pytest.fixture
def found():
    published = paper({RUN: [], OTHER: [cell("test.weighted.recall", "0.70")]})
    return [study(published, seeds(40, 60, 90) + seeds(89, 90, 91, treatment="protocol+a=1"))]


def test_it_is_sound_twice_700_pixels_wide_and_white_at_its_edges(found, tmp_path):
    assert_sound(lambda path: verdicts_plot.draw(found, path), tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        pixels = np.array(image.convert("L"))
    assert pixels.shape[1] == 1400
    assert all((edge == 255).all() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))


def test_each_seed_is_a_point_and_no_line_leaves_the_axes(found):
    accuracy, apart = figure_of(lambda path: verdicts_plot.draw(found, path)).axes
    points = sorted(x for line in accuracy.lines if line.get_marker() == "o" for x in line.get_xdata())
    assert points == pytest.approx([0.4, 0.6, 0.89, 0.9, 0.9, 0.91])
    low, high = apart.get_xlim()
    for lines in apart.collections[1:]:
        for segment in getattr(lines, "get_segments", list)():
            assert (segment[:, 0] >= low).all() and (segment[:, 0] <= high).all()
    words = [text.get_text() for text in apart.texts]
    assert words == ["inconclusive", "reproduced", "contradictory *"]
