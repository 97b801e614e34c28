"""Unpacked archives, such as those mounted in a Kaggle notebook: read where they lie, and checked as zips are.

`rontgen index` lists a folder's files with their sizes and CRC-32s in data/archives/<owner>--<name>.index.json. The
list is to the folder what its table of contents is to a zip: a file that differs from it is refused.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from tqdm import tqdm

from rontgen.core.errors import RontgenError
from rontgen.core.io import replacing
from rontgen.data import archives
from rontgen.data.archives import CHUNK, Archive, ArchiveError, Member, Readable, archive_name

SUFFIX = ".index.json"


class Index(BaseModel):
    """The list of an unpacked archive. slug: of its Kaggle dataset. members: name, size in bytes, CRC-32."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    slug: str
    folder: str
    members: list[tuple[str, int, int]]

    @classmethod
    def read(cls, path: Path) -> "Index":
        """The index of that path. Raises RontgenError where it is damaged."""
        try:
            return cls.model_validate(json.loads(path.read_text(encoding="utf-8")), strict=False)
        except ValueError:
            raise RontgenError(f"{path}: expected a list that `rontgen index` wrote: run it again") from None

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(size for _, size, _ in self.members)

    @property
    def sha256(self) -> str:
        """Of the names, sizes and CRC-32s alone: the same wherever the folder lies."""
        lines = (f"{name} {size} {crc}\n" for name, size, crc in sorted(self.members))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


class Unpacked:
    """A folder opened for reading by its index, by any number of threads at once; a context manager.

    Opening checks the index as opening a zip checks its table of contents. Raises RontgenError if the index or the
    folder is missing, and ArchiveError if a member is unsafe. path: where the zip would be. left_out: as of Archive.
    """

    def __init__(self, path: Path, *, command: str = archives.DOWNLOAD) -> None:
        """`command`: what to run, named in errors, once the index is made again."""
        self.path = Path(path)
        index = Index.read(index_of(self.path))
        self.folder = Path(index.folder)
        self._fix = f"run `rontgen index {index.slug} {index.folder}` and `{command}` again"
        if not self.folder.is_dir():
            raise ArchiveError(self.folder, "expected the folder of an unpacked archive, found none", self._fix)
        members = sorted((Member(*values) for values in index.members), key=lambda member: member.name)
        if fault := _fault(members):
            raise self._error(fault)
        self.left_out = tuple(member.name for member in members if archives.is_clutter(member.name))
        self._members = {member.name: member for member in members}

    def __enter__(self) -> "Unpacked":
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing stays open between two reads."""

    def members(self) -> list[Member]:
        """The files, sorted by name, without what is `left_out`."""
        return [member for member in self._members.values() if member.name not in self.left_out]

    def read(self, name: str) -> bytes:
        """The bytes of one member; ArchiveError where its size or its CRC is not the listed one."""
        if name not in self._members:
            raise self._error(f"has no member {name!r}")
        member = self._members[name]
        try:
            with (self.folder / name).open("rb") as file:
                data = file.read(member.size + 1)
        except OSError as error:
            raise self._error(f"member {name!r} cannot be read: {error.strerror}") from None
        if len(data) != member.size:
            raise self._error(f"member {name!r} has {len(data)} bytes; expected {member.size}")
        if zlib.crc32(data) != member.crc:
            raise self._error(f"member {name!r} is damaged: its CRC-32 is not the listed one")
        return data

    def verify(self, progress: bool = True) -> None:
        """Read every member, those left out too; ArchiveError at the first that differs from the list."""
        total = sum(member.size for member in self._members.values())
        label = f"verifying {self.folder.name}"
        with tqdm(desc=label, total=total, unit="B", unit_scale=True, disable=not progress) as bar:
            for name in self._members:
                bar.update(len(self.read(name)))

    def _error(self, fault: str) -> ArchiveError:
        return ArchiveError(self.folder, fault, self._fix)


@contextmanager
def open_archive(path: Path, *, command: str = archives.DOWNLOAD) -> Iterator[Readable]:
    """Open the zip at a path or, where the index of an unpacked one lies beside it instead, that folder.

    Raises RontgenError as these do.
    """
    is_unpacked = not path.exists() and index_of(path).exists()
    with Unpacked(path, command=command) if is_unpacked else Archive(path, command=command) as archive:
        yield archive


def index_of(path: Path) -> Path:
    """The path of the index that stands for a zip: owner--name.index.json for owner--name.zip."""
    return path.with_name(path.stem + SUFFIX)


def write_index(slug: str, folder: Path, destination: Path) -> Path:
    """List a folder's files, with progress, in `destination`; returns the path of the index.

    Raises RontgenError if there is no such folder, or the zip of the same archive lies in `destination`, and
    ArchiveError for what is no plain file, or would be refused in a zip.
    """
    path = Path(destination) / archive_name(slug)
    if path.exists():
        raise RontgenError(f"{path}: expected either a zip or an unpacked archive, received both: remove the zip")
    folder = Path(folder).absolute()
    if not folder.is_dir():
        raise RontgenError(f"{folder}: expected the folder of an unpacked archive, found none")
    fix = "unpack the archive anew, and run the same command again"
    files: list[Member] = []
    for place, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            file = Path(place, name)
            relative = file.relative_to(folder).as_posix()
            if file.is_symlink() or not (file.is_file() or file.is_dir()):
                raise ArchiveError(folder, f"member {relative!r} is a link or a device; expected plain files", fix)
            if file.is_file():
                files.append(Member(relative, file.stat().st_size, 0))
    if fault := _fault(files):
        raise ArchiveError(folder, fault, fix)
    members: list[tuple[str, int, int]] = []
    total = sum(member.size for member in files)
    with tqdm(desc=f"listing {folder.name}", total=total, unit="B", unit_scale=True) as bar:
        for member in sorted(files, key=lambda member: member.name):
            members.append((member.name, member.size, _crc(folder / member.name, bar)))
    index: dict[str, Any] = {"slug": slug, "folder": str(folder), "members": members}
    with replacing(index_of(path)) as temporary:
        temporary.write_text(json.dumps(index, ensure_ascii=False), encoding="utf-8")
    return index_of(path)


def _crc(path: Path, bar: tqdm) -> int:
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            crc = zlib.crc32(chunk, crc)
            bar.update(len(chunk))
    return crc


def _fault(members: list[Member]) -> str | None:
    """What would be refused in a zip of these members, None where nothing would."""
    for member in members:
        if fault := archives.name_fault(member.name) or archives.size_fault(member.size):
            return f"member {member.name!r} {fault}"
    total = sum(member.size for member in members)
    if total > archives.MAX_TOTAL:
        return f"has {total} bytes; expected at most {archives.MAX_TOTAL}"
    return archives.same_but_for_case(member.name for member in members)
