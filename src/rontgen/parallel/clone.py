"""Clones of the project in which DVC runs, for records of real data and for dask workers, here or on other machines.

So the workspace keeps its demo, every record has the code of a commit, and a killed run can resume. A clone has one
commit and no history: it is made from bytes, which reach machines that cannot read the project's repository.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dvc.config import Config
from dvc.repo import Repo

from rontgen.core import params
from rontgen.core.errors import RontgenError
from rontgen.core.io import replacing
from rontgen.core.runs import BY_HAND, LOCK

# Where a training saves its progress
PROGRESS = Path("models/resume")

# In the environment of what runs in a clone: the clone, and where PROGRESS leads
MARK = "RONTGEN_CLONE"

# What decides what a run computes: records name a commit, so these may not differ from it
CODE = ("src", "stages", "studies", "dvc.yaml", "params.yaml", "requirements.txt")

IDENTITY = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "rontgen"), ("EMAIL", "rontgen@localhost"))
}


@dataclass(frozen=True)
class Origin:
    """The project at a commit, as clones are made from it.

    objects: of the commit, as a git pack. config: of DVC, as .dvc/config has it. cache: of DVC, which all clones share,
    or None where they share a remote. data: the project's data folder, for clones that can reach it.
    """

    commit: str
    objects: bytes
    config: dict
    cache: Path | None
    data: Path

    @property
    def has_remote(self) -> bool:
        return "remote" in self.config

    @classmethod
    def of(cls, repo: Repo, commit: str, remote: str | None = None) -> "Origin":
        """The project in the working directory. remote: the name of a DVC remote, instead of the project's cache."""
        cache = None
        if remote:
            config = {"core": {"remote": remote}, "remote": {remote: dict(repo.config["remote"][remote])}}
        else:
            cache = Path(repo.cache.local_cache_dir)
            cache.mkdir(parents=True, exist_ok=True)  # DVC makes it with the first output
            config = {}
        return cls(commit, _pack("--no-walk", commit), config, cache, Path("data").absolute())


def require_repository() -> None:
    """Raise RontgenError where the working directory is not the root of a git repository, or git refuses to read it."""
    if not Path(".git").exists():
        raise RontgenError(
            f"expected a git repository of the project's own, found no .git in {Path.cwd()}: run `git init`, `git add "
            "--all` and `git commit -m start` there"
        )
    git("rev-parse", "--git-dir")  # of another user's repository git says what to do, and DVC does not


def last_commit() -> str:
    """The last commit. Raises RontgenError if CODE differs from it."""
    changed = git("status", "--porcelain", "--untracked-files", "--", *CODE)
    if changed:
        first = changed.splitlines()[0].split(maxsplit=1)[1]
        raise RontgenError(f"expected committed code, received changes in {first}: `git commit` or `git stash` them")
    return git("rev-parse", "HEAD")


def snapshot() -> str:
    """A new commit, on no branch, of the project as it is: what git tracks or would track, with all changes."""
    with tempfile.TemporaryDirectory() as folder:
        index, own = Path(git("rev-parse", "--git-path", "index")), Path(folder, "index")
        if index.exists():
            shutil.copy2(index, own)
        git("add", "--all", GIT_INDEX_FILE=str(own))
        return git("commit-tree", "-m", f"snapshot {uuid.uuid4()}", git("write-tree", GIT_INDEX_FILE=str(own)))


def prepare(origin: Origin, folder: Path) -> None:
    """Make a clone in `folder`, or set the one that is there to the origin, whatever a killed run left in it.

    Raises RontgenError where the cache is out of reach.
    """
    if origin.cache and not origin.cache.is_dir():
        raise RontgenError(
            f"expected the DVC cache at {origin.cache}, found none there: share it by path, or give `rontgen scale` "
            "--remote"
        )
    # without the user's hooks, neither those that every new repository gets nor those of all repositories
    git("init", "--quiet", "--template=", str(folder))
    git("config", "core.hooksPath", os.devnull, cwd=folder)
    with (folder / ".git/shallow").open("a") as file:  # git looks for no parents of these commits
        file.write(f"{origin.commit}\n")
    _git(("index-pack", "--stdin"), folder, given=origin.objects)
    reset(folder, origin.commit)
    (folder / ".dvc/tmp/rwlock").unlink(missing_ok=True)
    with Config(str(folder / ".dvc")).edit("local") as local:
        local.update(origin.config)
    if origin.cache:  # by a link, since DVC writes its configuration in ASCII, which a path need not be
        with replacing(folder / ".dvc/cache") as link:
            link.symlink_to(origin.cache)
    _link_data(origin.data, folder)


