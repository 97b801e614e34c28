"""Fingerprints: every kind of copy is found, different radiographs never match, and nothing is lost on the way."""

import io
from hashlib import sha256

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from rontgen.audits import near_duplicates
from rontgen.core.errors import RontgenError
from rontgen.data.demo import phantom
from rontgen.data.layouts import chest_xray_patient

SIDE = 128
DRAWN = 24


def picture(patient, exposure=0, width=SIDE):
    rng = np.random.default_rng
    return phantom.draw("pneumonia", rng(patient), rng(1000 * patient + exposure), SIDE, width).image


def encode(pixels, form="PNG", **options):
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, form, **options)
    return file.getvalue()


def resized(pixels, width, height):
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def tone(pixels, gain, offset=0.0):
    return np.clip(pixels * gain + offset, 0, 255).astype(np.uint8)


# Three pixels of 128 in all: a little over 2%
CROP = slice(1, -2)
VARIANTS = {
    "compressed": lambda pixels: encode(pixels, "JPEG", quality=50),
    "smaller": lambda pixels: encode(resized(pixels, 96, 96), "JPEG", quality=90),
    "larger": lambda pixels: encode(resized(pixels, 192, 192), "JPEG", quality=90),
    "squeezed": lambda pixels: encode(resized(pixels, 299, 220)),
    "brighter": lambda pixels: encode(tone(pixels, 1.1)),
    "darker": lambda pixels: encode(tone(pixels, 0.9)),
    "more contrast": lambda pixels: encode(tone(pixels, 1.1, -12.8)),
    "less contrast": lambda pixels: encode(tone(pixels, 0.9, 12.8)),
    "16 bits": lambda pixels: encode(pixels.astype(np.uint16) * 257),
    "cropped": lambda pixels: encode(pixels[CROP, CROP], "JPEG", quality=90),
}


def marked(pixels):
    copy = pixels.copy()
    copy[4:13, 4:13] = 255
    return copy


# What docs/evidence.md says that the rule does not find
MISSED = {
    "equalised": lambda pixels: np.asarray(ImageOps.equalize(Image.fromarray(pixels))),
    "gamma of 2": lambda pixels: (255 * (pixels / 255) ** 2).astype(np.uint8),
    "shifted": lambda pixels: np.pad(pixels, ((3, 0), (3, 0)))[:-3, :-3],
    "marked": marked,
    "mirrored": np.fliplr,
    "turned": lambda pixels: np.asarray(Image.fromarray(pixels).rotate(5)),
    "inverted": lambda pixels: 255 - pixels,
}


@pytest.fixture(scope="module")
def drawn():
    """Radiographs of DRAWN patients, PNG."""
    return {f"person{patient}_bacteria_1.png": encode(picture(patient)) for patient in range(DRAWN)}


@pytest.fixture
def fingerprint(write_zip, tmp_path):
    """The fingerprints of {member: bytes}, in that order."""

    def fingerprint(members, max_unreadable=0):
        path = write_zip(members)
        images = pd.DataFrame({"archive": path.name, "member": list(members), "class": "PNEUMONIA", "folder": ""})
        images["patient"] = [chest_xray_patient(member) for member in members]
        images["sha256"] = [sha256(content).hexdigest() for content in members.values()]
        return near_duplicates.fingerprint(images, tmp_path, max_unreadable)

    return fingerprint


def near(prints):
    table = near_duplicates.find_near(prints.images, prints.thumbnails)
    return set(zip(table["first"], table["second"], strict=True))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_copy_made_again_is_near_its_original_and_no_other(variant, drawn, fingerprint):
    copies = {f"copy-{patient}.png": VARIANTS[variant](picture(patient)) for patient in (3, 11, 17)}
    prints = fingerprint(drawn | copies)
    assert near(prints) == {(3, DRAWN), (11, DRAWN + 1), (17, DRAWN + 2)}
    clusters = prints.images["near"]
    assert clusters[3] == clusters[DRAWN]
    assert clusters.nunique() == DRAWN


@pytest.mark.parametrize("change", MISSED)
def test_a_copy_that_is_changed_in_these_ways_is_not_found(change, fingerprint):
    pictures = [picture(patient) for patient in (3, 11, 17)]
    changed = [MISSED[change](pixels) for pixels in pictures]
    assert near(fingerprint({f"{n}.png": encode(pixels) for n, pixels in enumerate(pictures + changed)})) == set()


def test_another_exposure_of_the_same_patient_is_no_copy(fingerprint):
    exposures = {f"{patient}-{n}.png": encode(picture(patient, n)) for patient in range(6) for n in range(4)}
    assert near(fingerprint(exposures)) == set()


def test_the_hash_alone_does_not_make_a_copy(drawn, fingerprint):
    prints = fingerprint(drawn)
    prints.images["perceptual_hash"] = prints.images["perceptual_hash"][0]
    assert near(prints) == set()


# Where in the original each pixel of the copy comes from, in Pillow's form: one to two of 128 pixels off at the edge
AFFINE = {
    "shifted across": (1, 0, 1, 0, 1, 0),
    "shifted down": (1, 0, 0, 0, 1, 1),
    "stretched across": (0.97, 0, 1.92, 0, 1, 0),
    "stretched down": (1, 0, 0, 0, 0.97, 1.92),
    "sheared across": (1, 0.035, -2.24, 0, 1, 0),
    "sheared down": (1, 0, 0, 0.035, 1, -2.24),
}


