"""DICOM files become the pictures that a radiologist sees; hostile ones take no memory and are one error."""

import importlib
import io
import logging
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile
from pydicom import Dataset, dcmread, uid
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder

import hostile_uploads
from rontgen.core.errors import RontgenError
from rontgen.serving import dicom

# pytest would turn the warnings that the module silences into errors
pytestmark = pytest.mark.filterwarnings("ignore:::pydicom")

SIZE = 32
RAMP = np.add.outer(np.arange(SIZE) * 2, np.arange(SIZE) * 6).astype(np.uint8)  # no symmetry, from 0 to 248
DEEP = RAMP.astype(np.uint16) * 257 + np.arange(SIZE, dtype=np.uint16)
DEEP[0, :2] = (0, 65535)
NAME = "Secret^Patient"
SYNTAXES = [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian]


def make(pixels, syntax=uid.ExplicitVRLittleEndian, **changes):
    """A file of one picture; keywords change its elements, and None leaves one out."""
    order = ">" if syntax == uid.ExplicitVRBigEndian else "<"
    elements = {
        "PatientName": NAME,
        "SamplesPerPixel": 1 if pixels.ndim == 2 else 3,
        "PhotometricInterpretation": "MONOCHROME2" if pixels.ndim == 2 else "RGB",
        "PlanarConfiguration": None if pixels.ndim == 2 else 0,
        "BitsStored": pixels.itemsize * 8,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PixelData": pixels.astype(pixels.dtype.newbyteorder(order)).tobytes(),
    }
    return hostile_uploads.dicom(syntax, pixels.shape[0], pixels.shape[1], pixels.itemsize * 8, **elements | changes)


def encapsulated(image, kind, syntax, pixels=RAMP, *, container=False, **changes):
    """A file whose picture is compressed by Pillow."""
    frame = io.BytesIO()
    options = {"quality": 95} if kind == "JPEG" else {"no_jp2": not container}
    Image.fromarray(image).save(frame, kind, **options)
    return make(pixels, syntax, **{"PixelData": encapsulate([frame.getvalue()]), **changes})


def lut(values, first, bits):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(values), first, bits])
    item.add_new("LUTData", "US", list(values))
    return [item]


def window(center, width, function="LINEAR_EXACT"):
    return {"WindowCenter": center, "WindowWidth": width, "VOILUTFunction": function}


def read(data):
    with Image.open(io.BytesIO(dicom.to_png(data))) as image:
        assert (image.format, image.mode) == ("PNG", "I;16")
        return np.asarray(image)


def refused(data):
    """The one-line message of the error."""
    with pytest.raises(RontgenError) as caught:
        dicom.to_png(data)
    message = str(caught.value)
    assert "\n" not in message
    assert NAME not in message
    assert caught.value.__suppress_context__ == ("do not decode" in message)
    assert "or as PNG or JPEG" in message
    return message


def row(*values, dtype=np.uint16):
    return np.array([values], dtype)


# ---------------------------------------------------------------- what comes out


def test_a_dicom_file_is_recognised_by_its_prefix():
    assert dicom.is_dicom(make(RAMP))
    assert not dicom.is_dicom(bytes(127) + b"DICM")
    assert not dicom.is_dicom(b"DICM")


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(("pixels", "expected"), [(RAMP, RAMP.astype(np.uint16) * 257), (DEEP, DEEP)])
def test_eight_bits_and_sixteen_of_the_whole_range_stay_as_they_are(pixels, expected, syntax):
    np.testing.assert_array_equal(read(make(pixels, syntax)), expected)


@pytest.mark.parametrize(
    ("pixels", "changes", "expected"),
    [
        (row(1000, 2000, 3000), {"BitsStored": 12}, [0, 32768, 65535]),
        (row(7, 8, 9), {"WindowCenter": "", "WindowWidth": ""}, [0, 32768, 65535]),
        (row(7, 7, 7), {}, [0, 0, 0]),
    ],
    ids=["no window", "empty window", "one value"],
)
def test_sixteen_bits_without_a_window_stretch_from_their_lowest_to_their_highest(pixels, changes, expected):
    assert read(make(pixels, **changes)).tolist() == [expected]


