"""What a model's backbone begins with: a folder with a weights file, or without one where it begins at random.

rontgen.datasets.read_weights reads it."""

import filecmp
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from rontgen import archives, by_hand
from rontgen.errors import RontgenError
from rontgen.files import replacing

FACTS = "SOURCE.json"

# Of its weights Keras publishes no hash: a file of them put by hand must be pinned
UNPUBLISHED = {"mobilenetv2"}


@dataclass(frozen=True)
class Pretrained:
    """source: keras (its host), keras file (its file, put by hand), other file (put by hand, pinned), none (random).

    file: name of the weights file in the folder, "" where there is none. sha256: of that file.
    """

    source: str
    file: str = ""
    sha256: str = ""


def write_none(folder: Path) -> None:
    """A folder for a model that begins with random weights."""
    with replacing(folder) as temporary:
        temporary.mkdir()
        _write_facts(temporary, Pretrained("none"))


def write(backbone: str, listed: dict[str, str], pinned: str | None, folder: Path, command: str) -> Pretrained:
    """Bring the weights of a backbone into a folder of their own, checked.

    listed: the files put by hand, name to SHA-256 (by_hand.read). Such a file must have the SHA-256 `pinned`, or be
    Keras's own by the hash that Keras publishes. Without one, Keras downloads its own. command: what to run again,
    named in errors. Raises RontgenError.
    """
    own = by_hand.KERAS_FILES[backbone]
    with replacing(folder) as temporary:
        temporary.mkdir()
        if not listed:
            _from_keras(backbone, None, temporary / own, command)
            facts = Pretrained("keras", own, archives.sha256(temporary / own))
        else:
            name, sha256 = next(iter(listed.items()))
            given = by_hand.FOLDER / name
            by_hand.check(given, sha256)
            if sha256 == pinned:
                shutil.copyfile(given, temporary / name)
                facts = Pretrained("other file", name, sha256)
            elif name == own and backbone not in UNPUBLISHED:
                _from_keras(backbone, given, temporary / name, command)
                facts = Pretrained("keras file", name, sha256)
            else:
                raise RontgenError(
                    f"{given}: expected SHA-256 {pinned or '(none in params.yaml)'}, received {sha256}: if you trust "
                    f"the file, set backbones.{backbone}.sha256={sha256}, else remove it and run `{command}` again"
                )
        _write_facts(temporary, facts)
    return facts


def _write_facts(folder: Path, facts: Pretrained) -> None:
    (folder / FACTS).write_text(json.dumps(asdict(facts), indent=2) + "\n", encoding="utf-8")


def _from_keras(backbone: str, given: Path | None, target: Path, command: str) -> None:
    """Keras's own file, which it downloads unless it is `given`, and checks; in a Keras home of its own, so that no two
    processes write one file."""
    place = by_hand.FOLDER / target.name
    remedy = f"put it at {place} and run `{command}` again, or set models.{backbone}.weights=none"
    with tempfile.TemporaryDirectory(dir=target.parent) as home:
        os.environ["KERAS_HOME"] = home  # Keras reads it when it is imported
        from rontgen.models.blocks import BACKBONES

        kept = Path(home, "models", target.name)
        if given:
            kept.parent.mkdir()
            shutil.copyfile(given, kept)
        try:
            BACKBONES[backbone](weights="imagenet", include_top=False, input_shape=(224, 224, 3))
        except Exception as error:  # what keras.utils.get_file raises when it has no network is a bare Exception
            if "URL fetch failure" not in str(error) and "file hash" not in str(error):
                raise
            received = "another one" if given or "file hash" in str(error) else "no network"
            raise RontgenError(
                f"{given or f'weights of {backbone}'}: expected Keras's own file, received {received}: {remedy}"
            ) from None
        # A file of another hash Keras replaces by a download
        if given and not filecmp.cmp(given, kept, shallow=False):
            raise RontgenError(f"{given}: expected Keras's own file, received another one: {remedy}")
        kept.replace(target)
