"""The model, split and images of a recorded run, from DVC's cache, where `rontgen reproduce` leaves them."""

import hashlib
import json
from pathlib import Path

from rontgen.core import params, runs
from rontgen.core.errors import RontgenError
from rontgen.core.parts import Run
from rontgen.core.vocabulary import AS_STATED
from rontgen.evidence import clone, records
from rontgen.evidence.published import load_papers
from rontgen.evidence.records import FOLDER, Record

CHECKOUTS = Path(".dvc/tmp/records")


def find(name: str) -> Record:
    """The record of that name, <run>/<reading>/seed-<n>. Raises RontgenError where there is none."""
    path = FOLDER / name.rstrip("/").removeprefix(f"{FOLDER}/")
    if path not in FOLDER.glob("*/*/seed-*"):
        raise RontgenError(
            f"--record: expected one such as pirngadi_simple_rnn/as_stated/seed-1, received {name!r}: "
            "`rontgen record` lists them"
        )
    return records.read(path)


def run_of(record: Record) -> Run:
    """The run as it was recorded. Raises RontgenError where params.yaml describes another one today."""
    values = params.validate(params.changed(params.read(), record.provenance["set"]))
    run, settings = runs.load_run(record.run, values), record.provenance["settings"]
    for key, expected, value in (
        ("dataset", settings["dataset"], run.image_set.study.dataset_name),
        ("size", settings["size"], run.image_set.size),
        ("classes", record.classes, run.classes),
    ):
        if expected != value:
            raise RontgenError(
                f"{record.name}: expected {key} {expected}, params.yaml has {value}: check out a commit that has it, "
                f"such as {record.provenance['commit'][:12]}"
            )
    return run


def checkout(record: Record, run: Run) -> Path:
    """A folder with the run's model, split and images at their usual paths, as links into DVC's cache.

    Raises RontgenError where the cache lacks one of them, or holds another model.
    """
    cache = Path(clone.dvc("cache", "dir", cwd=Path.cwd()), "files/md5")
    outs = {path: md5 for stage in record.provenance["stages"].values() for path, md5 in stage["outs"].items()}
    folder = CHECKOUTS.absolute() / record.name
    for path in (run.model_file, run.image_set.study.manifest, run.image_set.preprocessed):
        md5 = outs[str(path)]
        cached = _in(cache, md5, path, record)
        if md5.endswith(".dir"):
            for entry in json.loads(cached.read_text(encoding="utf-8")):
                inner = path / entry["relpath"]
                _link(folder / inner, _in(cache, entry["md5"], inner, record))
        else:
            _link(folder / path, cached)
    with (folder / run.model_file).open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != outs[str(run.model_file)]:
        raise RontgenError(
            f"{record.name}: expected a model with the MD5 {outs[str(run.model_file)]} in DVC's cache, received one "
            f"with {found}: delete {(folder / run.model_file).resolve()}"
        )
    return folder


def _in(cache: Path, md5: str, path: Path, record: Record) -> Path:
    cached = cache / md5[:2] / md5[2:]
    if not cached.exists():
        study = load_papers(Path("papers.yaml")).studies[params.load().reported[record.run].study]
        stated = () if record.reading == AS_STATED else study.readings[record.reading].set
        raise RontgenError(
            f"{record.name}: expected its {path} in DVC's cache, received none: copy it from the machine that trained "
            f"it to {cached}, or train anew with `rontgen reproduce {record.run} "
            f"{record.options(stated, str(record.seed))}`"
        )
    return cached


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target.absolute())