def test_the_first_window_follows_the_rescale():
    # PS3.3 C.11.2.1.2.1, center 40, width 401: ((2 x − 1000 − 39.5) / 400 + 0.5) at −1000, −160, 40, 140, 1000
    pixels = row(0, 420, 520, 570, 1000)
    changes = {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": [40, 9], "WindowWidth": [401, 9]}
    expected = [0, 65535 * 0.00125, 65535 * 0.50125, 65535 * 0.75125, 65535]
    assert read(make(pixels, **changes)).tolist() == [[round(value) for value in expected]]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        *[(name, [0, 0, 0.5 + 0.5 / 99, 1]) for name in ("LINEAR", "")],
        ("LINEAR_EXACT", [0, 0, 0.5, 1]),
        *[(name, [1 / (1 + np.exp(power)) for power in (4, 2, 0, -2)]) for name in ("SIGMOID", "sigmoid")],
    ],
)
def test_each_window_function_has_its_formula(function, expected):
    data = make(row(0, 50, 100, 150), **window(100, 100, function))
    np.testing.assert_allclose(read(data)[0] / 65535, expected, atol=1e-5)


def test_a_window_one_wide_is_a_threshold():
    assert read(make(row(9, 10, 11), WindowCenter=10.5, WindowWidth=1)).tolist() == [[0, 0, 65535]]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"RescaleSlope": -1, "RescaleIntercept": 110}, [1, 0.5, 0]),
        ({"RescaleSlope": 2}, [0, 0.9, 1]),
        ({"RescaleIntercept": 10}, [0, 0.5, 1]),
        ({"RescaleSlope": ""}, [0, 0.4, 0.9]),
        ({"ModalityLUTSequence": lut([*[110] * 50, *[60] * 50, 10], 0, 8)}, [1, 0.5, 0]),
    ],
    ids=["falling", "slope alone", "intercept alone", "empty slope", "LUT"],
)
def test_the_rescale_or_modality_lut_goes_before_the_window(changes, expected):
    data = make(row(0, 50, 100), **window(60, 100), **changes)
    assert read(data).tolist() == [[round(65535 * value) for value in expected]]


def test_a_window_function_that_nobody_knows_is_refused():
    assert "do not decode" in refused(make(DEEP, **window(5, 5, "OTHER")))


def test_monochrome1_is_inverted():
    data = make(row(0, 100, 255, dtype=np.uint8), PhotometricInterpretation="MONOCHROME1")
    assert read(data).tolist() == [[65535, 155 * 257, 0]]


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_signed_pixels_are_below_zero(dtype):
    assert read(make(row(-128, -1, 0, 127, dtype=dtype))).tolist() == [[0, 127 * 257, 128 * 257, 65535]]


def test_bits_beyond_those_stored_are_ignored():
    data = make(row(0x1000, 0xF7FF, 0x0FFF), BitsStored=12, **window(2047.5, 4095))
    assert read(data).tolist() == [[0, round(65535 * 2047 / 4095), 65535]]


