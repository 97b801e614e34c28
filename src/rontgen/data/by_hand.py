"""Files that the user put into data/archives: zips, or indexes of unpacked ones, to use instead of a download, and
weights of backbones."""

from functools import cache
from pathlib import Path

from rontgen.core import project
from rontgen.core.errors import RontgenError
from rontgen.core.io import read_json, require
from rontgen.core.params import Params
from rontgen.core.runs import BY_HAND
from rontgen.data import archives, unpacked

# Full-size files of the archive chest_xray, in the folders NORMAL and PNEUMONIA
ORIGINALS = "originals.zip"
# What the stage `inputs` wrote: archives/<dataset>.json, archives/originals.json and weights/<backbone>.json
LISTS = Path("data/inputs")
COMMAND = "dvc repro inputs"


def lists(values: Params, folder: Path = BY_HAND) -> dict[Path, dict[str, str]]:
    """The SHA-256 of each file in data/archives, by name; "" for a damaged zip, which the stage download refuses.

    Each dataset's archives and each backbone's weights have a list. Files that the profile does not use are not listed.
    Raises RontgenError for an archive or weights of another name, where the profile uses archives.
    """
    profile = values.profiles[values.profile]
    downloads = profile.download.source == "kaggle"
    # the names that files may have, and whether they are used
    names = {Path("archives/originals.json"): ([ORIGINALS], downloads)}
    for name, dataset in values.datasets.items():
        zips = [Path(archives.archive_name(source.slug)) for source in dataset.archives.values()]
        either = [path.name for archive in zips for path in (archive, unpacked.index_of(archive))]
        names[Path("archives", f"{name}.json")] = either, downloads
    for name, backbone in values.backbones.items():
        either = [f"{name}.weights.h5", *filter(None, [backbone.file])]  # the first one found is used
        names[Path("weights", f"{name}.json")] = either, profile.train.pretrained and backbone.file is not None
    if downloads:
        _refuse_others(folder, {name for some, _ in names.values() for name in some})
    sha256, found = cache(_verified), {}
    for path, (some, used) in names.items():
        files = [folder / name for name in some if used]
        project.require_copied(files)
        found[path] = {file.name: sha256(file) for file in files if file.exists()}
    return found


def _refuse_others(folder: Path, names: set[str]) -> None:
    for path in sorted(folder.glob("[!.]*")):
        if path.suffix in (".zip", ".h5") and path.name not in names:
            alike = ", ".join(sorted(name for name in names if name.endswith(path.suffix)))
            raise RontgenError(f"{path}: expected one of the names {alike}: rename it, or move it out of {folder}")


def _verified(path: Path) -> str:
    if path.suffix != ".zip":
        return archives.sha256(path)
    for facts in Path("data/raw").glob("*/SOURCE.json"):
        linked = facts.with_name(path.name)
        if linked.exists() and linked.samefile(path) and path.stat().st_mtime_ns > facts.stat().st_mtime_ns:
            raise RontgenError(
                f"{path}: expected a new file in place of the earlier one, received one that was written over it, and "
                f"so over what DVC has kept of it: run `find .dvc data/raw -samefile {path} -delete` first"
            )
    try:
        with archives.Archive(path, command=COMMAND) as archive:
            return archive.verify()
    except archives.ArchiveError:
        return ""


def read(kind: str, name: str) -> dict[str, str]:
    """A list of the stage `inputs`, kind archives or weights. Raises RontgenError where it is missing."""
    return read_json(LISTS / kind / f"{name}.json", COMMAND)


def read_all(kind: str) -> dict[str, str]:
    """All lists of the stage `inputs` of a kind as one. Raises RontgenError where they are missing."""
    paths = sorted(require(LISTS / kind, COMMAND).glob("*.json"))
    return {name: sha256 for path in paths for name, sha256 in read_json(path, COMMAND).items()}


def layout(slug: str, values: Params) -> str:
    """The layout of the archive of a dataset on Kaggle. Raises RontgenError where params.yaml has no such archive."""
    known = {source.slug: name for dataset in values.datasets.values() for name, source in dataset.archives.items()}
    if slug not in known:
        raise RontgenError(f"expected one of {', '.join(known)}, as in params.yaml, received {slug!r}: check its name")
    return known[slug]


def check(path: Path, sha256: str) -> None:
    """Raise RontgenError if a listed file has changed since the stage `inputs` ran.

    One that is older than the lists is not read again, and neither is a damaged zip.
    """
    listed = max((file.stat().st_mtime_ns for file in LISTS.rglob("*.json")), default=0)
    if path.exists() and (not sha256 or path.stat().st_mtime_ns < listed):
        return
    received = archives.sha256(path) if path.exists() else "no file"
    if received != sha256:
        raise RontgenError(f"{path}: expected SHA-256 {sha256}, as listed, received {received}: run `{COMMAND}` again")
