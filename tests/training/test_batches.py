"""Batches: order, labels and augmentation follow from (seed, epoch)."""

import numpy as np
import pytest

from rontgen.data.arrays import Subset
from rontgen.training.batches import Batches
from small_training import AUGMENT


@pytest.fixture
def subset():
    images = np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    return Subset(images=images, rows=np.arange(2, 12), labels=np.arange(10) % 2)


def seen(batches):
    return np.concatenate([batches[index][0][:, 0, 0, 0] for index in range(len(batches))])


def test_without_a_seed_the_order_is_the_subsets(subset):
    batches = Batches(subset, 4, sigmoid=True)
    batches.start_epoch(1)
    assert list(seen(batches)) == list(range(2, 12))


def test_each_epoch_has_its_own_order_and_a_seed_repeats_it(subset):
    first, again = Batches(subset, 4, sigmoid=True, seed=1), Batches(subset, 4, sigmoid=True, seed=1)
    before = list(seen(first))
    first.start_epoch(1)
    again.start_epoch(1)
    assert list(seen(first)) == list(seen(again)) != before
    assert sorted(before) == list(range(2, 12))  # every image once


@pytest.fixture
def validation(subset):
    """Batches of images that keep their places, each augmented its own way."""
    augmentation = AUGMENT.model_copy(update={"variants": 1})
    return Batches(subset, 4, sigmoid=True, seed=1, augmentation=augmentation, with_amounts=True, shuffle=False)


def amounts_of(batches, epoch):
    """The rotations of each image, as the batches give them."""
    batches.start_epoch(epoch)
    return np.concatenate([batches[index][0][1][:, 1] for index in range(len(batches))])


def test_without_a_shuffle_every_epoch_has_the_order_of_the_subset(validation):
    for epoch in range(2):
        validation.start_epoch(epoch)
        images = [batch[0][0][:, 0, 0, 0] for batch in map(validation.__getitem__, range(3))]
        assert np.concatenate(images).tolist() == list(range(2, 12))
        assert np.concatenate([validation[index][1][:, 0] for index in range(3)]).tolist() == [0, 1] * 5


def test_without_a_shuffle_each_epoch_has_its_own_augmentation_and_a_seed_repeats_it(validation):
    first, again, second = (amounts_of(validation, epoch) for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.isin(first, second).any()


def test_the_augmentation_without_a_shuffle_is_not_that_of_the_training_images(subset, validation):
    train = Batches(subset, 4, sigmoid=True, seed=1, augmentation=validation.augmentation, with_amounts=True)
    assert not np.isin(amounts_of(validation, 0), amounts_of(train, 0)).any()


def test_labels_belong_to_their_images(subset):
    images, labels = Batches(subset, 10, sigmoid=False, seed=3)[0]
    np.testing.assert_array_equal(labels, images[:, 0, 0, 0] % 2)


def test_labels_of_one_sigmoid_unit_are_a_float_column(subset):
    labels = Batches(subset, 4, sigmoid=True)[0][1]
    assert labels.shape == (4, 1) and labels.dtype == np.float32


def test_variants_show_every_image_several_times_each_its_own_way(subset):
    batches = Batches(subset, 30, sigmoid=True, seed=1, augmentation=AUGMENT, with_amounts=True)
    (images, amounts), _ = batches[0]
    assert np.bincount(images[:, 0, 0, 0])[2:].tolist() == [2] * 10
    assert len(np.unique(amounts[:, 1])) == 20