def test_a_voi_lut_goes_before_a_window_and_covers_eight_bits():
    table = np.arange(4096) // 16  # more entries than 8 bits can count
    data = make(row(0, 100, 1100, 4095, 9000), VOILUTSequence=lut(table, 100, 8), WindowCenter=1, WindowWidth=1)
    assert read(data).tolist() == [[0, 0, 62 * 257, 3995 // 16 * 257, 65535]]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_lut_in_words_has_the_order_of_the_file(syntax):
    (item,) = lut([0, 4095, 273], 0, 12)
    order = "<" if syntax.is_little_endian else ">"
    item.add_new("LUTData", "OW", np.array([0, 4095, 273], f"{order}u2").tobytes())
    assert read(make(row(0, 1, 2), syntax, VOILUTSequence=[item])).tolist() == [[0, 65535, 4369]]


def test_values_beyond_a_voi_lut_have_its_last_entry():
    data = make(row(0, 300, 9000), RescaleSlope=100, VOILUTSequence=lut(range(4096), 0, 12))
    assert read(data).tolist() == [[0, 65535, 65535]]


@pytest.mark.parametrize("name", ["ModalityLUTSequence", "VOILUTSequence"])
def test_a_lut_of_more_than_64_kilobytes_is_read(name):
    data = make(row(0, 32767, 65534), **{name: lut(range(65535), 0, 16)})
    top = 65534 if name == "VOILUTSequence" else 65535  # or else it is stretched
    assert read(data).tolist() == [[0, round(top / 2), top]]


@pytest.mark.parametrize("pixels", [RAMP, DEEP, np.dstack([RAMP] * 3)])
def test_rle_is_read(pixels):
    frame = RLELosslessEncoder.encode(dcmread(io.BytesIO(make(pixels))))
    data = make(pixels, uid.RLELossless, PixelData=encapsulate([frame]))
    np.testing.assert_array_equal(read(data), read(make(pixels)))


def test_baseline_jpeg_is_read():
    data = encapsulated(RAMP, "JPEG", uid.JPEGBaseline8Bit)
    np.testing.assert_allclose(read(data) / 257, RAMP, atol=3)


def test_a_jpeg_in_fragments_is_read():
    whole = encapsulated(RAMP, "JPEG", uid.JPEGBaseline8Bit)
    frame = whole[whole.index(b"\xff\xd8\xff") : whole.rindex(b"\xff\xd9") + 2]
    data = make(RAMP, uid.JPEGBaseline8Bit, PixelData=encapsulate([frame], fragments_per_frame=3))
    np.testing.assert_array_equal(read(data), read(whole))


@pytest.mark.parametrize("pixels", [RAMP, DEEP])
def test_jpeg_2000_is_read(pixels):
    data = encapsulated(pixels, "JPEG2000", uid.JPEG2000Lossless, pixels)
    np.testing.assert_array_equal(read(data), read(make(pixels)))


@pytest.mark.parametrize(("color", "gray"), [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29)])
def test_colors_become_their_luminance(color, gray):
    pixels = np.full((SIZE, SIZE, 3), color, np.uint8)
    ycc = np.asarray(Image.fromarray(pixels).convert("YCbCr"))
    np.testing.assert_array_equal(read(make(pixels)), gray * 257)
    ybr = make(ycc, PhotometricInterpretation="YBR_FULL")
    np.testing.assert_allclose(read(ybr) / 257, gray, atol=1)
    jpeg = encapsulated(pixels, "JPEG", uid.JPEGBaseline8Bit, pixels, PhotometricInterpretation="YBR_FULL_422")
    np.testing.assert_allclose(read(jpeg) / 257, gray, atol=1)


def test_colors_shared_by_two_pixels_are_read():
    pair = bytes([10, 20, 128, 128])  # the luminance of each, and their shared color: none
    data = make(np.zeros((1, 2, 3), np.uint8), PhotometricInterpretation="YBR_FULL_422", PixelData=pair)
    assert read(data).tolist() == [[10 * 257, 20 * 257]]


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"%PDF-", "expected a DICOM file, received 5 bytes of something else"),
        (make(np.vstack([RAMP, RAMP]), NumberOfFrames=2), "expected one picture, received 2 frames"),
        *[(make(RAMP, BitsAllocated=bits), f"received 1 × {bits} of MONOCHROME2;") for bits in (1, 32)],
        (make(np.dstack([DEEP] * 3)), "or in color 3 × 8, of MONOCHROME1, "),
        (make(RAMP, PhotometricInterpretation="PALETTE COLOR"), "received 1 × 8 of PALETTE COLOR;"),
        (make(RAMP, PhotometricInterpretation=NAME), "received 1 × 8 of another kind;"),
        (make(RAMP, PixelData=None), "do not decode (AttributeError)"),
        (make(RAMP)[:-100], "expected a whole DICOM file"),
        (encapsulated(RAMP, "JPEG2000", uid.JPEGBaseline8Bit), "do not decode (UnidentifiedImageError)"),
        (encapsulated(RAMP, "JPEG2000", uid.JPEG2000, container=True), "received one in a JP2 container"),
    ],
)
def test_another_kind_of_picture_is_refused_by_name(data, message):
    assert message in refused(data)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEGBaseline8Bit])
