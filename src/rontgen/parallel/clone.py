"""The clone for work on real data: the project at its last commit, under .dvc/tmp, with the project's DVC cache.

So the workspace keeps its demo, every record has the code of a commit, and a killed run can resume.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from rontgen.core import params
from rontgen.core.errors import RontgenError
from rontgen.core.io import locked
from rontgen.core.runs import BY_HAND, LOCK

FOLDER = Path(".dvc/tmp/reproduce")

# What decides what a run computes: records name a commit, so these may not differ from it
CODE = ("src", "stages", "studies", "dvc.yaml", "params.yaml", "requirements.txt")

IDENTITY = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "rontgen"), ("EMAIL", "rontgen@localhost"))
}


def alone() -> AbstractContextManager[None]:
    """Lock the clone for this process. Raises RontgenError if another process has it."""
    busy = "expected to be alone, another `rontgen reproduce` or `rontgen audit` is at work here: wait for it"
    return locked(FOLDER.with_suffix(".lock"), busy)


def commit() -> str:
    """The last commit. Raises RontgenError if CODE differs from it."""
    changed = git("status", "--porcelain", "--", *CODE)
    if changed:
        first = changed.splitlines()[0].split(maxsplit=1)[1]
        raise RontgenError(f"expected committed code, received changes in {first}: `git commit` or `git stash` them")
    return git("rev-parse", "HEAD")


def prepare(commit: str) -> Path:
    """A clone of the project at a commit, with this project's DVC cache and what was put into data/archives."""
    clone = FOLDER.absolute()
    if not (clone / ".git").exists():
        shutil.rmtree(clone, ignore_errors=True)
        clone.parent.mkdir(parents=True, exist_ok=True)
        git("clone", "--quiet", "--no-checkout", ".", str(clone))
    git("fetch", "--quiet", "origin", commit, cwd=clone)
    _restore(clone, commit)
    (clone / ".dvc/tmp/rwlock").unlink(missing_ok=True)
    cache = dvc("cache", "dir", cwd=Path.cwd())
    dvc("config", "--quiet", "--local", "cache.dir", cache, cwd=clone)
    dvc("config", "--quiet", "--local", "cache.type", "reflink,hardlink,copy", cwd=clone)
    kept = clone / BY_HAND
    for path in kept.iterdir():
        if path.name != ".gitignore" and not _same(path, BY_HAND / path.name):
            path.unlink()
    for path in BY_HAND.iterdir():
        if not (kept / path.name).exists():
            shutil.copy2(path, kept / path.name)
    return clone


def run(
    clone: Path, commit: str, name: str, changes: Mapping[str, str], targets: Iterable[str], force: bool = False
) -> None:
    """Run stages in the clone as a DVC experiment, and fetch the experiment into this project.

    changes: settings by their keys, and their values. force: whether stages run again whose results DVC has. Raises
    RontgenError if a stage fails.
    """
    _restore(clone, commit)
    for line in git("for-each-ref", "--format=%(refname)", f"refs/exps/**/{name}", cwd=clone).splitlines():
        git("update-ref", "-d", line, cwd=clone)  # of an earlier try, which DVC would not replace
    set_ = [part for key, value in changes.items() for part in ("-S", _override(clone, key, value))]
    options = ["--force"] if force else []
    command = [sys.executable, "-m", "dvc", "exp", "run", *options, "--name", name, *set_, *targets]
    code = subprocess.run(command, cwd=clone, env=_environment(clone), check=False).returncode
    if code != 0:
        raise RontgenError(f"{name}: a stage failed, see above: mend it and run the same command again")
    git("fetch", "--quiet", "--force", str(clone), "refs/exps/*:refs/exps/*")


def _override(clone: Path, key: str, value: str) -> str:
    """A setting as `dvc exp run -S` takes it, in the file that has it; `++` adds what the file leaves out."""
    key = key.rpartition(":")[2]
    path = params.file_of(key, clone)
    return f"{key}={value}" if path == params.PARAMS else f"{path}:++{key}={value}"


def _restore(clone: Path, commit: str) -> None:
    """Reset the clone's tracked files to a commit, and remove dvc.lock.

    `dvc exp run` leaves its settings in the files, where they would affect the next job. The committed dvc.lock is of
    another profile: DVC would look for its outputs, which no cache here has. Without it, DVC takes what it has done
    before from the run cache.
    """
    git("checkout", "--quiet", "--force", "--detach", commit, cwd=clone)
    (clone / LOCK).unlink(missing_ok=True)


def _same(path: Path, other: Path) -> bool:
    if not other.exists():
        return False
    one, two = path.stat(), other.stat()
    return (one.st_size, one.st_mtime_ns) == (two.st_size, two.st_mtime_ns)


def _environment(clone: Path) -> dict[str, str]:
    """Environment of the stages: the clone's sources, this Python, and a git author if the user has none."""
    paths = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": str(clone / "src"),
    }
    return IDENTITY | os.environ | paths


def git(*arguments: str, cwd: Path | None = None) -> str:
    """The output of a git command. Raises RontgenError if it fails."""
    return _output(["git", *arguments], cwd)


def dvc(*arguments: str, cwd: Path) -> str:
    """The output of a dvc command. Raises RontgenError if it fails."""
    return _output([sys.executable, "-m", "dvc", *arguments], cwd)


def _output(command: list[str], cwd: Path | None) -> str:
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise RontgenError(f"`{' '.join(command[:3])}` failed: {lines[-1] if lines else 'no message'}")
    return done.stdout.strip()
