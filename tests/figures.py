"""What every figure is held to, and a look into one. draw: a function that writes a figure to a path."""

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from matplotlib.figure import Figure


def figure_of(draw):
    """The figure that is written."""
    with (
        TemporaryDirectory() as folder,
        patch.object(Figure, "savefig", autospec=True, side_effect=Figure.savefig) as save,
    ):
        draw(Path(folder, "figure.png"))
    return save.call_args.args[0]


def assert_sound(draw, path):
    """The same bytes each time; nothing is cut off, or under the legend."""
    draw(path)
    first = path.read_bytes()
    draw(path)
    assert path.read_bytes() == first
    figure = figure_of(draw)
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    assert min(box.x0, box.y0) >= -0.01
    assert (box.max <= figure.get_size_inches() + 0.01).all()
    for legend in figure.legends:
        assert not any(legend.get_window_extent().overlaps(axes.get_tightbbox()) for axes in figure.axes)