def _link_data(data: Path, folder: Path) -> None:
    """Link what was put by hand into the project's data/archives, and where all clones there keep downloads."""
    by_hand, downloads = folder / BY_HAND, folder / "data/kaggle"
    by_hand.mkdir(parents=True, exist_ok=True)
    for path in by_hand.glob("[!.]*"):
        path.unlink()
    for path in data.glob("archives/[!.]*"):
        (by_hand / path.name).symlink_to(path)
    kept = (data if data.is_dir() else folder.parent) / "kaggle"
    kept.mkdir(exist_ok=True)
    if not downloads.exists():
        downloads.unlink(missing_ok=True)  # a link to nowhere
        downloads.symlink_to(kept)


def reset(folder: Path, commit: str) -> None:
    """Reset the clone's tracked files to a commit, and remove dvc.lock.

    `dvc exp run` leaves its settings in the files, where they would affect the next run. The committed dvc.lock may be
    of another profile: DVC would look for its outputs, which no cache here has. Without it, DVC takes what it has done
    before from the run cache.
    """
    git("checkout", "--quiet", "--force", "--detach", commit, cwd=folder)
    (folder / LOCK).unlink(missing_ok=True)


def environment() -> dict[str, str]:
    """Environment of the stages: this Python, and a git author if the user has none."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return IDENTITY | os.environ | {"PATH": path}


@dataclass(frozen=True)
class Experiment:
    """A DVC experiment: its git ref, its commit, and what this adds to the commit it started from, as a git pack."""

    ref: str
    commit: str
    objects: bytes

    def fetch(self) -> None:
        """Add it to the project in the working directory."""
        _git(("unpack-objects", "-q"), given=self.objects)
        git("update-ref", self.ref, self.commit)


@dataclass(frozen=True)
class Clone:
    """A clone that runs DVC experiments. commit: that they start from. say: is given each line that these print, which
    otherwise go where this process prints."""

    folder: Path
    commit: str
    say: Callable[[str], None] | None = None

    def run(
        self, name: str, changes: Mapping[str, str], targets: Iterable[str], again: Sequence[str] = ()
    ) -> Experiment:
        """Run stages as a DVC experiment of that name.

        changes: settings by their keys, and their values. again: stages that run after the targets, even if DVC has
        their results. Raises RontgenError if a stage fails.
        """
        reset(self.folder, self.commit)
        command = [sys.executable, "-m", "dvc", "exp", "run", "--name", name]
        for key, value in changes.items():
            key = key.rpartition(":")[2]
            command += ["-S", f"{params.file_of(key)}:++{key}={value}"]  # `++` adds what the file leaves out
        ref = f"refs/exps/{self.commit[:2]}/{self.commit[2:]}/{name}"
        forced = [["--force", "--single-item", *again]] if again else []
        for options in [list(targets), *forced]:
            git("update-ref", "-d", ref, cwd=self.folder)  # of an earlier try, which DVC would not replace
            if self._run([*command, *options]) != 0:
                raise RontgenError(f"{name}: a stage failed, see above: mend it and run the same command again")
        return Experiment(ref, git("rev-parse", ref, cwd=self.folder), _pack(ref, f"^{self.commit}", cwd=self.folder))

    def _run(self, command: list[str]) -> int:
        mark = os.pathsep.join([str(self.folder), str((self.folder / PROGRESS).resolve())])
        marked = environment() | {MARK: mark}
        if self.say is None:
            return subprocess.run(command, cwd=self.folder, env=marked).returncode
        pipe, both = subprocess.PIPE, subprocess.STDOUT
        with subprocess.Popen(command, cwd=self.folder, env=marked, stdout=pipe, stderr=both) as process:
            for line in process.stdout or ():
                self.say(line.decode(errors="replace").rstrip().rpartition("\r")[2])
        return process.returncode


def _pack(*revisions: str, cwd: Path | None = None) -> bytes:
    """The objects of revisions, as `git rev-list` has them, as a git pack."""
    hashes = _git(("rev-list", "--objects", "--no-object-names", *revisions), cwd)
    return _git(("pack-objects", "--quiet", "--stdout"), cwd, given=hashes)


def git(*arguments: str, cwd: Path | None = None, **variables: str) -> str:
    """The output of a git command. variables: of its environment. Raises RontgenError if it fails."""
    return _git(arguments, cwd, variables=variables).decode().strip()


def _git(
    arguments: tuple[str, ...], cwd: Path | None = None, given: bytes = b"", variables: Mapping[str, str] = {}
) -> bytes:
    environment = {**IDENTITY, **os.environ, **variables}
    try:
        done = subprocess.run(["git", *arguments], cwd=cwd, env=environment, input=given, capture_output=True)
    except FileNotFoundError:
        raise RontgenError("expected the command git, found none: install it") from None
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise RontgenError(f"`git {arguments[0]}` failed: {' '.join(lines) or 'no message'}")
    return done.stdout
