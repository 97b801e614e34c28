"""Batches for training, read from the memory-mapped arrays that preprocess and balance wrote."""

from typing import Any

import keras
import numpy as np

from rontgen.core.settings import Augment
from rontgen.data.arrays import Subset
from rontgen.training.augmentation import draw, identity


class Batches(keras.utils.PyDataset):
    """Batches of a subset for `fit`: in a new order and with new augmentation each epoch, drawn from (seed, epoch).

    seed: None keeps the subset's order and augments nothing. shuffle: False keeps the order alone. with_amounts:
    whether a batch also has the amounts of the augmentation, those of the identity if `augmentation` is None.

    Yields images uint8 (B, H, W, 1), or features float32 (B, …) where the subset holds them, and labels, float32 (B, 1)
    for one sigmoid unit, else int32 (B,).
    """

    def __init__(
        self, subset: Subset, batch_size: int, *, sigmoid: bool, seed: int | None = None,
        augmentation: Augment | None = None, with_amounts: bool = False, shuffle: bool = True,
    ):  # fmt: skip
        super().__init__()
        self.subset, self.batch_size, self.sigmoid = subset, batch_size, sigmoid
        self.seed, self.augmentation, self.with_amounts = seed, augmentation, with_amounts
        self.shuffle = shuffle
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Draw the order and the augmentation of that epoch, zero-based."""
        variants = self.augmentation.variants if self.augmentation else 1
        self.order = np.tile(np.arange(len(self.subset)), variants)
        self.amounts = identity(len(self.order)) if self.with_amounts else None
        if self.seed is None:
            return
        if self.shuffle:
            random = np.random.default_rng([self.seed, epoch])
            random.shuffle(self.order)
        else:  # amounts of their own, not those of the training images
            random = np.random.default_rng([self.seed, epoch, 1])
        if self.augmentation:
            height, width = self.subset.images.shape[1:3]
            self.amounts = draw(random, len(self.order), self.augmentation, height, width)

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, np.ndarray]:
        batch = slice(index * self.batch_size, (index + 1) * self.batch_size)
        positions = self.order[batch]
        images, labels = self.subset.read(positions), self.subset.labels[positions]
        labels = labels.astype(np.float32)[:, None] if self.sigmoid else labels.astype(np.int32)
        return (images, labels) if self.amounts is None else ((images, self.amounts[batch]), labels)
