"""The out-of-distribution check: new X-rays pass; whatever is not an upright X-ray, or is in colour, does not."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from rontgen.core.errors import RontgenError
from rontgen.data import decoding
from rontgen.data.demo import phantom
from rontgen.evaluation.proportions import exact_interval
from rontgen.serving import ood, ood_probes

SIZE = 32
KINDS = [*ood_probes.NO_XRAY, "upside_down", "turned", "negative", "shuffled"]


def phantoms(first, count, size=SIZE):
    """Drawn X-rays, each of another patient, healthy and ill in turn: uint8 (count, size, size, 1)."""

    def drawn(n):
        label = ("normal", "pneumonia")[n % 2]
        return phantom.draw(label, np.random.default_rng(n), np.random.default_rng([n, 1]), size, size).image

    return np.stack([drawn(n) for n in range(first, first + count)])[..., None]


@pytest.fixture(scope="module")
def xrays():
    return {"train": phantoms(0, 200), "validation": phantoms(200, 100), "test": phantoms(300, 150)}


@pytest.fixture(scope="module")
def reference(xrays):
    return ood.fit(xrays["train"], xrays["validation"])


@pytest.fixture(scope="module")
def others(xrays):
    return ood_probes.draw(SIZE, xrays["test"])


def stacked(images):
    return np.stack([np.asarray(image) for image in images])[..., None]


def encode(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_new_xrays_are_familiar(reference, xrays):
    assert reference.flags(xrays["test"]).mean() < 0.04


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_upright_xray_is_out_of_distribution(reference, others, kind):
    assert reference.flags(others[kind]).mean() > 0.95


def test_an_xray_is_told_upside_down_though_its_distance_is_an_ordinary_one():
    # half of the picture alike, half noise: upside-down ones are no farther from the mean than strange ones are
    def halves(seed, count):
        random = np.random.default_rng(seed)
        ramp = np.linspace(-1, 1, SIZE)[:, None] * random.uniform(0.2, 2, (count, 1, 1))
        return np.clip(128 + 30 * (ramp + random.normal(size=(count, SIZE, SIZE))), 0, 255).astype(np.uint8)[..., None]

    reference, new = ood.fit(halves(0, 200), halves(1, 200)), halves(2, 200)
    assert reference.flags(new).mean() < 0.04
    assert reference.flags(new[new.mean(axis=(2, 3))[:, -4:].mean(axis=1) > 150][:, ::-1]).all()


def test_neither_brightness_nor_contrast_alters_a_score(reference, xrays):
    dim = xrays["test"] // 2  # dim * 2 is even, so that dim is exactly its half
    scores = reference.score(dim * 2)
    np.testing.assert_allclose(reference.score(dim), scores, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(reference.score(dim + 100), scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [16, 160])
def test_a_picture_of_another_size_scores_about_the_same(reference, xrays, size):
    pictures = xrays["test"][:40]
    resized = [Image.fromarray(picture[..., 0]).resize((size, size), Image.Resampling.BOX) for picture in pictures]
    assert np.corrcoef(reference.score(stacked(resized)), reference.score(pictures))[0, 1] > 0.95
    assert reference.flags(stacked(resized)).mean() < 0.1


@pytest.mark.parametrize("level", [0, 255])
def test_a_flat_picture_is_out_of_distribution(reference, level):
    speck = np.full((2, SIZE, SIZE, 1), level, dtype=np.uint8)
    speck[1, 3, 3] ^= 1
    assert (reference.score(speck) == np.inf).all()


def test_the_dictionary_is_small_json_that_gives_the_same_scores(reference, xrays):
    text = json.dumps(reference.to_dict(), allow_nan=False)
    assert len(text) < 100_000
    again = ood.Reference.from_dict(json.loads(text))
    np.testing.assert_array_equal(again.score(xrays["test"]), reference.score(xrays["test"]))
    assert json.dumps(again.to_dict()) == text


def test_the_same_images_give_the_same_bytes(reference, xrays, others):
    assert ood.fit(xrays["train"], xrays["validation"]).to_dict() == reference.to_dict()
    for kind, pictures in ood_probes.draw(SIZE, xrays["test"]).items():
        np.testing.assert_array_equal(pictures, others[kind])


def test_an_xray_moved_a_little_is_familiar_too(reference, xrays):
    turned = [Image.fromarray(xray[..., 0]).rotate(5, Image.Resampling.BILINEAR) for xray in xrays["test"]]
    framed = np.pad(xrays["test"], ((0, 0), (1, 1), (1, 1), (0, 0)))
    for moved in (stacked(turned), framed):
        assert reference.flags(moved).mean() < 0.1


def test_black_images_of_unreadable_files_change_nothing(reference, xrays):
    black = np.zeros((5, SIZE, SIZE, 1), dtype=np.uint8)
    with_black = (np.concatenate([xrays[name], black]) for name in ("train", "validation"))
    assert ood.fit(*with_black).to_dict() == reference.to_dict()


@pytest.mark.parametrize("share", [0.01, 0.019, 0.3])
def test_the_share_of_false_alarms_asked_for_is_that_of_the_validation_images(xrays, share):
    strict = ood.fit(xrays["train"], xrays["validation"], share)
    assert strict.flags(xrays["validation"]).sum() == int(101 * share)


def test_a_tiny_demo_works_and_its_few_validation_images_do_not_make_the_threshold_strict(xrays, others):
    tiny = ood.fit(xrays["train"][:60], xrays["validation"][:20])
    assert tiny.pca.components_.shape == (12, ood.GRID**2)
    assert tiny.threshold >= ood.FEW
    assert not tiny.flags(xrays["validation"][:20]).any()
    assert tiny.flags(xrays["test"]).mean() < 0.1
    for kind in ood_probes.NO_XRAY:
        assert tiny.flags(others[kind]).mean() > 0.9


def test_images_that_are_all_alike_are_familiar_and_noise_is_not(xrays, others):
    alike = np.repeat(xrays["train"][:1], 30, axis=0)
    reference = ood.fit(alike, alike)
    assert not reference.flags(alike).any()
    assert reference.flags(others["noise"]).all()


@pytest.mark.parametrize("few", ["training", "validation"])
def test_too_few_images_are_refused_in_one_line(xrays, few):
    given = {"training": xrays["train"][:10], "validation": xrays["validation"][:10]}
    ood.fit(*given.values())
    given[few] = np.concatenate([given[few][:9], np.zeros_like(given[few][:1])])
    with pytest.raises(
        RontgenError, match=rf"^expected 10 {few} images or more[^\n]*received 9: add an archive[^\n]*$"
    ):
        ood.fit(*given.values())


def test_every_kind_of_other_picture_has_the_shape_asked_for_and_differs_within():
    size = 30  # four tiles do not fit it evenly
    pictures = ood_probes.draw(size, phantoms(0, 5, size))
    for kind, array in pictures.items():
        assert array.dtype == np.uint8
        assert array.shape == (ood_probes.EACH if kind in ood_probes.NO_XRAY else 5, size, size, 1)
        assert len(np.unique(array.reshape(len(array), -1), axis=0)) > 0.9 * len(array)


def test_the_other_xrays_are_the_given_ones_changed(xrays):
    made = ood_probes.draw(SIZE, xrays["test"][:2])
    for place, xray in enumerate(xrays["test"][:2]):
        np.testing.assert_array_equal(made["upside_down"][place], np.flipud(xray))
        np.testing.assert_array_equal(made["turned"][place], np.rot90(xray, (1, 3)[place]))
        np.testing.assert_array_equal(made["negative"][place], 255 - xray)
        np.testing.assert_array_equal(np.sort(made["shuffled"][place], axis=None), np.sort(xray, axis=None))
        assert (made["shuffled"][place] != xray).any()


@pytest.mark.slow
def test_measure_counts(reference, xrays, others):
    # the median score of upside-down ones as threshold: half of them are caught, but the overall figure leaves them out
    middle = replace(reference, threshold=float(np.median(reference.score(others["upside_down"]))))
    result = ood_probes.measure(middle, xrays["test"], SIZE)
    json.dumps(result, allow_nan=False)
    wrong = np.count_nonzero(middle.flags(xrays["test"]))
    low, high = (round(bound, 4) for bound in exact_interval(wrong, 150))
    assert result["false_alarm"] == {"value": round(wrong / 150, 4), "low": low, "high": high, "images": 150}
    assert list(result["caught"]) == KINDS
    assert result["caught"]["upside_down"]["value"] == 0.5
    assert {share["images"] for share in result["caught"].values()} == {60}
    assert result["no_xray"]["images"] == 300
    everything = np.concatenate([middle.flags(others[kind]) for kind in ood_probes.NO_XRAY])
    assert result["no_xray"]["value"] == round(everything.mean(), 4)


def test_a_gray_picture_has_no_colour_whatever_its_mode(xrays):
    gray = Image.fromarray(xrays["test"][0, ..., 0])
    wide = Image.fromarray(xrays["test"][0, ..., 0].astype(np.uint16) * 257)
    for image in (gray, wide, *(gray.convert(mode) for mode in ("1", "LA", "RGB", "RGBA", "P"))):
        assert decoding.colourfulness(encode(image)) == 0
    for image in (gray, wide):
        assert decoding.colourfulness(encode(image, transparency=0)) == 0
    assert decoding.colourfulness(encode(gray.convert("RGB"), "JPEG")) < 1
    assert decoding.colourfulness(encode(gray.convert("CMYK"), "JPEG")) < 1


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGBA"), ("PNG", "P"), ("JPEG", "RGB")])
def test_a_colour_photograph_is_colourful(kind, mode):
    for photograph in load_sample_images().images:
        value = decoding.colourfulness(encode(Image.fromarray(photograph).convert(mode), kind))
        assert value > ood.COLOUR
        assert value == pytest.approx(np.ptp(photograph.astype(int), axis=2).mean(), rel=0.2)


def test_a_coloured_marker_on_an_xray_passes_and_a_tint_does_not():
    marked = Image.fromarray(phantoms(0, 1, 200)[0, ..., 0]).convert("RGB")
    marked.paste((255, 0, 0), (10, 10, 50, 40))  # 3% of the area
    assert decoding.colourfulness(encode(marked)) == pytest.approx(255 * 0.03, rel=0.05)
    assert 255 * 0.03 < ood.COLOUR < 30
    assert decoding.colourfulness(encode(Image.new("RGB", (80, 80), (100, 90, 70)))) == 30


def test_colour_that_is_transparent_does_not_count():
    image = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    image.paste((0, 255, 0, 255), (0, 0, 16, 64))
    assert decoding.colourfulness(encode(image)) == 255 / 4
