"""Files that nobody should send."""

import io
import struct
import zlib

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEGLosslessSV1,
)


def picture(kind: str = "PNG", side: int = 64) -> bytes:
    buffer = io.BytesIO()
    values = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    Image.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, rows: bytes, extra: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def dicom(syntax: UID = ExplicitVRLittleEndian, rows: int = 8, columns: int = 8, bits: int = 16, **changes) -> bytes:
    """A DICOM file of one gray picture; keywords change its elements, and None leaves one out."""
    elements = {
        "Rows": rows,
        "Columns": columns,
        "BitsAllocated": bits,
        "BitsStored": bits,
        "PixelRepresentation": 0,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "NumberOfFrames": 1,
        "PixelData": b"\0" * 128,
    } | changes
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    for keyword, value in elements.items():
        if value is not None:
            setattr(data, keyword, value)
    if "PixelData" in data:
        data["PixelData"].VR = "OB" if bits == 8 or syntax.is_encapsulated else "OW"
        data["PixelData"].is_undefined_length = syntax.is_encapsulated
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


JPEG = picture("JPEG")
PNG = picture()
HTML = b"<!doctype html><script>alert(1)</script>"
TEXT = chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 200_000_000, 9))
LARGE_JPEG = JPEG.replace(struct.pack(">HH", 64, 64), struct.pack(">HH", 65_500, 65_500), 1)

# {what it is: its bytes}
UPLOADS = {
    "nothing": b"",
    "HTML": HTML,
    "HTML after a PNG signature": PNG[:8] + HTML,
    "a GIF": picture("GIF"),
    "PostScript, which Pillow would hand to Ghostscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9",
    "random bytes": np.random.default_rng(1).bytes(5000),
    "a PNG cut in half": PNG[: len(PNG) // 2],
    "a JPEG cut in half": JPEG[: len(JPEG) // 2],
    "a PNG with a wrong checksum": PNG[:40] + b"\0\0\0\0" + PNG[44:],
    "a PNG of no width": png(0, 64, zlib.compress(b"\0")),
    "a PNG of 60,000 × 60,000 declared pixels": png(60_000, 60_000, zlib.compress(b"\0" * 1000)),
    "a PNG bomb: 100 MB of zeros in 100 kB": png(10_000, 10_000, zlib.compress(b"\0" * 100_010_000, 9)),
    "a text chunk that unpacks to 200 MB": png(64, 64, b"", TEXT),
    "a JPEG of 65,500 × 65,500 declared pixels": LARGE_JPEG,
    "DICOM: random bytes after DICM": bytes(128) + b"DICM" + np.random.default_rng(2).bytes(3000),
    "DICOM without pixels": dicom(PixelData=None),
    "DICOM cut short": dicom()[:-60],
    "DICOM of 60,000 × 60,000 declared pixels": dicom(rows=60_000, columns=60_000),
    "DICOM of 500 frames": dicom(NumberOfFrames=500),
    "DICOM, deflated: a bomb when read": dicom(DeflatedExplicitVRLittleEndian),
    "DICOM, JPEG lossless": dicom(JPEGLosslessSV1, PixelData=encapsulate([b"\xff\xd8\xff\xd9"])),
    "a path as its name": b"root:x:0:0",
    "a name of 10,000 letters": b"\x89PNG",
    "26 MB of zeros": bytes(26_000_000),
}
# Of an upload whose name is not x.png
NAMES = {"a path as its name": "../../../etc/passwd\0.png", "a name of 10,000 letters": "x" * 10_000 + ".png"}
