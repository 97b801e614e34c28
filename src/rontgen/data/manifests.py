"""Make a manifest: list and hash the images of the archives, assign each to a subset, and audit the split."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Protocol

import pandas as pd

from rontgen.core import progress
from rontgen.core.errors import RontgenError
from rontgen.core.io import read_json, require
from rontgen.core.runs import DatasetSplit
from rontgen.core.settings import SUBSETS, Dataset
from rontgen.data import layouts, splits
from rontgen.data.archives import Readable, archive_name
from rontgen.data.unpacked import open_archive

# What the stage near_duplicates wrote of the archives: counts of images found, by label, and left out, by reason
LISTING = "listing.json"

# Threads that read and hash: both release Python's lock, and two already keep up with a disk
THREADS = 4


class Listed(Protocol):
    """Anything with archives to list: a split, or a dataset alone."""

    @property
    def dataset_name(self) -> str: ...
    @property
    def dataset(self) -> Dataset: ...
    @property
    def check_counts(self) -> bool: ...
    @property
    def raw(self) -> Path: ...


def build(split: DatasetSplit) -> tuple[pd.DataFrame, dict]:
    """The manifest of a split (columns splits.MANIFEST_COLUMNS) and its audit, ready for JSON.

    Raises RontgenError if an archive is missing or damaged, has other counts than expected, lacks a class, or
    cannot meet the policy.
    """
    if split.is_leakfree:
        command = f"dvc repro near_duplicates@{split.dataset_name}"
        images = pd.read_csv(require(split.fingerprints / "images.csv", command), keep_default_na=False)
        listing = read_json(split.fingerprints / LISTING, command)
        found, left_out = listing["found"], listing["left_out"]
    else:
        images, found, left_out = list_images(split, split.rule.keep_copies)
    assignment = splits.assign(images, split.dataset.classes, split.rule, split.max_per_class)
    manifest = assignment.manifest
    counts = manifest.groupby(["subset", "class"]).size()
    audit = {
        "images": {name: {key: int(counts[name, key]) for key in split.dataset.classes} for name in SUBSETS},
        "found": found,
        "left_out": left_out,
        "dropped": assignment.dropped,
        "repeated": len(manifest) - len(manifest.drop_duplicates(["archive", "member"])),
        "shared": shared(manifest),
    }
    return manifest, audit


def shared(manifest: pd.DataFrame) -> dict[str, dict[str, int]]:
    """How many distinct images, and how many patients, each pair of subsets shares."""
    result = {}
    for name, column in (("images", "sha256"), ("patients", "patient")):
        values = {subset: set(manifest.loc[manifest["subset"] == subset, column]) - {""} for subset in SUBSETS}
        result[name] = {f"{one}_{other}": len(values[one] & values[other]) for one, other in combinations(SUBSETS, 2)}
    return result


def list_images(listed: Listed, keep_copies: bool = False) -> tuple[pd.DataFrame, dict, dict]:
    """The images of every archive of a dataset, with SHA-256; counts of those found, by label, and left out, by reason.

    The frame has the columns that splits.assign takes. keep_copies: whether it includes nested copies; the counts
    never do.
    """
    frames, found, left_out = [], {}, {}
    for layout, source in listed.dataset.archives.items():
        command = f"dvc repro download@{listed.dataset_name}"
        path = listed.raw / archive_name(source.slug)
        with open_archive(path, command=command) as archive:
            listing = layouts.read(layout, archive, keep_copies)
            labels_found = Counter(image.label for image in listing.images if not image.nested)
            found[layout] = dict(sorted(labels_found.items()))
            left_out[layout] = dict(listing.left_out)
            if archive.left_out:
                left_out[layout]["macOS clutter"] = len(archive.left_out)
            _check_counts(listed, layout, path, found[layout])
            frame = pd.DataFrame(listing.images)[["member", "label", "patient", "folder"]]
            frame = frame.assign(label=frame["label"].map(listed.dataset.labels[layout])).dropna()
            frame = frame.rename(columns={"label": "class"}).assign(sha256=_hash(archive, frame["member"]))
        frame.insert(0, "archive", path.name)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True), found, left_out


def _hash(archive: Readable, members: pd.Series) -> list[str]:
    with ThreadPoolExecutor(THREADS) as pool:
        digests = pool.map(lambda member: sha256(archive.read(member)).hexdigest(), members)
        return list(progress.bar(digests, f"hash {archive.path.name}", len(members), unit="image"))


def _check_counts(listed: Listed, layout: str, path: Path, found: dict[str, int]) -> None:
    for label in listed.dataset.labels[layout]:
        if label not in found:
            raise RontgenError(
                f"{path}: expected images of {label}, found {found}: put the whole archive, as Kaggle has it, at "
                f"data/archives/{path.name}, or name the folder that holds all of it: `rontgen index`"
            )
    expected = listed.dataset.counts[layout]
    if listed.check_counts and found != expected:
        raise RontgenError(
            f"{path}: expected {expected} images, found {found}: download it again, or let it through with "
            f"`-S datasets.{listed.dataset_name}.check_counts=false`"
        )
