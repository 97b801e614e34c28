"""Trains a small model with JAX as stages/train.py does, in a process of its own, for test_jax.py.

python train_in_jax.py OUTPUT [EPOCHS]: the weights and the history go to OUTPUT.npz, the progress to
OUTPUT.progress.npz. With EPOCHS the process ends, as if killed, once that many are saved.
"""

import os
import sys
from pathlib import Path

import numpy as np

from rontgen.core import determinism
from rontgen.training import callbacks, protocol
from shipped_models import build_model
from small_training import AUGMENT, TRAIN, Killed, KilledLive, SilentLive, bright_or_dark


def main():
    output, *epochs = sys.argv[1:]
    callbacks.SAVE_EVERY = 0
    determinism.prepare(TRAIN.seed, threads=1)
    # with batch normalisation and dropout, which depend on the other images in a batch and on an image's place in it
    model = build_model("cnn1", (32, 32, 1), channels=1)
    try:
        result = protocol.fit(
            model, bright_or_dark(41, 32), bright_or_dark(17, 32), TRAIN.model_copy(update={"epochs": 3}), AUGMENT,
            unfrozen_layers=None, name="cnn1", live=KilledLive(int(epochs[0])) if epochs else SilentLive(),
            progress_file=Path(f"{output}.progress.npz"), fingerprint="one",
        )  # fmt: skip
    except Killed:
        os._exit(9)
    history = result.history.drop(columns="epoch").to_numpy()
    weights = {f"weight_{number}": value for number, value in enumerate(model.get_weights())}
    np.savez(f"{output}.npz", history=history, **weights)


if __name__ == "__main__":
    main()
