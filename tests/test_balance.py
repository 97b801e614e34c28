import tracemalloc

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE

from rontgen import balance, datasets
from rontgen.errors import RontgenError
from rontgen.runs import View

COUNTS = {"COVID": 6, "NORMAL": 20, "SICK": 13}


@pytest.fixture
def training():
    """Images uint8 (39, 6, 5, 1) of three classes in random order, their classes and ids."""
    random = np.random.default_rng(7)
    classes = random.permutation([name for name, count in COUNTS.items() for _ in range(count)]).astype(object)
    images = random.integers(0, 256, (len(classes), 6, 5, 1), dtype=np.uint8)
    return images, classes, np.array([f"id{index}" for index in range(len(classes))], dtype=object)


@pytest.fixture
def view(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return View("pirngadi_150", study=None, size=6, max_unreadable=0, balance="smote")


def test_classes_are_equal_afterwards(training):
    synthetic = balance.smote(*training, seed=7)
    assert synthetic.rows["class"].value_counts().to_dict() == {"COVID": 14, "SICK": 7}
    assert (synthetic.images.dtype, synthetic.images.shape) == (np.uint8, (21, 6, 5, 1))
    assert list(synthetic.rows.columns) == balance.ROW_COLUMNS


def test_images_lie_between_their_parents(training):
    images, classes, ids = training
    synthetic = balance.smote(images, classes, ids, seed=7)
    position = {name: index for index, name in enumerate(ids)}
    for image, row in zip(synthetic.images, synthetic.rows.itertuples(index=False), strict=True):
        first, second = position[row.first], position[row.second]
        assert row.first != row.second
        assert classes[first] == classes[second] == row[0]
        assert 0 <= row.step < 1
        expected = images[first] + row.step * (images[second].astype(float) - images[first])
        np.testing.assert_allclose(image, expected, atol=0.501)


def test_the_second_parent_is_one_of_the_five_nearest(training):
    images, classes, ids = training
    synthetic = balance.smote(images, classes, ids, seed=7)
    flat = images.reshape(len(images), -1).astype(float)
    position = {name: index for index, name in enumerate(ids)}
    for row in synthetic.rows.itertuples(index=False):
        first, second = position[row.first], position[row.second]
        distances = np.linalg.norm(flat[classes == classes[first]] - flat[first], axis=1)
        assert np.linalg.norm(flat[second] - flat[first]) <= np.sort(distances)[balance.NEIGHBOURS] + 1e-3


def test_rows_are_those_of_imbalanced_learn(training):
    images, classes, ids = training
    synthetic = balance.smote(images, classes, ids, seed=7)
    flat = images.reshape(len(images), -1).astype(np.float64)
    resampled, names = SMOTE(random_state=7).fit_resample(flat, classes.astype(str))
    assert synthetic.rows["class"].tolist() == names[len(images) :].tolist()
    np.testing.assert_allclose(synthetic.images.reshape(21, -1), resampled[len(images) :], atol=0.501)


def test_more_images_than_a_chunk_are_the_same(training, monkeypatch):
    whole = balance.smote(*training, seed=7)
    monkeypatch.setattr(balance, "CHUNK", 5)
    np.testing.assert_array_equal(balance.smote(*training, seed=7).images, whole.images)


def test_synthetic_images_are_never_all_floats():
    """imbalanced-learn holds a class of 8 MB as float32 four times; with as many new rows it would be seven."""
    random = np.random.default_rng(7)
    images = random.integers(0, 256, (600, 100, 100, 1), dtype=np.uint8)
    classes = np.repeat(np.array(["COVID", "NORMAL"], dtype=object), [200, 400])
    tracemalloc.start()
    balance.smote(images, classes, np.arange(600), seed=7)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * 200 * 100 * 100 * 4


def test_the_seed_decides(training):
    first, again, other = (balance.smote(*training, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.images, again.images)
    assert first.rows.equals(again.rows)
    assert not first.rows.equals(other.rows)


def test_memory_mapped_images_do(training, tmp_path):
    images, classes, ids = training
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    np.testing.assert_array_equal(
        balance.smote(mapped, classes, ids, 7).images, balance.smote(images, classes, ids, 7).images
    )


def test_equal_classes_need_none(training):
    images, classes, ids = training
    keep = np.concatenate([np.flatnonzero(classes == name)[:6] for name in COUNTS])
    synthetic = balance.smote(images[keep], classes[keep], ids[keep], seed=7)
    assert (synthetic.images.shape, len(synthetic.rows)) == ((0, 6, 5, 1), 0)


def test_six_images_are_enough_and_five_are_not(training):
    images, classes, ids = training
    assert COUNTS["COVID"] == 6
    keep = np.ones(len(classes), dtype=bool)
    keep[np.flatnonzero(classes == "COVID")[0]] = False
    with pytest.raises(RontgenError, match="expected more than 5 training images of COVID, received 5: set balance to"):
        balance.smote(images[keep], classes[keep], ids[keep], seed=7)


def test_what_is_written_is_read_back(training, view):
    synthetic = balance.smote(*training, seed=7)
    balance.write(synthetic, view.balanced)
    images, rows = datasets.read_synthetic(view)
    np.testing.assert_array_equal(images, synthetic.images)
    assert rows.to_dict("list") == synthetic.rows.to_dict("list")


def test_none_is_written_and_read_back(training, view):
    balance.write(balance.no_balance(training[0]), view.balanced)
    images, rows = datasets.read_synthetic(view)
    assert (images.dtype, images.shape) == (np.uint8, (0, 6, 5, 1))
    assert (list(rows.columns), len(rows)) == (balance.ROW_COLUMNS, 0)


def test_written_again_it_is_replaced(training, view):
    balance.write(balance.smote(*training, seed=7), view.balanced)
    balance.write(balance.no_balance(training[0]), view.balanced)
    assert len(datasets.read_synthetic(view)[0]) == 0
    assert sorted(path.name for path in view.balanced.iterdir()) == ["images.npy", "rows.csv"]
