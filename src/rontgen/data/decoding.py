"""Decode once: from members of archives to one grayscale uint8 array on disk, which training memory-maps."""

import io
import threading
import warnings
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError

from rontgen.core import progress
from rontgen.core.errors import RontgenError
from rontgen.core.io import replacing, write_csv
from rontgen.data.archives import ArchiveError, Readable
from rontgen.data.unpacked import open_archive

Result = TypeVar("Result")

# Pillow lets go of Python's lock while it decodes and resizes, so threads use all cores
THREADS = 4

# Images in flight: 256 of 640 pixels are 100 MB
CHUNK = 256

UNREADABLE_COLUMNS = ["id", "archive", "member", "reason"]

# A header may claim any size; the largest chest radiographs in use have 25 megapixels
MAX_PIXELS = 36_000_000
# Larger ones, in pixels, are decoded one at a time: four of 36 megapixels at once would take over 2 GiB
LARGE = 4_000_000
_one_large = threading.RLock()
# libjpeg decodes to a half, a quarter or an eighth in a fraction of the time. Down to 1.25 times the size wanted, 120
# originals of 1.2 megapixels differ by 0.2 grey levels at 224 px from decoding them whole (docs/performance.md)
DRAFT_SIZE = 1.25
# In pixels; smaller JPEGs take less than a millisecond, and are decoded whole
WORTH_A_DRAFT = 100_000
# Pillow's own limit is lower, and a warning
Image.MAX_IMAGE_PIXELS = None

# Those of the archives, and no other: Pillow hands EPS to Ghostscript, which runs what the file says
FORMATS = ("PNG", "JPEG")
# Pillow warns of damaged EXIF data, which is ignored
warnings.filterwarnings("ignore", module="PIL")


def decode(data: bytes, size: int) -> np.ndarray:
    """Decode a picture in one of FORMATS to a square grayscale image.

    EXIF rotation is applied, 16-bit values are divided by 257, palettes and CMYK go through RGB, transparent pixels
    are black. The picture is squeezed to the square with bilinear antialiasing. Keras's `load_img` takes the nearest
    pixel, unless told otherwise, and its `image_dataset_from_directory` does not antialias: of 120 originals of 1.2
    megapixels, 2.3 and 2.0 grey levels of 255 away on average.
    Large JPEGs are decoded at a lower resolution, of at least DRAFT_SIZE times the size.
    Returns uint8 (size, size). Raises RontgenError, saying what is wrong, if the bytes are not a picture.
    """
    with _open(data) as image:
        return _square(image, size)


def decode_with_colour(data: bytes, *sizes: int) -> tuple[list[np.ndarray], float]:
    """What `decode` gives at each size, and `colourfulness`, from one decode of a PNG.

    Of a JPEG each takes a decode of its own, at its own resolution.
    """
    with _open(data) as image:
        if image.format == "PNG":
            with _alone(image):
                return [_square(image, size) for size in sizes], _colourfulness(image)
    return [decode(data, size) for size in sizes], colourfulness(data)


@contextmanager
def _open(data: bytes) -> Iterator[Image.Image]:
    """A picture whose pixels are not decoded yet. Raises RontgenError for one that is none, in the block too."""
    expected = f"expected a picture ({', '.join(FORMATS)}), received {len(data)} bytes"
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise RontgenError(f"expected at most {MAX_PIXELS} pixels, received {image.width}×{image.height}")
            yield image
    except RontgenError:
        raise
    except UnidentifiedImageError:
        raise RontgenError(f"{expected} of something else") from None
    except Exception as error:  # damaged bytes reach any line of Pillow: a TypeError, an AssertionError, struct.error
        raise RontgenError(f"{expected} that do not decode: {error!r}") from None


def _alone(image: Image.Image) -> AbstractContextManager:
    """Held while the pixels of a picture are in memory, so that only one large one is."""
    return _one_large if image.width * image.height > LARGE else nullcontext()


def _square(image: Image.Image, size: int) -> np.ndarray:
    pixels, box = image.width * image.height, None
    if image.format == "JPEG":  # decoded in gray, and a large one at a fraction of its size
        least = (round(DRAFT_SIZE * size),) * 2
        _, box = image.draft("L", least if pixels >= WORTH_A_DRAFT else image.size)  # type: ignore[misc]
    with _alone(image):
        gray = _grayscale(image).resize((size, size), Image.Resampling.BILINEAR, box=box)
    gray.info = image.info  # which 16-bit values lose on their way
    return np.asarray(ImageOps.exif_transpose(gray))


