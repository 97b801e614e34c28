"""Who is a patient of `chest_xray`? The stage patients measures it on Kaggle's archive and writes analyses/patients.md.

Half a minute. `dvc.yaml` has it frozen, for it needs the real zip: `dvc repro --force --single-item patients`.
"""

import argparse
from hashlib import sha256
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from rontgen.audits import near_duplicates
from rontgen.core import errors, params
from rontgen.core.io import replacing
from rontgen.data import archives, layouts, splits
from rontgen.data.archives import Archive
from rontgen.data.decoding import decode

PAGE = Path("analyses/patients.md")
CLASSES = ["NORMAL", "PNEUMONIA"]
PATHOGENS = ("bacteria", "virus")
SERIES = (*PATHOGENS, "IM", "NORMAL2-IM")  # in which patients are numbered
SIDE = 32  # pixels of a thumbnail
SEED = 7  # of the pairs that are drawn
RESAMPLES = 2000  # of a median
STUDY = "jitet"  # whose split is by image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path, help="the zip of paultimothymooney/chest-xray-pneumonia")
    path = parser.parse_args().archive

    images = list_images(path)
    prints = near_duplicates.fingerprint(images, path.parent, max_unreadable=0)
    distinct = prints.images[~prints.images["near"].duplicated() & (prints.images["series"].isin(PATHOGENS))]
    distinct = distinct.reset_index(drop=True)
    with Archive(path) as archive:
        thumbnails = np.stack([decode(archive.read(member), SIDE) for member in distinct["member"]])
    agreement = correlations(thumbnails)

    width, height = prints.images[["width", "height"]].median().astype(int)
    counts = images.groupby("folder").size()
    text = PAGE_TEXT.format(
        archive=path.name,
        sha256=archives.sha256(path),
        images=len(images),
        folders=", ".join(f"{counts[folder]:,} in `{folder}`" for folder in counts.index),
        width=width,
        height=height,
        side=SIDE,
        seed=SEED,
        study=STUDY,
        resamples=RESAMPLES,
        copies=len(images) - prints.images["near"].nunique(),
        distinct=len(distinct),
        blocks=markdown(blocks(images)),
        orders=markdown(orders(images)),
        both=markdown(in_both(images)),
        exact=markdown(copy_rows(images)),
        pairs=markdown(pair_rows(distinct, agreement)),
        nearest=markdown(nearest_rows(distinct, agreement)),
        leaks=markdown(leak_rows(images)),
    )
    with replacing(PAGE) as page:
        page.write_text(text, encoding="utf-8")
    print(text)


def list_images(path: Path) -> pd.DataFrame:
    """The images of a zip in the layout chest_xray: what splits.assign takes, and series, number and serial.

    series: one of SERIES, or "" for another file name. number: the patient's number in the series. serial: the number
    of a pneumonia image. Both are -1 where the name has none.
    """
    with Archive(path) as archive:
        listed = layouts.read("chest_xray", archive).images
        images = pd.DataFrame(
            {
                "archive": path.name,
                "member": [image.member for image in listed],
                "class": [image.label for image in listed],
                "patient": [image.patient for image in listed],
                "folder": [image.folder for image in listed],
                "sha256": [sha256(archive.read(image.member)).hexdigest() for image in listed],
            }
        )
    parts = images["member"].str.extract(
        r"/(?:person(?P<person>\d+)_(?P<pathogen>bacteria|virus)_(?P<serial>\d+)"
        r"|(?P<prefix>(?:NORMAL2-)?IM)-(?P<normal>\d+)-)[^/]*$"
    )
    images["series"] = parts["pathogen"].fillna(parts["prefix"]).fillna("")
    images["number"] = parts["person"].fillna(parts["normal"]).fillna("-1").astype(int)
    images["serial"] = parts["serial"].fillna("-1").astype(int)
    return images


def blocks(images: pd.DataFrame) -> list[dict]:
    """Each series in the order of its patients' numbers, cut where the folder changes."""
    result = []
    for series in SERIES:
        rows = images[images["series"] == series].sort_values(["number", "serial"])
        for _, part in rows.groupby((rows["folder"] != rows["folder"].shift()).cumsum()):
            result.append(
                {
                    "series": series,
                    "folder": part["folder"].iloc[0],
                    "numbers": _range(part["number"]),
                    "patients": f"{part['number'].nunique():,}",
                    "images": f"{len(part):,}",
                    "image numbers": _range(part["serial"]) if series in PATHOGENS else "–",
                }
            )
    return result


def _range(numbers: pd.Series) -> str:
    low, high = numbers.min(), numbers.max()
    return f"{low}" if low == high else f"{low}–{high}"


