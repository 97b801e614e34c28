"""Thirty files that nobody should send."""

import io
import struct
import zlib

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEGLosslessSV1


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


def dicom(syntax=ExplicitVRLittleEndian, rows: int = 8, frames: int = 1, pixels: bytes | None = b"\0" * 128) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    data = FileDataset("x", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    data.Rows = data.Columns = rows
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation, data.SamplesPerPixel = 15, 0, 1
    data.PhotometricInterpretation, data.NumberOfFrames = "MONOCHROME2", frames
    if pixels is not None:
        data.PixelData = pixels
        data["PixelData"].VR = "OW"
        data["PixelData"].is_undefined_length = syntax.is_encapsulated
    buffer = io.BytesIO()
    data.save_as(buffer)
    return buffer.getvalue()


JPEG = picture("JPEG")
PNG = picture()
HTML = b"<!doctype html><script>alert(1)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
FRAGMENT = (
    b"\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\x00\xe0\x04\x00\x00\x00\xff\xd8\xff\xd9\xfe\xff\xdd\xe0\x00\x00\x00\x00"
)

# {what it is: (its file name, its bytes)}
UPLOADS = {
    "nothing": ("x.png", b""),
    "one byte": ("x.png", b"\x89"),
    "HTML called PNG": ("x.png", HTML),
    "SVG called PNG": ("x.png", SVG),
    "HTML after a PNG signature": ("x.png", PNG[:8] + HTML),
    "a script called JPEG": ("x.jpg", b"#!/bin/sh\nrm -rf /\n"),
    "an executable": ("x.jpg", b"\x7fELF" + b"\0" * 500),
    "a zip": ("x.png", b"PK\x03\x04" + b"\0" * 500),
    "a PDF": ("x.pdf", b"%PDF-1.7\n" + b"0" * 500),
    "a GIF": ("x.gif", picture("GIF")),
    "a TIFF": ("x.png", picture("TIFF")),
    "a BMP": ("x.png", picture("BMP")),
    "PostScript, which Pillow would hand to Ghostscript": (
        "x.png",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    ),
    "random bytes": ("x.png", np.random.default_rng(1).bytes(5000)),
    "a PNG cut in half": ("x.png", PNG[: len(PNG) // 2]),
    "a JPEG cut in half": ("x.jpg", JPEG[: len(JPEG) // 2]),
    "a PNG with a wrong checksum": ("x.png", PNG[:40] + b"\0\0\0\0" + PNG[44:]),
    "a PNG of 60,000 × 60,000 declared pixels": ("x.png", png(60_000, 60_000, zlib.compress(b"\0" * 1000))),
    "a PNG bomb: 100 MB of zeros in 100 kB": ("x.png", png(10_000, 10_000, zlib.compress(b"\0" * 100_010_000, 9))),
    "a PNG of no width": ("x.png", png(0, 64, zlib.compress(b"\0"))),
    "a text chunk that unpacks to 200 MB": (
        "x.png",
        png(64, 64, b"", chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 200_000_000, 9))),
    ),
    "a JPEG of 65,500 × 65,500 declared pixels": (
        "x.jpg",
        JPEG.replace(struct.pack(">HH", 64, 64), struct.pack(">HH", 65_500, 65_500), 1),
    ),
    "DICOM: random bytes after DICM": ("x.dcm", b"\0" * 128 + b"DICM" + np.random.default_rng(2).bytes(3000)),
    "DICOM without pixels": ("x.dcm", dicom(pixels=None)),
    "DICOM cut short": ("x.dcm", dicom()[:-60]),
    "DICOM of 60,000 × 60,000 declared pixels": ("x.dcm", dicom(rows=60_000)),
    "DICOM of 500 frames": ("x.dcm", dicom(frames=500)),
    "DICOM, deflated: a bomb when read": ("x.dcm", dicom(DeflatedExplicitVRLittleEndian)),
    "DICOM, JPEG lossless": ("x.dcm", dicom(JPEGLosslessSV1, pixels=FRAGMENT)),
    "a path as its name": ("../../../etc/passwd\0.png", b"root:x:0:0"),
    "a name of 10,000 letters": ("x" * 10_000 + ".png", b"\x89PNG"),
    "26 MB of zeros": ("x.png", b"\0" * 26_000_000),
}
