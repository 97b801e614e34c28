"""The files of a record, in a made-up cache."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from conftest import ROOT
from finished_project import recorded
from rontgen.core.errors import RontgenError
from rontgen.evidence import clone, recorded_files, records

NAME = "pirngadi_simple_rnn/as_stated/seed-3"
FILES = {
    "models/pirngadi_simple_rnn.keras": b"model",
    "data/split/pirngadi.csv": b"split",
    "data/preprocessed/pirngadi_150/images.npy": b"images",
    "data/preprocessed/pirngadi_150/unreadable.csv": b"unreadable",
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache of a project with one record."""
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "papers.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    folder = tmp_path / "cache"
    monkeypatch.setattr(clone, "dvc", lambda *arguments, cwd: str(folder))
    outs = {path: put(folder, content) for path, content in FILES.items()}
    images = [
        {"md5": outs.pop(path), "relpath": Path(path).name} for path in FILES if path.startswith("data/preprocessed")
    ]
    outs["data/preprocessed/pirngadi_150"] = put(folder, json.dumps(images).encode(), ".dir")
    record = recorded("pirngadi_simple_rnn", "as_stated", 3, ("NORMAL", "PNEUMONIA"), 70, 100)
    record.provenance.update(
        commit="0123456789abcdef",
        set={"profile": "paper", "studies.pirngadi.train.seed": "3", "datasets.pneumonia.check_counts": "false"},
        settings={"dataset": "pneumonia", "size": 150},
        stages={"train": {"outs": outs}},
    )
    record.metrics["train"]["epochs"] = len(record.history)
    records.write(record)
    return folder


def put(folder, content, suffix=""):
    md5 = hashlib.md5(content).hexdigest() + suffix
    path = folder / "files/md5" / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return md5


def checkout():
    record = recorded_files.find(NAME)
    return recorded_files.checkout(record, recorded_files.run_of(record))


def test_the_files_of_a_record_lie_at_their_usual_paths(cache):
    assert {path: (checkout() / path).read_bytes() for path in FILES} == FILES


@pytest.mark.parametrize("name", [NAME + "/", "results/" + NAME])
def test_a_record_is_named_as_its_folder_is(cache, name):
    assert recorded_files.find(name).name == NAME


@pytest.mark.parametrize("name", ["pirngadi_simple_rnn", "../results", "pirngadi_simple_rnn/as_stated/seed-4"])
def test_an_unknown_record_is_refused(cache, name):
    with pytest.raises(RontgenError, match=r"--record: expected one such as .*, received '.*': `rontgen record` lists"):
        recorded_files.find(name)


@pytest.mark.parametrize("path", FILES)
def test_a_file_that_the_cache_lacks_is_named_with_the_command_that_makes_it(cache, path):
    md5 = hashlib.md5(FILES[path]).hexdigest()
    (cache / "files/md5" / md5[:2] / md5[2:]).unlink()
    command = "rontgen reproduce pirngadi_simple_rnn --seeds 3 -S datasets.pneumonia.check_counts=false"
    with pytest.raises(RontgenError, match=f"its {path} in DVC's cache, .* `{command}`"):
        checkout()


def test_another_model_in_the_cache_is_refused(cache):
    md5 = hashlib.md5(FILES["models/pirngadi_simple_rnn.keras"]).hexdigest()
    (cache / "files/md5" / md5[:2] / md5[2:]).write_bytes(b"another")
    with pytest.raises(RontgenError, match=r"expected a model with the MD5 .*, received one with"):
        checkout()


def test_a_params_yaml_that_describes_another_run_is_refused(cache):
    path = Path("params.yaml")
    text = path.read_text()
    assert "    size: 150\n" in text
    path.write_text(text.replace("    size: 150\n", "    size: 160\n"))
    with pytest.raises(RontgenError, match=r"expected size 150, params.yaml has 160: check out a commit that has it"):
        checkout()


def test_classes_in_another_order_are_refused(cache):
    path = Path("params.yaml")
    text = path.read_text()
    first, other = "    - NORMAL\n    - PNEUMONIA\n", "    - PNEUMONIA\n    - NORMAL\n"
    assert text.index(first) > text.index("\n  pneumonia:\n")
    path.write_text(text.replace(first, other, 1))
    with pytest.raises(
        RontgenError, match=r"expected classes \['NORMAL', 'PNEUMONIA'\], params.yaml has \['PNEUMONIA'"
    ):
        checkout()
