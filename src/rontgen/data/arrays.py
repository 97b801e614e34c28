"""Read what the data stages wrote: manifests, images, synthetic images, X-rays from elsewhere, weights."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rontgen.core.io import read_json, require
from rontgen.core.runs import DatasetSplit, ImageSet, Start
from rontgen.core.settings import SUBSETS


def read_split(split: DatasetSplit) -> pd.DataFrame:
    """The manifest of a study as the split stage wrote it, all columns str. Raises RontgenError where it is missing."""
    return pd.read_csv(require(split.manifest, split.split_command), dtype=str, keep_default_na=False)


def read_manifest(image_set: ImageSet) -> pd.DataFrame:
    """The manifest of an image set, without images that failed to decode; its index is the row in the images.

    Raises RontgenError if it is missing.
    """
    path = require(image_set.preprocessed / "manifest.csv", image_set.preprocess_command)
    manifest = pd.read_csv(path, dtype=str, keep_default_na=False)
    return manifest.set_index(manifest.pop("row").astype(int))


def classes(manifest: pd.DataFrame) -> list[str]:
    """The classes of a manifest in label order, in which it lists them."""
    return manifest["class"].unique().tolist()


def read_images(image_set: ImageSet) -> np.ndarray:
    """The images of an image set in the order of its study's manifest, memory-mapped: uint8 (N, H, W, 1).

    Raises RontgenError where they are missing.
    """
    return np.load(require(image_set.preprocessed / "images.npy", image_set.preprocess_command), mmap_mode="r")


def read_subsets(image_set: ImageSet) -> dict[str, np.ndarray]:
    """The images of train, validation and test, each uint8 (N, H, W, 1). Raises RontgenError where they are missing."""
    manifest, images = read_manifest(image_set), read_images(image_set)
    return {name: images[manifest.index[manifest["subset"] == name]] for name in SUBSETS}


def read_synthetic(image_set: ImageSet) -> tuple[np.ndarray, pd.DataFrame]:
    """The synthetic training images, uint8 (M, H, W, 1), memory-mapped where there are any, and their rows.

    Raises RontgenError where they are missing.
    """
    folder = image_set.balanced
    rows = pd.read_csv(
        require(folder / "rows.csv", image_set.balance_command), dtype={"class": str, "first": str, "second": str}
    )
    return np.load(folder / "images.npy", mmap_mode="r" if len(rows) else None), rows


def read_external(image_set: ImageSet) -> tuple[pd.DataFrame, np.ndarray]:
    """The X-rays from elsewhere, uint8 (N, H, W, 1), and their rows (data.external.COLUMNS).

    Raises RontgenError where they are missing.
    """
    path = require(image_set.external / "manifest.csv", image_set.preprocess_command)
    rows = pd.read_csv(path, dtype=str, keep_default_na=False).astype({"unfamiliar": int})
    return rows, np.load(image_set.external / "images.npy")


def read_weights(start: Start) -> Path | None:
    """The file of a backbone's initial weights; None for random ones.

    Raises RontgenError if the stage `weights` has not run.
    """
    facts = read_json(start.folder / "SOURCE.json", start.weights_command)
    return start.folder / facts["file"] if facts["file"] else None


@dataclass(frozen=True)
class Subset:
    """The images of one subset, not copied: `rows` of `images`, then all of `synthetic`.

    images, synthetic: uint8 (N, H, W, 1), memory-mapped; or, in training, features float32 (N, …). rows: int (M,).
    labels: int (M + synthetic,), as in the dataset's classes.
    """

    images: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    synthetic: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, positions: np.ndarray) -> np.ndarray:
        """The images, or features, at these positions of the subset, in their type: uint8 (len(positions), H, W, 1)."""
        real = positions < len(self.rows)
        if real.all():
            return self.images[self.rows[positions]]
        batch = np.empty((len(positions), *self.images.shape[1:]), np.uint8)
        batch[real] = self.images[self.rows[positions[real]]]
        assert self.synthetic is not None  # its labels follow those of `rows`
        batch[~real] = self.synthetic[positions[~real] - len(self.rows)]
        return batch


def subset(
    name: str,
    manifest: pd.DataFrame,
    classes: list[str],
    images: np.ndarray,
    synthetic: tuple[np.ndarray, pd.DataFrame] | None = None,
) -> Subset:
    """The subset `name` of a manifest, whose index is the row in `images`; with the synthetic images and their rows."""
    of_subset = manifest[manifest["subset"] == name]
    rows, names = of_subset.index.to_numpy(), of_subset["class"].to_numpy(dtype=object)
    if synthetic is not None:
        names = np.concatenate([names, synthetic[1]["class"].to_numpy(dtype=object)])
    labels = pd.Index(classes).get_indexer(names)
    return Subset(images, rows, labels, None if synthetic is None else synthetic[0])
