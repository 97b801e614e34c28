"""Load model files without running code from them: their content is checked, then Keras loads them in safe mode."""

import io
import json
import zipfile
from pathlib import Path

import h5py
import keras

from rontgen.core.errors import RontgenError, first_line

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
# What protocol.save writes. Where there are more members, Keras unpacks them all to a temporary folder.
MEMBERS = [CONFIG, "metadata.json", WEIGHTS]
# Bytes of config.json: the largest of the twelve architectures has 190 kB
MAX_CONFIG = 16 * 2**20
# Where the classes of a model may come from, and those that take code or files from elsewhere. Safe mode refuses them
# too, but `keras.config.enable_unsafe_deserialization` turns it off whatever `safe_mode` says, and it has had gaps.
MODULES = {"keras", "keras.layers", "keras.initializers", "keras.regularizers", "keras.constraints"}
FUNCTIONAL = ("keras.src.models.functional", "Functional")
REFUSED = {"FlaxLayer", "IntegerLookup", "JaxLayer", "Lambda", "StringLookup", "TFSMLayer", "TextVectorization"}
REFUSED |= {"TorchModuleWrapper"}


def load(path: Path, command: str) -> keras.Model:
    """Load an uncompiled model that protocol.save wrote, without running any code from the file.

    command: makes the file again; errors name it. Raises RontgenError if the file is damaged, is not a model, or has
    anything but Keras layers and their weights.
    """
    try:
        _check(path)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except RontgenError as error:
        reason = str(error)
    except Exception as error:  # a crafted file reaches any line of Keras and h5py, which raise whatever they like
        reason = f"{type(error).__name__}: {first_line(error)}"
    raise RontgenError(
        f"{path}: expected a model as `{command}` saves it; {reason}: delete it and run `{command}` again"
    )


def _check(path: Path) -> None:
    """Raise unless a model file has exactly the layers of Keras and their weights."""
    with zipfile.ZipFile(path) as file:
        infos = sorted(file.infolist(), key=lambda info: info.filename)
        names = [info.filename for info in infos]
        if names != MEMBERS:
            raise RontgenError(f"expected the members {', '.join(MEMBERS)}, received {names[:5]}")
        for info in infos:
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                raise RontgenError(f"member {info.filename} is compressed, as Keras saves none")
        if file.getinfo(CONFIG).file_size > MAX_CONFIG:
            raise RontgenError(f"{CONFIG} has more than {MAX_CONFIG} bytes")
        json.loads(file.read(CONFIG), object_hook=_check_class)
        with h5py.File(io.BytesIO(file.read(WEIGHTS)), "r") as weights:  # a stored member is slow to seek in
            weights.visititems(_check_weights)


def _check_class(value: dict) -> dict:
    """Raise where an object of the configuration names a class other than Keras's layers without code; returns it."""
    if "class_name" not in value or value["class_name"] == "__keras_tensor__":
        return value
    name, module, registered = value["class_name"], value.get("module"), value.get("registered_name")
    known = (module in MODULES and name not in REFUSED) or (module, name) == FUNCTIONAL
    if not known or registered not in (None, name):
        raise RontgenError(
            f"it asks for {module}.{name} ({registered!r}), and only layers of Keras without code are run"
        )
    return value


def _check_weights(name: str, item: h5py.Group | h5py.Dataset) -> None:
    """Raise unless a dataset lies complete in the file itself: it could declare any shape, or use another file."""
    if isinstance(item, h5py.Dataset) and (
        item.external or item.is_virtual or item.id.get_storage_size() != item.nbytes
    ):
        raise RontgenError(f"weights {name}: {item.nbytes} bytes are declared, {item.id.get_storage_size()} stored")
