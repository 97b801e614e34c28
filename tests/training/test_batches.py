"""Batches: order, labels and augmentation follow from (seed, epoch)."""

import numpy as np
import pytest

from rontgen.core.sections import Augment
from rontgen.data.arrays import Subset
from rontgen.training.batches import Batches

AUGMENT = Augment(
    rotation=5, width_shift=0.0, height_shift=0.0, zoom=0.0, shear=0, contrast=0.0, horizontal_flip=False, variants=3
)


@pytest.fixture
def subset():
    images = np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    return Subset(images=images, rows=np.arange(2, 12), labels=np.arange(10) % 2)


def seen(batches):
    return np.concatenate([batches[index][0][:, 0, 0, 0] for index in range(len(batches))])


def test_an_epoch_shows_every_image_once(subset):
    assert sorted(seen(Batches(subset, 4, sigmoid=True, seed=1))) == list(range(2, 12))


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


def test_labels_belong_to_their_images(subset):
    images, labels = Batches(subset, 10, sigmoid=False, seed=3)[0]
    np.testing.assert_array_equal(labels, images[:, 0, 0, 0] % 2)


def test_labels_of_one_sigmoid_unit_are_a_float_column(subset):
    labels = Batches(subset, 4, sigmoid=True)[0][1]
    assert labels.shape == (4, 1) and labels.dtype == np.float32


def test_variants_show_every_image_several_times_each_its_own_way(subset):
    batches = Batches(subset, 30, sigmoid=True, seed=1, augmentation=AUGMENT, with_amounts=True)
    (images, amounts), _ = batches[0]
    assert np.bincount(images[:, 0, 0, 0])[2:].tolist() == [3] * 10
    assert len(np.unique(amounts[:, 1])) == 30
