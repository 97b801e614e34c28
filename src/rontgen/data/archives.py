"""Read zips in place: members are listed, checked and read, and never extracted to disk."""

import hashlib
import io
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from rontgen.core.errors import RontgenError

# Bytes one member may expand to, and so the memory one read may take: the largest radiograph of the four
# Kaggle archives is about 3 MB.
MAX_MEMBER = 64 * 2**20
# Bytes all members may expand to: the largest of the four archives is about 5 GB.
MAX_TOTAL = 32 * 2**30
# Expansion over the size of the file. Images are compressed already, so the four archives are near 1; a bomb,
# overlapping members included, is in the thousands.
MAX_RATIO = 100
# Bytes of a zip's table of contents: one byte takes ten or more of memory when opened, and a file need hold nothing
# else. The largest of the four archives has 6 MB.
MAX_CONTENTS = 16 * 2**20
CHUNK = 2**20  # bytes read at a time where a whole member is not needed

DOWNLOAD = "dvc repro download@<dataset>"

# Methods that zipfile can decompress with a bound; for bzip2 and lzma it has none.
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1 | 0x40
# All that zipfile raises on damaged bytes; the last of them on a flag that should not be set.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError, NotImplementedError)
_SLUG = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9_-]+")
_CLUTTER = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|\._[^/]*$)")