def orders(images: pd.DataFrame) -> list[dict]:
    """Whether the person's number ever falls while the image's rises: within each pathogen, and in both as one."""
    result = []
    for name, series in [*((pathogen, [pathogen]) for pathogen in PATHOGENS), ("both as one series", PATHOGENS)]:
        rows = images[images["series"].isin(series)].sort_values(["serial", "number"])
        result.append(
            {
                "in the order of image numbers": name,
                "steps": f"{len(rows) - 1:,}",
                "to a lower person number": f"{(np.diff(rows['number']) < 0).sum():,}",
                "image numbers that occur twice": f"{rows['serial'].duplicated().sum():,}",
            }
        )
    return result


def in_both(images: pd.DataFrame) -> list[dict]:
    """What both folders contain, by number and pathogen and by number alone; and numbers with both pathogens."""
    folder = {name: images[images["folder"] == name] for name in ("train", "test")}
    ill = {name: rows[rows["series"].isin(PATHOGENS)] for name, rows in folder.items()}
    normal = {name: set(rows["patient"]) - set(ill[name]["patient"]) - {""} for name, rows in folder.items()}
    person = {name: set(rows["patient"]) for name, rows in ill.items()}
    number = {name: set(rows["number"]) for name, rows in ill.items()}
    found = {
        "normal ids in both folders": normal["train"] & normal["test"],
        "numbers of one pathogen in both folders": person["train"] & person["test"],
        "numbers in both folders, whatever the pathogen": number["train"] & number["test"],
        "numbers with both pathogens in training": two_pathogens(folder["train"]),
        "numbers with both pathogens in either folder": two_pathogens(images),
    }
    return [{"what": name, "how many": f"{len(values):,}"} for name, values in found.items()]


def copy_rows(images: pd.DataFrame) -> list[dict]:
    """How often an image that repeats an earlier one bit for bit has the same number and pathogen."""
    pairs = near_duplicates.find_exact(images)
    first, second = (images.iloc[pairs[side]].reset_index(drop=True) for side in ("first", "second"))
    ill = first["series"].isin(PATHOGENS) & second["series"].isin(PATHOGENS)
    number, series = first["number"] == second["number"], first["series"] == second["series"]
    found = {
        "pneumonia, one number and pathogen": ill & number & series,
        "pneumonia, one number, two pathogens": ill & number & ~series,
        "pneumonia, two numbers": ill & ~number,
        "normal, one id": ~ill & number & series,
        "normal, two ids": ~ill & ~(number & series),
    }
    return [{"copy of an image of": name, "copies": f"{mask.sum()}"} for name, mask in found.items()]


def two_pathogens(images: pd.DataFrame) -> set[int]:
    bacterial, viral = (set(images.loc[images["series"] == pathogen, "number"]) for pathogen in PATHOGENS)
    return bacterial & viral


def correlations(thumbnails: np.ndarray) -> np.ndarray:
    """Pearson's correlation of every pair of images: uint8 (N, H, W) to float32 (N, N)."""
    pixels = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    pixels -= pixels.mean(axis=1, keepdims=True)
    pixels /= np.linalg.norm(pixels, axis=1, keepdims=True)
    return pixels @ pixels.T


def draw_pairs(images: pd.DataFrame, agreement: np.ndarray, first: str, second: str) -> tuple[np.ndarray, np.ndarray]:
    """How well one pair of each number that has a pair agrees, and its first image with the second of another number.

    A pair is an image of pathogen `first` and another one of pathogen `second`. images: distinct, in the order of
    agreement. The other number is the next in a random order. Both are float (N,), in the same order.
    """
    random = np.random.default_rng(SEED)
    places = images.groupby(["series", "number"]).indices
    pairs = []
    for number in random.permutation(images["number"].unique()):
        ones, others = places.get((first, number), []), places.get((second, number), [])
        if first == second:
            if len(ones) > 1:
                pairs.append(tuple(random.choice(ones, 2, replace=False)))
        elif len(ones) and len(others):
            pairs.append((random.choice(ones), random.choice(others)))
    one, other = np.array(pairs).T
    return agreement[one, other], agreement[one, np.roll(other, 1)]


def pair_rows(images: pd.DataFrame, agreement: np.ndarray) -> list[dict]:
    """The median of each kind of pair, with the same number and with another, and how often the same agrees more."""
    kinds = {
        "two pathogens": ("bacteria", "virus"),
        "bacteria both": ("bacteria", "bacteria"),
        "virus both": ("virus", "virus"),
    }
    result = []
    for name, pathogens in kinds.items():
        own, other = draw_pairs(images, agreement, *pathogens)
        more = int((own > other).sum())
        low, high = binomtest(more, len(own)).proportion_ci()
        result.append(
            {
                "pair": name,
                "pairs": f"{len(own):,}",
                "of one number, median": median(own),
                "of two numbers, median": median(other),
                "the pair of one number agrees more": f"{more / len(own):.1%} ({100 * low:.1f}–{100 * high:.1f})",
            }
        )
    return result