def test_too_many_pixels_are_refused_before_memory_is_taken(syntax):
    content = encapsulate([bytes(100)]) if syntax.is_encapsulated else bytes(100)
    data = make(RAMP, syntax, Rows=60000, Columns=60000, PixelData=content)
    tracemalloc.start()
    assert "expected at most 36000000 values, received 60000×60000 pixels of 1" in refused(data)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_deflated_files_are_refused_and_not_inflated(monkeypatch):
    data = make(RAMP, uid.DeflatedExplicitVRLittleEndian)
    monkeypatch.setattr(zlib, "decompress", lambda *_: pytest.fail("inflates it"))
    message = refused(data)
    assert "received Deflated Explicit VR Little Endian (1.2.840.10008.1.2.1.99)" in message


def test_another_transfer_syntax_is_refused_by_name():
    message = refused(make(RAMP, uid.JPEGLosslessSV1, PixelData=encapsulate([bytes(100)])))
    received = f"received {uid.JPEGLosslessSV1.name} ({uid.JPEGLosslessSV1}); save the picture uncompressed (`gdcmconv"
    assert received in message
    assert "expected a transfer syntax of Implicit VR Little Endian, " in message


@pytest.mark.parametrize(
    ("written", "received"),
    [
        (b"1.2.840.10008.1.2.9", "1.2.840.10008.1.2.9 (1.2.840.10008.1.2.9)"),
        (b"Secret^Patient\n....", "an invalid one"),
    ],
)
def test_a_transfer_syntax_that_nobody_knows_is_quoted_if_it_is_one(written, received):
    assert received in refused(make(RAMP).replace(b"1.2.840.10008.1.2.1\0", written + b"\0"))


@pytest.mark.parametrize(("kind", "syntax"), [("JPEG", uid.JPEGBaseline8Bit), ("JPEG2000", uid.JPEG2000)])
def test_a_frame_larger_than_the_header_says_is_not_decoded(kind, syntax, monkeypatch):
    data = encapsulated(np.zeros((500, 400), np.uint8), kind, syntax)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("decodes it"))
    assert f"expected 32×32 pixels in the {kind}, as in the header, received 400×500" in refused(data)


def test_rle_that_swells_is_refused_before_it_does(monkeypatch):
    frame = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 100_000
    data = make(RAMP, uid.RLELossless, PixelData=encapsulate([frame]))
    monkeypatch.setattr(dicom, "pixel_array", lambda *_, **__: pytest.fail("decodes it"))
    assert "expected RLE segments of 1024 bytes, received a longer one" in refused(data)


# What may be inserted before the patient's name, and the bytes that come before it
SEQUENCE = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff"
ITEM = b"\xfe\xff\x00\xe0"
PREFIX = make(RAMP)[: make(RAMP).index(b"\x10\x00\x10\x00PN")]


def test_items_count_for_more_than_their_bytes():
    def items(count):
        sequence = SEQUENCE + (ITEM + bytes(4)) * count + b"\xfe\xff\xdd\xe0" + bytes(4)
        return PREFIX + sequence + make(RAMP)[len(PREFIX) :]

    np.testing.assert_array_equal(read(items(1000)), read(make(RAMP)))
    assert "expected a DICOM" in refused(items(20_000))


