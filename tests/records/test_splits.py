"""The exact splits of records: one column for each, found again by its name; and the patients of their images."""

import gzip

import pandas as pd
import pytest

from conftest import ROOT
from rontgen.core.errors import RontgenError
from rontgen.records import records, splits

COMMITTED = [path for path in (ROOT / "results/splits").glob("*.csv.gz") if path.name != f"{splits.PATIENTS}.csv.gz"]


def manifest_of(ids, subsets, patients=""):
    return pd.DataFrame({"id": ids, "subset": subsets, "patient": patients, "class": "NORMAL"})


MANIFEST = manifest_of(["c", "a", "b"], ["test", "train", "validation"])
OTHER = manifest_of(["a", "b", "d"], ["test", "train", "train"])


def column_of(tmp_path, manifest=MANIFEST, name="pneumonia"):
    return splits.write(name, manifest, tmp_path)


def table(tmp_path, name="pneumonia"):
    return gzip.decompress((tmp_path / f"splits/{name}.csv.gz").read_bytes()).decode()


def test_a_split_is_read_as_it_was_written(tmp_path):
    found = splits.read("pneumonia", column_of(tmp_path), tmp_path)
    assert found.to_dict() == {"a": "train", "b": "validation", "c": "test"}


def test_it_is_a_row_for_each_image_in_the_order_of_their_ids(tmp_path):
    column = column_of(tmp_path)
    assert len(column) == 8
    assert table(tmp_path) == f"id,{column}\na,tr\nb,va\nc,te\n"


def test_the_same_split_is_there_once_in_whatever_order_its_images_were(tmp_path):
    column = column_of(tmp_path)
    before = table(tmp_path)
    assert column_of(tmp_path, MANIFEST.iloc[::-1]) == column
    assert table(tmp_path) == before


@pytest.mark.parametrize("first_other", [False, True])
def test_another_split_is_another_column_and_leaves_the_first_as_it_was(tmp_path, first_other):
    manifests = [MANIFEST, OTHER]
    columns = {id(one): column_of(tmp_path, one) for one in (reversed(manifests) if first_other else manifests)}
    column, other = columns[id(MANIFEST)], columns[id(OTHER)]
    assert column != other
    assert [line.split(",")[0] for line in table(tmp_path).splitlines()] == ["id", "a", "b", "c", "d"]
    assert splits.read("pneumonia", column, tmp_path).to_dict() == {"a": "train", "b": "validation", "c": "test"}
    assert splits.read("pneumonia", other, tmp_path).to_dict() == {"a": "test", "b": "train", "d": "train"}


def test_one_image_in_another_subset_is_another_split(tmp_path):
    moved = MANIFEST.assign(subset=["test", "train", "train"])
    assert column_of(tmp_path) != column_of(tmp_path, moved)


def test_splits_of_other_names_have_files_of_their_own(tmp_path):
    column = column_of(tmp_path)
    assert column_of(tmp_path, name="covid") == column
    assert table(tmp_path) == table(tmp_path, "covid")
    with pytest.raises(RontgenError, match=rf"lungs.csv.gz: expected a column {column}, received none"):
        splits.read("lungs", column, tmp_path)


def test_a_split_that_is_not_there_is_named_with_the_command(tmp_path):
    column_of(tmp_path)
    with pytest.raises(
        RontgenError, match=r"pneumonia.csv.gz: expected a column 0123abcd, .* `git checkout .*pneumonia.csv.gz`"
    ):
        splits.read("pneumonia", "0123abcd", tmp_path)


def test_ids_and_columns_of_digits_alone_stay_as_they_are(tmp_path):
    digits = MANIFEST.assign(id=["003", "0010", "1e5"])
    found = splits.read("pneumonia", column_of(tmp_path, digits), tmp_path)
    assert found.to_dict() == {"003": "test", "0010": "train", "1e5": "validation"}


