"""Assign images to subsets: stratified, balanced (as many of each class) or official.

Identical images stay together unless `keep_copies` is true, the images of a patient with `group_by: patient`, and near
copies on splits without leaks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from rontgen.core.errors import RontgenError
from rontgen.core.settings import SUBSETS, Counts, Split

MANIFEST_COLUMNS = ["id", "archive", "member", "class", "patient", "subset", "sha256"]


@dataclass(frozen=True)
class Assignment:
    """A manifest (one row per image, MANIFEST_COLUMNS) and how many images were dropped, by reason."""

    manifest: pd.DataFrame
    dropped: dict[str, int]


Keep = Callable[[pd.DataFrame, pd.Series, str], pd.DataFrame]


def assign(images: pd.DataFrame, classes: list[str], split: Split, max_per_class: Counts | None = None) -> Assignment:
    """Assign each image to a subset.

    images: columns archive, member, class, patient ("" where unknown), folder (train | val | test, or "") and sha256;
    the order of rows does not matter. A column near, if there is one, is equal for near duplicates. max_per_class: at
    most this many images of the largest class in a subset; the other classes shrink with it.

    Unless `keep_copies` is true, bit-identical images are never in two subsets, nor are known near duplicates, nor,
    with `group_by: patient`, the images of a patient. Raises RontgenError if the policy cannot be met.
    """
    images = images.sort_values(["archive", "member"]).reset_index(drop=True)
    dropped = {}

    def keep(frame, mask, reason):
        dropped[reason] = int((~mask).sum())
        return frame[mask].reset_index(drop=True)

    labels = images.groupby("sha256")["class"].transform("nunique")
    images = keep(images, labels == 1, "same image under two labels")
    # before any copy goes: one image under two patients' names makes them one patient
    images = images.assign(group=_groups(images, split))
    if split.policy == "official":
        images = _official_folders(images, keep)
    if split.deduplicate:
        images = keep(images, ~images.duplicated("sha256"), "duplicates")

    random = np.random.default_rng(split.seed)
    if split.policy == "balanced":
        subset, repeats = _balanced(images, classes, split, max_per_class)
    else:
        subset = _proportional(images, classes, split, random)
        if max_per_class is not None:
            subset = _thin(images, subset, max_per_class, random)
        repeats = np.ones(len(images), int)
    images = images.assign(subset=subset, repeats=repeats)
    images = keep(images, images["subset"] != "", "not needed")
    _check_every_subset(images, classes, split)
    return Assignment(_manifest(images, classes), dropped)


def _official_folders(images: pd.DataFrame, keep: Keep) -> pd.DataFrame:
    """The archive's own train and test folders; groups that the test folder holds leave the train folder."""
    for archive in images.loc[images["folder"] == "", "archive"][:1]:
        raise RontgenError(
            f"split.policy official: expected train and test folders, {archive} has none: set split.policy to "
            "stratified or balanced"
        )
    images = keep(images, images["folder"] != "val", "in the archive's own validation folder")
    in_test = images["folder"] == "test"
    shared = images["group"].isin(images.loc[in_test, "group"])
    return keep(images, in_test | ~shared, "in the test folder too")


def _groups(images: pd.DataFrame, split: Split) -> np.ndarray:
    """A number for each image, equal for images that must stay together. int array (N,)."""
    keys = [images["archive"] + "/" + images["member"] if split.keep_copies else images["sha256"]]
    if split.group_by == "patient":
        keys.append(images["patient"].where(images["patient"] != "", keys[0]))
    if "near" in images:
        keys.append(images["near"])
    # images first, then the values of each key, in one graph
    codes, size = [], len(images)
    for key in keys:
        numbers, values = pd.factorize(key)
        codes.append(numbers + size)
        size += len(values)
    places = np.tile(np.arange(len(images)), len(keys))
    return connected(places, np.concatenate(codes), size)[: len(images)]