def test_a_frame_in_countless_fragments_is_refused():
    data = make(RAMP, uid.JPEGBaseline8Bit, PixelData=encapsulate([b"12"]) + b"\xfe\xff\x00\xe0\0\0\0\0" * 20_000)
    assert "and a picture in few fragments, received more" in refused(data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ((SEQUENCE + ITEM + b"\xff" * 4) * 5000, "(RecursionError)"),
        (SEQUENCE + (ITEM + bytes(4)) * 200_000, "expected a DICOM"),
        (b"\x28\x00\x50\x10UT\0\0" + struct.pack("<L", 2**21) + bytes(2**21), "header of at most 524288 bytes"),
        (b"\x28\x00\x10\x00UT\0\0\xfe\xff\xff\xff" + bytes(9), "do not decode"),
        (np.random.default_rng(7).bytes(5000), "do not decode"),
        (b"", "do not decode"),
    ],
    ids=["nested deep", "countless items", "long element", "length beyond the end", "noise", "nothing"],
)
def test_a_hostile_header_is_one_error(content, message):
    assert message in refused(PREFIX + content)


def test_long_elements_that_are_not_read_are_skipped():
    overlay = b"\x00\x60\x00\x30OW\0\0" + struct.pack("<L", 2**21) + bytes(2**21)
    data = make(RAMP)
    pixels = data.index(b"\xe0\x7f\x10\x00")
    np.testing.assert_array_equal(read(data[:pixels] + overlay + data[pixels:]), read(data))


@pytest.mark.parametrize(
    "changes",
    [
        *[{"WindowWidth": width} for width in (0, "nan", "inf")],
        {"WindowCenter": "inf"},
        {"RescaleSlope": "1e305"},
        {"RescaleSlope": "nan", "VOILUTSequence": lut([1, 2, 3], 0, 8)},
    ],
)
def test_arithmetic_that_ends_nowhere_is_refused(changes):
    assert "expected a " in refused(
        make(DEEP, **{"WindowCenter": 5, "WindowWidth": 5, "RescaleIntercept": 0} | changes)
    )


def test_a_lut_cut_short_is_refused():
    (item,) = lut([1, 2, 3], 0, 8)
    item.LUTDescriptor = [300, 0, 8]
    assert "do not decode (IndexError)" in refused(make(RAMP, VOILUTSequence=[item]))


def test_damaged_bytes_are_a_picture_or_one_error():
    random = np.random.default_rng(7)
    window = {"WindowCenter": 99, "WindowWidth": 99, "RescaleSlope": 1, "VOILUTSequence": lut([1, 2, 3], 0, 8)}
    wholes = [
        make(RAMP[:8, :8], **window),
        encapsulated(RAMP, "JPEG", uid.JPEGBaseline8Bit),
        make(RAMP[:9], uid.ImplicitVRLittleEndian),
    ]
    pictures = 0
    for i in range(300):
        data = np.frombuffer(wholes[i % 3], np.uint8).copy()
        where = random.integers(132, 600, 3) % len(data)  # all of the header
        data[where] = random.integers(0, 256, 3)
        try:
            pictures += read(data.tobytes()).size > 0
        except RontgenError as error:
            assert "\n" not in str(error)
    assert 30 < pictures < 270


LONG_RLE = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 9  # pydicom reads it, but warns about the padding


def test_nothing_is_logged_and_no_warning_leaves_it(caplog):
    with warnings.catch_warnings(), caplog.at_level(logging.INFO):
        warnings.simplefilter("error")
        importlib.reload(dicom)
        assert read(make(RAMP, uid.RLELossless, PixelData=encapsulate([LONG_RLE]))).max() == 0
    assert caplog.text == ""
