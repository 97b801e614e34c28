"""The model, split and images of a recorded run, from DVC's cache, where `rontgen reproduce` leaves them."""

import hashlib
import json
from pathlib import Path

from rontgen.core import params, runs
from rontgen.core.errors import RontgenError
from rontgen.core.runs import Run
from rontgen.records import provenance, records
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
    recorded = record.provenance["settings"] | {"classes": record.classes}
    if different := provenance.first_difference(recorded, run.settings | {"classes": run.classes}):
        key, then, today = different
        raise RontgenError(
            f"{record.name}: recorded with {key} {then}, today it is {today}: "
            f"check out a commit that has it, such as {record.provenance['commit'][:12]}"
        )
    return run


def checkout(record: Record, run: Run) -> Path:
    """A folder with the run's model, split and images at their usual paths, as links into DVC's cache.

    Raises RontgenError where the cache lacks one of them, or holds another model.
    """
    from dvc.repo import Repo  # half a second to import, and a run in the workspace does without

    with Repo() as repo:
        cache = Path(repo.cache.local.path)

    def cached(path: Path, md5: str) -> Path:
        place = cache / md5[:2] / md5[2:]
        if not place.exists():
            raise RontgenError(
                f"{record.name}: expected its {path} in DVC's cache, received none: copy it from the machine that "
                f"trained it to {place}, or train anew with `rontgen reproduce {record.run} "
                f"{record.options(str(record.seed))} --again`"
            )
        return place

    folder, outs = CHECKOUTS.absolute() / record.name, record.provenance["outs"]
    files = dict[Path, Path]()
    for path in (run.model_file, run.image_set.split.manifest, run.image_set.preprocessed):
        place = cached(path, outs[str(path)])
        if place.suffix == ".dir":
            inner = {path / entry["relpath"]: entry["md5"] for entry in json.loads(place.read_text(encoding="utf-8"))}
            files |= {file: cached(file, md5) for file, md5 in inner.items()}
        else:
            files[path] = place
    for path, place in files.items():
        link = folder / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(place)
    with (folder / run.model_file).open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != outs[str(run.model_file)]:
        raise RontgenError(
            f"{record.name}: expected a model with the MD5 {outs[str(run.model_file)]} in DVC's cache, received one "
            f"with {found}: delete {files[run.model_file]}"
        )
    return folder
