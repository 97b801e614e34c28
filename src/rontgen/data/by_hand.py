"""Files that the user put into data/archives: zips, or indexes of unpacked ones, to use instead of a download, and
weights of backbones."""

from functools import cache
from pathlib import Path

from rontgen.core import project
from rontgen.core.errors import RontgenError
from rontgen.core.io import read_json
from rontgen.core.params import Params
from rontgen.core.runs import BY_HAND
from rontgen.data import archives, unpacked

# What the stage `inputs` wrote: archives/<dataset>.json and weights/<backbone>.json
LISTS = Path("data/inputs")
COMMAND = "dvc repro inputs"


def lists(values: Params, folder: Path = BY_HAND) -> dict[Path, dict[str, str]]:
    """The SHA-256 of each file in data/archives, by name.

    Each dataset's archives and each backbone's weights have a list. Files that the profile does not use are not listed.
    """
    profile = values.profiles[values.profile]
    sha256, found = cache(archives.sha256), {}

    def hashes(names):
        project.require_copied(folder / name for name in names)
        return {name: sha256(folder / name) for name in names if (folder / name).exists()}

    for name, dataset in values.datasets.items():
        zips = [Path(archives.archive_name(source.slug)) for source in dataset.archives.values()]
        wanted = [path.name for archive in zips for path in (archive, unpacked.index_of(archive))]
        found[Path("archives", f"{name}.json")] = hashes(wanted if profile.download.source == "kaggle" else [])
    for name, backbone in values.backbones.items():
        # the names that the file may have; the first one found is used
        names = [f"{name}.weights.h5", backbone.file] if profile.train.pretrained and backbone.file else []
        found[Path("weights", f"{name}.json")] = hashes(names)
    return found


def read(kind: str, name: str) -> dict[str, str]:
    """A list of the stage `inputs`, kind archives or weights. Raises RontgenError where it is missing."""
    return read_json(LISTS / kind / f"{name}.json", COMMAND)


def check(path: Path, sha256: str) -> None:
    """Raise RontgenError if a listed file has changed since the stage `inputs` ran."""
    received = archives.sha256(path) if path.exists() else "no file"
    if received != sha256:
        raise RontgenError(f"{path}: expected SHA-256 {sha256}, as listed, received {received}: run `{COMMAND}` again")
