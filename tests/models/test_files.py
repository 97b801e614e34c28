"""Crafted model files: none runs code or reads another file, and each gives one line."""

import io
import json
import os
import pickle
import zipfile

import h5py
import keras
import numpy as np
import pytest

from rontgen.core.errors import RontgenError
from rontgen.models.files import CONFIG, MEMBERS, WEIGHTS, load
from rontgen.training import protocol
from shipped_models import build_model

pytestmark = pytest.mark.slow

COMMAND = "dvc repro reported_train@smatika_vgg16"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The members of a model file."""
    path = tmp_path_factory.mktemp("models") / "sound.keras"
    image = keras.Input((4,), name="image")
    protocol.save(keras.Model(image, keras.layers.Dense(2, activation="softmax", name="probabilities")(image)), path)
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.keras"


def write(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)


def refused(path):
    with pytest.raises(RontgenError) as caught:
        load(path, COMMAND)
    message = " ".join(str(caught.value).split())
    assert message.startswith(f"{path}: expected a model as `{COMMAND}` saves it; ")
    assert message.endswith(f": delete it and run `{COMMAND}` again")
    assert len(message) < 700
    return message


def with_layer(sound, layer):
    config = json.loads(sound[CONFIG])
    config["config"]["layers"][1] |= layer
    return sound | {CONFIG: json.dumps(config)}


def lambda_layer(marker):
    """A Lambda layer whose marshalled code makes a file; an earlier Keras ran such code."""
    layer = keras.layers.Lambda(eval(f"lambda x: (open({str(marker)!r}, 'w').close(), x)[1]"))
    return keras.saving.serialize_keras_object(layer)


@pytest.mark.parametrize("unsafe", [False, True], ids=["safe mode", "safe mode turned off"])
def test_a_lambda_runs_no_code(sound, path, tmp_path, monkeypatch, unsafe):
    from keras.src.saving import serialization_lib

    marker = tmp_path / "marker"
    layer = lambda_layer(marker)
    assert layer["config"]["function"]["class_name"] == "__lambda__"
    write(path, with_layer(sound, {"module": layer["module"], "class_name": "Lambda", "config": layer["config"]}))
    # `safe_mode=True` does not turn safe mode on again
    with serialization_lib.SafeModeScope(None):
        if unsafe:
            keras.config.enable_unsafe_deserialization()
        assert "only layers of Keras without code are run" in refused(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("module", "name", "registered"),
    [
        ("os", "system", "system"),
        ("keras.utils", "get_file", None),
        ("keras.layers", "TFSMLayer", None),
        ("keras.layers", "Dense", "package>Dense"),
        ("keras.layers", "Dense", {"name": "Dense"}),
        (None, "__lambda__", None),
    ],
)
def test_only_layers_of_keras_are_made(sound, path, tmp_path, module, name, registered):
    marker = tmp_path / "marker"
    layer = {
        "module": module,
        "class_name": name,
        "registered_name": registered,
        "config": {"command": f"touch {marker}", "filepath": str(marker), "name": "probabilities"},
    }
    write(path, with_layer(sound, layer))
    assert "only layers of Keras without code are run" in refused(path)
    assert not marker.exists()


class Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_a_pickle_is_not_unpickled(sound, path, tmp_path):
    marker = tmp_path / "marker"
    payload = pickle.dumps(Payload(marker))
    arrays = io.BytesIO()
    np.savez(arrays, **{"layers/dense/vars": np.array([Payload(marker)], dtype=object)})
    for members in (sound | {WEIGHTS: payload}, sound | {CONFIG: payload}):
        write(path, members)
        refused(path)
    sound = {name: data for name, data in sound.items() if name != WEIGHTS}
    write(path, sound | {"model.weights.npz": arrays.getvalue()})
    assert f"expected the members {', '.join(MEMBERS)}, received" in refused(path)
    path.write_bytes(payload)
    refused(path)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["../escaped", "/escaped", "assets/x", CONFIG.upper()])
def test_a_further_member_is_not_unpacked(sound, path, tmp_path, name):
    write(path, sound | {name: b"x"})
    assert "expected the members" in refused(path)
    assert list(tmp_path.iterdir()) == [path]


def virtual(group, other):
    layout = h5py.VirtualLayout((4, 2), "f4")
    layout[:] = h5py.VirtualSource(str(other), "kernel", (4, 2))
    group.create_virtual_dataset("0", layout)


# Each puts the four-by-two kernel into the group of the layer's variables
KERNELS = {
    "external": lambda group, other: group.create_dataset("0", (4, 2), "f4", external=[(str(other), 0, 32)]),
    "virtual": virtual,
    "external link": lambda group, other: group.__setitem__("0", h5py.ExternalLink(str(other), "kernel")),
    "soft link": lambda group, other: group.__setitem__("0", h5py.SoftLink("/other")),
    "3.6 GB, none": lambda group, other: group.create_dataset("0", (30_000, 30_000), "f4", chunks=(100, 100)),
}


@pytest.mark.parametrize("kind", KERNELS)
def test_weights_must_lie_in_the_file(sound, path, tmp_path, kind):
    with h5py.File(tmp_path / "other.h5", "w") as store:
        store["kernel"] = np.ones((4, 2), np.float32)
    weights = io.BytesIO()
    with h5py.File(weights, "w") as store:
        group = store.create_group("layers/dense/vars")
        KERNELS[kind](group, tmp_path / "other.h5")
        group["1"] = np.zeros(2, np.float32)
    write(path, sound | {WEIGHTS: weights.getvalue()})
    refused(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path, sound: path.write_bytes(path.read_bytes()[:-500]),
        lambda path, sound: write(path, sound | {CONFIG: b"[" * 100_000}),
        lambda path, sound: write(path, sound | {CONFIG: b"null"}),
        lambda path, sound: write(path, with_layer(sound, {"module": ["keras"]})),
        lambda path, sound: write(path, sound | {WEIGHTS: sound[WEIGHTS][:-600]}),
        lambda path, sound: write(path, with_layer(sound, {"config": {"units": 2**62}})),
        lambda path, sound: write(path, sound, zipfile.ZIP_DEFLATED),
    ],
    ids=[
        "end cut off",
        "deep",
        "no model",
        "no name of a module",
        "weights cut off",
        "a layer of any size",
        "compressed",
    ],
)
def test_a_damaged_file_is_one_error(sound, path, damage):
    write(path, sound)
    damage(path, sound)
    refused(path)


@pytest.mark.parametrize(
    ("name", "side", "changes"),
    [
        ("cnn1", 32, {}),
        ("simple_rnn", 32, {}),
        ("mobilenetv2", 32, {}),
        ("resnet50_lstm", 64, {"backbone": "vgg16", "pool_to": 2}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_saved_model_is_loaded_and_predicts_the_same(path, name, side, changes):
    model = build_model(name, image_shape=(side, side, 1), **changes)
    protocol.save(model, path)
    loaded = load(path, COMMAND)
    assert not loaded.compiled
    images = np.random.default_rng(0).integers(0, 256, (3, side, side, 1), dtype=np.uint8)
    np.testing.assert_array_equal(loaded.predict_on_batch(images), model.predict_on_batch(images))
