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


def encode(image, kind="PNG", **options):
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind, **options)
    return file.getvalue()


def png(width, height, *, depth=8, color=0, data=b""):
    """A PNG whose header claims any size."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


# ---------------------------------------------------------------- what comes out of each kind of picture


def test_gray_values_stay_as_they_are():
    gray = decode(encode(RAMP, "PNG"), SIZE)
    assert (gray.dtype, gray.shape) == (np.uint8, (SIZE, SIZE))
    np.testing.assert_array_equal(gray, RAMP)


def test_a_jpeg_is_read():
    np.testing.assert_allclose(decode(encode(RAMP, "JPEG", quality=95), SIZE), RAMP, atol=3)


def test_sixteen_bits_become_eight():
    gray = decode(encode(RAMP.astype(np.uint16) * 257, "PNG"), SIZE)
    np.testing.assert_array_equal(gray, RAMP)
    for value, expected in ((255, 1), (65280, 254)):  # without the low byte it would be 0 and 255
        assert decode(encode(np.full((SIZE, SIZE), value, np.uint16), "PNG"), SIZE).max() == expected


@pytest.mark.parametrize(("color", "gray"), [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29), ((9, 9, 9), 9)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_colors_become_their_luminance(color, gray, kind):
    image = Image.new("RGB", (SIZE, SIZE), color)
    np.testing.assert_allclose(decode(encode(image, kind), SIZE), gray, atol=1)


def test_a_gray_jpeg_is_the_same_in_color():
    gray = decode(encode(RAMP, "JPEG", quality=95), SIZE)
    color = decode(encode(Image.fromarray(RAMP).convert("RGB"), "JPEG", quality=95), SIZE)
    np.testing.assert_allclose(gray, color, atol=1)


def test_a_palette_is_looked_up():
    image = Image.fromarray((RAMP > 100).astype(np.uint8), mode=None).convert("P")
    image.putpalette([200, 200, 200, 10, 10, 10])
    np.testing.assert_array_equal(decode(encode(image), SIZE), np.where(RAMP > 100, 10, 200))


def test_one_bit_is_black_and_white():
    image = Image.fromarray(RAMP > 100)
    assert image.mode == "1"
    np.testing.assert_array_equal(decode(encode(image), SIZE), np.where(RAMP > 100, 255, 0))


def test_cmyk_goes_through_rgb():
    image = Image.new("CMYK", (SIZE, SIZE), (0, 0, 0, 155))
    np.testing.assert_allclose(decode(encode(image, "JPEG"), SIZE), 100, atol=2)


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (Image.new("RGBA", (SIZE, SIZE), (255, 255, 255, 0)), {}),
        (Image.new("LA", (SIZE, SIZE), (255, 0)), {}),
        (Image.new("L", (SIZE, SIZE), 200), {"transparency": 200}),
        (Image.new("RGB", (SIZE, SIZE), (200, 200, 200)), {"transparency": (200, 200, 200)}),
        (Image.new("I;16", (SIZE, SIZE), 40000), {"transparency": 40000}),
        (Image.new("RGB", (SIZE, SIZE), (200, 200, 200)).quantize(2), {"transparency": 0}),
        (Image.new("RGB", (SIZE, SIZE), (200, 200, 200)).quantize(2), {"transparency": b"\0\0"}),
    ],
    ids=["RGBA", "LA", "L", "RGB", "16 bit", "palette index", "palette alpha"],
)
def test_transparent_pixels_are_black(image, options):
    data = encode(image, **options)
    assert decode(data, SIZE).max() == 0


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_half_transparent_pixels_are_half_as_bright(mode):
    color = (200,) * (len(mode) - 1) + (128,)
    np.testing.assert_allclose(decode(encode(Image.new(mode, (SIZE, SIZE), color)), SIZE), 100, atol=1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_exif_rotation_is_applied(kind):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees clockwise to see it upright
    options = {"quality": 95} if kind == "JPEG" else {}
    color = Image.fromarray(RAMP).convert("RGB")
    gray = decode(encode(color, kind, exif=exif, **options), SIZE)
    np.testing.assert_allclose(gray, np.rot90(RAMP, -1), atol=6)


def test_exif_rotation_of_sixteen_bits_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    gray = decode(encode(RAMP.astype(np.uint16) * 257, exif=exif), SIZE)
    np.testing.assert_array_equal(gray, np.rot90(RAMP, -1))


def large_jpeg(height, width, **options):
    """A gradient from left to right, in a JPEG whose sides cannot be divided evenly by eight."""
    return encode(np.tile(np.linspace(0, 250, width).astype(np.uint8), (height, 1)), "JPEG", quality=95, **options)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_large_jpeg_is_within_a_grey_level_of_decoding_it_whole(options):
    data = large_jpeg(713, 1009, **options)
    whole = Image.open(io.BytesIO(data)).convert("L").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(decode(data, SIZE), np.asarray(whole), atol=1)


def test_exif_rotation_of_a_large_jpeg_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = large_jpeg(713, 1009)
    np.testing.assert_array_equal(decode(large_jpeg(713, 1009, exif=exif), SIZE), np.rot90(decode(data, SIZE), -1))


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


def test_shrinking_averages():
    checkered = np.indices((160, 160)).sum(axis=0) % 2 * 200
    np.testing.assert_allclose(decode(encode(checkered.astype(np.uint8)), SIZE), 100, atol=2)


# ---------------------------------------------------------------- what is not a picture


NOISE = np.random.default_rng(7).integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
JPEG = encode(NOISE, "JPEG")
PNG = encode(NOISE)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "received 0 bytes of something else"),
        (b"id,class\n1,NORMAL\n", "received 18 bytes of something else"),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            r"expected a picture \(PNG, JPEG\), received 47 bytes",
        ),
        (PNG[: len(PNG) // 2], "bytes that do not decode: "),
        (JPEG[: len(JPEG) // 2], "bytes that do not decode: "),
        (PNG[:30], "received 30 bytes"),
        (png(8, 8, data=b"short"), "bytes that do not decode: "),
        (png(8, 8, depth=3), "received"),
        (png(0, 0), "received"),
    ],
)
def test_what_does_not_decode_is_one_error(data, message):
    with pytest.raises(RontgenError, match=message) as caught:
        decode(data, SIZE)
    assert "\n" not in str(caught.value)
    assert " at 0x" not in str(caught.value)


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (12_000, 12_000), (100_000_001, 1)])
def test_a_header_that_claims_too_many_pixels_is_not_believed(monkeypatch, width, height):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("decodes it"))
    with pytest.raises(RontgenError, match=f"expected at most 36000000 pixels, received {width}×{height}"):
        decode(png(width, height), SIZE)


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


@pytest.fixture
def archives(write_zip):
    """Two archives of ten flat pictures each, each with its own gray value; a manifest of them in random order, indexed
    as one that is read from a file."""
    rows = []
    for archive, first in (("a.zip", 0), ("b.zip", 100)):
        write_zip({f"{i}.png": encode(np.full((9, 7), first + i, np.uint8)) for i in range(10)}, archive)
        rows += [(archive, f"{i}.png", first + i) for i in range(10)]
    manifest = pd.DataFrame(rows, columns=["archive", "member", "gray"])
    return manifest.assign(id=manifest["gray"].astype(str)).sample(frac=1, random_state=7, ignore_index=True)


@pytest.fixture
def damaged(archives, write_zip):
    """The same, but the file for gray 106 is not a picture."""
    write_zip(
        {f"{i}.png": encode(np.full((9, 7), 100 + i, np.uint8)) if i != 6 else b"no picture" for i in range(10)},
        "b.zip",
    )
    return archives


def test_images_are_in_the_order_of_the_manifest(archives, tmp_path):
    decode_all(archives, tmp_path, 5, tmp_path / "image_set", 0)
    images = np.load(tmp_path / "image_set" / "images.npy", mmap_mode="r")
    assert (images.dtype, images.shape) == (np.uint8, (20, 5, 5, 1))
    assert images.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(images.min(axis=(1, 2, 3)), archives["gray"])
    np.testing.assert_array_equal(images.max(axis=(1, 2, 3)), archives["gray"])


def test_more_images_than_a_chunk_keep_their_order(archives, tmp_path, monkeypatch):
    monkeypatch.setattr("rontgen.data.decoding.CHUNK", 7)
    decode_all(pd.concat([archives, archives]), tmp_path, 5, tmp_path / "image_set", 0)
    images = np.load(tmp_path / "image_set" / "images.npy")
    np.testing.assert_array_equal(images[:, 0, 0, 0], [*archives["gray"], *archives["gray"]])


def test_an_image_that_fails_is_named_and_nothing_is_written(damaged, tmp_path):
    with pytest.raises(
        RontgenError,
        match=r"b\.zip: expected at most 0 unreadable images, received 1, the first 6\.png: expected a pic",
    ):
        decode_all(damaged, tmp_path, 5, tmp_path / "image_set", 0)
    assert list((tmp_path / "image_set").iterdir()) == []


def test_a_stated_number_of_images_may_fail_and_is_listed(damaged, tmp_path):
    table = decode_all(damaged, tmp_path, 5, tmp_path / "image_set", 1)
    listed = pd.read_csv(tmp_path / "image_set" / "unreadable.csv", dtype=str)
    assert listed["id"].tolist() == table["id"].tolist() == ["106"]
    assert "something else" in listed["reason"][0]
    images = np.load(tmp_path / "image_set" / "images.npy")
    expected = damaged["gray"].where(damaged["gray"] != 106, 0)
    np.testing.assert_array_equal(images[:, 0, 0, 0], expected)


def test_the_manifest_of_the_images_lists_all_but_the_unreadable_ones_with_their_rows(damaged, tmp_path):
    decode_all(damaged, tmp_path, 5, tmp_path / "image_set", 1)
    manifest = pd.read_csv(tmp_path / "image_set" / "manifest.csv")
    assert list(manifest.columns) == ["row", *damaged.columns]
    assert manifest["gray"].tolist() == [gray for gray in damaged["gray"] if gray != 106]
    images = np.load(tmp_path / "image_set" / "images.npy")
    np.testing.assert_array_equal(images[manifest["row"], 0, 0, 0], manifest["gray"])


def test_a_missing_archive_is_named(archives, tmp_path):
    (tmp_path / "b.zip").unlink()
    with pytest.raises(RontgenError, match=r"b\.zip: expected a zip, found none: run `dvc repro download@"):
        decode_all(archives, tmp_path, 5, tmp_path / "image_set", 0)
    assert not (tmp_path / "image_set").exists()


LARGEST = """
import io, resource
from concurrent.futures import ThreadPoolExecutor
from PIL import Image
from rontgen.data.decoding import THREADS, decode
data = io.BytesIO()
Image.new("RGBA", (6000, 6000)).save(data, "PNG", compress_level=1)
with ThreadPoolExecutor(THREADS) as pool:
    list(pool.map(lambda _: decode(data.getvalue(), 64), range(THREADS)))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.slow
def test_the_largest_pictures_allowed_take_less_than_two_gibibytes():
    result = subprocess.run([sys.executable, "-c", LARGEST], check=True, capture_output=True, text=True)
    assert float(result.stdout) < 2


def test_what_pillow_does_not_foresee_is_a_picture_that_does_not_decode():
    """A JPEG without its scan, for which Pillow's `draft` returns nothing."""
    buffer = io.BytesIO()
    Image.new("CMYK", (64, 64)).save(buffer, "JPEG")
    data = buffer.getvalue()
    cut = data[: data.find(b"\xff\xda")] + b"\xff\xd9"
    with pytest.raises(RontgenError, match=r"^expected a picture, received \d+ bytes that do not decode"):
        decoding.decode(cut, 32)
