"""DICOM files as the pictures that a radiologist sees, for the page; nothing of a patient's data leaves here."""

import io
import logging
import re
import struct
import warnings
from itertools import pairwise

import numpy as np
from PIL import Image
from pydicom import Dataset, uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue
from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing, pixel_array
from pydicom.tag import BaseTag, Tag

from rontgen.core.errors import RontgenError
from rontgen.data.decoding import MAX_PIXELS

# Their decoders in Pillow
JPEGS = {uid.JPEGBaseline8Bit: "JPEG", uid.JPEG2000Lossless: "JPEG2000", uid.JPEG2000: "JPEG2000"}
NATIVE = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)
SYNTAXES = (*NATIVE, uid.RLELossless, *JPEGS)
# The samples and the bits that a pixel may have
GRAY, COLOR = [(1, 8), (1, 16)], [(3, 8)]
PIXELS = {"MONOCHROME1": GRAY, "MONOCHROME2": GRAY} | dict.fromkeys(
    ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"), COLOR
)

# In bytes, without the pixels and what is skipped
MAX_HEADER = 2**19
# What each read counts for besides: pydicom makes an object of a kilobyte from an empty item of eight bytes
READ = 32

# All that is read of a file; patients' names and numbers are not among it
NEEDED = "SamplesPerPixel PhotometricInterpretation Rows Columns BitsAllocated BitsStored PixelRepresentation"
OPTIONAL = """
    PlanarConfiguration NumberOfFrames PixelPaddingValue PixelPaddingRangeLimit ModalityLUTSequence RescaleIntercept
    RescaleSlope VOILUTSequence WindowCenter WindowWidth VOILUTFunction PixelData
"""
TAGS: list[BaseTag | int] = [Tag(keyword) for keyword in f"{NEEDED} {OPTIONAL}".split()]

# Where an element is missing or empty
DEFAULTS = {"RescaleSlope": 1, "RescaleIntercept": 0, "VOILUTFunction": "LINEAR"}

# How a file without a preamble begins: with an element of group 2 or 8 and its VR, or of group 8 and a short length
BARE = re.compile(rb"(?s)[\x02\x08]\0.\0[A-Z]{2}|\0\x08\0.[A-Z]{2}|\x08\0[\0-\x18]\0[^\0]\0\0\0")

REMEDY = "save the picture uncompressed (`gdcmconv --raw in.dcm out.dcm`), or as PNG or JPEG"

# pydicom warns of what breaks the standard, logs it, and quotes it
warnings.filterwarnings("ignore", module="pydicom")
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


def is_dicom(data: bytes) -> bool:
    """Whether the bytes, at least the first 132 of a file, begin as DICOM does: with a preamble, or an element."""
    return data[128:132] == b"DICM" or BARE.match(data) is not None


def to_png(data: bytes) -> bytes:
    """Turn a DICOM file of one picture into a 16-bit grayscale PNG, for `decoding.decode`.

    As on a radiologist's screen: the modality LUT or rescale, then the first VOI LUT or else the first window, then
    MONOCHROME1 inverted, and padding black. Without a VOI LUT and a window, 8-bit values stay as they are; of 16-bit
    ones, the lowest in the picture is black and the highest white, padding aside. Color becomes its luminance.
    Returns a PNG of values from 0 to 65535. Raises RontgenError, which quotes no text of the file, where the bytes are
    no such file, its transfer syntax is not in SYNTAXES, or it claims more than MAX_PIXELS (a third of them in color).
    """
    try:
        header = _read(data)
        _check(header)
        pixels = pixel_array(header, index=0)
        if pixels.ndim == 3:
            gray = np.asarray(Image.fromarray(pixels).convert("L")).astype(np.uint16) * 257
        else:
            gray = _as_seen(pixels, header)
        png = io.BytesIO()
        Image.fromarray(gray).save(png, "PNG", compress_level=1)
    except RontgenError:
        raise
    except Exception as error:  # pydicom raises anything on damaged files, with words from them in its messages
        keywords = f"{NEEDED} {OPTIONAL} LUTDescriptor LUTData".split()
        about = [keyword for keyword in keywords if keyword in str(error).replace(" ", "")]
        reason = f"{len(data)} bytes that do not decode ({', '.join([type(error).__name__, *about])})"
        raise _error("a whole DICOM file of one picture", reason) from None
    return png.getvalue()


