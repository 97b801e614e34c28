"""X-rays from elsewhere: films of archives that a dataset does not train on, and test images that a hospital altered.

The films are those of `datasets.<dataset>.external`, of archives that are at hand: zips or indexes in data/archives, or
in the demo the one that it brings.
"""

import io
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from rontgen.core.io import replacing, write_csv
from rontgen.core.runs import BY_HAND
from rontgen.core.settings import Dataset
from rontgen.data import by_hand, decoding, demo, layouts, unpacked
from rontgen.data.archives import archive_name
from rontgen.data.unpacked import open_archive

# Films of one archive, evenly over it: their exact 95% interval is at most 9 points wide
MOST = 500
Change = Callable[[bytes], bytes]
# perturbation: "" for a film. unfamiliar: whether the out-of-distribution check refuses it, 0 or 1
COLUMNS = ["source", "id", "class", "perturbation", "unfamiliar"]


def films(dataset: Dataset, source: str) -> pd.DataFrame:
    """The films at hand that are external to a dataset: source (a layout), id, class, perturbation (""), place (of the
    archive) and member. With them the full-size files of ORIGINALS, source "originals", and source "copies", the files
    of the same names in the dataset's own archive.

    source: of the profile's archives, kaggle or demo. Raises RontgenError where the stage `inputs` has not run, or an
    archive is damaged.
    """
    rows = []
    for layout, archive in dataset.external.items():
        if place := _at_hand(layout, archive.slug, source):
            labels = archive.labels
            images = [image for image in _images(place, layout) if image.label in labels]
            chosen = np.linspace(0, len(images) - 1, min(MOST, len(images))).astype(int)
            rows += [(layout, labels[image.label], place, image.member) for image in (images[one] for one in chosen)]
    own = dataset.archives.get("chest_xray")
    copied = _at_hand("chest_xray", own.slug, source) if own else None
    if copied and by_hand.read("archives", "originals"):
        with open_archive(place := BY_HAND / by_hand.ORIGINALS, command=by_hand.COMMAND) as originals:
            members = {Path(member.name).stem: member.name for member in originals.members()}
        rows += [("originals", Path(member).parts[-2], place, member) for member in members.values()]
        copies = {Path(image.member).stem: image for image in _images(copied, "chest_xray")}
        rows += [("copies", copies[stem].label, copied, copies[stem].member) for stem in members if stem in copies]
    table = pd.DataFrame(rows, columns=["source", "class", "place", "member"])
    return table.assign(id=[Path(member).stem for member in table["member"]], perturbation="")


def _images(place: Path, layout: str) -> list[layouts.ArchiveImage]:
    with open_archive(place, command=by_hand.COMMAND) as archive:
        return layouts.read(layout, archive).images


def perturbed(manifest: pd.DataFrame, raw: Path) -> pd.DataFrame:
    """Every test image of a manifest by each of PERTURBATIONS, with the columns of `films`; their source is "test".

    raw: the folder of their archives.
    """
    test = manifest[manifest["subset"] == "test"]
    rows = test.assign(source="test", place=[raw / name for name in test["archive"]])
    return pd.concat([rows.assign(perturbation=name) for name in PERTURBATIONS])


def decode(rows: pd.DataFrame, size: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows of `films` or `perturbed` that decode, and their images, uint8 (N, size, size, 1). Shows progress."""
    kept, images = [], []
    for (place, name), some in rows.groupby(["place", "perturbation"], sort=False):
        change = PERTURBATIONS.get(name, bytes)

        def picture(data: bytes, change: Change = change) -> np.ndarray:
            return decoding.decode(change(data), size)

        label = f"decode {place.name}{name and ', ' + name}"
        decoded = decoding.map_images(some.assign(archive=place.name), place.parent, picture, label)
        with closing(decoded) as found:
            for position, image in zip(some.index, found, strict=True):
                if not isinstance(image, str):
                    kept.append(some.loc[position])
                    images.append(image)
    table = pd.DataFrame(kept, columns=rows.columns).reset_index(drop=True)
    return table, np.stack(images)[..., None] if images else np.zeros((0, size, size, 1), np.uint8)


def write(rows: pd.DataFrame, images: np.ndarray, folder: Path) -> None:
    """Write images.npy and manifest.csv (COLUMNS)."""
    with replacing(folder) as temporary:
        temporary.mkdir()
        np.save(temporary / "images.npy", images)
        write_csv(rows[COLUMNS], temporary / "manifest.csv")


def _at_hand(layout: str, slug: str, source: str) -> Path | None:
    if source == "demo":
        return next((path for (_, one), path in demo.MINIATURES.items() if one == layout), None)
    path = BY_HAND / archive_name(slug)
    listed = by_hand.read_all("archives")
    return path if listed.get(path.name) or listed.get(unpacked.index_of(path).name) else None


def _exposed(image: Image.Image) -> Image.Image:
    return image.point([round(255 * (value / 255) ** 0.7) for value in range(256)])


def _rotated(image: Image.Image) -> Image.Image:
    return image.rotate(5, Image.Resampling.BILINEAR)


def _marked(image: Image.Image) -> Image.Image:
    height = max(8, image.height // 10)
    ImageDraw.Draw(image).text((height // 2, height // 2), "R", 255, ImageFont.load_default(height))
    return image


def _changed(change: Callable[[Image.Image], Image.Image], kind: str = "PNG", **options: Any) -> Change:
    """A function from the bytes of a picture to those of the gray picture changed, saved as `kind`."""

    def changed(data: bytes) -> bytes:
        file = io.BytesIO()
        with Image.open(io.BytesIO(data), formats=decoding.FORMATS) as image:
            change(image.convert("L")).save(file, kind, **options)
        return file.getvalue()

    return changed


# What a hospital may do to a film: brighter by a gamma of 0.7; turned by 5 degrees; a white R burned into a corner, a
# tenth as high as the picture; saved as JPEG at quality 30. Fixed before the first run
PERTURBATIONS = {
    "exposure": _changed(_exposed),
    "rotation": _changed(_rotated),
    "marker": _changed(_marked),
    "jpeg_30": _changed(lambda image: image, "JPEG", quality=30),
}
