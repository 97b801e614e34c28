import json

import pytest

from rontgen.core.io import replacing, write_json


def test_an_output_appears_whole_in_a_new_folder(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"
    assert list(path.parent.iterdir()) == [path]


def test_an_output_is_replaced_only_at_the_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.suffix == path.suffix  # numpy and Keras go by it
    assert path.read_text() == "new"


def test_a_failure_leaves_the_old_output_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_read_back(tmp_path):
    path = tmp_path / "a.json"
    write_json({"a": 0.1, "b": [1, None]}, path)
    assert json.loads(path.read_text()) == {"a": 0.1, "b": [1, None]}
    assert path.read_text().endswith("}\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_has_no_word_for_nan(tmp_path, value):
    path = tmp_path / "a.json"
    with pytest.raises(ValueError, match="Out of range float values"):
        write_json({"a": value}, path)
    assert list(tmp_path.iterdir()) == []
