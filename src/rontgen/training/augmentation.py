"""Augmentation as one composed affine transform per image, on the device, in batches.

The amounts are drawn on the host, one small row per image, so that an epoch depends on the seed alone. The pixels are
moved on the device. It is the transform of Keras's ImageDataGenerator, with a contrast about the mean besides.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from rontgen.core.settings import Augment

# Of the transform, from output to input: x of x, x of y, x's offset, y of x, y of y, y's offset; the contrast factor
COLUMNS = 7


def draw(random: np.random.Generator, count: int, augment: Augment, height: int, width: int) -> np.ndarray:
    """Draw the augmentation of `count` images of (height, width) pixels. float32 (count, COLUMNS).

    Angles are uniform within ±rotation and ±shear degrees, shifts within ± a share of the side, each axis's zoom
    within 1 ± zoom, as in Keras's ImageDataGenerator; half of the images are flipped left to right if horizontal_flip
    is true. Contrast is uniform within 1 ± contrast.
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

    columns = [x_of_x, x_of_y, x_offset, y_of_x, y_of_y, y_offset, contrast]
    return np.stack(columns, axis=1).astype(np.float32)


def identity(count: int) -> np.ndarray:
    """The augmentation that changes nothing. float32 (count, COLUMNS)."""
    return np.tile(np.array([1, 0, 0, 0, 1, 0, 1], np.float32), (count, 1))


def _compiled(function: Callable) -> Callable:
    """A function of tensors, compiled by XLA apart from the rest of the step: three to four times as fast as
    TensorFlow's image transform (docs/performance.md). JAX compiles the whole step anyway."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function, autograph=False, jit_compile=True)


@_compiled
def apply(images: keras.KerasTensor, amounts: keras.KerasTensor) -> keras.KerasTensor:
    """Transform images uint8 (N, H, W, 1) by amounts (N, COLUMNS). float32 tensor (N, H, W, 1), clipped to 0…255.

    Bilinear; pixels from outside the image repeat its edge. H and W are at least 2.
    """
    images = _move(images, amounts)
    mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
    return ops.clip(mean + (images - mean) * amounts[:, 6, None, None, None], 0.0, 255.0)


def _move(images: keras.KerasTensor, amounts: keras.KerasTensor) -> keras.KerasTensor:
    count, height, width, _ = ops.shape(images)
    x_of_x, x_of_y, x_offset, y_of_x, y_of_y, y_offset = (amounts[:, i, None, None] for i in range(6))
    y, x = ops.arange(height, dtype="float32")[:, None], ops.arange(width, dtype="float32")
    from_x = ops.clip(x_of_x * x + x_of_y * y + x_offset, 0, width - 1)
    from_y = ops.clip(y_of_x * x + y_of_y * y + y_offset, 0, height - 1)
    # The upper left of the four pixels around each, never of the last column or row, so that all four are inside
    left = ops.minimum(ops.cast(from_x, "int32"), width - 2)
    top = ops.minimum(ops.cast(from_y, "int32"), height - 2)
    to_right, to_bottom = from_x - ops.cast(left, "float32"), from_y - ops.cast(top, "float32")

    # The batch as one row of pixels, each with the next in one number, which halves the look-ups. Casting the whole
    # row, and slicing it then, makes XLA three times slower
    row = ops.reshape(images, (-1,))
    pairs = ops.cast(row[:-1], "uint16") + 256 * ops.cast(row[1:], "uint16")
    image = ops.arange(count, dtype="int32")[:, None, None]
    upper_left = (image * height + top) * width + left

    def between(index):
        pair = ops.cast(ops.take(pairs, index), "int32")
        here, right = ops.cast(ops.bitwise_and(pair, 255), "float32"), ops.cast(ops.right_shift(pair, 8), "float32")
        return here + (right - here) * to_right

    upper, lower = between(upper_left), between(upper_left + width)
    return (upper + (lower - upper) * to_bottom)[..., None]


class Augmentation(keras.layers.Layer):
    """Applies amounts (N, COLUMNS) to images uint8 (N, H, W, 1) in training, and, if asked to, in validation."""

    def __init__(self, validation: bool = False, **options: Any) -> None:
        self.validation = validation
        # float32 also in mixed precision: a shift in pixels needs more than bfloat16's eight bits
        super().__init__(dtype="float32", **options)

    def call(self, inputs, training=False):
        images, amounts = inputs
        return apply(images, amounts) if training or self.validation else ops.cast(images, "float32")
