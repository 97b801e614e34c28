"""The one exception family, and how a stage script prints it."""

import errno
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class RontgenError(Exception):
    """An error that the user can fix, in one line: what was expected, what was received, and the fix.

    Stage scripts print it without a traceback.
    """


_STORAGE_REMEDIES = {
    errno.ENOSPC: "no space left: free some, or move the project to a larger disk, and run it again",
    errno.EDQUOT: "disk quota used up: free some of it, or ask for more, and run it again",
    errno.EFBIG: "file larger than allowed: raise the limit (`ulimit -f`), or move the project to another file system",
    errno.EROFS: "read-only file system: work in a folder that can be written",
    errno.EISDIR: "a folder of that name is there: name another file, or move it",
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR), "a file is where a folder should be: name another, or move it"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "permission denied: check who owns it (`ls -ld`) and its mode"),
}


def storage_error(error: OSError, path: Path | None = None) -> RontgenError | None:
    """The RontgenError for a full or read-only disk; None for any other error.

    path: the output being written, if known; it is shown in place of its temporary name.
    """
    number = error.errno
    if number is None and "requested and" in str(error):  # numpy.save, which does not say why a write stopped
        number = errno.ENOSPC
    if number not in _STORAGE_REMEDIES:
        return None
    name = error.filename2 or error.filename  # of a copy, the second is the one written
    if path is not None and (name is None or f".{path.name}." in str(name)):
        name = path
    return RontgenError(f"{name or 'writing a file'}: {_STORAGE_REMEDIES[number]}")


@contextmanager
def needs_extra(name: str) -> Iterator[None]:
    """If an import in the block fails, name the extra of pyproject.toml to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise RontgenError(
            f"expected the package {error.name}, received none: install it with `make setup EXTRAS={name}`"
        ) from None


def first_line(error: Exception) -> str:
    """What another library's error says: its first line, at most 200 characters; its type if it says nothing."""
    return (str(error).strip() or type(error).__name__).split("\n")[0][:200]


def run(main: Callable[[], None]) -> None:
    """Call `main`; print a RontgenError or a storage error as one `error: …` line and exit with 2.

    Standard output gets UTF-8 whatever the locale, and the bytes of a file's name as they are, as files do.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    try:
        main()
    except (RontgenError, OSError) as error:
        found = storage_error(error) if isinstance(error, OSError) else error
        if found is None:
            raise
        print("error: " + " ".join(str(found).split()), file=sys.stderr)
        sys.exit(2)
