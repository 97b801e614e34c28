"""The out-of-distribution check across image sets, on made-up arrays."""

import numpy as np
import pandas as pd
import pytest

from rontgen.core import runs
from rontgen.data import arrays
from rontgen.data.demo import phantom
from rontgen.serving import ood_archives

pytestmark = pytest.mark.slow

IMAGE_SETS = ["jitet_224", "covid_hybrid_224", "lungcare_240"]


@pytest.fixture
def found(monkeypatch):
    """Three image sets: X-rays of children and of lungs; of covid, only negatives, twice as large."""
    normal = [phantom.draw("normal", *np.random.default_rng([7, number]).spawn(2), 64, 64) for number in range(90)]
    chests = np.stack([drawn.image for drawn in normal])[..., None]

    def images(image_set):
        is_covid = image_set.split.dataset_name == "covid"
        return 255 - chests.repeat(2, 1).repeat(2, 2) if is_covid else chests

    def manifest(image_set):
        subset = np.repeat(["train", "validation", "test"], 30)
        return pd.DataFrame({"subset": subset, "class": np.resize(list(image_set.split.dataset.classes), 90)})

    monkeypatch.setattr(arrays, "read_images", images)
    monkeypatch.setattr(arrays, "read_manifest", manifest)
    return ood_archives.measure(IMAGE_SETS)


def test_each_image_set_is_measured_on_its_own_test_images(found):
    assert list(found) == IMAGE_SETS
    assert [measured["dataset"] for measured in found.values()] == ["pneumonia", "covid", "lungs"]
    assert all(measured["false_alarm"]["images"] == 30 for measured in found.values())
    assert found["jitet_224"]["size"] == runs.load_image_set("jitet_224").size


def test_other_datasets_are_resized_and_measured_by_class(found):
    covid = found["jitet_224"]["others"]["covid"]
    assert covid["COVID"]["images"] + covid["NORMAL"]["images"] == 30
    assert covid["COVID"]["value"] == 1  # negatives


def test_classes_of_an_archive_that_was_seen_are_left_out(found):
    assert set(found["jitet_224"]["others"]["lungs"]) == {"PNEUMOTHORAX", "TUBERCULOSIS"}
    assert set(found["lungcare_240"]["others"]) == {"covid"}
    assert set(found["covid_hybrid_224"]["others"]) == {"pneumonia", "lungs"}
