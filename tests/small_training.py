"""What tests train with: a short protocol, images that any model can tell apart, and what stands in for DVCLive."""

import numpy as np

from rontgen.core.settings import Augment, Train
from rontgen.data.arrays import Subset

TRAIN = Train(
    epochs=2, batch_size=8, optimizer="adam", learning_rate=0.001, fine_tune=None, early_stopping=None,
    reduce_lr_on_plateau=None, checkpoint="val_loss", mixed_precision=False, seed=1,
)  # fmt: skip
AUGMENT = Augment(
    rotation=5, width_shift=0.1, height_shift=0.1, zoom=0.1, shear=0, contrast=0.1, horizontal_flip=True, variants=2
)


def bright_or_dark(count, side=16):
    """Two classes, dark images and bright ones; every fourth image is a synthetic one."""
    random = np.random.default_rng(count)
    labels = np.arange(count) % 2
    images = random.integers(0, 60, (count, side, side, 1)) + 150 * labels[:, None, None, None]
    real = count - count // 4
    return Subset(images[:real].astype(np.uint8), np.arange(real), labels, images[real:].astype(np.uint8))


class SilentLive:
    """Stands in for dvclive.Live, which needs a git repository."""

    def __init__(self):
        self.logged, self.steps = [], 0

    def log_metric(self, name, value):
        self.logged.append((self.steps, name, value))

    def next_step(self):
        self.steps += 1


class Killed(Exception):
    pass


class KilledLive(SilentLive):
    """Ends a run in the middle of the work at an epoch's end, as a kill would: the epoch after `epochs` is lost."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def next_step(self):
        super().next_step()
        if self.steps > self.epochs:
            raise Killed