def connected(first: np.ndarray | pd.Series, second: np.ndarray | pd.Series, size: int) -> np.ndarray:
    """The connected components of a graph of `size` nodes with these edges: a number for each node, int (size,)."""
    edges = coo_array((np.ones(len(first)), (first, second)), shape=(size, size))
    return connected_components(edges, directed=False)[1]


def _proportional(images: pd.DataFrame, classes: list[str], split: Split, random: np.random.Generator) -> np.ndarray:
    """Stratified over the whole set, or over the train folder where the archive has a test folder of its own."""
    subset = np.full(len(images), "", dtype=object)
    pool = np.ones(len(images), dtype=bool)
    assert split.fractions is not None  # settings.Split requires it
    shares = [split.fractions.train, split.fractions.validation, split.fractions.test or 0.0]
    if split.policy == "official":
        pool = (images["folder"] == "train").to_numpy()
        subset[~pool] = "test"
        shares[2] = 0.0
    counts = images.loc[pool, "class"].value_counts()
    targets = np.array([apportion(int(counts.get(name, 0)), shares) for name in classes])
    subset[pool] = _fill(images[pool], classes, targets, random, large_first=True, overflow=True)
    return subset


def _balanced(
    images: pd.DataFrame, classes: list[str], split: Split, max_per_class: Counts | None
) -> tuple[np.ndarray, np.ndarray]:
    """The same number of images of each class in each subset; also how often each image is repeated there.

    Groups are assigned whole. Where one exceeds what its subset still needs, the rest of it is in no subset.
    """
    wanted = np.array([getattr(split.counts, name) for name in SUBSETS])
    if max_per_class is not None:
        wanted = np.minimum(wanted, [getattr(max_per_class, name) for name in SUBSETS])
    per_class = np.array([min((images["class"] == name).sum(), wanted.sum()) for name in classes])
    targets = np.array([apportion(number, wanted) for number in per_class])
    # in random order first; if that leaves a target unmet, again with large groups first, which leaves fewer unmet
    for large_first in (False, True):
        random = np.random.default_rng(split.seed)
        subset = _fill(images, classes, targets, random, large_first=large_first, overflow=False)
        placed = np.minimum(_count(images, subset, classes), targets)
        if (placed == targets).all():
            break
    totals = placed.sum(axis=1)
    if split.on_shortage == "error" and totals.min() < wanted.sum():
        raise RontgenError(
            f"split.counts: expected {wanted.sum()} images of each class, received {totals.min()} of "
            f"{classes[totals.argmin()]} that can be split this way: lower split.counts or set split.on_shortage to "
            "shrink or repeat"
        )
    if split.on_shortage == "shrink":
        tries = (apportion(number, wanted) for number in range(totals.min(), -1, -1))
        targets[:] = next(parts for parts in tries if (parts <= placed).all())
    repeats = np.ones(len(images), dtype=int)
    for name, numbers in zip(classes, targets, strict=True):
        for column, subset_name in enumerate(SUBSETS):
            rows = np.flatnonzero((subset == subset_name) & (images["class"] == name).to_numpy())
            kept, rest = np.split(random.permutation(rows), [numbers[column]])
            subset[rest] = ""
            if split.on_shortage == "repeat":
                repeats[kept] = apportion(wanted[column], np.ones(len(kept)))
    return subset, repeats