def median(values: np.ndarray) -> str:
    """The median with its 95% percentile bootstrap interval."""
    resamples = np.random.default_rng(SEED).choice(values, (RESAMPLES, len(values)))
    low, high = np.percentile(np.median(resamples, axis=1), [2.5, 97.5])
    return f"{np.median(values):.3f} ({low:.3f}–{high:.3f})"


def nearest_rows(images: pd.DataFrame, agreement: np.ndarray) -> list[dict]:
    """How often the image that agrees most has the same number, for every image whose number has another one there."""
    result = []
    for first, second in product(PATHOGENS, repeat=2):
        own, tried, chance = nearest(images, agreement, first, second)
        low, high = binomtest(own, tried).proportion_ci()
        result.append(
            {
                "an image of": first,
                "nearest among": second,
                "images": f"{tried:,}",
                "nearest is of its number": f"{own} = {own / tried:.2%} ({100 * low:.2f}–{100 * high:.2f})",
                "by chance": f"{chance:.2%}",
            }
        )
    return result


def nearest(images: pd.DataFrame, agreement: np.ndarray, first: str, second: str) -> tuple[int, int, float]:
    """Images of `first` whose nearest image of `second` has their number, images that could, and the share by chance.

    An image is not compared with itself.
    """
    rows, columns = (np.flatnonzero(images["series"] == pathogen) for pathogen in (first, second))
    numbers = images["number"].to_numpy()
    alike = agreement[np.ix_(rows, columns)].copy()
    same = numbers[rows, None] == numbers[columns]
    if first == second:
        np.fill_diagonal(alike, -np.inf)
        np.fill_diagonal(same, False)
    able = same.any(axis=1)
    own = numbers[columns[alike.argmax(axis=1)]] == numbers[rows]
    others = len(columns) - (first == second)
    return int(own[able].sum()), int(able.sum()), float(same[able].sum(axis=1).mean() / others)


def leak_rows(images: pd.DataFrame) -> list[dict]:
    """Test images whose patient is in training or validation, by either key.

    In Kaggle's folders, and in a study's split, which is made as its stage makes it, with its seed.
    """
    folders = images.assign(subset=images["folder"].replace({"val": "validation"}))
    study = splits.assign(images, CLASSES, params.load().studies[STUDY].split).manifest
    result = []
    for name, manifest in (("Kaggle's own folders", folders), (f"`{STUDY}`, by image", study)):
        test = manifest["subset"] == "test"
        row = {"split": name, "test images": f"{test.sum():,}"}
        number = manifest["patient"].str.replace(r"_(bacteria|virus)$", "", regex=True)
        patients = {"number and pathogen": manifest["patient"], "number alone": number}
        for key, values in patients.items():
            shared = (values[test].isin(values[~test]) & (values[test] != "")).sum()
            row[f"patient elsewhere, by {key}"] = f"{shared} ({shared / test.sum():.0%})"
        result.append(row)
    return result


def markdown(rows: list[dict]) -> str:
    """A table of rows with the same keys, which head its columns."""
    lines = [[*rows[0]], ["---"] * len(rows[0]), *([*row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


PAGE_TEXT = """# The patients of `chest_xray`, measured

The stage `patients` writes this page, from the real archive.
What it means: [evidence.md](../docs/evidence.md#who-is-a-patient).

The archive at hand has {images:,} images, {folders}, of median size {width}×{height} pixels. Its SHA-256 is
`{sha256}`.

## The numbers

The file name of a pneumonia holds the patient's number, the pathogen and the image's number
(`person78_bacteria_378.jpeg`), that of a normal image the patient's number (`IM-0115-0001.jpeg`,
`NORMAL2-IM-1427-0001.jpeg`). Each series in the order of its patients' numbers, cut where the folder changes:

{blocks}

In one series of patients with both pathogens, the patient's number would always rise with the image's number:

{orders}

{both}

Images that repeat another one bit for bit:

{exact}

## The images

Agreement is Pearson's correlation of the gray values of {side}×{side}-pixel thumbnails. Of exact and near copies, only
the first is taken ({copies} images of the archive are left out); {distinct:,} images of pneumonia remain.

One pair is drawn from each number that has one (seed {seed}). As a control the same first images are each paired with
the second image of the next number in a random order: the same images, in pairs of two numbers. Medians have a 95%
bootstrap interval ({resamples:,} resamples), shares an exact 95% interval.

{pairs}

Without drawing pairs, each image whose number has another image there is compared with all of them; the one that agrees
most is its nearest:

{nearest}

## Splits

Test images whose patient has other images in training or validation. The split of `{study}` is stratified by image,
with the seed of its protocol.yaml.

{leaks}
"""


if __name__ == "__main__":
    errors.run(main)
