"""SMOTE: synthetic training images for the smaller classes, each with its two parents."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from imblearn.over_sampling import SMOTE

from rontgen.core.errors import RontgenError
from rontgen.core.io import replacing, write_csv

# Chawla et al. (2002), section 4.2, and imbalanced-learn's default
NEIGHBOURS = 5

# Synthetic images at a time: as float64, 64 of 150 px and their parents' difference take 23 MB
CHUNK = 64

ROW_COLUMNS = ["class", "first", "second", "step"]

# `balance`: the subsets that the parents are from; the synthetic images are all trained on
PARENTS = {
    "smote": ["train"],
    "smote_train_test": ["train", "test"],
    "smote_all": ["train", "validation", "test"],
}


@dataclass(frozen=True)
class Synthetic:
    """Synthetic images, uint8 (M, H, W, 1), and a row for each: its class, the ids of its parents and the step.

    An image lies at first + step × (second − first), with 0 ≤ step < 1.
    """

    images: np.ndarray
    rows: pd.DataFrame


class _Parents(SMOTE):
    """imbalanced-learn's SMOTE, changed to report each new row's parents and step and not to make the rows: as floats
    they and their copies would take most of the memory."""

    def _generate_samples(self, X, nn_data, nn_num, rows, cols, steps, y_type=None, y=None):
        self.first, self.second, self.steps = rows, nn_num[rows, cols], steps[:, 0]
        return X[:0]


def no_balance(images: np.ndarray) -> Synthetic:
    """A Synthetic without images, in the shape of `images` (N, H, W, 1)."""
    return Synthetic(np.empty((0, *images.shape[1:]), np.uint8), pd.DataFrame(columns=ROW_COLUMNS))


def write(synthetic: Synthetic, folder: Path) -> None:
    """Write images.npy and rows.csv to `folder`."""
    with replacing(folder / "images.npy") as path:
        np.save(path, synthetic.images)
    write_csv(synthetic.rows, folder / "rows.csv")


def smote(images: np.ndarray, classes: np.ndarray, ids: np.ndarray, seed: int) -> Synthetic:
    """Bring every class up to the size of the largest by SMOTE (Chawla et al. 2002), rounded to whole grey levels.

    images: uint8 (N, H, W, 1), the possible parents. classes, ids: (N,). Raises RontgenError if a class has too few
    images for SMOTE's neighbours.
    """
    names, counts = np.unique(classes, return_counts=True)
    made, tables = [no_balance(images).images], []
    for name, count in zip(names, counts, strict=True):
        missing = counts.max() - count
        if missing == 0:
            continue
        if count <= NEIGHBOURS:
            raise RontgenError(
                f"balance: expected more than {NEIGHBOURS} images of {name} for SMOTE, received {count}: "
                "set balance to none or give the class more images"
            )
        members = np.flatnonzero(classes == name)
        # One class at a time, with a single row of another, which imbalanced-learn asks for: the whole set as
        # floats would not fit beside the images
        rows = np.append(members, np.flatnonzero(classes != name)[0])
        flat = np.asarray(images[rows], dtype=np.float32).reshape(len(rows), -1)
        sampler = _Parents(sampling_strategy={0: counts.max()}, k_neighbors=NEIGHBOURS, random_state=seed)
        sampler.fit_resample(flat, np.arange(len(rows)) // count)
        new = np.empty((missing, *images.shape[1:]), np.uint8)
        for start in range(0, missing, CHUNK):
            chunk = slice(start, start + CHUNK)
            first, second = flat[sampler.first[chunk]], flat[sampler.second[chunk]]
            between = first + sampler.steps[chunk, None] * (second - first)
            # float32 before rounding, as imbalanced-learn gives them: a half of grey may be none in float64
            new[chunk] = np.rint(between.astype(np.float32)).reshape(-1, *images.shape[1:])
        made.append(new)
        columns = (name, ids[members[sampler.first]], ids[members[sampler.second]], sampler.steps)
        tables.append(pd.DataFrame(dict(zip(ROW_COLUMNS, columns, strict=True))))
    rows = pd.concat(tables, ignore_index=True) if tables else no_balance(images).rows
    return Synthetic(np.concatenate(made), rows)