@pytest.mark.parametrize("move", AFFINE)
def test_the_detail_is_compared_after_a_small_move(move):
    original = Image.fromarray(picture(2))
    moved = original.transform(original.size, Image.Transform.AFFINE, AFFINE[move], Image.Resampling.BICUBIC)
    thumbnails = [image.resize((80, 80), Image.Resampling.BILINEAR) for image in (original, moved)]
    images = pd.DataFrame({"sha256": ["a", "b"], "perceptual_hash": "0f" * 32})
    assert len(near_duplicates.find_near(images, np.stack(thumbnails))) == 1


def test_the_detail_alone_does_not_make_a_copy(drawn, fingerprint):
    prints = fingerprint({"a.png": drawn["person0_bacteria_1.png"], "b.png": encode(tone(picture(0), 1.1))})
    assert near(prints) == {(0, 1)}
    # 256 bits apart: more than a byte can count
    opposite = str.maketrans("0123456789abcdef", "fedcba9876543210")
    prints.images.loc[1, "perceptual_hash"] = prints.images["perceptual_hash"][0].translate(opposite)
    assert near(prints) == set()


def test_images_without_detail_are_no_copies_of_each_other(fingerprint):
    flat = {f"{shade}.png": encode(np.full((32, 32), shade, np.uint8)) for shade in (0, 1, 255)}
    assert near(fingerprint(flat)) == set()


def test_hashes_are_near_up_to_36_bits(monkeypatch):
    monkeypatch.setattr(near_duplicates, "MIN_AGREEMENT", 0)
    hashes = [f"{(1 << bits) - 1:064x}" for bits in (0, 36, 73)]
    images = pd.DataFrame({"sha256": ["a", "b", "c"], "perceptual_hash": hashes})
    found = near_duplicates.find_near(images, np.zeros((3, 80, 80), np.uint8))
    assert found[["first", "second", "distance"]].to_numpy().tolist() == [[0, 1, 36]]


def test_details_are_compared_whatever_the_chunks(drawn, fingerprint, monkeypatch):
    copies = {f"copy-{patient}.png": encode(tone(picture(patient), 1.1)) for patient in range(DRAWN)}
    prints = fingerprint(drawn | copies)
    monkeypatch.setattr(near_duplicates, "_CHUNK", 3)
    assert near(prints) == {(patient, DRAWN + patient) for patient in range(DRAWN)}


def test_a_pair_is_the_same_in_either_order(drawn, fingerprint):
    members = {"a.png": encode(picture(5)), "b.png": VARIANTS["cropped"](picture(5))}
    either = fingerprint(members), fingerprint(dict(reversed(members.items())))
    tables = [near_duplicates.find_near(prints.images, prints.thumbnails) for prints in either]
    pd.testing.assert_frame_equal(*tables)


def test_of_equal_bytes_the_first_stands_for_all(fingerprint):
    one, other = encode(picture(1)), encode(tone(picture(1), 1.1))
    prints = fingerprint({"a.png": one, "b.png": other, "c.png": one, "d.png": encode(picture(2)), "e.png": one})
    assert near(prints) == {(0, 1)}
    exact = near_duplicates.find_exact(prints.images)
    assert exact[["first", "second"]].to_numpy().tolist() == [[0, 2], [0, 4]]
    assert prints.images["near"].tolist() == [0, 0, 0, 1, 0]


def test_facts_of_the_file_are_kept(fingerprint):
    content = encode(picture(1, width=160), "JPEG", quality=80)
    image = fingerprint({"a.jpeg": content}).images.iloc[0]
    assert (image["width"], image["height"], image["bytes"]) == (160, SIDE, len(content))


def test_an_image_that_does_not_decode_is_left_out_and_listed_where_that_is_allowed(fingerprint):
    prints = fingerprint({"a.png": b"no picture", "b.png": encode(picture(1))}, max_unreadable=1)
    assert prints.images["member"].tolist() == ["b.png"]
    assert prints.thumbnails.shape == (1, 80, 80)
    assert prints.unreadable["member"].tolist() == ["a.png"]
    assert "something else" in prints.unreadable["reason"].iloc[0]


def test_a_dataset_of_which_nothing_decodes_is_refused(fingerprint):
    with pytest.raises(RontgenError, match="at most 0 unreadable images, received 1"):
        fingerprint({"a.png": b"no picture"}, max_unreadable=5)


def test_what_is_written_is_read(fingerprint, tmp_path, monkeypatch):
    members = {"a.png": b"no picture", "NORMAL2-IM-1-1.png": encode(picture(1)), "c.png": encode(picture(2))}
    written = fingerprint(members, max_unreadable=1)
    monkeypatch.chdir(tmp_path)
    near_duplicates.write(written, tmp_path / "data/near_duplicates/pneumonia")
    read = near_duplicates.read("pneumonia")
    pd.testing.assert_frame_equal(read.images, written.images, check_dtype=False)
    assert read.images["patient"].tolist() == ["NORMAL2-IM-1", ""]
    np.testing.assert_array_equal(read.thumbnails, written.thumbnails)
    assert read.unreadable["member"].tolist() == ["a.png"]


def test_missing_fingerprints_name_the_stage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RontgenError, match="run `dvc repro near_duplicates@covid` first"):
        near_duplicates.read("covid")


def test_images_of_a_patient_and_their_copies_are_one_group():
    images = pd.DataFrame({"patient": ["p", "p", "q", "", "", "", "r"], "near": [0, 1, 1, 2, 2, 3, 4]})
    assert near_duplicates.groups(images).tolist() == [0, 0, 0, 1, 1, 2, 3]


def test_a_source_follows_the_profile(change_params):
    change_params({"profile": "paper", "profiles.paper.preprocess.max_unreadable": 5})
    source = near_duplicates.load_source("lungs")
    assert (source.check_counts, source.max_unreadable) == (True, 5)
    change_params({"profile": "demo"})
    assert not near_duplicates.load_source("lungs").check_counts
