"""Files: inputs must exist and be complete; outputs are written under a temporary name, then renamed."""

import fcntl
import glob
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rontgen.core.errors import RontgenError, storage_error

if TYPE_CHECKING:  # most stages do without pandas, which takes half a second to import
    import pandas as pd


def require(path: Path, command: str) -> Path:
    """Return `path`. Raises RontgenError, naming the command that makes it, if it does not exist."""
    if not path.exists():
        raise RontgenError(f"{path} not found: run `{command}` first")
    return path


def read_json(path: Path, command: str) -> dict:
    """The object in a JSON file. Raises RontgenError, naming the command that makes it, if it is missing or damaged."""
    try:
        return json.loads(require(path, command).read_text(encoding="utf-8"))
    except ValueError:
        raise RontgenError(f"{path}: expected JSON, received something else: run `{command}` again") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to. It becomes `path` when the block ends, and is removed if the block fails.

    Leftovers of a killed process are removed first. Raises RontgenError, naming `path`, if the disk is full or
    read-only.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A random name: with a fixed one, a process that outlived its dvc could rename another's unfinished file
        for leftover in path.parent.glob(f".{glob.escape(path.name)}.????????.partial"):
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", suffix=".partial") as folder:
            temporary = Path(folder, path.name)
            yield temporary
            if path.is_dir() and temporary.is_dir():  # a folder is renamed over an empty one alone
                path.replace(Path(folder, "earlier"))
            temporary.replace(path)
    except OSError as error:
        storage = storage_error(error, path)
        if storage is None:
            raise
        raise storage from error


def link_or_copy(path: Path, target: Path) -> None:
    """Make `target` a hard link to a file, which takes no space; a copy on another file system, or of a file whose
    owner forbids it."""
    try:
        target.hardlink_to(path.resolve())
    except OSError:
        shutil.copyfile(path, target)


@contextmanager
def locked(path: Path, busy: str = "") -> Iterator[None]:
    """Hold a lock file during the block. busy: the error to raise if another process has it, instead of waiting."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError:
            raise RontgenError(busy) from None
        yield


def write_json(values: dict, path: Path) -> None:
    """Write `values` as indented JSON. Raises ValueError for NaN, which JSON lacks."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_csv(table: "pd.DataFrame", path: Path) -> None:
    """Write a table as CSV, without its index, compressed if `path` ends in .gz; the same table is the same bytes."""
    compression = {"method": "gzip", "mtime": 0} if path.suffix == ".gz" else None
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, compression=compression)


def commit() -> str:
    """The commit that is checked out, with `+ changes` if tracked files differ from it."""
    command = ["git", "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty= + changes"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown: no repository that git reads"
