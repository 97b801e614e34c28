"""Initial weights of a backbone: a folder with a weights file, or without one for random weights.

rontgen.data.arrays.read_weights reads it."""

import filecmp
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from rontgen.core import project
from rontgen.core.errors import RontgenError
from rontgen.core.io import link_or_copy, replacing
from rontgen.core.runs import BY_HAND, Start
from rontgen.data import archives, by_hand

FACTS = "SOURCE.json"

# Of its weights Keras publishes no hash: a file of them put by hand must be pinned
UNPUBLISHED = {"mobilenetv2"}


@dataclass(frozen=True)
class Pretrained:
    """source: keras (downloaded), keras file (Keras's own, from data/archives), other file (pinned), none (random).

    file: name of the weights file in the folder, "" if there is none. sha256: of that file.
    """

    source: str
    file: str = ""
    sha256: str = ""


def write(start: Start, listed: dict[str, str]) -> Pretrained:
    """Put the checked weights of a backbone into its folder, or nothing for random weights.

    listed: files in data/archives, name to SHA-256 (by_hand.read). Such a file must have the SHA-256 that params.yaml
    pins, or the hash that Keras publishes for its own. Without one, Keras downloads its own over HTTPS and checks the
    hash, if it publishes one. Raises RontgenError.
    """
    with replacing(start.folder) as temporary:
        temporary.mkdir()
        facts = _put_weights(start, listed, temporary) if start.pretrained else Pretrained("none")
        (temporary / FACTS).write_text(json.dumps(asdict(facts), indent=2) + "\n", encoding="utf-8")
    return facts


def _put_weights(start: Start, listed: dict[str, str], folder: Path) -> Pretrained:
    if not listed:
        assert start.file  # a backbone has one
        project.require_copied(BY_HAND / name for name in (f"{start.name}.weights.h5", start.file))
        _from_keras(start, None, folder / start.file)
        return Pretrained("keras", start.file, archives.sha256(folder / start.file))
    name, sha256 = next(iter(listed.items()))
    given = BY_HAND / name
    by_hand.check(given, sha256)
    if sha256 == start.sha256:
        link_or_copy(given, folder / name)
        return Pretrained("other file", name, sha256)
    if name == start.file and start.name not in UNPUBLISHED:
        _from_keras(start, given, folder / name)
        return Pretrained("keras file", name, sha256)
    raise RontgenError(
        f"{given}: expected SHA-256 {start.sha256 or '(none in params.yaml)'}, received {sha256}: if you trust the "
        f"file, set backbones.{start.name}.sha256={sha256}, else remove it and run `{start.weights_command}` again"
    )


def _from_keras(start: Start, given: Path | None, target: Path) -> None:
    """Keras's own file, which it downloads unless it is `given`, and checks; in a Keras home of its own, so that no two
    processes write one file."""
    remedy = (
        f"put it at {BY_HAND / target.name} and run `{start.weights_command}` again, "
        f"or set backbones.{start.name}.file=null, for random ones"
    )
    with tempfile.TemporaryDirectory(dir=target.parent) as home:
        os.environ["KERAS_HOME"] = home  # Keras reads it when it is imported
        import keras

        applications = {name.lower(): value for name, value in vars(keras.applications).items()}
        kept = Path(home, "models", target.name)
        if given:
            kept.parent.mkdir()
            shutil.copyfile(given, kept)
        try:
            applications[start.name](weights="imagenet", include_top=False, input_shape=(224, 224, 3))
            # A file of another hash Keras replaces by a download
            received = "another one" if given and not filecmp.cmp(given, kept, shallow=False) else ""
        except Exception as error:  # what keras.utils.get_file raises when it has no network is a bare Exception
            if "URL fetch failure" not in str(error) and "file hash" not in str(error):
                raise
            received = "another one" if given or "file hash" in str(error) else "no network"
        if received:
            what = given or f"weights of {start.name}"
            raise RontgenError(f"{what}: expected Keras's own file, received {received}: {remedy}")
        if given:
            link_or_copy(given, target)
        else:
            kept.replace(target)
