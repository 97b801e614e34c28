"""The exact splits of records: one column for each, found again by its name."""

import pandas as pd
import pytest

from conftest import ROOT
from rontgen.core.errors import RontgenError
from rontgen.evidence import recorded_splits, records

MANIFEST = pd.DataFrame({"id": ["c", "a", "b"], "subset": ["test", "train", "validation"], "class": "NORMAL"})
OTHER = pd.DataFrame({"id": ["a", "b", "d"], "subset": ["test", "train", "train"]})


def column_of(tmp_path, manifest=MANIFEST, name="jitet"):
    return recorded_splits.write(name, manifest, tmp_path)


def table(tmp_path, name="jitet"):
    return (tmp_path / f"splits/{name}.csv").read_text()


def test_a_split_is_read_as_it_was_written(tmp_path):
    found = recorded_splits.read("jitet", column_of(tmp_path), tmp_path)
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
    assert recorded_splits.read("jitet", column, tmp_path).to_dict() == {"a": "train", "b": "validation", "c": "test"}
    assert recorded_splits.read("jitet", other, tmp_path).to_dict() == {"a": "test", "b": "train", "d": "train"}


def test_one_image_in_another_subset_is_another_split(tmp_path):
    moved = MANIFEST.assign(subset=["test", "train", "train"])
    assert column_of(tmp_path) != column_of(tmp_path, moved)


def test_splits_of_other_names_have_files_of_their_own(tmp_path):
    column = column_of(tmp_path)
    assert column_of(tmp_path, name="jitet_leakfree") == column
    assert table(tmp_path) == table(tmp_path, "jitet_leakfree")
    with pytest.raises(RontgenError, match=rf"smatika.csv: expected a column {column}, received none"):
        recorded_splits.read("smatika", column, tmp_path)


def test_a_split_that_is_not_there_is_named_with_the_command(tmp_path):
    column_of(tmp_path)
    with pytest.raises(RontgenError, match=r"jitet.csv: expected a column 0123abcd, .* `git checkout .*jitet.csv`"):
        recorded_splits.read("jitet", "0123abcd", tmp_path)


def test_ids_and_columns_of_digits_alone_stay_as_they_are(tmp_path):
    digits = MANIFEST.assign(id=["003", "0010", "1e5"])
    found = recorded_splits.read("jitet", column_of(tmp_path, digits), tmp_path)
    assert found.to_dict() == {"003": "test", "0010": "train", "1e5": "validation"}


def test_every_committed_split_is_of_a_record_and_every_record_has_one():
    used = {tuple(record.provenance["split"].values()) for record in records.read_all(ROOT / "results")}
    there = {
        (path.stem, column)
        for path in (ROOT / "results/splits").glob("*.csv")
        for column in path.read_text().partition("\n")[0].split(",")[1:]
    }
    assert used == there
