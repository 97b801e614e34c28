import json
from pathlib import Path

import pytest

from rontgen.core.errors import RontgenError
from rontgen.core.io import link_or_copy, replacing, require, write_json


def test_an_output_appears_whole_at_the_end(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    for text in ("old", "new"):
        with replacing(path) as temporary:
            temporary.write_text(text)
            assert temporary.suffix == path.suffix  # numpy and Keras go by it
            assert not path.exists() or path.read_text() == "old"
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_replaces_a_folder_and_no_file_does(tmp_path):
    path = tmp_path / "folder"
    for name in ("old", "new"):
        with replacing(path) as temporary:
            temporary.mkdir()
            (temporary / name).touch()
    assert [file.name for file in path.iterdir()] == ["new"]
    with pytest.raises(RontgenError, match="folder: a folder of that name is there"), replacing(path) as temporary:
        temporary.write_text("a page")
    with pytest.raises(RontgenError, match="a file is where a folder should be"), replacing(path / "new/page"):
        pass
    assert [file.name for file in path.iterdir()] == ["new"]


def test_a_failure_leaves_the_old_output_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_linked_and_copied_where_it_cannot_be(tmp_path, monkeypatch):
    path, symlink, target = (tmp_path / name for name in ("a.zip", "symlink.zip", "b.zip"))
    path.write_text("a")
    symlink.symlink_to(path)
    link_or_copy(symlink, target)
    assert target.stat().st_ino == path.stat().st_ino and not target.is_symlink()

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    target.unlink()
    link_or_copy(symlink, target)
    assert target.read_text() == "a" and not target.samefile(path)


def test_json_is_read_back(tmp_path):
    path = tmp_path / "a.json"
    write_json({"a": 0.1, "b": [1, None]}, path)
    assert json.loads(path.read_text()) == {"a": 0.1, "b": [1, None]}
    assert path.read_text().endswith("}\n")


def test_json_has_no_word_for_nan(tmp_path):
    with pytest.raises(ValueError, match="Out of range float values"):
        write_json({"a": float("nan")}, tmp_path / "a.json")


def test_a_missing_input_is_named_with_the_command_that_makes_it(tmp_path):
    path = tmp_path / "a.csv"
    with pytest.raises(RontgenError, match=r"a\.csv not found: run `dvc repro split` first"):
        require(path, "dvc repro split")
    path.touch()
    assert require(path, "dvc repro split") == path
