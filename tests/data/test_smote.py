import tracemalloc

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE

import run_stages
from rontgen.core import runs
from rontgen.core.errors import RontgenError
from rontgen.core.runs import ImageSet
from rontgen.data import arrays, smote
from rontgen.reporting import data_plots

COUNTS = {"COVID": 6, "NORMAL": 20, "SICK": 13}


@pytest.fixture
def training():
    """Images uint8 (39, 6, 5, 1) of three classes in random order, their classes and ids."""
    random = np.random.default_rng(7)
    classes = random.permutation([name for name, count in COUNTS.items() for _ in range(count)]).astype(object)
    images = random.integers(0, 256, (len(classes), 6, 5, 1), dtype=np.uint8)
    return images, classes, np.array([f"id{index}" for index in range(len(classes))], dtype=object)


@pytest.fixture
def synthetic(training):
    return smote.smote(*training, seed=7)


@pytest.fixture
def parents(training, synthetic):
    """Of each synthetic image: itself, its row, and the positions of its parents."""
    position = {name: index for index, name in enumerate(training[2])}
    rows = list(synthetic.rows.itertuples(index=False))
    firsts, seconds = (synthetic.rows[name].map(position) for name in ("first", "second"))
    return list(zip(synthetic.images, rows, firsts, seconds, strict=True))


@pytest.fixture
def image_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return ImageSet("pirngadi_150", split=None, size=6, max_unreadable=0, balance="smote")


def test_classes_are_equal_afterwards(synthetic):
    assert synthetic.rows["class"].value_counts().to_dict() == {"COVID": 14, "SICK": 7}
    assert (synthetic.images.dtype, synthetic.images.shape) == (np.uint8, (21, 6, 5, 1))
    assert list(synthetic.rows.columns) == smote.ROW_COLUMNS


def test_images_lie_between_their_parents(training, parents):
    images, classes, _ = training
    for image, row, first, second in parents:
        assert first != second
        assert classes[first] == classes[second] == row[0]
        assert 0 <= row.step < 1
        expected = images[first] + row.step * (images[second].astype(float) - images[first])
        np.testing.assert_allclose(image, expected, atol=0.501)


def test_rows_are_those_of_imbalanced_learn(training, synthetic):
    images, classes, _ = training
    flat = images.reshape(len(images), -1).astype(np.float64)
    resampled, names = SMOTE(random_state=7).fit_resample(flat, classes.astype(str))
    assert synthetic.rows["class"].tolist() == names[len(images) :].tolist()
    np.testing.assert_allclose(synthetic.images.reshape(21, -1), resampled[len(images) :], atol=0.501)


def test_more_images_than_a_chunk_are_the_same(training, synthetic, monkeypatch):
    monkeypatch.setattr(smote, "CHUNK", 5)
    np.testing.assert_array_equal(smote.smote(*training, seed=7).images, synthetic.images)


def test_synthetic_images_are_never_all_floats():
    """imbalanced-learn holds a class of 8 MB as float32 four times; with as many new rows, seven times."""
    random = np.random.default_rng(7)
    images = random.integers(0, 256, (600, 100, 100, 1), dtype=np.uint8)
    classes = np.repeat(np.array(["COVID", "NORMAL"], dtype=object), [200, 400])
    tracemalloc.start()
    smote.smote(images, classes, np.arange(600), seed=7)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * 200 * 100 * 100 * 4


def test_the_seed_decides(training, synthetic):
    again, other = (smote.smote(*training, seed=seed) for seed in (7, 8))
    np.testing.assert_array_equal(again.images, synthetic.images)
    assert again.rows.equals(synthetic.rows)
    assert not other.rows.equals(synthetic.rows)


def test_equal_classes_need_none(training):
    keep = np.concatenate([np.flatnonzero(training[1] == name)[:6] for name in COUNTS])
    synthetic = smote.smote(*(values[keep] for values in training), seed=7)
    assert (synthetic.images.shape, len(synthetic.rows)) == ((0, 6, 5, 1), 0)


def test_six_images_are_enough_and_five_are_not(training):
    assert COUNTS["COVID"] == 6
    keep = np.delete(np.arange(39), np.flatnonzero(training[1] == "COVID")[0])
    with pytest.raises(RontgenError, match="more than 5 images of COVID for SMOTE, received 5: set balance to"):
        smote.smote(*(values[keep] for values in training), seed=7)


