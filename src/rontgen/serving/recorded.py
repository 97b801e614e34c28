"""The model, split and images of a recorded run, from DVC's cache, where `rontgen reproduce` leaves them."""

import hashlib
import json
from pathlib import Path

from rontgen.core import params, runs
from rontgen.core.errors import RontgenError
from rontgen.core.papers import leaves
from rontgen.core.runs import Run
from rontgen.parallel import clone
from rontgen.records import records
from rontgen.records.records import FOLDER, Record

CHECKOUTS = Path(".dvc/tmp/records")


def find(name: str) -> Record:
    """The record of that name, <run>/<treatment>/seed-<n>. Raises RontgenError where there is none."""
    path = FOLDER / name.rstrip("/").removeprefix(f"{FOLDER}/")
    if path not in FOLDER.glob("*/*/seed-*"):
        raise RontgenError(
            f"--record: expected one such as pirngadi_simple_rnn/protocol/seed-1, received {name!r}: "
            "`rontgen record` lists them"
        )
    return records.read(path)


def run_of(record: Record) -> Run:
    """The run as it was recorded. Raises RontgenError where the project describes another one today."""
    changes = record.provenance["set"] | record.provenance["extra"]
    run = runs.load_run(record.run, params.validate(params.changed(params.read(), changes)))
    recorded, today = (
        dict(leaves(settings | {"classes": classes}))
        for settings, classes in ((record.provenance["settings"], record.classes), (run.settings, run.classes))
    )
    for key in recorded | today:
        if recorded.get(key) != today.get(key):
            raise RontgenError(
                f"{record.name}: recorded with {key} {recorded.get(key)}, today it is {today.get(key)}: "
                f"check out a commit that has it, such as {record.provenance['commit'][:12]}"
            )
    return run


def checkout(record: Record, run: Run) -> Path:
    """A folder with the run's model, split and images at their usual paths, as links into DVC's cache.

    Raises RontgenError where the cache lacks one of them, or holds another model.
    """
    cache = Path(clone.dvc("cache", "dir", cwd=Path.cwd()), "files/md5")
    outs = record.provenance["outs"]
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
        raise RontgenError(
            f"{record.name}: expected its {path} in DVC's cache, received none: copy it from the machine that trained "
            f"it to {cached}, or train anew with `rontgen reproduce {record.run} "
            f"{record.options(str(record.seed))} --again`"
        )
    return cached


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target.absolute())
