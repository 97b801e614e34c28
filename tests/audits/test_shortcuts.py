"""The shortcut probe: a planted shortcut is seen; where there is none, the interval contains chance."""

import hashlib
import io
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from figures import assert_sound
from rontgen.audits import shortcuts
from rontgen.audits.near_duplicates import Fingerprints
from rontgen.core.errors import RontgenError
from rontgen.reporting import audit_plots

pytestmark = pytest.mark.slow

CLASSES = ["NORMAL", "PNEUMONIA"]


def prints(classes, *, width=None, colour=0.0, patients=None, thumbnails=None, seed=0):
    """Images of noise, of random sizes, each of another patient, except for what is given."""
    random, count = np.random.default_rng(seed), len(classes)
    images = pd.DataFrame(
        {
            "class": classes,
            "patient": [f"p{n}" for n in range(count)] if patients is None else patients,
            "sha256": [str(n) for n in range(count)],
            "near": range(count),
            "width": random.integers(200, 300, count) if width is None else width,
            "height": random.integers(200, 300, count),
            "bytes": random.integers(9000, 20000, count),
            "colour": colour,
        }
    )
    noise = random.integers(0, 256, (count, 80, 80), dtype=np.uint8)
    return Fingerprints(images, noise if thumbnails is None else thumbnails, images.head(0))


def alternating(count, classes=CLASSES):
    return [classes[place % len(classes)] for place in range(count)]


def probes(prints, classes=CLASSES):
    return shortcuts.probe(prints, classes)["probes"]


def assert_chance(result):
    """The interval contains 0.5, give or take what cross-validation without a signal does to it."""
    assert result["low"] < result["roc_auc"] < result["high"]
    assert result["low"] - 0.05 < 0.5 < result["high"] + 0.05


def test_a_size_that_gives_the_class_away_is_seen():
    random = np.random.default_rng(1)
    width = np.where(np.arange(200) % 2, 300, 200) + random.integers(0, 40, 200)
    found = probes(prints(alternating(200), width=width))
    assert found["width"]["roc_auc"] > 0.99
    assert found["size"]["roc_auc"] > 0.99
    assert found["size"]["accuracy"] > 0.95
    assert found["size"]["majority_accuracy"] == 0.5


def test_a_tinted_class_is_seen():
    tinted = np.where(np.arange(200) % 2, 3.0, 0.0)
    assert probes(prints(alternating(200), colour=tinted))["colour"]["roc_auc"] == 1.0


def test_full_size_images_in_two_folders_are_probed_and_their_zip_and_sizes_are_told(tmp_path):
    path, random = tmp_path / "originals.zip", np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for name, width in (("NORMAL/IM-{:04}-0001", 240), ("PNEUMONIA/person{}_virus_1", 160), ("MASKS/person{}", 90)):
            for number in range(12):
                content = io.BytesIO()
                Image.fromarray(random.integers(0, 256, (100, width), np.uint8)).save(content, "JPEG")
                archive.writestr(f"{name.format(number)}.jpeg", content.getvalue())
    found = shortcuts.probe_originals(path)
    assert found["images"] == 24
    assert found["probes"]["width"]["roc_auc"] == 1.0
    assert found["probes"]["height"]["roc_auc"] == 0.5
    assert found["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    sizes = [(found["medians"][name]["width"], found["medians"][name]["height"]) for name in CLASSES]
    assert sizes == [(240, 100), (160, 100)]


def test_a_zip_without_the_two_folders_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "originals.zip", "w") as archive:
        archive.writestr("other/a.jpeg", b"")
    with pytest.raises(RontgenError, match="expected images in folders NORMAL and PNEUMONIA, received none"):
        shortcuts.probe_originals(tmp_path / "originals.zip")


def test_without_a_signal_every_interval_holds_chance():
    found = probes(prints(alternating(200)))
    assert list(found) == ["size", "width", "height", "bytes", "colour", "border", "thumbnail"]
    same = found.pop("colour")  # in every image
    assert same["roc_auc"] == same["low"] == same["high"] == 0.5
    assert same["accuracy"] == same["majority_accuracy"] == 0.5
    for result in found.values():
        assert_chance(result)


