"""The drawn archives: the layouts of the Kaggle archives, and the same bytes from the same seed.

The copies that are planted in them are found by tests/audits/test_leakage.py, their patients by test_patients.py.
"""

import io
import re
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rontgen.core.errors import RontgenError
from rontgen.data import layouts
from rontgen.data.archives import Archive
from rontgen.data.demo import archives as synthetic
from rontgen.data.layouts import chest_xray_patient

SIZE = 32
IMAGES = "chest_xray/(train|val|test)/(NORMAL|PNEUMONIA)/"


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> dict[str, dict[str, bytes]]:
    """{layout: {member: bytes}} of one archive of each layout."""
    folder = tmp_path_factory.mktemp("archives")
    return {layout: written(layout, folder / f"{layout}.zip") for layout in synthetic.IMAGES}


def written(layout: str, path: Path, seed: int = 7) -> dict[str, bytes]:
    synthetic.write_archive(layout, path, SIZE, seed)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def image(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


@pytest.fixture
def chest(archives) -> dict[str, bytes]:
    """The images of chest_xray, without those of its nested copy."""
    return of_class(archives["chest_xray"], IMAGES + r"[^/]+\.jpeg")


def of_class(members: dict[str, bytes], pattern: str) -> dict[str, bytes]:
    return {name: content for name, content in members.items() if re.fullmatch(pattern, name)}


IMAGES_FOUND = {
    "chest_xray": {"NORMAL": 278, "PNEUMONIA": 428},
    "covid_radiography": {"COVID": 260, "Lung_Opacity": 20, "Normal": 270, "Viral Pneumonia": 12},
    "tb_radiography": {"Normal": 60, "Tuberculosis": 260},
    "siim_pneumothorax": {"positive": 260, "negative": 52},
}
LEFT_OUT = {
    "chest_xray": {"nested copies": 706},
    "covid_radiography": {"masks": 562, "not an image of a class": 1},
    "tb_radiography": {"not an image of a class": 1},
    "siim_pneumothorax": {"masks": 312, "not an image of a class": 2},
}


@pytest.mark.parametrize("layout", synthetic.IMAGES)
def test_an_archive_is_read_as_the_original_is(archives, write_zip, layout):
    with Archive(write_zip(archives[layout])) as archive:
        listing = layouts.read(layout, archive)
        assert len(archive.left_out) == (712 if layout == "chest_xray" else 0)  # the files that macOS adds
    assert Counter(found.label for found in listing.images) == IMAGES_FOUND[layout]
    assert listing.left_out == LEFT_OUT[layout]
    assert all(found.patient for found in listing.images) == (layout == "chest_xray")
    if layout in ("chest_xray", "siim_pneumothorax"):
        assert Counter((found.folder, found.label) for found in listing.images) == synthetic.IMAGES[layout]


def test_chest_xray_has_a_stub_that_is_no_image_for_every_image(archives, chest):
    stubs = of_class(archives["chest_xray"], r"chest_xray/__MACOSX/chest_xray/.*/\._.*\.jpeg")
    assert {name.replace("__MACOSX/chest_xray/", "").replace("/._", "/") for name in stubs} == set(chest)
    with pytest.raises(OSError, match="cannot identify"):
        image(next(iter(stubs.values())))


@pytest.mark.parametrize("label", ["NORMAL", "PNEUMONIA"])
def test_chest_xray_has_several_images_of_many_patients_and_few_of_them_in_two_folders(chest, label):
    folders = {}
    for name in of_class(chest, f".*/{label}/.*"):
        _, folder, _, file = name.split("/")
        folders.setdefault(chest_xray_patient(file), []).append(folder)
    assert np.mean([len(images) > 1 for images in folders.values()]) > 0.3
    assert sum(len(set(images)) > 1 for images in folders.values()) == synthetic.STRADDLING


def test_chest_xray_images_are_wide_grayscale_jpegs_of_many_sizes(chest):
    images = [image(content) for content in chest.values()]
    assert {(picture.format, picture.mode) for picture in images} == {("JPEG", "L")}
    sizes = np.array([picture.size for picture in images])
    assert len(np.unique(sizes, axis=0)) > 50
    aspects = sizes[:, 0] / sizes[:, 1]
    assert 1.0 < aspects.min() < 1.2 < 1.4 < aspects.max() < 1.6
    assert abs(np.sqrt(sizes.prod(axis=1)).mean() - SIZE) < 1


def test_covid_radiography_has_a_mask_of_another_size_for_each_image(archives):
    members = archives["covid_radiography"]
    images, masks = (of_class(members, rf".*/{folder}/.*") for folder in ("images", "masks"))
    assert {name.replace("/images/", "/masks/") for name in images} == set(masks)
    assert {image(content).size for content in images.values()} == {(SIZE, SIZE)}
    assert {image(content).size for content in masks.values()} == {(27, 27)}


def test_covid_radiography_masks_show_the_darker_lungs(archives):
    members = archives["covid_radiography"]
    for name, content in of_class(members, r".*/Normal/images/Normal-\d\.png").items():
        pixels = np.asarray(image(content))
        lungs = np.asarray(image(members[name.replace("/images/", "/masks/")]).resize((SIZE, SIZE))) > 127
        assert pixels[lungs].mean() < pixels[~lungs].mean() - 20


def test_tb_radiography_has_square_rgb_images(archives):
    found = [image(content) for content in of_class(archives["tb_radiography"], r".*\.png").values()]
    assert {(picture.mode, picture.size) for picture in found} == {("RGB", (SIZE, SIZE))}


def test_siim_pneumothorax_is_not_sorted_by_label(archives):
    table = archives["siim_pneumothorax"]["siim-acr-pneumothorax/stage_1_train_images.csv"].decode()
    assert len(re.findall("0+", "".join(line[-1] for line in table.splitlines()[1:]))) > 10


def test_siim_pneumothorax_masks_are_empty_for_negatives_alone(archives):
    members = archives["siim_pneumothorax"]
    for name, content in of_class(members, r"siim-acr-pneumothorax/png_images/.*").items():
        mask = image(members[name.replace("png_images", "png_masks")])
        assert mask.size == image(content).size
        assert bool(np.asarray(mask).any()) == name.endswith("_1_.png")
        assert set(np.unique(mask)) <= {0, 255}


@pytest.mark.parametrize("layout", synthetic.IMAGES)
def test_the_same_seed_gives_the_same_bytes(layout, archives, tmp_path):
    again = written(layout, tmp_path / "again.zip")
    assert list(again.items()) == list(archives[layout].items())


def test_an_archive_does_not_tell_when_or_how_it_was_written(tmp_path):
    synthetic.write_archive("tb_radiography", tmp_path / "one.zip", SIZE, 7)
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {(info.create_system, info.external_attr) for info in archive.infolist()} == {(3, 0o100644 << 16)}


def test_another_seed_gives_other_images(archives, tmp_path):
    other = written("tb_radiography", tmp_path / "other.zip", seed=8)
    assert list(other) == list(archives["tb_radiography"])
    assert all(other[name] != archives["tb_radiography"][name] for name in other if name.endswith(".png"))


@pytest.mark.parametrize("layout", ["covid_radiography", "tb_radiography"])
def test_the_images_of_a_class_do_not_depend_on_the_others(layout, archives, tmp_path, monkeypatch):
    monkeypatch.setitem(synthetic.IMAGES, layout, {"Normal": 5})
    alone = of_class(written(layout, tmp_path / "alone.zip"), r".*/Normal/.*\.png")
    assert len(alone) == (10 if layout == "covid_radiography" else 5)
    assert alone.items() <= archives[layout].items()


def test_an_unknown_layout_is_refused_with_the_valid_ones(tmp_path):
    with pytest.raises(RontgenError, match=r"expected one of chest_xray, .*received 'dicom'"):
        synthetic.write_archive("dicom", tmp_path / "dicom.zip", SIZE, 7)
