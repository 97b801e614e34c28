"""The files of a record, in a made-up cache."""

import hashlib
import json
from pathlib import Path

import pytest
from dvc.repo import Repo

from conftest import copy_settings
from finished_project import recorded as make_record
from rontgen.core import params, runs
from rontgen.core.errors import RontgenError
from rontgen.records import records
from rontgen.serving import recorded

RUN = "pirngadi_simple_rnn"
NAME = f"{RUN}/protocol/seed-3"
SET = {"profile": "paper", "studies.pirngadi.train.seed": "3"}
EXTRA = {"datasets.pneumonia.check_counts": "false"}
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
    copy_settings(tmp_path)
    Repo.init(no_scm=True).close()
    folder = tmp_path / ".dvc/cache"
    outs = {path: put(folder, content) for path, content in FILES.items()}
    images = [
        {"md5": outs.pop(path), "relpath": Path(path).name} for path in FILES if path.startswith("data/preprocessed")
    ]
    outs["data/preprocessed/pirngadi_150"] = put(folder, json.dumps(images).encode(), ".dir")
    record = make_record(RUN, "protocol", 3, ("NORMAL", "PNEUMONIA"), 70, 100)
    record.provenance.update(
        commit="0123456789abcdef",
        set=SET,
        extra=EXTRA,
        settings=runs.load_run(RUN, params.validate(params.changed(params.read(), SET | EXTRA))).settings,
        outs=outs,
    )
    records.write(record)
    return folder


def put(folder, content, suffix=""):
    md5 = hashlib.md5(content).hexdigest() + suffix
    path = folder / "files/md5" / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return md5


def checked_out():
    record = recorded.find(NAME)
    return recorded.checkout(record, recorded.run_of(record))


def test_the_files_of_a_record_lie_at_their_usual_paths(cache):
    assert {path: (checked_out() / path).read_bytes() for path in FILES} == FILES


def test_a_record_is_named_as_its_folder_is(cache):
    assert recorded.find(f"results/{NAME}/").name == NAME


@pytest.mark.parametrize("name", ["../results", "pirngadi_simple_rnn/protocol/seed-4"])
def test_an_unknown_record_is_refused(cache, name):
    with pytest.raises(RontgenError, match=r"--record: expected one such as .*, received '.*': `rontgen record` lists"):
        recorded.find(name)


@pytest.mark.parametrize("path", ["models/pirngadi_simple_rnn.keras", "data/preprocessed/pirngadi_150/images.npy"])
def test_a_file_that_the_cache_lacks_is_named_with_the_command_that_makes_it(cache, path):
    md5 = hashlib.md5(FILES[path]).hexdigest()
    (cache / "files/md5" / md5[:2] / md5[2:]).unlink()
    command = "rontgen reproduce pirngadi_simple_rnn --seeds 3 -S datasets.pneumonia.check_counts=false --again"
    with pytest.raises(RontgenError, match=f"its {path} in DVC's cache, .* `{command}`"):
        checked_out()


def test_another_model_in_the_cache_is_refused(cache):
    md5 = hashlib.md5(FILES["models/pirngadi_simple_rnn.keras"]).hexdigest()
    (cache / "files/md5" / md5[:2] / md5[2:]).write_bytes(b"another")
    with pytest.raises(RontgenError, match=r"expected a model with the MD5 .*, received one with"):
        checked_out()


def changed(path, old, new):
    text = Path(path).read_text()
    assert text.count(old) == 1
    Path(path).write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("balance: smote", "balance: none", "balance smote, today it is none"),
        ("fine_tune:", "fine_tune: {epochs: 1, learning_rate: 0.1}", "train.fine_tune.epochs None, today it is 1"),
    ],
)
def test_settings_that_describe_another_run_are_refused(cache, old, new, said):
    changed("studies/pirngadi/protocol.yaml", old, new)
    with pytest.raises(RontgenError, match=rf"^{NAME}: recorded with {said}: check out a commit .* 0123456789ab$"):
        checked_out()


def test_another_seed_or_another_study_in_the_files_is_no_other_run(cache):
    changed("params.yaml", "profile: demo", "profile: paper")
    changed("studies/jitet/protocol.yaml", "batch_size: 32", "batch_size: 8")
    assert {path: (checked_out() / path).read_bytes() for path in FILES} == FILES


def test_classes_in_another_order_are_refused(cache):
    path = Path("params.yaml")
    text = path.read_text()
    first, other = "    - NORMAL\n    - PNEUMONIA\n", "    - PNEUMONIA\n    - NORMAL\n"
    assert text.index(first) > text.index("\n  pneumonia:\n")
    path.write_text(text.replace(first, other, 1))
    with pytest.raises(RontgenError, match=r"recorded with classes \['NORMAL', 'PNEUMONIA'\], today it is \['PNE"):
        checked_out()
