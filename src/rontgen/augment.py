"""Augmentation as one composed affine transform per image, on the device, in batches.

The amounts are drawn on the host, one small row per image, so that an epoch depends on nothing but the seed; the
pixels are moved on the device. Same transform as Keras's ImageDataGenerator, which the papers use.
"""

import keras
import numpy as np
from keras import ops

from rontgen.params import Augment

# Eight numbers of the transform, as keras.ops.image.affine_transform takes them, and the contrast factor
COLUMNS = 9


def draw(random: np.random.Generator, count: int, augment: Augment, height: int, width: int) -> np.ndarray:
    """Draw the augmentation of `count` images of (height, width) pixels. float32 (count, COLUMNS).

    Angles are uniform within ±rotation and ±shear degrees, shifts within ± a share of the side, each axis's zoom
    within 1 ± zoom, as in Keras's ImageDataGenerator.
    """

    def uniform(amount):
        return random.uniform(-amount, amount, count)

    rotation, shear = np.deg2rad(uniform(augment.rotation)), np.deg2rad(uniform(augment.shear))
    shift_y, shift_x = uniform(augment.height_shift) * height, uniform(augment.width_shift) * width
    zoom_y, zoom_x = 1 + uniform(augment.zoom), 1 + uniform(augment.zoom)
    flip = np.where(random.uniform(size=count) < 0.5 * augment.horizontal_flip, -1.0, 1.0)
    contrast = 1 + uniform(augment.contrast)

    # rotation · shift · shear · zoom about the centre, from output to input coordinates (x, y); the flip comes last
    cos, sin = np.cos(rotation), np.sin(rotation)
    x_of_x, x_of_y = cos * zoom_x * flip, (-cos * np.sin(shear) - sin * np.cos(shear)) * zoom_y
    y_of_x, y_of_y = sin * zoom_x * flip, (-sin * np.sin(shear) + cos * np.cos(shear)) * zoom_y
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    x_offset = cos * shift_x - sin * shift_y + centre_x - x_of_x * centre_x - x_of_y * centre_y
    y_offset = sin * shift_x + cos * shift_y + centre_y - y_of_x * centre_x - y_of_y * centre_y

    zero = np.zeros(count)
    columns = [x_of_x, x_of_y, x_offset, y_of_x, y_of_y, y_offset, zero, zero, contrast]
    return np.stack(columns, axis=1).astype(np.float32)


def identity(count: int) -> np.ndarray:
    """The augmentation that changes nothing. float32 (count, COLUMNS)."""
    return np.tile(np.array([1, 0, 0, 0, 1, 0, 0, 0, 1], np.float32), (count, 1))


def apply(images, amounts):
    """Transform images (N, H, W, C), 0 to 255, by amounts (N, COLUMNS). float32 tensor, clipped to 0…255.

    Bilinear; what comes from outside the image repeats its edge.
    """
    images = ops.cast(images, "float32")
    images = ops.image.affine_transform(images, amounts[:, :8], interpolation="bilinear", fill_mode="nearest")
    mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
    contrast = ops.reshape(amounts[:, 8], (-1, 1, 1, 1))
    return ops.clip(mean + (images - mean) * contrast, 0.0, 255.0)


class Augmentation(keras.layers.Layer):
    """Applies amounts (N, COLUMNS) to images (N, H, W, C) in training, and nothing outside it."""

    def __init__(self, **options):
        # float32 also in mixed precision: a shift in pixels needs more than bfloat16's eight bits
        super().__init__(dtype="float32", **options)
        # TensorFlow's image transform has no XLA kernel
        self.supports_jit = keras.backend.backend() != "tensorflow"

    def call(self, inputs, training=False):
        images, amounts = inputs
        return apply(images, amounts) if training else ops.cast(images, "float32")
