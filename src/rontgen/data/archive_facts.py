"""What the archives at hand are: where from, how many images, how large; and how they differ from the public ones."""

import io
from contextlib import suppress
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from rontgen.core.io import read_json
from rontgen.core.runs import DatasetSplit
from rontgen.data import layouts
from rontgen.data.archives import archive_name
from rontgen.data.unpacked import open_archive

# Images of an archive whose size is looked at, evenly spaced
SIZED = 500


def describe(split: DatasetSplit) -> dict[str, dict]:
    """For each archive: source, slug, SHA-256, bytes, images by label, and the median width of up to SIZED of them in
    pixels; counts and width with the expected values."""
    sources = read_json(split.raw / "SOURCE.json", f"dvc repro download@{split.dataset_name}")
    images = read_json(split.audit, split.split_command)["found"]
    return {
        layout: sources[archive_name(source.slug)]
        | {
            "images": images[layout],
            "expected_images": split.dataset.counts[layout],
            "median_width": _median_width(split.raw / archive_name(source.slug), layout),
            "expected_median_width": split.dataset.median_widths[layout],
        }
        for layout, source in split.dataset.archives.items()
    }


def _median_width(path: Path, layout: str) -> int:
    widths = []
    with open_archive(path) as archive:
        members = [image.member for image in layouts.read(layout, archive).images]
        for place in np.unique(np.linspace(0, len(members) - 1, SIZED).astype(int)):
            data = io.BytesIO(archive.read(members[place]))
            with suppress(OSError), Image.open(data) as image:  # some may be allowed not to decode
                widths.append(image.width)
    return round(median(widths))


def deviations(archives: dict[str, dict]) -> list[str]:
    """How archives differ from the public ones, in words. archives: of describe."""
    found = []
    for layout, archive in archives.items():
        for label, expected in archive["expected_images"].items():
            images = archive["images"].get(label, 0)
            if images != expected:
                found.append(f"{layout} has {images:,} of the {expected:,} images of {label}")
        width, expected = archive["median_width"], archive["expected_median_width"]
        if not 0.9 * expected <= width <= 1.1 * expected:
            found.append(f"images of {layout} have a median width of {width} pixels, the public archive's {expected}")
    return found