def _error(expected: str, received: str, remedy: str = REMEDY) -> RontgenError:
    return RontgenError(f"expected {expected}, received {received}; {remedy}")


class _Bounded(io.BytesIO):
    """A file of which MAX_HEADER bytes may be read besides the pixels, in few reads, and nothing after them."""

    left = MAX_HEADER
    at_pixels = False

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self.left -= READ + (0 if self.at_pixels else len(content))
        if self.left < 0:
            raise _error(f"a DICOM header of at most {MAX_HEADER} bytes and a picture in few fragments", "more")
        return content

    def stop(self, tag: int, *_: object) -> bool:
        past = self.at_pixels
        self.at_pixels = past or tag == Tag("PixelData")
        return past


def _read(data: bytes) -> Dataset:
    """Read the elements of TAGS. Unlike `pydicom.dcmread`, never inflates: a small file may inflate to gigabytes."""
    if not is_dicom(data):
        raise _error("a DICOM file", f"{len(data)} bytes of something else")
    file = _Bounded(data)
    file.seek(132 if data[128:132] == b"DICM" else 0)
    meta = read_dataset(file, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)
    syntax = uid.UID(str(meta.get("TransferSyntaxUID", "")) or _guess_syntax(data, file.tell()))
    if syntax not in SYNTAXES:
        received = f"{syntax.name} ({syntax})" if syntax and syntax.is_valid else "none or an invalid one"
        raise _error(f"a transfer syntax of {', '.join(known.name for known in SYNTAXES)}", received)
    encoding = syntax.is_implicit_VR, syntax.is_little_endian
    header = read_dataset(file, *encoding, stop_when=file.stop, specific_tags=TAGS)
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = syntax
    return header


def _guess_syntax(data: bytes, start: int) -> uid.UID:
    """The transfer syntax of a file that states none, from its first element, whose group is below 256."""
    if not data[start + 4 : start + 6].isalpha():
        return uid.ImplicitVRLittleEndian
    return uid.ExplicitVRLittleEndian if data[start] else uid.ExplicitVRBigEndian


def _check(header: Dataset) -> None:
    """Refuse, before pixels are decoded, what is not read or would take more memory than the picture."""
    missing = [name for name in f"{NEEDED} PixelData".split() if header.get(name) in (None, "", b"")]
    if missing:
        holds_none = {"Rows", "PixelData"} <= set(missing)
        remedy = "leave it out if it is a report, a plan or an index; copy it again if it is cut off"
        received = "one without a picture" if holds_none else f"one without {', '.join(missing)}"
        raise _error("a whole DICOM file of one picture", received, remedy if holds_none else REMEDY)
    rows, columns, bits, samples = (
        int(header[name].value) for name in ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel")
    )
    if rows * columns * samples > MAX_PIXELS:
        raise _error(f"at most {MAX_PIXELS} values", f"{columns}×{rows} pixels of {samples}")
    if (frames := int(header.get("NumberOfFrames") or 1)) != 1:
        raise _error("one picture", f"{frames} frames")
    kind = header.PhotometricInterpretation
    if (samples, bits) not in PIXELS.get(kind, ()):
        received = f"{samples} × {bits} of {kind if kind in (*PIXELS, 'PALETTE COLOR') else 'another kind'}"
        raise _error(f"1 × 8 or 1 × 16 bits, or in color 3 × 8, of {', '.join(PIXELS)}", received)

    syntax = header.file_meta.TransferSyntaxUID
    if syntax in NATIVE:
        return
    frame = get_frame(header.PixelData, 0, number_of_frames=1)
    if syntax == uid.RLELossless:
        _check_rle(frame, rows * columns)
        return
    with Image.open(io.BytesIO(frame), formats=[JPEGS[syntax]]) as image:
        if image.size != (columns, rows):
            expected = f"{columns}×{rows} pixels in the {image.format}, as in the header"
            raise _error(expected, f"{image.width}×{image.height}")
        if image.format == "JPEG2000" and not frame.startswith(b"\xff\x4f"):
            raise _error("a bare JPEG 2000 codestream", "one in a JP2 container, which states its size twice")


