import re

import numpy as np
import pandas as pd
import pytest

from rontgen.core.errors import RontgenError
from rontgen.core.runs import DatasetSplit, ImageSet
from rontgen.data import arrays

CLASSES = ["NORMAL", "SICK"]
SPLIT = DatasetSplit("jitet", "pneumonia", dataset=None, rule=None, max_per_class=None, check_counts=False)
VIEW = ImageSet("jitet_224", SPLIT, size=2, max_unreadable=0, balance="none")


@pytest.fixture
def manifest():
    return pd.DataFrame(
        {
            "subset": ["train", "test", "train", "validation", "train", "test"],
            "class": ["SICK", "NORMAL", "NORMAL", "SICK", "SICK", "SICK"],
        }
    )


@pytest.fixture
def images():
    """Flat images (6, 2, 2, 1) whose gray value is their row."""
    return np.tile(np.arange(6, dtype=np.uint8)[:, None, None, None], (1, 2, 2, 1))


@pytest.fixture
def synthetic():
    """Flat images of 100 and 101, of one class each."""
    return np.full((2, 2, 2, 1), [[[[100]]], [[[101]]]], np.uint8), pd.DataFrame({"class": ["NORMAL", "SICK"]})


def grays(subset, positions):
    """The gray values of a subset's images at these positions, which must be images of 2 pixels."""
    batch = subset.read(np.array(positions, dtype=int))
    assert (batch.dtype, batch.shape) == (np.uint8, (len(positions), 2, 2, 1))
    assert (batch == batch[:, :1, :1]).all()
    return batch[:, 0, 0, 0].tolist()


def test_a_subset_has_its_rows_and_labels(manifest, images):
    train = arrays.subset("train", manifest, CLASSES, images)
    assert len(train) == 3
    assert train.labels.tolist() == [1, 0, 1]
    assert grays(train, [0, 1, 2]) == [0, 2, 4]
    assert grays(train, [2, 0, 2]) == [4, 0, 4]  # in any order and more than once
    assert arrays.subset("train", manifest, ["SICK", "NORMAL"], images).labels.tolist() == [0, 1, 0]


def test_synthetic_images_come_after_the_others(manifest, images, synthetic):
    train = arrays.subset("train", manifest, CLASSES, images, synthetic)
    assert len(train) == 5
    assert train.labels.tolist() == [1, 0, 1, 0, 1]
    assert grays(train, [4, 1, 3, 0, 4]) == [101, 2, 100, 0, 101]
    assert grays(train, [3, 4]) == [100, 101]
    assert grays(train, []) == []


def test_no_synthetic_images_change_nothing(manifest, images):
    none = np.empty((0, 2, 2, 1), np.uint8), pd.DataFrame({"class": []}, dtype=str)
    train = arrays.subset("train", manifest, CLASSES, images, none)
    assert train.labels.tolist() == [1, 0, 1]
    assert grays(train, [0, 1, 2]) == [0, 2, 4]


def test_memory_mapped_images_are_read_as_they_are_needed(tmp_path, monkeypatch, manifest, images):
    monkeypatch.chdir(tmp_path)
    VIEW.preprocessed.mkdir(parents=True)
    np.save(VIEW.preprocessed / "images.npy", images)
    mapped = arrays.read_images(VIEW)
    assert isinstance(mapped, np.memmap)
    assert grays(arrays.subset("test", manifest, CLASSES, mapped), [1, 0]) == [5, 1]


TEXTS = {"id": ["001234", "1e5"], "class": ["NA", "SICK"], "patient": ["", "nan"]}


def test_a_manifest_is_text_as_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    SPLIT.manifest.parent.mkdir(parents=True)
    SPLIT.manifest.write_text("id,class,patient\n001234,NA,\n1e5,SICK,nan\n")
    assert arrays.read_split(SPLIT).to_dict("list") == TEXTS


@pytest.mark.parametrize(
    ("read", "part", "file", "stage"),
    [
        (arrays.read_split, SPLIT, "data/split/jitet.csv", "reported_split@jitet"),
        (arrays.read_manifest, VIEW, "preprocessed/jitet_224/manifest.csv", "reported_preprocess@jitet_224"),
        (arrays.read_images, VIEW, "preprocessed/jitet_224/images.npy", "reported_preprocess@jitet_224"),
        (arrays.read_synthetic, VIEW, "balanced/jitet_224/rows.csv", "reported_balance@jitet_224"),
    ],
)
def test_what_is_missing_names_the_command(tmp_path, monkeypatch, read, part, file, stage):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RontgenError, match=f"{re.escape(file)} not found: run `dvc repro {stage}` first"):
        read(part)


def test_the_rows_of_a_manifest_are_those_of_its_images_and_all_else_is_text_as_written(tmp_path, monkeypatch, images):
    monkeypatch.chdir(tmp_path)
    VIEW.preprocessed.mkdir(parents=True)
    (VIEW.preprocessed / "manifest.csv").write_text("row,id,class,patient\n2,001234,NA,\n5,1e5,SICK,nan\n")
    manifest = arrays.read_manifest(VIEW)
    assert manifest.to_dict("list") == TEXTS
    assert grays(arrays.subset("train", manifest.assign(subset="train"), ["NA", "SICK"], images), [0, 1]) == [2, 5]


def test_classes_are_in_the_order_in_which_a_manifest_lists_them():
    manifest = pd.DataFrame({"class": ["SICK", "SICK", "NORMAL", "SICK", "NORMAL", "WORSE"]})
    assert arrays.classes(manifest) == ["SICK", "NORMAL", "WORSE"]