class ArchiveError(RontgenError):
    """An archive that is damaged or refused. fault: what is wrong, without the path and the fix."""

    def __init__(self, path: Path, fault: str, fix: str) -> None:
        super().__init__(f"{path}: {fault}; {fix}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive: its full name, its size in bytes when expanded, its CRC-32."""

    name: str
    size: int
    crc: int


class Readable(Protocol):
    """An open archive: Archive, a zip, or unpacked.Unpacked, a folder. path: of the zip, which a folder replaces."""

    path: Path
    left_out: tuple[str, ...]

    def members(self) -> list[Member]: ...
    def read(self, name: str) -> bytes: ...
    def verify(self, progress: bool = True) -> None: ...


class _File(io.BufferedReader):
    """A file that refuses to read more than `most` bytes at once, as zipfile reads the table of contents."""

    most: int | None = MAX_CONTENTS

    def read(self, size: int | None = -1, /) -> bytes:
        if self.most is not None and size is not None and size > self.most:
            raise zipfile.BadZipFile(f"a table of contents of {size} bytes; expected at most {self.most}")
        return super().read(size)


class Archive:
    """A zip opened for reading, by any number of threads at once; a context manager.

    Opening checks what the zip declares. Raises RontgenError if the file is missing, and ArchiveError if it is
    truncated or not a zip, or if a member is unsafe: its path leaves the folder, two names differ only in case, it
    is a link, encrypted, larger than MAX_MEMBER, …

    left_out: the files that macOS adds, `__MACOSX/…`, `._*` and `.DS_Store`. They are checked like the others, but
    `members()` does not list them.
    """

    # One ZipFile serves all threads: it locks the read of the compressed bytes alone, and where images are
    # decoded too, one per thread or lock-free reads were no faster (2 cores, 300 kB JPEGs).

    def __init__(self, path: Path, *, command: str = DOWNLOAD) -> None:
        """`command`: what to run, named in errors, once the file has been deleted."""
        self.path = Path(path)
        self._command = command
        try:
            self._file = _File(io.FileIO(self.path))
        except (FileNotFoundError, IsADirectoryError):
            raise RontgenError(f"{self.path}: expected a zip, found none: run `{command}` first") from None
        try:
            self._zip = zipfile.ZipFile(self._file)
            self._check()
        except _BROKEN as error:
            self._file.close()
            raise self._error(_why_not_a_zip(self.path, error)) from error
        except ArchiveError:
            self.close()
            raise
        self._file.most = None
        files = [info for info in self._zip.infolist() if not info.is_dir()]
        self.left_out = tuple(sorted(info.filename for info in files if is_clutter(info.filename)))
        self._members = sorted(
            (Member(info.filename, info.file_size, info.CRC) for info in files if not is_clutter(info.filename)),
            key=lambda member: member.name,
        )

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._zip.close()
        self._file.close()  # which zipfile leaves open, as it did not open it

    def members(self) -> list[Member]:
        """The files, sorted by name, without folders and without what is `left_out`."""
        return list(self._members)

    def read(self, name: str) -> bytes:
        """The bytes of one member; ArchiveError where its size or its CRC is not the declared one."""
        try:
            info = self._zip.getinfo(name)
        except KeyError:
            raise self._error(f"has no member {name!r}") from None
        try:
            with self._zip.open(info) as stream:
                data = stream.read(info.file_size + 1)
        except _BROKEN as error:
            raise self._error(f"member {name!r} is damaged: {error}") from error
        self._check_length(info, len(data))
        return data

    def verify(self, progress: bool = True) -> None:
        """Read every member, those left out too; ArchiveError at the first that is damaged."""
        infos = sorted(self._zip.infolist(), key=lambda info: info.header_offset)  # as they lie on the disk
        total = sum(info.file_size for info in infos)
        label = f"verifying {self.path.name}"
        with tqdm(desc=label, total=total, unit="B", unit_scale=True, disable=not progress) as bar:
            for info in infos:
                length = 0
                try:
                    with self._zip.open(info) as stream:
                        while chunk := stream.read(CHUNK):
                            length += len(chunk)
                            bar.update(len(chunk))
                except _BROKEN as error:
                    raise self._error(f"member {info.filename!r} is damaged: {error}") from error
                self._check_length(info, length)

    def _check(self) -> None:
        size = self.path.stat().st_size
        for info in self._zip.infolist():
            if fault := _fault(info, size):
                raise self._error(f"member {info.filename!r} {fault}")
        if fault := same_but_for_case(info.filename for info in self._zip.infolist()):
            raise self._error(fault)
        total = sum(info.file_size for info in self._zip.infolist())
        if total > min(MAX_TOTAL, MAX_RATIO * size):
            raise self._error(
                f"{size} bytes declare {total} when expanded; "
                f"expected at most {MAX_TOTAL} and {MAX_RATIO} times the file"
            )

    def _check_length(self, info: zipfile.ZipInfo, length: int) -> None:
        if length != info.file_size:
            raise self._error(f"member {info.filename!r} has {length} bytes; expected {info.file_size}")

    def _error(self, fault: str) -> ArchiveError:
        return ArchiveError(self.path, fault, f"delete it and run `{self._command}` again")


def verify(path: Path, progress: bool = True, *, command: str = DOWNLOAD) -> None:
    """Check all of a zip: what it declares, and the CRC of every member, with a progress bar in bytes.

    Raises ArchiveError naming the file, the member, and `command` as the fix.
    """
    with Archive(path, command=command) as archive:
        archive.verify(progress)


def archive_name(slug: str) -> str:
    """The file name of a Kaggle dataset's archive: `owner--name.zip` for `owner/name`, else RontgenError."""
    if not _SLUG.fullmatch(slug):
        raise RontgenError(f"slug {slug!r}: expected owner/name, as in the address of the dataset's page on Kaggle")
    return slug.replace("/", "--") + ".zip"


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fault(info: zipfile.ZipInfo, size: int) -> str | None:
    """What makes a member of a zip of `size` bytes unsafe, None where nothing does."""
    name = info.filename
    kind = stat.S_IFMT(info.external_attr >> 16)
    if name != info.orig_filename:  # zipfile cuts a name at a zero byte
        return "has an invalid name"
    if fault := name_fault(name):
        return fault
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device; expected plain files"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted; expected a zip without a password"
    if info.compress_type not in _METHODS:
        return f"is compressed by method {info.compress_type}; expected 0 (stored) or 8 (deflate)"
    # zipfile corrects offsets by what precedes the zip, below zero if it is damaged; one too large cannot be sought
    if not 0 <= info.header_offset < size:
        return "lies outside of the file"
    return size_fault(info.file_size)


def name_fault(name: str) -> str | None:
    """What makes the name of a member unsafe, None where nothing does."""
    # a control character would reach the terminal with an error that names it
    if not name.isprintable() or not name:
        return "has an invalid name"
    if name.startswith("/") or "\\" in name or ".." in name.split("/") or re.match(r"[A-Za-z]:", name):
        return "has an unsafe name; expected a relative path with forward slashes, without `..`"
    return None


def size_fault(size: int) -> str | None:
    """What is wrong with the declared size of a member, None where nothing is."""
    return f"declares {size} bytes; expected at most {MAX_MEMBER}" if size > MAX_MEMBER else None


def same_but_for_case(names: Iterable[str]) -> str | None:
    """The first two names that differ at most in case, in words; None where there are none."""
    folded: dict[str, str] = {}
    for name in names:
        if (other := folded.setdefault(name.casefold(), name)) is not name:
            return f"members {other!r} and {name!r} differ at most in case"
    return None


def is_clutter(name: str) -> bool:
    """Whether a member is one of the files that macOS adds."""
    return _CLUTTER.search(name) is not None


def _why_not_a_zip(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    if not start:
        return "is empty; expected a zip"
    if start == b"PK\x03\x04":  # the table of contents is at the end, so a cut file has none
        return f"is a damaged or cut off zip ({error})"
    return f"is not a zip: begins with {start!r}"
