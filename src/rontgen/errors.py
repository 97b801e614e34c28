"""The one exception family, and how a stage script prints it."""

import errno
import sys
from collections.abc import Callable


class RontgenError(Exception):
    """An error the user can mend, in one line: what was expected, what was received, what mends it.

    Stage scripts print it without a traceback.
    """


_STORAGE_REMEDIES = {
    errno.ENOSPC: "no space left: free some, or move the project to a larger disk, and run it again",
    errno.EROFS: "read-only file system: work in a folder that can be written",
    errno.EACCES: "permission denied: check who owns it (`ls -l`) and its mode",
}


def run(main: Callable[[], None]) -> None:
    """Call `main`; print a RontgenError or a storage error as one `error: …` line and exit with 2."""
    try:
        main()
    except RontgenError as error:
        message = str(error)
    except OSError as error:
        if error.errno not in _STORAGE_REMEDIES:
            raise
        message = f"{error.filename or 'writing a file'}: {_STORAGE_REMEDIES[error.errno]}"
    else:
        return
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(2)