def _grayscale(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion would cut them off at 255
        values = np.asarray(image).astype(np.int32, copy=False)
        values = np.where(values == image.info.get("transparency"), 0, values)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        if image.mode not in ("RGBA", "LA"):
            image = image.convert("RGBA")
        image = image.convert("LA")
        return ImageChops.multiply(image.getchannel("L"), image.getchannel("A"))
    if image.mode not in ("L", "1", "RGB"):
        image = image.convert("RGB")
    return image.convert("L")


def decode_all(manifest: pd.DataFrame, raw: Path, size: int, folder: Path, max_unreadable: int) -> None:
    """Decode the images of a manifest to `folder`/images.npy: uint8 (N, size, size, 1), in the manifest's order; and
    write manifest.csv, the rows of those that decoded, each with its row in the images.

    raw: the folder of the archives. Images that fail to decode become black, and are listed with the reason in
    unreadable.csv. Shows progress. Raises RontgenError, and writes nothing, if more than max_unreadable fail.
    """
    unreadable = []
    with replacing(folder / "images.npy") as temporary:
        with temporary.open("wb") as file:  # a memory map would crash on a full disk
            header = {"descr": "|u1", "fortran_order": False, "shape": (len(manifest), size, size, 1)}
            np.lib.format.write_array_header_1_0(file, header)
            decoded = map_images(manifest, raw, lambda data: decode(data, size), f"decode to {size} px")
            with closing(decoded) as images:  # its threads end where a write fails
                for row, image in zip(manifest.itertuples(), images, strict=True):
                    if isinstance(image, str):
                        unreadable.append((row.id, row.archive, row.member, image))
                        image = np.zeros((size, size), np.uint8)
                    file.write(image.tobytes())
        table = pd.DataFrame(unreadable, columns=UNREADABLE_COLUMNS)
        check_unreadable(table, raw, max_unreadable)
        write_csv(table, folder / "unreadable.csv")
        readable = manifest[~manifest["id"].isin(table["id"])]
        write_csv(readable.rename_axis(index="row").reset_index(), folder / "manifest.csv")


def map_images(
    images: pd.DataFrame, raw: Path, function: Callable[[bytes], Result], label: str
) -> Generator[Result | str, None, None]:
    """Call a function on the bytes of each image, in order; yields its result, or why the image failed to decode.

    images: columns archive and member. raw: the folder of the archives. label: of the progress bar. Raises RontgenError
    if an archive is missing or damaged.
    """
    archives: dict[str, Readable] = {}

    def result(row: Any) -> Result | str:
        try:
            return function(archives[row.archive].read(row.member))
        except ArchiveError:
            raise  # the archive is damaged, and must be downloaded again
        except RontgenError as error:
            return str(error)

    rows = list(images.itertuples())
    with ExitStack() as stack:
        for name in images["archive"].unique():
            archives[name] = stack.enter_context(open_archive(raw / name, command=_download(raw)))
        pool = stack.enter_context(ThreadPoolExecutor(THREADS))
        bar = stack.enter_context(progress.bar(desc=label, total=len(images), unit="image"))
        for start in range(0, len(rows), CHUNK):
            for found in pool.map(result, rows[start : start + CHUNK]):
                yield found
                bar.update()


def check_unreadable(unreadable: pd.DataFrame, raw: Path, allowed: int) -> None:
    """Raise RontgenError if more images failed to decode than are allowed. unreadable: archive, member, reason."""
    if len(unreadable) > allowed:
        first = unreadable.iloc[0]
        raise RontgenError(
            f"{raw / first.archive}: expected at most {allowed} unreadable images, received {len(unreadable)}, the "
            f"first {first.member}: {first.reason}; run `{_download(raw)}` for a sound archive, or allow them with "
            f"profiles.<profile>.preprocess.max_unreadable={len(unreadable)}"
        )


def _download(raw: Path) -> str:
    return f"dvc repro download@{raw.name}"


def colourfulness(data: bytes) -> float:
    """How far a picture is from gray: the mean of max(R, G, B) − min(R, G, B), 0 to 255, of 64 × 64 block means.

    data: a file that decode accepts. Transparent pixels count as black.
    """
    with _open(data) as image:
        return _colourfulness(image)


def _colourfulness(image: Image.Image) -> float:
    if image.mode in ("1", "L", "LA") or image.mode.startswith("I"):
        return 0.0
    image.draft(None, (64, 64))  # of a large JPEG an eighth, in a fraction of the time
    with _alone(image):
        small = image.convert("RGBA" if image.has_transparency_data else "RGB").resize((64, 64), Image.Resampling.BOX)
    values = np.asarray(small, dtype=np.float64)
    opaque = values[..., 3] / 255 if values.shape[2] == 4 else 1
    return float((np.ptp(values[..., :3], axis=2) * opaque).mean())
