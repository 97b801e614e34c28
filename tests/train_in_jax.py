"""Trains a small model with JAX as stages/train.py does, in a process of its own, for test_jax.py.

python train_in_jax.py OUTPUT [EPOCHS]: the weights and the history go to OUTPUT.npz, the progress to
OUTPUT.progress.npz. With EPOCHS the process ends, as if killed, once that many are saved.
"""

import os
import sys
from pathlib import Path

import numpy as np

from rontgen.core import determinism
from rontgen.core.settings import Augment, Train
from rontgen.data.arrays import Subset
from rontgen.training import callbacks, protocol
from shipped_models import build_model

TRAIN = Train(
    epochs=3, batch_size=16, optimizer="adam", learning_rate=0.001, fine_tune=None, early_stopping=None,
    reduce_lr_on_plateau=None, checkpoint="last", mixed_precision=False, seed=1,
)  # fmt: skip
AUGMENT = Augment(
    rotation=20, width_shift=0.1, height_shift=0.1, zoom=0.2, shear=0, contrast=0.1, horizontal_flip=True, variants=1
)


class Live:
    """Stands in for dvclive.Live, which needs a git repository."""

    def log_metric(self, name, value):
        pass

    def next_step(self):
        pass


class KilledLive(Live):
    """Ends the process, as a kill would, when one more epoch is over and not saved yet."""

    def __init__(self, epochs):
        self.left = epochs

    def next_step(self):
        if not self.left:
            os._exit(9)
        self.left -= 1


def images(count):
    """Dark images and bright ones, which any model can tell apart, uint8 (count, 32, 32, 1)."""
    random = np.random.default_rng(count)
    labels = np.arange(count) % 2
    pixels = random.integers(0, 180, (count, 32, 32, 1)) + 60 * labels[:, None, None, None]
    return Subset(pixels.astype(np.uint8), np.arange(count), labels)


def main():
    output, *epochs = sys.argv[1:]
    callbacks.SAVE_EVERY = 0
    determinism.prepare(TRAIN.seed, threads=1)
    # with batch normalisation and dropout, which depend on the other images in a batch and on an image's place in it
    model = build_model("cnn1", (32, 32, 1), channels=1)
    result = protocol.fit(
        model, images(41), images(17), TRAIN, AUGMENT, unfrozen_layers=None, name="cnn1",
        live=KilledLive(int(epochs[0])) if epochs else Live(), progress_file=Path(f"{output}.progress.npz"),
        fingerprint="one",
    )  # fmt: skip
    history = result.history.drop(columns="epoch").to_numpy()
    weights = {f"weight_{number}": value for number, value in enumerate(model.get_weights())}
    np.savez(f"{output}.npz", history=history, **weights)


if __name__ == "__main__":
    main()
