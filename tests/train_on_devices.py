"""Trains a small model as stages/train.py does, in a process of its own, for test_data_parallel.

python train_on_devices.py OUTPUT DISTRIBUTE BATCH_SIZE SEED [EPOCHS]: the weights and the history go to
OUTPUT.<process>.npz, the progress to OUTPUT.progress.npz. With EPOCHS the process ends, as if killed, once that many
are saved. Processes of different SEEDs have different settings.
"""

import os
import sys
from pathlib import Path

import numpy as np

from rontgen.core import errors
from rontgen.core.sections import Augment, Train
from rontgen.data.arrays import Subset
from rontgen.training import callbacks, data_parallel, determinism, protocol
from shipped_models import build_model

AUGMENT = Augment(
    rotation=20, width_shift=0.1, height_shift=0.1, zoom=0.2, shear=0, contrast=0.1, horizontal_flip=True, variants=1
)


class Live:
    """Stands in for dvclive.Live, which needs a git repository."""

    def log_metric(self, name, value):
        pass

    def next_step(self):
        pass


def images(count):
    """Dark images and bright ones, which any model can tell apart, uint8 (count, 32, 32, 1)."""
    random = np.random.default_rng(count)
    labels = np.arange(count) % 2
    pixels = random.integers(0, 180, (count, 32, 32, 1)) + 60 * labels[:, None, None, None]
    return Subset(pixels.astype(np.uint8), np.arange(count), labels)


def main():
    output, distribute, batch_size, seed, *epochs = sys.argv[1:]
    train = Train(
        epochs=3, batch_size=int(batch_size), optimizer="adam", learning_rate=0.001, fine_tune=None,
        early_stopping=None, reduce_lr_on_plateau=None, checkpoint="last", mixed_precision=False, seed=int(seed),
        distribute=distribute,
    )  # fmt: skip
    callbacks.SAVE_EVERY = 0
    determinism.prepare(train.seed, threads=1)
    data_parallel.prepare(train.distribute, train.batch_size)
    fingerprint = f"{train.seed:064}"
    data_parallel.agree(fingerprint)
    # with batch normalisation and dropout, which depend on the other images in a batch and on an image's place in it
    model = build_model("cnn1", (32, 32, 1), channels=1)
    if epochs:
        end_after(int(epochs[0]))
    live = Live() if data_parallel.is_first() else None
    # 41 and 17: the last batches of 16 have 9 images and 1, which two devices cannot share
    result = protocol.fit(
        model, images(41), images(17), train, AUGMENT, unfrozen_layers=None, name="cnn1", live=live,
        progress_file=Path(f"{output}.progress.npz"), fingerprint=fingerprint,
    )  # fmt: skip
    # written by every process: the test checks that they all have the same
    history = result.history.drop(columns="epoch").to_numpy()
    weights = {f"weight_{number}": value for number, value in enumerate(model.get_weights())}
    np.savez(f"{output}.{data_parallel.share().process}.npz", history=history, **weights)


def end_after(epochs):
    """End the process, as a kill would, when one more epoch is over and not saved yet."""
    on_epoch_end = callbacks.LiveHistory.on_epoch_end

    def record(self, epoch, logs=None):
        if epoch == epochs:
            os._exit(9)
        on_epoch_end(self, epoch, logs)

    callbacks.LiveHistory.on_epoch_end = record


if __name__ == "__main__":
    errors.run(main)
