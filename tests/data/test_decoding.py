import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFile

from rontgen.core.errors import RontgenError
from rontgen.data import decoding
from rontgen.data.decoding import decode, decode_all

SIZE = 16
RAMP = np.add.outer(np.arange(SIZE) * 4, np.arange(SIZE) * 10).astype(np.uint8)  # no symmetry, from 0 to 210
BRIGHT = RAMP > 100
TURNED = Image.Exif()
TURNED[0x0112] = 6  # orientation: turn by 90 degrees clockwise to see it upright


def encode(image, kind="PNG", **options):
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind, **options)
    return file.getvalue()


def flat(mode, color):
    return Image.new(mode, (SIZE, SIZE), color)


def sixteen_bits(value):
    return np.full((SIZE, SIZE), value, np.uint16)


def palette():
    image = Image.fromarray(BRIGHT.astype(np.uint8)).convert("P")
    image.putpalette([200, 200, 200, 10, 10, 10])
    return image


# ---------------------------------------------------------------- what comes out of each kind of picture


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (RAMP, RAMP),
        (RAMP.astype(np.uint16) * 257, RAMP),
        (sixteen_bits(255), 1),  # without the low byte it would be 0, and the next one 255
        (sixteen_bits(65280), 254),
        (palette(), np.where(BRIGHT, 10, 200)),
        (Image.fromarray(BRIGHT), np.where(BRIGHT, 255, 0)),
    ],
    ids=["gray", "16 bit", "16 bit, dark", "16 bit, bright", "palette", "1 bit"],
)
def test_gray_values_are_exact(image, expected):
    gray = decode(encode(image), SIZE)
    assert (gray.dtype, gray.shape) == (np.uint8, (SIZE, SIZE))
    np.testing.assert_array_equal(gray, np.broadcast_to(expected, gray.shape))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_colors_become_their_luminance(kind):
    for color, gray in (((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29)):
        np.testing.assert_allclose(decode(encode(flat("RGB", color), kind), SIZE), gray, atol=1)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_is_read(mode):
    data = encode(Image.fromarray(RAMP).convert(mode), "JPEG", quality=95)
    np.testing.assert_allclose(decode(data, SIZE), RAMP, atol=4)


def test_cmyk_goes_through_rgb():
    np.testing.assert_allclose(decode(encode(flat("CMYK", (0, 0, 0, 155)), "JPEG"), SIZE), 100, atol=2)


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (flat("RGBA", (255, 255, 255, 0)), {}),
        (flat("LA", (255, 0)), {}),
        (flat("L", 200), {"transparency": 200}),
        (flat("RGB", (200, 200, 200)), {"transparency": (200, 200, 200)}),
        (flat("I;16", 40000), {"transparency": 40000}),
        (flat("RGB", (200, 200, 200)).quantize(2), {"transparency": 0}),
    ],
    ids=["RGBA", "LA", "L", "RGB", "16 bit", "palette"],
)
def test_transparent_pixels_are_black(image, options):
    assert decode(encode(image, **options), SIZE).max() == 0


def test_half_transparent_pixels_are_half_as_bright():
    np.testing.assert_allclose(decode(encode(flat("RGBA", (200, 200, 200, 128))), SIZE), 100, atol=1)


@pytest.mark.parametrize(
    ("image", "kind", "most"),
    [
        (Image.fromarray(RAMP).convert("RGB"), "PNG", 6),
        (Image.fromarray(RAMP).convert("RGB"), "JPEG", 6),
        (RAMP.astype(np.uint16) * 257, "PNG", 0),
    ],
    ids=["PNG", "JPEG", "16 bit"],
)
def test_exif_rotation_is_applied(image, kind, most):
    gray = decode(encode(image, kind, exif=TURNED, quality=95), SIZE)
    np.testing.assert_allclose(gray, np.rot90(RAMP, -1), atol=most, rtol=0)


def large_jpeg(height, width, **options):
    """A gradient from left to right, in a JPEG whose sides cannot be divided evenly by eight."""
    return encode(np.tile(np.linspace(0, 250, width).astype(np.uint8), (height, 1)), "JPEG", quality=95, **options)


def test_a_large_jpeg_is_within_a_grey_level_of_decoding_it_whole():
    data = large_jpeg(713, 1009)
    whole = Image.open(io.BytesIO(data)).convert("L").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(decode(data, SIZE), np.asarray(whole), atol=1)


