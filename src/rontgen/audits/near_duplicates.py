"""Fingerprints of a dataset's images, from one decode of each: bytes, perceptual hash, thumbnail; and the copies."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
from PIL import Image
from scipy import sparse
from scipy.ndimage import gaussian_filter
from sklearn.neighbors import radius_neighbors_graph

from rontgen.core import params, runs, settings
from rontgen.core.io import replacing, require, write_csv
from rontgen.data import decoding
from rontgen.data.splits import connected

SIDE = 80  # pixels of a thumbnail
HASH_SIDE = 16  # of the block of low frequencies that the perceptual hash keeps: 256 bits

# Two images are near duplicates where their hashes differ in at most MAX_DISTANCE bits and their fine detail agrees
# to MIN_AGREEMENT. Measured on 4,902 distinct radiographs of children (Kermany et al. 2018, at 224 pixels; 12 million
# pairs) and on copies of 600 of them: JPEG of quality 50, 75% and 150% of the size, squeezed to a 299-pixel PNG,
# brightness or contrast 10% up or down, 16 bits: at most 20 bits apart, agreement 0.986 or more; 2% of the width and
# height cut off: at most 34 bits, 0.980 or more. The rule finds all of these. The nearest images of two patients are
# 38 bits apart and agree to 0.89; no other two within 60 bits agree to more than 0.86.
MAX_DISTANCE = 36
MIN_AGREEMENT = 0.98

# Fine detail: thumbnails between these two Gaussian blurs, in pixels. Without the coarse shape, which all chests share
_FINE, _COARSE = 1, 3
_MARGIN = 3  # pixels at the edge, where a copy that was cut has no detail to compare

_CHUNK = 128  # pairs whose detail is compared at once: 50 MB

PAIR_COLUMNS = ["first", "second", "distance", "agreement"]
_NUMBERS = {"width": int, "height": int, "bytes": int, "colour": float, "near": int}


@dataclass(frozen=True)
class Source:
    """A dataset as manifests.list_images takes it, and how many of its images may fail to decode."""

    dataset_name: str
    dataset: settings.Dataset
    check_counts: bool
    max_unreadable: int

    @property
    def raw(self) -> Path:
        return Path("data/raw", self.dataset_name)


@dataclass(frozen=True)
class Fingerprints:
    """What the stage near_duplicates wrote of a dataset.

    images: one row per readable image: archive, member, class, patient, folder, sha256, width, height (pixels, as
    the file has them), bytes, colour (decoding.colourfulness), perceptual_hash (hexadecimal) and near, equal for exact
    and near duplicates.
    thumbnails: uint8 (N, SIDE, SIDE), in that order. unreadable: archive, member, reason.
    """

    images: pd.DataFrame
    thumbnails: np.ndarray
    unreadable: pd.DataFrame


def load_source(name: str) -> Source:
    """The dataset of that name. Raises RontgenError for a name that params.yaml lacks."""
    dataset, _ = runs.load_dataset(name)
    values = params.load()
    return Source(
        dataset_name=name,
        dataset=dataset,
        check_counts=dataset.check_counts and values.profile == "paper",
        max_unreadable=values.profiles[values.profile].preprocess.max_unreadable,
    )


def fingerprint(images: pd.DataFrame, raw: Path, max_unreadable: int) -> Fingerprints:
    """Decode every image of a list, as manifests.list_images gives it, and find the copies among them.

    raw: the folder of the archives. Shows progress. Raises RontgenError where more images do not decode than
    max_unreadable.
    """
    results = list(decoding.map_images(images, raw, _facts_and_thumbnail, f"fingerprint {raw.name}"))
    failed = np.array([isinstance(result, str) for result in results], dtype=bool)
    unreadable = images.loc[failed, ["archive", "member"]].assign(reason=[r for r in results if isinstance(r, str)])
    # of none there is nothing to compare
    decoding.check_unreadable(unreadable, raw, min(max_unreadable, len(images) - 1))
    facts, thumbnails = zip(*(r for r in results if not isinstance(r, str)), strict=True)
    images = images[~failed].reset_index(drop=True)
    images = images.join(pd.DataFrame(facts, columns=["width", "height", "bytes", "colour", "perceptual_hash"]))
    thumbnails = np.stack(thumbnails)
    pairs = pd.concat([find_exact(images), find_near(images, thumbnails)])
    images["near"] = connected(pairs["first"], pairs["second"], len(images))
    return Fingerprints(images, thumbnails, unreadable)


def write(fingerprints: Fingerprints, folder: Path) -> None:
    """Write images.csv, thumbnails.npy and unreadable.csv into `folder`."""
    with replacing(folder / "thumbnails.npy") as path:
        np.save(path, fingerprints.thumbnails)
    write_csv(fingerprints.images, folder / "images.csv")
    write_csv(fingerprints.unreadable, folder / "unreadable.csv")


def read(dataset_name: str) -> Fingerprints:
    """The fingerprints of a dataset as its stage wrote them. Raises RontgenError where they are missing."""
    folder, command = Path("data/near_duplicates", dataset_name), f"dvc repro near_duplicates@{dataset_name}"
    images = pd.read_csv(require(folder / "images.csv", command), dtype=str, keep_default_na=False)
    thumbnails = np.load(require(folder / "thumbnails.npy", command))
    unreadable = pd.read_csv(require(folder / "unreadable.csv", command), dtype=str)
    return Fingerprints(images.astype(_NUMBERS), thumbnails, unreadable)


def find_exact(images: pd.DataFrame) -> pd.DataFrame:
    """Every image that repeats an earlier one bit for bit, beside the first with these bytes: PAIR_COLUMNS.

    images: a column sha256. first, second: positions in it, first < second.
    """
    first = _first_with(images["sha256"])
    second = np.flatnonzero(first != np.arange(len(images)))
    return pd.DataFrame({"first": first[second], "second": second, "distance": 0, "agreement": 1.0})


def find_near(images: pd.DataFrame, thumbnails: np.ndarray) -> pd.DataFrame:
    """Every pair of near duplicates among images of different bytes: PAIR_COLUMNS, sorted.

    images: columns sha256 and perceptual_hash; of several with the same bytes the first stands for all. thumbnails:
    uint8 (N, SIDE, SIDE). distance: bits, 0 to 256. agreement: 0 to 1. All pairs are compared. Not found are
    copies that are mirrored, turned, inverted, equalised, marked, shifted by 2%, of a gamma of 2, or cut by much more
    than 2% (docs/evidence.md).
    """
    places = np.flatnonzero(~images["sha256"].duplicated())
    hashes = [imagehash.hex_to_hash(text).hash.ravel() for text in images["perceptual_hash"].iloc[places]]
    # of bits, the squared distance is the number of those that differ
    graph = radius_neighbors_graph(np.array(hashes, float), MAX_DISTANCE, mode="distance", metric="sqeuclidean")
    near = sparse.triu(graph, k=1)
    first, second, distance = places[near.row], places[near.col], near.data.astype(int)
    agreement = np.zeros(len(first))
    for start in range(0, len(first), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        one, other = _detail(thumbnails[first[chunk]]), _detail(thumbnails[second[chunk]])
        agreement[chunk] = np.minimum(_agreement(one, other), _agreement(other, one))
    pairs = pd.DataFrame(dict(zip(PAIR_COLUMNS, (first, second, distance, agreement.round(4)), strict=True)))
    return pairs[pairs["agreement"] >= MIN_AGREEMENT].sort_values(["first", "second"], ignore_index=True)


def groups(images: pd.DataFrame) -> np.ndarray:
    """A number for each image, equal for images of one patient and for duplicates, exact or near. int array (N,)."""
    places = np.arange(len(images))
    of_patient = np.where(images["patient"] == "", places, _first_with(images["patient"]))
    first = np.concatenate([of_patient, _first_with(images["near"])])
    return connected(first, np.tile(places, 2), len(images))


def _first_with(keys: pd.Series) -> np.ndarray:
    """The position of the first image with the same key as each image. int array (N,)."""
    codes, _ = pd.factorize(keys)
    return np.unique(codes, return_index=True)[1][codes]


def _facts_and_thumbnail(data: bytes) -> tuple[tuple[int, int, int, float, str], np.ndarray]:
    (thumbnail,), colour = decoding.decode_with_colour(data, SIDE)
    with Image.open(BytesIO(data)) as image:  # the header alone: no second decode
        width, height = image.size
    perceptual_hash = imagehash.phash(Image.fromarray(thumbnail), hash_size=HASH_SIDE)
    return (width, height, len(data), round(colour, 2), str(perceptual_hash)), thumbnail


def _detail(thumbnails: np.ndarray) -> np.ndarray:
    pixels = thumbnails.astype(float)
    return gaussian_filter(pixels, (0, _FINE, _FINE)) - gaussian_filter(pixels, (0, _COARSE, _COARSE))


def _agreement(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How well the detail of one image gives that of another: a correlation, 0 to 1, float (K,).

    To first order a copy that is shifted, scaled or turned a little, or of another contrast, is a weighted sum of the
    image and its slopes, plain and times the place: least squares finds the weights (Lucas and Kanade 1981, for an
    affine motion), and what is returned is their multiple correlation. one, other: float (K, SIDE, SIDE).
    """
    down, across = np.gradient(one, axis=(1, 2))
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    terms = np.stack([one, across, down, x * across, y * across, x * down, y * down], axis=1)
    inner = (..., slice(_MARGIN, -_MARGIN), slice(_MARGIN, -_MARGIN))
    terms, target = terms[inner].reshape(len(one), 7, -1), other[inner].reshape(len(one), -1, 1)
    terms, target = terms - terms.mean(axis=2, keepdims=True), target - target.mean(axis=1, keepdims=True)
    moments = terms @ target
    weights = np.linalg.pinv(terms @ terms.transpose(0, 2, 1), hermitian=True) @ moments
    explained, total = (weights * moments).sum(axis=(1, 2)), (target**2).sum(axis=(1, 2))
    return np.sqrt(np.clip(np.divide(explained, total, out=np.zeros(len(one)), where=total > 0), 0, 1))
