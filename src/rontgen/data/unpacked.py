"""Unpacked archives, such as those mounted in a Kaggle notebook: read where they lie, and checked as zips are.

`rontgen index` lists a folder's files with their sizes and CRC-32s in data/archives/<owner>--<name>.index.json. The
list is to the folder what its table of contents is to a zip: a file that differs from it is refused.
"""

import hashlib
import json
import zlib
from pathlib import Path

from tqdm import tqdm

from rontgen.core.errors import RontgenError
from rontgen.core.io import read_json, replacing
from rontgen.data.archives import DOWNLOAD, Archive, ArchiveError, Member, Readable, archive_name, member_fault


class Unpacked(Readable):
    """A folder opened for reading by the index that lies where its zip would, `path`.

    Raises RontgenError if the index is damaged, and ArchiveError if the folder is missing.
    """

    def __init__(self, path: Path, *, command: str = DOWNLOAD) -> None:
        """`command`: what to run, named in errors, once the index is made again."""
        index = read_json(index_of(path), "rontgen index <owner>/<name> <folder>")
        self.folder = Path(index["folder"])
        super().__init__(path, self.folder, f"run `rontgen index {index['slug']} {self.folder}` and `{command}` again")
        if not self.folder.is_dir():
            raise self._error("expected the folder of an unpacked archive, found none")
        self._list(Member(*values) for values in index["members"])

    def __exit__(self, *exception: object) -> None:
        """Nothing stays open between two reads."""

    @property
    def size(self) -> int:
        return sum(file.size for file in self._files.values())

    def sha256(self) -> str:
        """Of the names, sizes and CRC-32s alone: the same wherever the folder lies."""
        lines = (f"{file.name} {file.size} {file.crc}\n" for file in self._files.values())
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def _read(self, name: str) -> bytes:
        file = self._files[name]
        try:
            with (self.folder / name).open("rb") as stream:
                data = stream.read(file.size + 1)
        except OSError as error:
            raise self._error(f"member {name!r} cannot be read: {error.strerror}") from None
        if len(data) == file.size and zlib.crc32(data) != file.crc:
            raise self._error(f"member {name!r} is damaged: its CRC-32 is not the listed one")
        return data


def open_archive(path: Path, *, command: str = DOWNLOAD) -> Readable:
    """Open the zip at a path or, where the index of an unpacked one lies beside it instead, that folder.

    Raises RontgenError as these do.
    """
    is_unpacked = not path.exists() and index_of(path).exists()
    return Unpacked(path, command=command) if is_unpacked else Archive(path, command=command)


def index_of(path: Path) -> Path:
    """The path of the index that stands for a zip: owner--name.index.json for owner--name.zip."""
    return path.with_suffix(".index.json")


def write_index(slug: str, folder: Path, destination: Path) -> Path:
    """List a folder's files, with progress, in `destination`; returns the path of the index.

    Raises RontgenError if there is no such folder, or the zip of the same archive lies in `destination`, and
    ArchiveError for what is no plain file, or has a name or a size that a zip's member may not have.
    """
    path = destination / archive_name(slug)
    if path.exists():
        raise RontgenError(f"{path}: expected either a zip or an unpacked archive, received both: remove the zip")
    folder = folder.absolute()
    if not folder.is_dir():
        raise RontgenError(f"{folder}: expected the folder of an unpacked archive, found none")
    members: list[tuple[str, int, int]] = []
    for file in tqdm(sorted(folder.rglob("*"), key=str), f"listing {folder.name}", unit="file"):
        name, size = file.relative_to(folder).as_posix(), file.lstat().st_size
        is_plain = not file.is_symlink() and (file.is_file() or file.is_dir())
        fault = member_fault(name, size) if is_plain else "is a link or a device; expected plain files"
        if fault:
            raise ArchiveError(folder, f"member {name!r} {fault}", "unpack the archive anew, and run it again")
        if file.is_file():
            members.append((name, size, zlib.crc32(file.read_bytes())))
    with replacing(index_of(path)) as temporary:
        text = json.dumps({"slug": slug, "folder": str(folder), "members": members}, ensure_ascii=False)
        temporary.write_text(text, encoding="utf-8")
    return index_of(path)
