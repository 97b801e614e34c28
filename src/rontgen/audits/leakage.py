"""The leakage audit: which images a dataset repeats, and which of a test set the model has seen in training."""

import numpy as np
import pandas as pd

from rontgen.audits import near_duplicates
from rontgen.audits.near_duplicates import Fingerprints

_KEY = ["archive", "member"]


def gather(datasets: dict[str, Fingerprints]) -> Fingerprints:
    """The images of all datasets, those of an archive that several share once. They lack the column near."""
    images = pd.concat([dataset.images.drop(columns="near") for dataset in datasets.values()], ignore_index=True)
    first = ~images.duplicated(_KEY).to_numpy()
    thumbnails = np.concatenate([dataset.thumbnails for dataset in datasets.values()])[first]
    unreadable = pd.concat([dataset.unreadable for dataset in datasets.values()]).drop_duplicates(_KEY)
    return Fingerprints(images[first].reset_index(drop=True), thumbnails, unreadable)


def find_pairs(everything: Fingerprints) -> pd.DataFrame:
    """Exact and near pairs, as near_duplicates.find_exact and find_near give them, with a column kind: exact | near."""
    exact = near_duplicates.find_exact(everything.images).assign(kind="exact")
    near = near_duplicates.find_near(everything.images, everything.thumbnails).assign(kind="near")
    return pd.concat([exact, near], ignore_index=True)


def pair_table(pairs: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Pairs for reading: kind, distance (bits), agreement, and archive, member, class and patient of first and second.

    Each copy stands beside the first image with its bytes, and near pairs beside the first images with theirs.
    """
    sides = [images[[*_KEY, "class", "patient"]].iloc[pairs[side]] for side in ("first", "second")]
    sides = [side.reset_index(drop=True).add_prefix(name) for side, name in zip(sides, ("", "other_"), strict=True)]
    return pd.concat([pairs[["kind", "distance", "agreement"]], *sides], axis=1)


def audit(
    datasets: dict[str, Fingerprints], images: pd.DataFrame, pairs: pd.DataFrame, splits: dict[str, pd.DataFrame]
) -> dict:
    """Count the leaks, ready for JSON: datasets.<name>, folders.<archive>, splits.<name> and
    across."<dataset> <dataset>".

    images, pairs: of all datasets, see gather and find_pairs. splits: manifests by name, with columns class, patient,
    subset and sha256. A copy is exact where its bytes are those of another image, near where it is a near duplicate
    of one with other bytes; `any` counts once what is several of these. Of a split, test images are held against
    train and validation, validation images against train.
    """
    sha256 = images["sha256"].to_numpy()
    near = pairs[pairs["kind"] == "near"]
    near = pd.DataFrame({"one": sha256[near["first"]], "other": sha256[near["second"]]})
    names = list(datasets)
    return {
        "datasets": {name: _dataset(datasets[name], near) for name in names},
        "folders": {
            archive: _folders(some, near)
            for archive, some in images.groupby("archive")
            if {"train", "test"} <= set(some["folder"])
        },
        "splits": {name: _split(manifest, near) for name, manifest in splits.items()},
        "across": {
            f"{one} {other}": _across(datasets[one].images, datasets[other].images, near)
            for place, one in enumerate(names)
            for other in names[place + 1 :]
        },
    }


def _dataset(dataset: Fingerprints, near: pd.DataFrame) -> dict[str, int]:
    """exact_duplicates and near_duplicates repeat an earlier image; label_conflicts: pairs of two classes."""
    images = dataset.images
    firsts = images.drop_duplicates("sha256").reset_index(drop=True)
    label = firsts.set_index("sha256")["class"]
    near = near[near["one"].isin(label.index) & near["other"].isin(label.index)]
    conflicts = (images["class"] != images["sha256"].map(label)).sum()
    conflicts += (near["one"].map(label) != near["other"].map(label)).sum()
    return {
        "images": len(images),
        "unreadable": len(dataset.unreadable),
        "exact_duplicates": len(images) - len(firsts),
        "near_duplicates": _near_repeats(firsts["sha256"], near),
        "label_conflicts": int(conflicts),
    }


def _folders(images: pd.DataFrame, near: pd.DataFrame) -> dict[str, int]:
    """Of an archive's own test folder: exact_within and near_within repeat an earlier image of it; exact, near and
    patient are test images with a copy, or another image of their patient, in its train folder."""
    test, train = (images[images["folder"] == name].reset_index(drop=True) for name in ("test", "train"))
    firsts = test["sha256"].drop_duplicates()
    shared = test["patient"].isin(train["patient"]) & (test["patient"] != "")
    return {
        "train_images": len(train),
        "test_images": len(test),
        "exact_within": len(test) - len(firsts),
        "near_within": _near_repeats(firsts, near),
        "exact": int(test["sha256"].isin(train["sha256"]).sum()),
        "near": int(test["sha256"].isin(_near_to(train["sha256"], near)).sum()),
        "patient": int(shared.sum()),
        "shared_patients": test.loc[shared, "patient"].nunique(),
        "unknown_patient": int((test["patient"] == "").sum()),
    }


def _split(manifest: pd.DataFrame, near: pd.DataFrame) -> dict[str, int | float]:
    result = {}
    for subset, earlier in (("test", ["train", "validation"]), ("validation", ["train"])):
        rows, seen = manifest[manifest["subset"] == subset], manifest[manifest["subset"].isin(earlier)]
        leaks = {
            "exact": rows["sha256"].isin(seen["sha256"]),
            "near": rows["sha256"].isin(_near_to(seen["sha256"], near)),
            "patient": rows["patient"].isin(seen["patient"]) & (rows["patient"] != ""),
        }
        leaks["any"] = leaks["exact"] | leaks["near"] | leaks["patient"]
        result[f"{subset}_images"] = len(rows)
        result |= {f"{subset}_{kind}": int(leak.sum()) for kind, leak in leaks.items()}
        result[f"{subset}_unknown_patient"] = int((rows["patient"] == "").sum())
    return result | {"share": result["test_any"] / result["test_images"]}


def _across(one: pd.DataFrame, other: pd.DataFrame, near: pd.DataFrame) -> dict[str, int]:
    """Images of one dataset with a copy in another archive that is of the other dataset."""
    copies: dict[str, set[int]] = {"exact": set(), "near": set()}
    for archive, images in one.groupby("archive"):
        theirs = other.loc[other["archive"] != archive, "sha256"]
        copies["exact"] |= set(images.index[images["sha256"].isin(theirs)])
        copies["near"] |= set(images.index[images["sha256"].isin(_near_to(theirs, near))])
    return {kind: len(found) for kind, found in copies.items()}


def _near_repeats(sha256: pd.Series, near: pd.DataFrame) -> int:
    """How many of these images, all different, are near an earlier one of them."""
    places = np.stack([pd.Index(sha256).get_indexer(near[side]) for side in ("one", "other")])
    return len(np.unique(places.max(axis=0)[(places >= 0).all(axis=0)]))


def _near_to(sha256: pd.Series, near: pd.DataFrame) -> pd.Series:
    """The SHA-256 of the images that are near one of these."""
    return pd.concat([near.loc[near["one"].isin(sha256), "other"], near.loc[near["other"].isin(sha256), "one"]])
