"""Augmentation against Keras's ImageDataGenerator, which the papers use."""

import keras
import numpy as np
import pytest
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from scipy.ndimage import gaussian_filter

from rontgen.core.settings import Augment
from rontgen.training import augmentation

SMATIKA = Augment(
    rotation=20, width_shift=0.2, height_shift=0.2, zoom=0.2, shear=15, contrast=0.0, horizontal_flip=True, variants=1
)
NOTHING = SMATIKA.model_copy(
    update={"rotation": 0, "width_shift": 0.0, "height_shift": 0.0, "zoom": 0.0, "shear": 0, "horizontal_flip": False}
)


@pytest.fixture
def image():
    noise = np.random.default_rng(1).uniform(0, 255, (48, 48))
    return gaussian_filter(noise, 2)[..., None].astype(np.uint8)


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # inside Keras
@pytest.mark.parametrize("seed", range(4))
def test_one_transform_is_that_of_image_data_generator(image, seed):
    amounts = augmentation.draw(np.random.default_rng(seed), 1, SMATIKA, 48, 48)
    random = np.random.default_rng(seed)  # the same draws, in the order of augment.draw
    rotation, shear = random.uniform(-20, 20), random.uniform(-15, 15)
    shift_y, shift_x = random.uniform(-0.2, 0.2) * 48, random.uniform(-0.2, 0.2) * 48
    zoom_y, zoom_x = 1 + random.uniform(-0.2, 0.2), 1 + random.uniform(-0.2, 0.2)
    flip = random.uniform() < 0.5
    expected = ImageDataGenerator(fill_mode="nearest").apply_transform(
        image.astype(np.float32),
        {"theta": rotation, "shear": shear, "tx": shift_x, "ty": shift_y, "zx": zoom_x, "zy": zoom_y}
        | {"flip_horizontal": flip},
    )
    np.testing.assert_allclose(np.asarray(augmentation.apply(image[None], amounts))[0], expected, atol=1e-3)


def test_identity_changes_nothing(image):
    same = augmentation.apply(image[None], augmentation.identity(1))
    np.testing.assert_allclose(np.asarray(same)[0], image, atol=1e-4)


def test_each_image_of_a_batch_is_transformed_by_itself(image):
    images = np.stack([image, 255 - image, image[::-1]])
    amounts = augmentation.draw(np.random.default_rng(0), 3, SMATIKA.model_copy(update={"contrast": 0.3}), 48, 48)
    together = np.asarray(augmentation.apply(images, amounts))
    for number in range(3):
        alone = augmentation.apply(images[number : number + 1], amounts[number : number + 1])
        np.testing.assert_allclose(together[number], np.asarray(alone)[0], atol=1e-3)


def test_amounts_of_zero_are_the_identity():
    amounts = augmentation.draw(np.random.default_rng(0), 3, NOTHING, 32, 32)
    np.testing.assert_allclose(amounts, augmentation.identity(3), atol=1e-6)


def test_half_the_images_are_flipped():
    flips = NOTHING.model_copy(update={"horizontal_flip": True})
    amounts = augmentation.draw(np.random.default_rng(0), 2000, flips, 32, 32)
    assert 0.45 < (amounts[:, 0] < 0).mean() < 0.55


def test_an_image_that_is_not_square_is_flipped_about_its_own_middle(image):
    wide = image[:30]
    flips = NOTHING.model_copy(update={"horizontal_flip": True})
    amounts = augmentation.draw(np.random.default_rng(0), 20, flips, *wide.shape[:2])
    images = np.asarray(augmentation.apply(np.tile(wide, (20, 1, 1, 1)), amounts))
    for flipped, amount in zip(images, amounts, strict=True):
        np.testing.assert_allclose(flipped, wide[:, ::-1] if amount[0] < 0 else wide, atol=1e-3)


@pytest.mark.parametrize("shift", [(7, 5), (-7, -5)])
def test_what_comes_from_outside_repeats_the_edge(image, shift):
    wide, amounts = image[:30], augmentation.identity(1)
    amounts[0, [5, 2]] = shift
    rows, columns = np.clip(np.arange(30) + shift[0], 0, 29), np.clip(np.arange(48) + shift[1], 0, 47)
    shifted = np.asarray(augmentation.apply(wide[None], amounts))[0]
    np.testing.assert_allclose(shifted, wide[rows][:, columns], atol=1e-3)


def test_contrast_moves_pixels_away_from_the_mean(image):
    amounts = augmentation.identity(1)
    amounts[0, 6] = 1.5
    changed = np.asarray(augmentation.apply(image[None], amounts))[0]
    np.testing.assert_allclose(changed.mean(), image.mean(), rtol=1e-3)
    np.testing.assert_allclose(changed.std(), image.std() * 1.5, rtol=1e-3)


def test_black_and_white_stay_within_their_range():
    image = np.repeat([0, 0, 0, 255], 4).astype(np.uint8).reshape(1, 4, 4, 1)
    amounts = augmentation.identity(1)
    amounts[0, 6] = 1.5
    np.testing.assert_array_equal(np.asarray(augmentation.apply(image, amounts)), image)


def test_batches_of_any_length_go_through_one_model(image):
    batch, amounts = keras.Input((48, 48, 1), dtype="uint8"), keras.Input((augmentation.COLUMNS,))
    applied = keras.layers.Lambda(lambda inputs: augmentation.apply(*inputs))([batch, amounts])
    model = keras.Model([batch, amounts], applied)
    for count in (3, 2, 1):
        drawn = augmentation.draw(np.random.default_rng(0), count, SMATIKA, 48, 48)
        images = np.stack([np.roll(image, number) for number in range(count)])
        expected = augmentation.apply(images, drawn)
        np.testing.assert_allclose(model.predict_on_batch([images, drawn]), np.asarray(expected), atol=1e-3)


@pytest.mark.parametrize("validation", [False, True])
def test_augmentation_acts_in_training_and_in_validation_only_where_asked(image, validation):
    layer = augmentation.Augmentation(validation=validation)
    amounts = augmentation.draw(np.random.default_rng(0), 1, SMATIKA, 48, 48)
    moved = augmentation.apply(image[None], amounts)
    assert np.abs(np.asarray(moved)[0] - image).max() > 1
    np.testing.assert_array_equal(layer([image[None], amounts], training=True), moved)
    np.testing.assert_array_equal(layer([image[None], amounts], training=False), moved if validation else image[None])
