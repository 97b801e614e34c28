"""Where a command runs: the project's folder, its git repository, and the copies that `dvc exp run` makes of it."""

import getpass
import os
import shlex
import subprocess
from collections.abc import Iterable
from pathlib import Path

import rontgen
from rontgen.core.errors import RontgenError

SOURCES = Path("src/rontgen")
STUDIES = Path("studies/common.yaml")  # which no other project has

# Where `dvc exp run --temp` and `--queue` copy a project to
COPIES = "/.dvc/tmp/exps/"


def enter() -> None:
    """Check that the working directory is the project's folder, with the sources that are running.

    Git then works on its repository, whatever a hook says (leave_hook). Raises RontgenError.
    """
    leave_hook()
    _name_user()
    here = Path.cwd()
    if not STUDIES.exists():
        above = next((folder for folder in here.parents if (folder / STUDIES).exists()), None)
        remedy = f"`cd {shlex.quote(str(above or 'the-project'))}` first"
        raise RontgenError(f"expected the project's folder, which has {STUDIES}, received {here}: {remedy}")
    running = Path(rontgen.__file__).parent
    if SOURCES.is_dir() and not SOURCES.samefile(running):
        raise RontgenError(
            f"expected the sources of {here}, received those of {running}: run `make setup` here, or put "
            "`PYTHONPATH=src` before the command"
        )


def leave_hook() -> None:
    """Unset the variables by which git tells a hook its repository: they would hold in all other repositories too.

    What configures git stays, as git leaves it for submodules.
    """
    try:
        done = subprocess.run(["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True)
    except FileNotFoundError:  # without git there is no hook
        return
    for name in done.stdout.split():
        if not name.startswith("GIT_CONFIG"):
            os.environ.pop(name, None)


def _name_user() -> None:
    """DVC asks for the user's name and home, and a user of a container may have neither. Raises RontgenError."""
    try:
        getpass.getuser()
    except (KeyError, OSError):  # the latter from Python 3.13 on
        os.environ["USER"] = str(os.getuid())
    if not Path(os.path.expanduser("~")).is_absolute():  # noqa: PTH111 - Path's raises
        raise RontgenError("expected a home folder, found none for this user: run `export HOME=/tmp` first")


def require_copied(paths: Iterable[Path]) -> None:
    """Raise RontgenError for files that the project has, where we run in a copy of it that has not: `dvc exp run`
    copies nothing that git ignores, unless it is told to."""
    original, is_copy, _ = str(Path.cwd()).rpartition(COPIES)
    missing = [path for path in paths if is_copy and Path(original, path).exists() and not path.exists()]
    if missing:
        # DVC copies a file into a folder that is there, and a folder to where none is
        highest = [next(place for place in (*reversed(path.parents), path) if not place.exists()) for path in missing]
        options = " ".join(f"-C {place}" for place in dict.fromkeys(highest))
        raise RontgenError(
            f"{missing[0]}: expected it in this copy of {original}, found it there alone: give "
            f"`dvc exp run` {options}, or leave out --temp and --queue"
        )
