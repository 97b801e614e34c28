"""X-rays from elsewhere: films of archives that are at hand, and test images that a hospital altered."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from conftest import ROOT, copy_settings
from rontgen.core import params
from rontgen.core.io import write_json
from rontgen.core.runs import BY_HAND, load_image_set
from rontgen.data import arrays, by_hand, external

COVID = "tawsifurrahman--covid19-radiography-database.zip"
CHEST = "paultimothymooney--chest-xray-pneumonia.zip"


def picture(value=100, size=40, kind="PNG"):
    file = io.BytesIO()
    Image.new("L", (size, size), value).save(file, kind)
    return file.getvalue()


@pytest.fixture
def put(tmp_path, monkeypatch, write_zip):
    """Put archives by hand, {name: members}; the stage `inputs` lists them."""
    copy_settings(tmp_path)
    monkeypatch.chdir(tmp_path)

    def put(**files):
        for name, members in files.items():
            write_zip(members, BY_HAND / name)
        for path, listed in by_hand.lists(VALUES).items():
            write_json(listed, by_hand.LISTS / path)

    return put


VALUES = params.validate(params.changed(params.read(ROOT / "params.yaml"), {"profile": "paper"}))


def films(dataset, source="kaggle"):
    return external.films(VALUES.datasets[dataset], source)


def covid(count, label="Normal"):
    return {f"COVID-19_Radiography_Dataset/{label}/images/{label}-{n:04d}.png": picture(n % 250) for n in range(count)}


def test_the_films_of_the_named_labels_of_archives_at_hand_are_listed(put):
    put(**{COVID: covid(3) | covid(2, "COVID")})
    found = films("pneumonia")
    assert found["id"].tolist() == ["Normal-0000", "Normal-0001", "Normal-0002"]
    assert set(found["source"]) == {"covid_radiography"} and set(found["class"]) == {"NORMAL"}
    assert films("covid").empty  # for which it is no other archive


def test_a_damaged_archive_is_not_at_hand(put):
    put(**{COVID: covid(3)})
    (BY_HAND / COVID).write_bytes(b"no zip")
    put()
    assert films("pneumonia").empty


def test_of_many_films_some_are_taken_evenly(put, monkeypatch):
    monkeypatch.setattr(external, "MOST", 3)
    put(**{COVID: covid(9)})
    assert films("pneumonia")["id"].tolist() == ["Normal-0000", "Normal-0004", "Normal-0008"]


def test_full_size_files_are_listed_with_their_copies(put):
    names = {"NORMAL": "IM-0001-0001", "PNEUMONIA": "person1_virus_1"}
    copies = {f"chest_xray/train/{label}/{name}.jpeg": picture(kind="JPEG") for label, name in names.items()}
    copies |= {"chest_xray/train/NORMAL/IM-0002-0001.jpeg": picture(kind="JPEG")}
    large = {f"{label}/{name}.jpeg": picture(size=90, kind="JPEG") for label, name in names.items()}
    put(**{CHEST: copies, by_hand.ORIGINALS: large})
    found = films("pneumonia")
    rows = list(zip(found["source"], found["id"], found["class"], strict=True))
    assert rows == [(source, name, label) for source in ("originals", "copies") for label, name in names.items()]


def test_the_demo_asks_models_of_covid_for_the_children_of_its_miniature(put):
    put(**{COVID: covid(3)})
    found = films("covid", "demo")
    assert len(found) > 100 and set(found["class"]) == {"NORMAL"}
    assert films("pneumonia", "demo").empty


def test_every_test_image_is_perturbed_in_every_way_and_no_other_image():
    rows = [("a", "x.zip", "1.png", "NORMAL", "test"), ("b", "x.zip", "2.png", "NORMAL", "train")]
    manifest = pd.DataFrame(rows, columns=["id", "archive", "member", "class", "subset"])
    found = external.perturbed(manifest, Path("raw"))
    assert found["perturbation"].tolist() == list(external.PERTURBATIONS)
    assert set(found["id"]) == {"a"} and set(found["place"]) == {Path("raw/x.zip")}


def test_images_that_do_not_decode_are_left_out(put):
    put(**{COVID: covid(2) | {"COVID-19_Radiography_Dataset/Normal/images/Normal-0009.png": b"no picture"}})
    rows, images = external.decode(films("pneumonia"), 8)
    assert rows["id"].tolist() == ["Normal-0000", "Normal-0001"]
    assert images.shape == (2, 8, 8, 1) and images.mean(axis=(1, 2, 3)).tolist() == [0, 1]


def test_what_is_written_is_read(put):
    put(**{COVID: covid(2)})
    rows, images = external.decode(films("pneumonia"), 8)
    image_set = load_image_set("active")
    external.write(rows.assign(unfamiliar=[0, 1]), images, image_set.external)
    read, others = arrays.read_external(image_set)
    assert read["unfamiliar"].tolist() == [0, 1] and read["perturbation"].tolist() == ["", ""]
    np.testing.assert_array_equal(others, images)


def test_where_nothing_is_at_hand_there_are_no_images(put):
    put()
    rows, images = external.decode(films("pneumonia"), 8)
    assert rows.empty and images.shape == (0, 8, 8, 1)


def opened(name, data):
    return np.asarray(Image.open(io.BytesIO(external.PERTURBATIONS[name](data)))).astype(int)


def test_exposure_makes_grays_brighter_and_leaves_black_and_white():
    for before, after in ((0, 0), (64, round(255 * (64 / 255) ** 0.7)), (255, 255)):
        assert set(np.unique(opened("exposure", picture(before)))) == {after}


def test_rotation_turns_about_the_middle_and_leaves_the_corners_black():
    image = opened("rotation", picture(200, 100))
    assert image[50, 50] == 200 and image[0, 0] == image[-1, -1] == 0
    assert image[50, 1] == 200  # 5 degrees move the end of the middle row by 4 pixels of 100


def test_a_marker_is_white_and_in_one_corner():
    changed = opened("marker", picture(0, 200)) > 0
    rows, columns = np.nonzero(changed)
    assert changed.any() and rows.max() < 50 and columns.max() < 50
    assert opened("marker", picture(0, 200)).max() == 255


def test_jpeg_at_quality_30_loses_a_little():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    with Image.open(io.BytesIO(external.PERTURBATIONS["jpeg_30"](file.getvalue()))) as image:
        assert image.format == "JPEG"
    assert 5 < np.abs(opened("jpeg_30", file.getvalue()) - noise).mean() < 60