def test_exif_rotation_of_a_large_jpeg_is_applied():
    turned, upright = (decode(large_jpeg(713, 1009, **options), SIZE) for options in ({"exif": TURNED}, {}))
    np.testing.assert_array_equal(turned, np.rot90(upright, -1))


@pytest.mark.parametrize(
    ("height", "width", "decoded"),
    [(713, 1009, (127, 90)), (160, 1009, (127, 20)), (152, 1009, (253, 38)), (240, 320, (320, 240))],
)
def test_large_jpegs_alone_are_decoded_to_a_share_of_their_size(height, width, decoded, monkeypatch):
    sizes = []
    grayscale = decoding._grayscale
    monkeypatch.setattr(decoding, "_grayscale", lambda image: sizes.append(image.size) or grayscale(image))
    decode(large_jpeg(height, width), SIZE)
    assert sizes == [decoded]


@pytest.mark.parametrize(("height", "width"), [(10, 64), (64, 10), (5, 5), (1, 1)])
def test_any_shape_is_squeezed_or_stretched_to_the_square(height, width):
    image = np.zeros((height, width), np.uint8)
    image[:, width // 2 :] = 250
    gray = decode(encode(image), SIZE)
    assert gray.shape == (SIZE, SIZE)
    assert gray[:, -3:].min() == 250
    assert width == 1 or gray[:, :3].max() == 0


COLOURED = np.random.default_rng(1).integers(0, 256, (300, 400, 4), np.uint8)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("PNG", mode) for mode in ("L", "RGB", "RGBA", "P", "I;16")),
        *(("JPEG", mode) for mode in ("L", "RGB", "CMYK")),
    ],
)
def test_image_and_colour_from_one_decode_are_those_of_two(kind, mode, monkeypatch):
    is_deep = mode == "I;16"
    image = Image.fromarray(COLOURED[..., 0] * np.uint16(257)) if is_deep else Image.fromarray(COLOURED).convert(mode)
    data = encode(image, kind, exif=TURNED)
    expected = [decode(data, SIZE), decode(data, 64), decoding.colourfulness(data)]
    opened, open_ = [], Image.open
    monkeypatch.setattr(Image, "open", lambda *arguments, **options: opened.append(1) or open_(*arguments, **options))
    (small, large), colour = decoding.decode_with_colour(data, SIZE, 64)
    np.testing.assert_array_equal(small, expected[0])
    np.testing.assert_array_equal(large, expected[1])
    assert colour == expected[2]
    assert kind == "JPEG" or len(opened) == 1


# ---------------------------------------------------------------- what is not a picture


NOISE = np.random.default_rng(7).integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
JPEG = encode(NOISE, "JPEG")
PNG = encode(NOISE)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
# Pillow's `draft` returns nothing for it, which Pillow does not foresee
WITHOUT_SCAN = encode(Image.new("CMYK", (64, 64)), "JPEG").partition(b"\xff\xda")[0] + b"\xff\xd9"


def claiming(width, height):
    """The PNG with another header."""
    data = bytearray(PNG)
    struct.pack_into(">II", data, 16, width, height)
    struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "received 0 bytes of something else"),
        (b"id,class\n1,NORMAL\n", "received 18 bytes of something else"),
        (EPS, r"expected a picture \(PNG, JPEG\), received 47 bytes"),
        (PNG[: len(PNG) // 2], "bytes that do not decode: "),
        (JPEG[: len(JPEG) // 2], "bytes that do not decode: "),
        (claiming(800, 800), "bytes that do not decode: "),
        (claiming(0, 0), "received"),
        (WITHOUT_SCAN, r"received \d+ bytes that do not decode"),
    ],
)
def test_what_does_not_decode_is_one_error(data, message):
    with pytest.raises(RontgenError, match=message) as caught:
        decode(data, SIZE)
    assert "\n" not in str(caught.value)
    assert " at 0x" not in str(caught.value)


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (36_000_001, 1)])
def test_a_header_that_claims_too_many_pixels_is_not_believed(monkeypatch, width, height):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("decodes it"))
    with pytest.raises(RontgenError, match=f"expected at most 36000000 pixels, received {width}×{height}"):
        decode(claiming(width, height), SIZE)


