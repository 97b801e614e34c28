"""The figure of a recorded run."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rontgen.reporting import record_plot

HISTORY = pd.DataFrame({"epoch": [1, 2, 3], "validation_accuracy": [0.6, 0.7, 0.8]})


def curve(name="PNEUMONIA", rate=0.8):
    return pd.DataFrame({"class": name, "false_positive_rate": [0.0, 0.2, 1.0], "true_positive_rate": [0.0, rate, 1.0]})


@pytest.mark.parametrize("count", [1, 4])
def test_the_same_records_make_the_same_bytes(tmp_path, count):
    readings = {
        f"reading_{number}": [(curve(rate=0.8), HISTORY), (curve(rate=0.6), HISTORY)] for number in range(count)
    }
    paths = [tmp_path / "one.png", tmp_path / "two.png"]
    for path in paths:
        record_plot.draw("run", readings, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with Image.open(paths[0]) as image:
        assert image.size == (1080, 585)


def test_another_seed_is_another_figure(tmp_path):
    record_plot.draw("run", {"protocol": [(curve(), HISTORY)]}, tmp_path / "one.png")
    record_plot.draw("run", {"protocol": [(curve(rate=0.5), HISTORY)]}, tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "two.png").read_bytes()


def test_several_classes_are_one_mean_curve(tmp_path):
    both = pd.concat([curve("COVID", 0.4), curve("NORMAL", 0.8)])
    record_plot.draw("run", {"protocol": [(both, HISTORY)]}, tmp_path / "mean.png")
    record_plot.draw("run", {"protocol": [(curve(rate=0.6), HISTORY)]}, tmp_path / "one.png")
    mean, one = (np.asarray(Image.open(tmp_path / f"{name}.png"), dtype=int) for name in ("mean", "one"))
    assert np.abs(mean[80:] - one[80:]).max() <= 2  # of 255: the mean is rounded
    assert (mean[:80] != one[:80]).any()  # its title says that it is a mean