def test_every_committed_split_is_of_a_record_and_every_record_has_one():
    used = {tuple(record.provenance["split"].values()) for record in records.read_all(ROOT / "results")}
    there = {(path.name.partition(".")[0], column) for path in COMMITTED for column in pd.read_csv(path).columns[1:]}
    assert used == there


# ---- patients


def patients(tmp_path, *manifests):
    """patients.csv.gz after some splits were written, a line each."""
    for manifest in manifests:
        column_of(tmp_path, manifest)
    return table(tmp_path, splits.PATIENTS).splitlines()


def of_patients(**known):
    """A manifest with these images, all of them in training, and their patients."""
    ids = [name.replace("_", "-") for name in known]
    return manifest_of(ids, "train", list(known.values()))


@pytest.mark.parametrize(
    ("manifests", "lines"),
    [
        ([of_patients(b="p2", a="p1")], ["a,p1", "b,p2"]),
        ([of_patients(a="", b="p2")], ["b,p2"]),
        ([of_patients(a="p1", a_2="p1", b_10="p2")], ["a,p1", "b,p2"]),
        ([of_patients(a="p1", c="p3"), of_patients(a="p1", b="p2")], ["a,p1", "b,p2", "c,p3"]),
        ([of_patients(a="p1", a_2="p2"), of_patients(a="p3")], ["a,p1"]),
        ([of_patients(a="", b="p2"), of_patients(a="p1")], ["a,p1", "b,p2"]),
    ],
    ids=["order of ids", "unknown patient", "id of the original", "another split", "first one stays", "known later"],
)
def test_the_patient_of_each_original_is_kept_as_it_is_first_known(tmp_path, manifests, lines):
    assert patients(tmp_path, *manifests) == ["id,patient", *lines]


def test_where_no_patient_is_known_there_is_no_file(tmp_path):
    column_of(tmp_path, of_patients(a="", b=""))
    assert [path.name for path in (tmp_path / "splits").iterdir()] == ["pneumonia.csv.gz"]


def test_nothing_is_written_where_all_patients_are_known(tmp_path):
    column_of(tmp_path, of_patients(a="p1", b="p2"))
    path = tmp_path / "splits/patients.csv.gz"
    path.write_bytes(gzip.compress(b"id,patient\nb,p2\na,p1\n"))  # as it would not be written
    assert patients(tmp_path, of_patients(a="p1"), of_patients(b="")) == ["id,patient", "b,p2", "a,p1"]


def test_patients_are_read_as_they_were_written(tmp_path):
    column_of(tmp_path, of_patients(a="007", b="", c_2="1e5"))
    assert splits.read_patients(tmp_path).to_dict() == {"a": "007", "c": "1e5"}


def test_where_nothing_is_recorded_no_patient_is_known(tmp_path):
    found = splits.read_patients(tmp_path)
    assert (found.to_dict(), found.name) == ({}, "patient")


@pytest.mark.parametrize(
    ("name", "image"), [("ab", "ab"), ("ab-2", "ab"), ("ab-12", "ab"), ("a-b", "a-b"), ("ab-2-3", "ab-2"), (12, "12")]
)
def test_the_image_of_a_copy_is_its_original(name, image):
    assert splits.image_of(pd.Series([name])).tolist() == [image]


def test_every_committed_patient_is_of_an_image_that_is_in_a_split():
    ids = pd.concat([pd.read_csv(path, dtype=str)["id"] for path in COMMITTED])
    assert set(splits.read_patients(ROOT / "results").index) <= set(splits.image_of(ids))


def test_the_committed_patients_are_those_of_the_predictions_but_for_copies():
    """A copy may have another patient's name."""
    known = splits.read_patients(ROOT / "results")
    for record in records.read_all(ROOT / "results"):
        table = record.predictions
        table = table[splits.image_of(table["id"]) == table["id"]]
        assert table["id"].map(known).fillna("").tolist() == table["patient"].tolist(), record.name
