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
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "or as PNG or JPEG" in message or "without a picture; leave it out" in message
    return message


# ---------------------------------------------------------------- what comes out


def test_a_dicom_file_is_recognised_by_its_prefix():
    assert dicom.is_dicom(make(RAMP))
    assert not dicom.is_dicom(bytes(127) + b"DICM")
    assert not dicom.is_dicom(b"DICM")


@pytest.mark.parametrize(
    "begin", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\0\x10JFIF", b"8\0\0\0\0\0\0\0{}", b"Name,BMI\n", b""]
)
def test_other_files_are_not_taken_for_dicom(begin):
    assert not dicom.is_dicom(begin + bytes(200))


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(("pixels", "expected"), [(RAMP, RAMP.astype(np.uint16) * 257), (DEEP, DEEP)])
def test_eight_bits_and_sixteen_of_the_whole_range_stay_as_they_are(pixels, expected, syntax):
    np.testing.assert_array_equal(read(make(pixels, syntax)), expected)


WINDOW = {"WindowCenter": 60, "WindowWidth": 100, "VOILUTFunction": "LINEAR_EXACT"}
# PS3.3 C.11.2.1.2.1, center 40, width 401: ((2 x − 1000 − 39.5) / 400 + 0.5) at −1000, −160, 40, 140, 1000
FIRST_WINDOW = {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": [40, 9], "WindowWidth": [401, 9]}
STEPS = lut([*[110] * 50, *[60] * 50, 10], 0, 8)
# More entries than 8 bits can count
SIXTEENTHS = {"VOILUTSequence": lut(np.arange(4096) // 16, 100, 8), "WindowCenter": 1, "WindowWidth": 1}


@pytest.mark.parametrize(
    ("pixels", "changes", "expected"),
    [
        ([1000, 2000, 3000], {"BitsStored": 12}, [0, 0.5, 1]),  # stretched from the lowest to the highest
        ([7, 8, 9], {"WindowCenter": "", "WindowWidth": ""}, [0, 0.5, 1]),
        ([7, 7, 7], {}, [0, 0, 0]),
        ([0, 420, 520, 570, 1000], FIRST_WINDOW, [0, 0.00125, 0.50125, 0.75125, 1]),
        *[
            ([10, 60, 85], WINDOW | {"VOILUTFunction": name}, [0, 0.5 + 0.5 / 99, 0.5 + 25.5 / 99])
            for name in ("LINEAR", "")
        ],
        ([10, 60, 85], WINDOW, [0, 0.5, 0.75]),
        ([10, 60, 85], WINDOW | {"VOILUTFunction": "SIGMOID"}, [1 / (1 + np.exp(power)) for power in (2, 0, -1)]),
        ([9, 10, 11], {"WindowCenter": 10.5, "WindowWidth": 1}, [0, 0, 1]),
        ([0, 50, 100], WINDOW | {"RescaleSlope": -1, "RescaleIntercept": 110}, [1, 0.5, 0]),
        ([0, 50, 100], WINDOW | {"RescaleSlope": 2}, [0, 0.9, 1]),
        ([0, 50, 100], WINDOW | {"RescaleIntercept": 10}, [0, 0.5, 1]),
        ([0, 50, 100], WINDOW | {"RescaleSlope": ""}, [0, 0.4, 0.9]),
        ([0, 50, 100], WINDOW | {"ModalityLUTSequence": STEPS}, [1, 0.5, 0]),
        ([0, 100, 1100, 4095, 9000], SIXTEENTHS, [0, 0, 62 / 255, 3995 // 16 / 255, 1]),
        ([0, 300, 9000], {"RescaleSlope": 100, "VOILUTSequence": lut(range(4096), 0, 12)}, [0, 1, 1]),
        ([0, 32767, 65534], {"VOILUTSequence": lut(range(65535), 0, 16)}, [0, 32767 / 65535, 65534 / 65535]),
        ([0, 32767, 65534], {"ModalityLUTSequence": lut(range(65535), 0, 16)}, [0, 0.5, 1]),
        (
            [0x1000, 0xF7FF, 0x0FFF],
            {"BitsStored": 12} | WINDOW | {"WindowCenter": 2047.5, "WindowWidth": 4095},
            [0, 2047 / 4095, 1],
        ),
        (np.array([0, 100, 255], np.uint8), {"PhotometricInterpretation": "MONOCHROME1"}, [1, 155 / 255, 0]),
        *[(np.array([-128, -1, 0, 127], dtype), {}, [0, 127 / 255, 128 / 255, 1]) for dtype in (np.int8, np.int16)],
        ([10, 60, 85], WINDOW | {"VOILUTFunction": "sigmoid"}, [1 / (1 + np.exp(power)) for power in (2, 0, -1)]),
        *[  # the first window that has both numbers
            ([10, 60, 85], {"VOILUTFunction": "LINEAR_EXACT", "WindowCenter": center, "WindowWidth": width}, expected)
            for center, width, expected in [
                (["", 60], ["", 100], [0, 0.5, 0.75]),
                ([9, 60], ["", 100], [0, 0.5, 0.75]),
                (["", ""], ["", ""], [0, 50 / 75, 1]),
            ]
        ],
    ],
)
def test_gray_values_are_those_of_the_standard(pixels, changes, expected):
    values = pixels if isinstance(pixels, np.ndarray) else np.array(pixels, np.uint16)
    np.testing.assert_allclose(read(make(values[None], **changes))[0] / 65535, expected, atol=1e-5)


UP_TO_65534 = {"VOILUTSequence": lut(range(65535), 0, 16)}
SIGNED = np.array([-2000, -1000, 1000], np.int16)


@pytest.mark.parametrize(
    ("pixels", "padding", "changes", "expected"),
    [
        ([1000, 3000, 65535], [65535], {}, [0, 1, 0]),
        ([0, 1000, 3000], [0], {}, [0, 0, 1]),
        ([0, 9, 10, 1000, 3000], [0, 9], {}, [0, 0, 0, 990 / 2990, 1]),
        ([0, 9, 10, 1000, 3000], [9, 0], {}, [0, 0, 0, 990 / 2990, 1]),
        ([7, 7, 7], [7], {}, [0, 0, 0]),
        ([1000, 3000, 65535], [""], {}, [0, 2000 / 64535, 1]),
        ([1000, 3000, 65535], [65535], {"PhotometricInterpretation": "MONOCHROME1"}, [1, 0, 0]),
        ([0, 1000, 3000], [0], {"PhotometricInterpretation": "MONOCHROME1"}, [0, 1, 0]),
        ([1000, 3000, 65535], [65535], {"RescaleSlope": -1, "RescaleIntercept": 0}, [1, 0, 0]),
        ([1000, 3000, 0xFFFF], [0xFFFF], {"BitsStored": 12}, [0, 1, 0]),
        (SIGNED, [-2000], {}, [0, 0, 1]),
        (SIGNED, [-3000, -2000], {}, [0, 0, 1]),
        (SIGNED, [-2000], {"BitsStored": 12}, [0, 0, 1]),
        ([10, 60, 85], [85], WINDOW, [0, 0.5, 0]),
        ([10, 60, 85], [10], WINDOW | {"PhotometricInterpretation": "MONOCHROME1"}, [0, 0.5, 0.25]),
        ([0, 32767, 65534], [65534], UP_TO_65534, [0, 32767 / 65535, 0]),
        (np.array([0, 100, 255], np.uint8), [255], {}, [0, 100 / 255, 0]),
    ],
)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_padding_is_black_and_out_of_the_stretch(pixels, padding, changes, expected, syntax):
    values = pixels if isinstance(pixels, np.ndarray) else np.array(pixels, np.uint16)
    declared = dict(zip(["PixelPaddingValue", "PixelPaddingRangeLimit"], padding, strict=False))
    np.testing.assert_allclose(read(make(values[None], syntax, **declared | changes))[0] / 65535, expected, atol=1e-5)


def test_padding_of_a_signed_picture_may_be_declared_as_unsigned():
    data = make(SIGNED[None], PixelPaddingValue=-2000)
    assert b"\x28\0\x20\1SS" in data
    assert read(data.replace(b"\x28\0\x20\1SS", b"\x28\0\x20\1US")).tolist() == [[0, 0, 65535]]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_file_without_a_preamble_is_read(syntax):
    data = make(DEEP, syntax)[132:]
    assert dicom.is_dicom(data)
    np.testing.assert_array_equal(read(data), DEEP)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("preamble", [b"", bytes(128) + b"DICM"])
def test_a_file_that_states_no_transfer_syntax_is_read(preamble, syntax):
    data = make(DEEP, syntax, SOPClassUID="1.2.3")
    begin = 144 + int.from_bytes(data[140:144], "little")
    assert dicom.is_dicom(data[begin:])
    np.testing.assert_array_equal(read(preamble + data[begin:]), DEEP)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_lut_in_words_has_the_order_of_the_file(syntax):
    (item,) = lut([0, 4095, 273], 0, 12)
    order = "<" if syntax.is_little_endian else ">"
    item.add_new("LUTData", "OW", np.array([0, 4095, 273], f"{order}u2").tobytes())
    assert read(make(np.array([[0, 1, 2]], np.uint16), syntax, VOILUTSequence=[item])).tolist() == [[0, 65535, 4369]]


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


# ---------------------------------------------------------------- what is refused


CUT_LUT = lut([1, 2, 3], 0, 8)
CUT_LUT[0].LUTDescriptor = [300, 0, 8]
LOSSLESS = make(RAMP, uid.JPEGLosslessSV1, PixelData=encapsulate([bytes(100)]))
UNKNOWN_SYNTAX = "1.2.840.10008.1.2.9"


def with_syntax(written):
    return make(RAMP).replace(b"1.2.840.10008.1.2.1\0", written.encode() + b"\0")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"%PDF-", "expected a DICOM file, received 5 bytes of something else"),
        (LOSSLESS, f"received {uid.JPEGLosslessSV1.name} ({uid.JPEGLosslessSV1}); save the"),
        (LOSSLESS, "expected a transfer syntax of Implicit VR Little Endian, "),
        (with_syntax(UNKNOWN_SYNTAX), f"received {UNKNOWN_SYNTAX} ({UNKNOWN_SYNTAX});"),
        (with_syntax("Secret^Patient\n...."), "received none or an invalid one;"),
        (make(np.vstack([RAMP, RAMP]), NumberOfFrames=2), "expected one picture, received 2 frames"),
        *[(make(RAMP, BitsAllocated=bits), f"received 1 × {bits} of MONOCHROME2;") for bits in (1, 32)],
        (make(np.dstack([DEEP] * 3)), "or in color 3 × 8, of MONOCHROME1, "),
        (make(RAMP, PhotometricInterpretation="PALETTE COLOR"), "received 1 × 8 of PALETTE COLOR;"),
        (make(RAMP, PhotometricInterpretation=NAME), "received 1 × 8 of another kind;"),
        *[
            (make(RAMP, **{name: None}), f"a whole DICOM file of one picture, received one without {name}; save the")
            for name in [*dicom.NEEDED.split(), "PixelData"]
        ],
        (make(np.dstack([RAMP] * 3), PlanarConfiguration=None), "do not decode (AttributeError, PlanarConfiguration)"),
        (make(DEEP, BitsStored=17), "do not decode (ValueError, BitsAllocated, BitsStored)"),
        (make(DEEP, VOILUTSequence=[Dataset()]), "do not decode (AttributeError, LUTDescriptor)"),
        (make(RAMP, Rows=None, Columns=None), "received one without Rows, Columns;"),
        (make(RAMP, Rows=None, PixelData=None), "received one without a picture; leave it out if it is a report"),
        (make(RAMP)[:-100], "expected a whole DICOM file"),
        (make(DEEP, **WINDOW | {"VOILUTFunction": NAME}), "expected a VOI LUT function of LINEAR, "),
        (make(DEEP, WindowCenter=5, WindowWidth=0), "with a width of 1 or more, "),
        (make(RAMP, VOILUTSequence=CUT_LUT), "do not decode (IndexError)"),
        (make(RAMP, VOILUTSequence=lut([1, 2, 3], 0, 200)), "expected a LUT of 8 to 16 bits, received one of 200"),
        (encapsulated(RAMP, "JPEG2000", uid.JPEGBaseline8Bit), "do not decode (UnidentifiedImageError)"),
        (encapsulated(RAMP, "JPEG2000", uid.JPEG2000, container=True), "received one in a JP2 container"),
    ],
)
def test_another_kind_of_file_is_refused_by_name(data, message):
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
        (b"\x28\x00\x10\x00UT\0\0\xfe\xff\xff\xff" + bytes(9), "one without a picture"),
        (np.random.default_rng(7).bytes(5000), "one without a picture"),
        (b"", "one without a picture"),
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
