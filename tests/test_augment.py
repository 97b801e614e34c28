"""Augmentation against Keras's ImageDataGenerator, which the papers use."""

import numpy as np
import pytest
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from scipy.ndimage import gaussian_filter

from rontgen import augment
from rontgen.params import Augment

SMATIKA = Augment(
    rotation=20, width_shift=0.2, height_shift=0.2, zoom=0.2, shear=15, contrast=0.0, horizontal_flip=True, variants=1
)
NOTHING = SMATIKA.model_copy(
    update={"rotation": 0, "width_shift": 0.0, "height_shift": 0.0, "zoom": 0.0, "shear": 0, "horizontal_flip": False}
)


@pytest.fixture
def image():
    noise = np.random.default_rng(1).uniform(0, 255, (48, 48))
    return gaussian_filter(noise, 2)[..., None].astype(np.float32)


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # inside Keras
@pytest.mark.parametrize("seed", range(4))
def test_one_transform_is_that_of_image_data_generator(image, seed):
    amounts = augment.draw(np.random.default_rng(seed), 1, SMATIKA, 48, 48)
    random = np.random.default_rng(seed)  # the same draws, in the order of augment.draw
    rotation, shear = random.uniform(-20, 20), random.uniform(-15, 15)
    shift_y, shift_x = random.uniform(-0.2, 0.2) * 48, random.uniform(-0.2, 0.2) * 48
    zoom_y, zoom_x = 1 + random.uniform(-0.2, 0.2), 1 + random.uniform(-0.2, 0.2)
    flip = random.uniform() < 0.5
    expected = ImageDataGenerator(fill_mode="nearest").apply_transform(
        image,
        {"theta": rotation, "shear": shear, "tx": shift_x, "ty": shift_y, "zx": zoom_x, "zy": zoom_y}
        | {"flip_horizontal": flip},
    )
    np.testing.assert_allclose(np.asarray(augment.apply(image[None], amounts))[0], expected, atol=1e-3)


def test_identity_changes_nothing(image):
    np.testing.assert_allclose(np.asarray(augment.apply(image[None], augment.identity(1)))[0], image, atol=1e-4)


def test_amounts_of_zero_are_the_identity():
    amounts = augment.draw(np.random.default_rng(0), 3, NOTHING, 32, 32)
    np.testing.assert_allclose(amounts, augment.identity(3), atol=1e-6)


def test_half_the_images_are_flipped():
    flips = NOTHING.model_copy(update={"horizontal_flip": True})
    amounts = augment.draw(np.random.default_rng(0), 2000, flips, 32, 32)
    assert 0.45 < (amounts[:, 0] < 0).mean() < 0.55


def test_contrast_moves_pixels_away_from_the_mean(image):
    amounts = augment.identity(1)
    amounts[0, 8] = 1.5
    changed = np.asarray(augment.apply(image[None], amounts))[0]
    np.testing.assert_allclose(changed.mean(), image.mean(), rtol=1e-3)
    np.testing.assert_allclose(changed.std(), image.std() * 1.5, rtol=1e-3)


def test_augmentation_acts_in_training_only(image):
    layer = augment.Augmentation()
    amounts = augment.draw(np.random.default_rng(0), 1, SMATIKA, 48, 48)
    np.testing.assert_array_equal(np.asarray(layer([image[None], amounts], training=False))[0], image)
    assert np.abs(np.asarray(layer([image[None], amounts], training=True))[0] - image).max() > 1
