"""Decode once: from members of archives to one grayscale uint8 array on disk, which training memory-maps."""

import io
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from rontgen.archives import Archive
from rontgen.errors import RontgenError
from rontgen.files import replacing

# Pillow lets go of Python's lock while it decodes and resizes, so threads use all cores
THREADS = 4

# A header may claim any size; the largest chest radiographs in use have 25 megapixels
MAX_PIXELS = 100_000_000
# Pillow's own limit is lower, and a warning
Image.MAX_IMAGE_PIXELS = None

# No other: Pillow hands EPS to Ghostscript, which runs what the file says
FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "BMP", "GIF", "WEBP")


def decode(data: bytes, size: int) -> np.ndarray:
    """Decode a picture in one of FORMATS to a square grayscale image.

    EXIF rotation is applied, 16-bit values are divided by 257, palettes and CMYK go through RGB, transparent pixels
    are black. The picture is squeezed to the square, as Keras's `load_img` does, with bilinear antialiasing.
    Returns uint8 (size, size). Raises RontgenError, naming what is wrong, where the bytes are no picture.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise RontgenError(f"expected at most {MAX_PIXELS} pixels, received {image.width}×{image.height}")
            if image.format == "JPEG" and image.mode == "RGB":
                image.draft("L", image.size)
            gray = _grayscale(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise RontgenError(
            f"expected a picture ({', '.join(FORMATS)}), received {len(data)} bytes of something else"
        ) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise RontgenError(f"expected a picture, received {len(data)} bytes that do not decode: {error}") from None
    return np.asarray(gray.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=None))


def _grayscale(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        values[values == image.info.get("transparency")] = 0
        return Image.fromarray(np.clip(np.rint(values / 257), 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        opaque = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(opaque, image)
    if image.mode not in ("L", "1", "RGB"):
        image = image.convert("RGB")
    return image.convert("L")


def decode_all(manifest: pd.DataFrame, raw: Path, size: int, path: Path) -> None:
    """Decode the images of a manifest to `path`, an .npy file: uint8 (N, size, size, 1), in the manifest's order.

    raw: the folder of the archives. Shows progress. Raises RontgenError where an image does not decode, naming it;
    `path` is then left as it was.
    """
    with ExitStack() as stack, replacing(path) as temporary:
        names = manifest["archive"].unique()
        archives = {
            name: stack.enter_context(Archive(raw / name, command=f"dvc repro download@{raw.name}")) for name in names
        }
        shape = (len(manifest), size, size, 1)
        images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)

        def decode_row(row):
            index, archive, member = row
            try:
                images[index, :, :, 0] = decode(archives[archive].read(member), size)
            except RontgenError as error:
                raise RontgenError(f"{raw / archive}: {member}: {error}") from None

        rows = zip(range(len(manifest)), manifest["archive"], manifest["member"], strict=True)
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in tqdm(pool.map(decode_row, rows), f"decode to {size} px", len(manifest), unit="image"):
                pass
        images.flush()