def _fill(
    images: pd.DataFrame, classes: list[str], targets: np.ndarray, random: np.random.Generator, *, large_first: bool,
    overflow: bool,
) -> np.ndarray:  # fmt: skip
    """Assign whole groups to subsets, one after another, each to the subset that is furthest from full.

    A group (images that must stay together) goes only where all of it fits. Groups come in random order, with
    large_first by size. One that fits nowhere: with overflow it goes to the subset furthest from full all the same;
    without, it waits for all others, then goes to the subset that lacks most of its images, or to none.

    targets: images by class and subset, int array (classes, subsets). Returns the subset of each image, "" for none,
    object array (N,).
    """
    codes, groups = np.unique(images["group"], return_inverse=True)
    table = np.zeros((len(codes), len(classes)), dtype=int)
    np.add.at(table, (groups, pd.Index(classes).get_indexer(images["class"])), 1)
    order = random.permutation(len(codes))
    if large_first:
        order = order[np.argsort(-table[order].sum(axis=1), kind="stable")]
    open_subsets = targets.sum(axis=0) > 0
    remaining = targets.astype(float)
    chosen = np.full(len(codes), len(SUBSETS))
    skipped = []
    for group in order:
        present = np.flatnonzero(table[group])
        counts = table[group, present, None]
        fits = (remaining[present] >= counts).all(axis=0)
        if not fits.any():
            if not overflow:
                skipped.append(group)
                continue
            fits = open_subsets
        room = (remaining[present] / np.maximum(targets[present], 1)).min(axis=0)
        subset = int(np.argmax(np.where(fits, room, -np.inf)))
        chosen[group] = subset
        remaining[present, subset] -= counts[:, 0]
    for group in skipped:
        used = np.minimum(remaining, table[group, :, None]).sum(axis=0)
        if used.any():
            chosen[group] = np.argmax(used)
            remaining[:, chosen[group]] = np.maximum(remaining[:, chosen[group]] - table[group], 0)
        elif not remaining.any():
            break
    return np.array([*SUBSETS, ""], dtype=object)[chosen[groups]]


def _count(images: pd.DataFrame, subset: np.ndarray, classes: list[str]) -> np.ndarray:
    """Images by class and subset. int array (classes, subsets)."""
    table = pd.crosstab(images["class"].to_numpy(), subset)
    return table.reindex(index=classes, columns=list(SUBSETS), fill_value=0).to_numpy()


def _thin(images: pd.DataFrame, subset: np.ndarray, max_per_class: Counts, random: np.random.Generator) -> np.ndarray:
    """Leave out images at random until the largest class of each subset has no more than its maximum."""
    subset = subset.copy()
    for name in SUBSETS:
        rows = images[subset == name]
        counts = rows["class"].value_counts()
        share = getattr(max_per_class, name) / max(counts.max(), 1)
        if share < 1:
            for _, members in rows.groupby("class"):
                keep = max(1, round(len(members) * share))
                subset[random.permutation(members.index)[keep:]] = ""
    return subset


def apportion(total: int, weights: ArrayLike) -> np.ndarray:
    """Part `total` in proportion to `weights` by largest remainder. int array, sums to `total`."""
    weights = np.asarray(weights, dtype=float)
    exact = total * weights / weights.sum()
    parts = np.floor(exact + 1e-9).astype(int)
    order = np.argsort(parts - exact, kind="stable")
    parts[order[: total - parts.sum()]] += 1
    return parts


def _check_every_subset(images: pd.DataFrame, classes: list[str], split: Split) -> None:
    table = _count(images, images["subset"].to_numpy(), classes)
    for class_index, subset_index in np.argwhere(table == 0)[:1]:
        raise RontgenError(
            f"split.policy {split.policy}: expected images of every class in every subset, received none of "
            f"{classes[class_index]} in {SUBSETS[subset_index]}: give it a larger share or more images"
        )


def _manifest(images: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """One row per image and repeat, in the order of subset, class, archive and member."""
    rows = images.loc[images.index.repeat(images["repeats"])]
    keys = pd.Categorical(rows["class"], classes).codes, pd.Categorical(rows["subset"], SUBSETS).codes
    rows = rows.iloc[np.lexsort(keys)].reset_index(drop=True)
    short = rows["sha256"].str[:12]
    copy = short.groupby(short).cumcount()
    rows = rows.assign(id=short.where(copy == 0, short + "-" + (copy + 1).astype(str)))
    return rows[MANIFEST_COLUMNS]
