"""Read zips in place: members are listed, checked and read, and never extracted to disk."""

import hashlib
import io
import re
import stat
import zipfile
import zlib
from abc import abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from rontgen.core import progress
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

DOWNLOAD = "dvc repro download@<dataset>"

# Methods that zipfile can decompress with a bound; for bzip2 and lzma it has none.
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1 | 0x40
# All that zipfile raises on damaged bytes; the last of them on a flag that should not be set.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError, NotImplementedError)
_SLUG = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9_-]+")
# What macOS adds, by its path in an archive or a folder
CLUTTER = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|\._[^/]*$)")


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


class Readable(AbstractContextManager["Readable"]):
    """An open archive, which any number of threads may read at once; a context manager.

    path: of the zip, even where a folder replaces it. place: where the files lie. left_out: the files that macOS adds,
    `__MACOSX/…`, `._*` and `.DS_Store`; they are verified like the others, but `members()` does not list them.
    """

    def __init__(self, path: Path, place: Path, fix: str) -> None:
        """fix: what mends the files, for errors."""
        self.path, self.place, self._fix = path, place, fix

    def _list(self, files: Iterable[Member]) -> None:
        """Set what the archive holds, in the order in which it lies there, once it is open."""
        in_place = {file.name: file for file in files}
        self._in_place = tuple(in_place)
        self._files = dict(sorted(in_place.items()))
        self.left_out = tuple(name for name in self._files if CLUTTER.search(name))

    def members(self) -> list[Member]:
        """The files, sorted by name, without folders and without what is `left_out`."""
        return [file for name, file in self._files.items() if not CLUTTER.search(name)]

    def read(self, name: str) -> bytes:
        """The bytes of one member; ArchiveError where its size or its CRC is not the declared one."""
        if name not in self._files:
            raise self._error(f"has no member {name!r}")
        data, size = self._read(name), self._files[name].size
        if len(data) != size:
            raise self._error(f"member {name!r} has {len(data)} bytes; expected {size}")
        return data

    def verify(self) -> str:
        """Read every member, those left out too, with a progress bar; ArchiveError at the first that is damaged.

        Returns the SHA-256, for which a zip is not read again.
        """
        total = sum(file.size for file in self._files.values())
        with progress.bar(desc=f"verifying {self.place.name}", total=total, unit="B", unit_scale=True) as bar:
            for name in self._in_place:
                bar.update(len(self.read(name)))
        return self.sha256()

    @property
    @abstractmethod
    def size(self) -> int:
        """In bytes: of the zip, or of all files of the folder."""

    @abstractmethod
    def sha256(self) -> str:
        """Of the zip, or of what a folder holds; in hexadecimal."""

    @abstractmethod
    def _read(self, name: str) -> bytes:
        """As read; of a member that is larger than declared, only the beginning."""

    def _error(self, fault: str) -> ArchiveError:
        return ArchiveError(self.place, fault, self._fix)


class _File(io.BufferedReader):
    """A file that refuses to read more than `most` bytes at once, as zipfile reads the table of contents.

    digest: once it is set, of the first `hashed` bytes; what a reader skips is read for it.
    """

    most: int | None = MAX_CONTENTS
    digest: "hashlib._Hash | None" = None
    hashed = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if self.most is not None and size is not None and size > self.most:
            raise zipfile.BadZipFile(f"a table of contents of {size} bytes; expected at most {self.most}")
        if self.digest is None:
            return super().read(size)
        if (begin := self.tell()) > self.hashed:
            self.seek(self.hashed)
            while self.hashed < begin and self.read(min(begin - self.hashed, MAX_CONTENTS)):
                pass
            self.seek(begin)
        data = super().read(size)
        self.digest.update(data[self.hashed - begin :])
        self.hashed = max(self.hashed, begin + len(data))
        return data