def test_damaged_bytes_decode_or_are_one_error():
    random = np.random.default_rng(7)
    for whole in (PNG, JPEG):
        for _ in range(100):
            data = np.frombuffer(whole, np.uint8).copy()
            data[random.integers(0, len(data), 3)] = random.integers(0, 256, 3)
            try:
                assert decode(data.tobytes(), SIZE).shape == (SIZE, SIZE)
            except RontgenError as error:
                assert "\n" not in str(error)


# ---------------------------------------------------------------- a whole manifest


def flat_pictures(first):
    return {f"{i}.png": encode(np.full((9, 7), first + i, np.uint8)) for i in range(10)}


@pytest.fixture
def archives(write_zip):
    """Two archives of ten flat pictures each, each with its own gray value; a manifest of them in random order, indexed
    as one that is read from a file."""
    rows = []
    for archive, first in (("a.zip", 0), ("b.zip", 100)):
        write_zip(flat_pictures(first), archive)
        rows += [(archive, f"{i}.png", first + i) for i in range(10)]
    manifest = pd.DataFrame(rows, columns=["archive", "member", "gray"])
    return manifest.assign(id=manifest["gray"].astype(str)).sample(frac=1, random_state=7, ignore_index=True)


@pytest.fixture
def damaged(archives, write_zip):
    """The same, but the file for gray 106 is not a picture."""
    write_zip(flat_pictures(100) | {"6.png": b"no picture"}, "b.zip")
    return archives


@pytest.fixture
def image_set(tmp_path):
    return tmp_path / "image_set"


def test_images_are_in_the_order_of_the_manifest(archives, tmp_path, image_set, monkeypatch):
    monkeypatch.setattr(decoding, "CHUNK", 7)
    decode_all(archives, tmp_path, 5, image_set, 0)
    images = np.load(image_set / "images.npy", mmap_mode="r")
    assert (images.dtype, images.shape) == (np.uint8, (20, 5, 5, 1))
    assert images.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(images.min(axis=(1, 2, 3)), archives["gray"])
    np.testing.assert_array_equal(images.max(axis=(1, 2, 3)), archives["gray"])


def test_an_image_that_fails_is_named_and_nothing_is_written(damaged, tmp_path, image_set):
    fault = r"b\.zip: expected at most 0 unreadable images, received 1, the first 6\.png: expected a pic"
    with pytest.raises(RontgenError, match=fault):
        decode_all(damaged, tmp_path, 5, image_set, 0)
    assert list(image_set.iterdir()) == []


def test_a_stated_number_of_images_may_fail_and_is_listed(damaged, tmp_path, image_set):
    decode_all(damaged, tmp_path, 5, image_set, 1)
    listed = pd.read_csv(image_set / "unreadable.csv", dtype=str)
    assert listed["id"].tolist() == ["106"]
    assert "something else" in listed["reason"][0]
    images = np.load(image_set / "images.npy")[:, 0, 0, 0]
    np.testing.assert_array_equal(images, damaged["gray"].where(damaged["gray"] != 106, 0))
    manifest = pd.read_csv(image_set / "manifest.csv")  # of all the others, with their rows
    assert list(manifest.columns) == ["row", *damaged.columns]
    assert manifest["gray"].tolist() == [gray for gray in damaged["gray"] if gray != 106]
    np.testing.assert_array_equal(images[manifest["row"]], manifest["gray"])


def test_a_missing_archive_is_named(archives, tmp_path, image_set):
    (tmp_path / "b.zip").unlink()
    with pytest.raises(RontgenError, match=r"b\.zip: expected a zip, found none: run `dvc repro download@"):
        decode_all(archives, tmp_path, 5, image_set, 0)
    assert list(image_set.iterdir()) == []


LARGEST = """
import io, resource
from concurrent.futures import ThreadPoolExecutor
from PIL import Image
from rontgen.data.decoding import THREADS, decode_with_colour
data = io.BytesIO()
Image.new("RGBA", (6000, 6000)).save(data, "PNG", compress_level=1)
with ThreadPoolExecutor(THREADS) as pool:
    list(pool.map(lambda _: decode_with_colour(data.getvalue(), 64, 448), range(THREADS)))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.slow
def test_the_largest_pictures_allowed_take_less_than_two_gibibytes():
    result = subprocess.run([sys.executable, "-c", LARGEST], check=True, capture_output=True, text=True)
    assert float(result.stdout) < 2
