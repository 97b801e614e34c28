"""Where a training's bytes diverge between instruction sets: `python -m benchmarks.portability`.

Each way of limiting the instructions runs in its own process on the same images and seeds, and is compared with this
machine's default, tensor by tensor in the order in which a training computes them.
"""

import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
from typing import Any

import numpy as np

from rontgen.core import environment, errors
from rontgen.core.settings import Augment

from .common import chests, ratio, seconds, settings

MODELS = {"cnn4": 34, "resnet50v2": 32, "vgg16": 32, "lstm": 32}  # sizes in pixels, as in the demo
STEPS, BATCH = 10, 32
# Tensors whose digests are printed, to be compared with another machine's
ALIKE = ("images", "initial weights", "augmented images", "weights after one step", "weights")
PRICED = ("cnn4", "mobilenetv2", "resnet50v2")

# Environment variables of each process. oneDNN computes convolutions and matrix products, XLA the augmentation; the
# rest is done by Eigen, which TensorFlow compiles once for all processors
WAYS = {
    "default": {},
    "default, again": {},
    "oneDNN: AVX-512 without AMX": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"},
    "oneDNN: AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "oneDNN: SSE4.1": {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    "TensorFlow without oneDNN's operations": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "the same, AVX2": {"TF_ENABLE_ONEDNN_OPTS": "0", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "XLA: AVX2": {"XLA_FLAGS": "--xla_cpu_max_isa=AVX2"},
    "XLA: SSE4.2": {"XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2"},
    "both: AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "XLA_FLAGS": "--xla_cpu_max_isa=AVX2"},
}


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(price(sys.argv[2]) if sys.argv[1] == "price" else probe(sys.argv[1])))
        return
    print(f"{platform.machine()}, {environment.machine()['processor']}\n")
    defaults = {model: _run(model, "default") for model in MODELS}
    print(f"| model | {' | '.join(ALIKE)} |\n|---|{'---|' * len(ALIKE)}")
    for model, found in defaults.items():
        print(f"| `{model}` | {' | '.join(found['digests'][name][:12] for name in ALIKE)} |", flush=True)
    print("\n| instructions | model | the first tensor that differs | weights after ten steps |")
    print("|---|---|---|---|")
    for model, default in defaults.items():
        for way in list(WAYS)[1:]:
            found = _run(model, way)
            digests, others = default["digests"], found["digests"]
            first = next((name for name, digest in digests.items() if digest != others[name]), "none")
            apart = np.abs(np.array(default["weights"]) - np.array(found["weights"])).max()
            print(f"| {way} | {model} | {first} | {found['digests']['weights'][:12]}, {apart:.1g} apart |", flush=True)
    print(f"\n| a training step, {BATCH} images of 224 px | default | oneDNN: AVX2 | ratio |\n|---|---:|---:|---:|")
    for model in PRICED:
        pairs = [(_run(model, "oneDNN: AVX2", "price"), _run(model, "default", "price")) for _ in range(3)]
        limited, default = (statistics.median(values) for values in zip(*pairs, strict=True))
        print(f"| {model} | {default:.2f} s | {limited:.2f} s | {ratio(pairs):.2f} |", flush=True)


def probe(name: str) -> dict:
    """The SHA-256 of each tensor of a model's training, in order, and a thousand of its final weights."""

    from rontgen.core import determinism
    from rontgen.models.build import build_model
    from rontgen.training import augmentation

    determinism.prepare(seed=7, threads=1)
    size, model_settings = MODELS[name], settings().models[name]
    images, labels = chests(BATCH * STEPS, size)
    digests = {"images": _digest(images)}
    model = build_model(name, model_settings, (size, size, 1), 2)
    digests["initial weights"] = _digest(*model.get_weights())
    amounts = augmentation.draw(np.random.default_rng(7), len(images), _augment(), size, size)
    digests["amounts of the augmentation"] = _digest(amounts)
    moved = [
        np.asarray(augmentation.apply(images[start : start + BATCH], amounts[start : start + BATCH]))
        for start in range(0, len(images), BATCH)
    ]
    digests["augmented images"] = _digest(*moved)
    # from here on the images are not augmented, so that a difference in the augmentation cannot hide another
    digests |= _outputs(model, images[:BATCH])
    model.compile("adam", "binary_crossentropy" if model.output_shape[-1] == 1 else "sparse_categorical_crossentropy")
    for step in range(STEPS):
        batch = slice(step * BATCH, (step + 1) * BATCH)
        model.train_on_batch(images[batch], labels[batch].astype(np.float32))
        if step == 0:
            digests["weights after one step"] = _digest(*model.get_weights())
    digests["weights"] = _digest(*model.get_weights())
    weights = np.concatenate([values.ravel() for values in model.get_weights()])
    return {"digests": digests, "weights": weights[:: max(1, len(weights) // 1000)].tolist()}


def price(name: str) -> float:
    """Seconds of a training step of a model on images of 224 px: the median of three, after one that compiles."""
    from rontgen.core import determinism
    from rontgen.models.build import build_model

    determinism.prepare(seed=7, threads=2)
    images, labels = chests(BATCH, 224)
    model = build_model(name, settings().models[name], (224, 224, 1), 2)
    model.compile("adam", "sparse_categorical_crossentropy" if model.output_shape[-1] > 1 else "binary_crossentropy")
    labels = labels.astype(np.float32)
    return statistics.median([seconds(lambda: model.train_on_batch(images, labels)) for _ in range(4)][1:])


def _outputs(model, images: np.ndarray) -> dict[str, str]:
    """The SHA-256 of the output of each layer, in order, including those inside a backbone."""
    import keras

    layers = model.layers[1:]
    # a backbone's own output belongs to its own input; the one needed here is what the next layer receives
    outputs = [
        layers[place + 1].input if isinstance(layer, keras.Model) else layer.output
        for place, layer in enumerate(layers)
    ]
    values = keras.Model(model.inputs, outputs)([images])
    digests, before = {}, images
    for layer, value in zip(layers, values, strict=True):
        if isinstance(layer, keras.Model):
            digests |= _outputs(layer, before)
        else:
            digests[f"output of {layer.name} ({type(layer).__name__})"] = _digest(np.asarray(value))
        before = value
    return digests


def _augment() -> Augment:
    augment = settings().studies["smatika"].augment
    assert augment is not None
    return augment


def _run(model: str, way: str, *what: str) -> Any:
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""} | os.environ | WAYS[way]
    command = [sys.executable, "-m", "benchmarks.portability", *what, model]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    errors.run(main)