# The stage's input: {subset: {class: images}}
SPLIT = {"train": {"NORMAL": 9, "PNEUMONIA": 20}, "validation": {"NORMAL": 8, "PNEUMONIA": 30},
         "test": {"NORMAL": 12, "PNEUMONIA": 7}}  # fmt: skip


@pytest.fixture
def balanced(change_params, capsys, monkeypatch):
    """Run the stage with a value of `balance`; returns the manifest, the synthetic images and their rows, the images,
    the printed output and the data of each figure."""
    figures = {}
    for name in ("class_counts", "contact_sheet", "smote_examples"):
        monkeypatch.setattr(data_plots, name, lambda data, title, path, name=name: figures.update({name: data}))

    def run(value):
        change_params({"balance": value})
        image_set = runs.load_image_set("active")
        rows = [(name, key) for name, counts in SPLIT.items() for key, count in counts.items() for _ in range(count)]
        manifest = pd.DataFrame(rows, columns=["subset", "class"])
        manifest["id"] = [f"id{index}" for index in range(len(manifest))]
        manifest.index += 1  # the first image failed to decode
        image_set.preprocessed.mkdir(parents=True)
        manifest.to_csv(image_set.preprocessed / "manifest.csv", index_label="row")
        pixels = np.random.default_rng(7).integers(0, 256, (len(manifest) + 1, 6, 5, 1), dtype=np.uint8)
        np.save(image_set.preprocessed / "images.npy", pixels)
        run_stages.run("balance --image-set active")
        return manifest, *arrays.read_synthetic(image_set), pixels, capsys.readouterr().out, figures

    return run


@pytest.mark.parametrize(
    ("value", "subsets", "made"),
    [
        ("smote", {"train"}, {"NORMAL": 11}),
        ("smote_train_test", {"train", "test"}, {"NORMAL": 6}),
        ("smote_all", {"train", "validation", "test"}, {"NORMAL": 28}),
        ("none", set(), {}),
    ],
)
def test_the_stage_evens_the_classes_of_the_subsets_that_parents_are_from(balanced, value, subsets, made):
    manifest, images, rows, pixels, printed, figures = balanced(value)
    assert rows["class"].value_counts().to_dict() == made
    subset = manifest.set_index("id")["subset"]
    parents = pd.concat([rows["first"], rows["second"]]).map(subset)
    assert set(parents) == subsets
    from_test = sum("test" in {subset[row.first], subset[row.second]} for row in rows.itertuples())
    assert (from_test > 0) == ("test" in subsets)
    assert printed == f"{len(images)} synthetic images, {from_test} of them with a parent in the test subset\n"

    counts = figures["class_counts"].set_index(["subset", "class"])
    assert counts["real"].unstack("class").to_dict("index") == SPLIT
    assert counts.query("synthetic > 0")["synthetic"].to_dict() == {("train", name): n for name, n in made.items()}

    position = dict(zip(manifest["id"], manifest.index, strict=True))
    for first, image, second, step, _ in figures.get("smote_examples", []):
        (place,) = np.flatnonzero((images[..., 0] == image).all(axis=(1, 2)))
        row = rows.iloc[place]
        np.testing.assert_array_equal(first, pixels[position[row["first"]], :, :, 0])
        np.testing.assert_array_equal(second, pixels[position[row["second"]], :, :, 0])
        assert step == pytest.approx(row["step"])
        np.testing.assert_allclose(image, first + step * (second.astype(float) - first), atol=0.501)
    assert len(figures.get("smote_examples", [])) == min(4, len(images))


def test_what_is_written_is_read_back(synthetic, image_set):
    smote.write(synthetic, image_set.balanced)
    images, rows = arrays.read_synthetic(image_set)
    np.testing.assert_array_equal(images, synthetic.images)
    assert rows.to_dict("list") == synthetic.rows.to_dict("list")


def test_none_replaces_what_was_written_and_is_read_back(training, synthetic, image_set):
    smote.write(synthetic, image_set.balanced)
    smote.write(smote.no_balance(training[0]), image_set.balanced)
    images, rows = arrays.read_synthetic(image_set)
    assert (images.dtype, images.shape) == (np.uint8, (0, 6, 5, 1))
    assert (list(rows.columns), len(rows)) == (smote.ROW_COLUMNS, 0)
    assert sorted(path.name for path in image_set.balanced.iterdir()) == ["images.npy", "rows.csv"]