class Archive(Readable):
    """A zip opened for reading.

    Opening checks what the zip declares. Raises RontgenError if the file is missing, and ArchiveError if it is
    truncated or not a zip, or if a member is unsafe: its path leaves the folder, two names differ only in case, it
    is a link, encrypted, larger than MAX_MEMBER, …
    """

    # One ZipFile serves all threads: it locks the read of the compressed bytes alone, and where images are
    # decoded too, one per thread or lock-free reads were no faster (2 cores, 300 kB JPEGs).

    def __init__(self, path: Path, *, command: str = DOWNLOAD) -> None:
        """`command`: what to run, named in errors, once the file has been deleted."""
        super().__init__(Path(path), Path(path), f"delete it and run `{command}` again")
        try:
            self._file = _File(io.FileIO(self.path))
        except (FileNotFoundError, IsADirectoryError):
            raise RontgenError(f"{self.path}: expected a zip, found none: run `{command}` first") from None
        try:
            self._zip = zipfile.ZipFile(self._file)
        except _BROKEN as error:
            self._file.close()
            raise self._error(f"is not a zip, or a damaged or cut off one ({error})") from error
        self._file.most = None
        infos = self._zip.infolist()
        if fault := _fault(infos, self.size):
            self.close()
            raise self._error(fault)
        in_place = sorted(infos, key=lambda info: info.header_offset)
        self._list(Member(info.filename, info.file_size, info.CRC) for info in in_place if not info.is_dir())

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._zip.close()
        self._file.close()  # which zipfile leaves open, as it did not open it

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def verify(self) -> str:
        self._file.digest, self._file.hashed = hashlib.sha256(), 0
        return super().verify()

    def sha256(self) -> str:
        if self._file.digest is None:
            return sha256(self.path)
        self._file.seek(0, io.SEEK_END)
        self._file.read(0)
        return self._file.digest.hexdigest()

    def _read(self, name: str) -> bytes:
        try:
            with self._zip.open(name) as stream:
                return stream.read(self._files[name].size + 1)
        except _BROKEN as error:
            raise self._error(f"member {name!r} is damaged: {error}") from error


def archive_name(slug: str) -> str:
    """The file name of a Kaggle dataset's archive: `owner--name.zip` for `owner/name`, else RontgenError."""
    if not _SLUG.fullmatch(slug):
        raise RontgenError(f"slug {slug!r}: expected owner/name, as in the address of the dataset's page on Kaggle")
    return slug.replace("/", "--") + ".zip"


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fault(infos: list[zipfile.ZipInfo], size: int) -> str | None:
    """What makes a zip of `size` bytes unsafe, None where nothing does."""
    folded: dict[str, str] = {}
    for info in infos:
        if fault := _info_fault(info, size) or member_fault(info.filename, info.file_size):
            return f"member {info.filename!r} {fault}"
        if (other := folded.setdefault(info.filename.casefold(), info.filename)) is not info.filename:
            return f"members {other!r} and {info.filename!r} differ at most in case"
    total, most = sum(info.file_size for info in infos), min(MAX_TOTAL, MAX_RATIO * size)
    return f"{size} bytes declare {total} when expanded; expected at most {most}" if total > most else None


def _info_fault(info: zipfile.ZipInfo, size: int) -> str | None:
    if info.filename != info.orig_filename:  # zipfile cuts a name at a zero byte
        return "has an invalid name"
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device; expected plain files"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted; expected a zip without a password"
    if info.compress_type not in _METHODS:
        return f"is compressed by method {info.compress_type}; expected 0 (stored) or 8 (deflate)"
    # zipfile corrects offsets by what precedes the zip, below zero if it is damaged; one too large cannot be sought
    return None if 0 <= info.header_offset < size else "lies outside of the file"


def member_fault(name: str, size: int) -> str | None:
    """What makes a member of that name and size, in bytes, unsafe; None where nothing does."""
    # a control character would reach the terminal with an error that names it
    if not name.isprintable() or not name:
        return "has an invalid name"
    if name.startswith("/") or "\\" in name or ".." in name.split("/") or re.match(r"[A-Za-z]:", name):
        return "has an unsafe name; expected a relative path with forward slashes, without `..`"
    return f"declares {size} bytes; expected at most {MAX_MEMBER}" if size > MAX_MEMBER else None