def test_the_size_is_width_height_their_ratio_and_the_bytes():
    data = prints(alternating(3), width=np.array([200, 300, 400]))
    height, size = data.images["height"], data.images["bytes"]
    width, ratio = data.images["width"], data.images["width"] / height
    np.testing.assert_array_equal(shortcuts.features(data)["size"], np.stack([width, height, ratio, size], axis=1))


@pytest.mark.parametrize(("place", "seen"), [(slice(0, 8), True), (slice(8, 72), False)])
def test_the_border_is_the_outer_tenth_alone(place, seen):
    thumbnails = np.random.default_rng(2).integers(0, 200, (160, 80, 80), dtype=np.uint8)
    thumbnails[1::2, place, place] += 50
    found = probes(prints(alternating(160), thumbnails=thumbnails))
    assert (found["border"]["roc_auc"] > 0.95) == seen
    assert found["thumbnail"]["roc_auc"] > 0.95


def test_patients_are_not_recognised():
    # five similar images of each patient; the patients of a class have nothing in common
    random = np.random.default_rng(3)
    patient = np.repeat(np.arange(40), 5)
    classes = np.array(CLASSES)[patient % 2]
    faces = random.integers(0, 236, (40, 80, 80), dtype=np.uint8)
    thumbnails = faces[patient] + random.integers(0, 20, (200, 80, 80), dtype=np.uint8)
    assert_chance(probes(prints(classes, thumbnails=thumbnails, patients=patient.astype(str)))["thumbnail"])
    unknown = prints(classes, thumbnails=thumbnails)
    assert probes(unknown)["thumbnail"]["roc_auc"] > 0.95


def test_the_interval_is_by_patient():
    width, classes = np.random.default_rng(4).integers(200, 300, 60), alternating(60)
    alone = probes(prints(classes, width=width))["width"]
    classes, width, patients = (np.repeat(values, 4) for values in (classes, width, np.arange(60).astype(str)))
    together = probes(prints(classes, width=width, patients=patients))["width"]
    assert together["high"] - together["low"] > 0.8 * (alone["high"] - alone["low"])


def test_of_several_classes_the_mean_against_the_rest_is_given():
    classes = ["NORMAL", "PNEUMONIA", "PNEUMOTHORAX"]
    width = 200 + 50 * (np.arange(150) % 3 == 0) + np.random.default_rng(5).integers(0, 10, 150)
    found = probes(prints(alternating(150, classes), width=width), classes)
    # 1 for the first class; 0.75 for the others, each distinguished from one of its two rivals
    assert found["width"]["roc_auc"] == pytest.approx((1 + 0.75 + 0.75) / 3, abs=0.04)
    assert found["width"]["majority_accuracy"] == round(1 / 3, 4)


def test_too_few_patients_of_a_class_are_refused():
    classes = ["NORMAL"] * 30 + ["PNEUMONIA"] * 10
    patients = [f"p{n}" for n in range(30)] + ["q0", "q1", "q2", "q3"] * 2 + ["q0", "q1"]
    with pytest.raises(RontgenError, match=r"PNEUMONIA: expected images of 5 patients or more .* received 4"):
        shortcuts.probe(prints(classes, patients=patients), CLASSES)


def test_the_folds_are_made_once_for_all_probes(monkeypatch):
    made, split = [], shortcuts.StratifiedGroupKFold.split
    monkeypatch.setattr(shortcuts.StratifiedGroupKFold, "split", lambda *given: made.append(1) or split(*given))
    assert len(probes(prints(alternating(40)))) == 7
    assert len(made) == 1


def test_the_same_images_give_the_same_numbers_and_a_sound_figure(tmp_path):
    data = prints(alternating(80))
    first, second = shortcuts.probe(data, CLASSES), shortcuts.probe(data, CLASSES)
    assert first == second
    assert first["images"] == 80
    path = tmp_path / "figure.png"
    assert_sound(lambda path: audit_plots.shortcuts(first["probes"], data.images, "pneumonia", path), path)
