"""Outputs are written whole: under a temporary name in the same folder, then renamed."""

import glob
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rontgen.errors import storage_error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to, which becomes `path` when the block ends and is removed when it fails.

    What a killed process left of an earlier try at `path` is removed first. Raises RontgenError, naming `path`, where
    the disk is full or may not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Random names, swept: under one fixed name a process whose dvc was killed could rename another's half
        for leftover in path.parent.glob(f".{glob.escape(path.name)}.????????.partial"):
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", suffix=".partial") as folder:
            temporary = Path(folder, path.name)
            yield temporary
            temporary.replace(path)
    except OSError as error:
        storage = storage_error(error, path)
        if storage is None:
            raise
        raise storage from error


def write_json(values: dict, path: Path) -> None:
    """Write `values` as indented JSON; a NaN, which JSON has no word for, is refused with ValueError."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")