def _check_rle(frame: bytes, pixels: int) -> None:
    """Refuse segments of over twice the pixels, which leaves room for padding: any two bytes may become 128."""
    count, *starts = struct.unpack_from("<16I", frame)
    for start, end in pairwise([*starts[:count], len(frame)]):
        length = 0
        while start < min(end, len(frame)):
            code = frame[start]  # up to 127: so many bytes and one follow as they are; 128: nothing; above: a run
            length += code + 1 if code < 128 else (257 - code) % 129
            start += code + 2 if code < 128 else 1 + (code > 128)
            if length > 2 * pixels:
                raise _error(f"RLE segments of {pixels} bytes", "a longer one")


@np.errstate(all="ignore")
def _as_seen(pixels: np.ndarray, header: Dataset) -> np.ndarray:
    """Gray values from 0 to 65535: computed for each of the 256 or 65536 possible values, then looked up."""
    patterns = np.arange(256**pixels.itemsize, dtype=f"u{pixels.itemsize}")
    stored = patterns.view(pixels.dtype)
    for name, default in DEFAULTS.items():
        if not header.get(name):
            setattr(header, name, default)
    if header.get("ModalityLUTSequence"):
        _declare_16_bits(header.ModalityLUTSequence[0])
    rescaled = values = apply_modality_lut(stored.astype(np.int64), header).astype(np.float64)

    codes, padding = pixels.view(patterns.dtype), _is_padding(stored, header)
    if header.get("VOILUTSequence"):
        item = header.VOILUTSequence[0]
        low, span = 0, 2 ** _declare_16_bits(item) - 1
        first = item.LUTDescriptor[1]
        values = apply_voi(np.round(values).clip(first, first + 65535).astype(np.int64), header)
    elif (window := _first_window(header)) is not None:
        try:
            values = apply_windowing(np.append(values, (-np.inf, np.inf)), header, window)
        except ValueError:
            expected = "a VOI LUT function of LINEAR, with a width of 1 or more, or LINEAR_EXACT or SIGMOID, above 0"
            raise _error(expected, "another function or width") from None
        low, span = values[-2], values[-1] - values[-2]
        values = values[:-2]
    else:
        seen = np.zeros(len(stored), bool)
        seen[codes] = True
        shown = values if pixels.itemsize == 1 else values[seen & ~padding]
        low, span = (shown.min(), np.ptp(shown) or 1) if shown.size else (0, 1)
    gray = ((values - low) / span).clip(0, 1)
    if np.isinf(span) or not (np.isfinite(rescaled) & np.isfinite(gray)).all():
        raise _error("a rescale and a window of finite numbers", "others")
    if header.PhotometricInterpretation == "MONOCHROME1":
        gray = 1 - gray
    gray[padding] = 0
    return np.round(gray * 65535).astype(np.uint16)[codes]


def _is_padding(stored: np.ndarray, header: Dataset) -> np.ndarray:
    """Which stored values surround the picture: PixelPaddingValue up to PixelPaddingRangeLimit (PS3.3 C.7.5.1.1.2)."""
    first, last = header.get("PixelPaddingValue"), header.get("PixelPaddingRangeLimit")
    if first in (None, ""):
        return np.zeros(len(stored), bool)
    # in the bits stored, as pixels are read: a signed value may be declared as unsigned
    least, count = (-1 if header.PixelRepresentation else 0) * 2 ** (header.BitsStored - 1), 2**header.BitsStored
    ends = [(end - least) % count + least for end in (first, first if last in (None, "") else last)]
    return (stored >= min(ends)) & (stored <= max(ends))


def _first_window(header: Dataset) -> int | None:
    """The place of the first window that has a center and a width; None where there is none."""
    centers, widths = (header.get(name) for name in ("WindowCenter", "WindowWidth"))
    pairs = zip(*(value if isinstance(value, MultiValue) else [value] for value in (centers, widths)), strict=False)
    return next((place for place, pair in enumerate(pairs) if not {None, ""} & set(pair)), None)


def _declare_16_bits(lut: Dataset) -> int:
    """Returns the depth that it had. pydicom takes entry 300 of a LUT of 8 bits for entry 44."""
    depth = lut.LUTDescriptor[2]
    if not 8 <= depth <= 16:
        raise _error("a LUT of 8 to 16 bits", f"one of {depth}")
    lut.LUTDescriptor[2] = 16
    if isinstance(lut.LUTData, bytes):
        lut["LUTData"].VR = "OW"  # not UN, as a long one of US may be
    return depth
