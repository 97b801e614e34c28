"""The twelve architectures of the five studies, built by one function."""

from importlib import import_module
from pathlib import Path

import keras

from rontgen.core.errors import RontgenError
from rontgen.models import blocks

# The module that builds each architecture, and what the paper says of it; params.yaml holds the same values.
FAMILIES = {
    "cnn1": "cnn",
    "cnn2": "cnn",
    "cnn3": "cnn",
    "cnn4": "cnn",
    "cnn5": "cnn",
    "resnet50v2": "transfer",
    "vgg16": "transfer",
    "mobilenetv2": "transfer",
    "resnet50": "transfer",
    "resnet50_lstm": "recurrent",
    "lstm": "recurrent",
    "simple_rnn": "recurrent",
}


def build_model(
    name: str,
    image_shape: tuple[int, int, int] = (224, 224, 1),
    classes: int = 2,
    weights: Path | None = None,
    *,
    backbone: str | None = None,
    channels: int = 3,
    normalize: str = "unit",
    **options,
) -> keras.Model:
    """Build an architecture by name, with the head its paper gives it.

    The model takes raw pixels, 0 to 255, of (N, *image_shape): normalisation (`unit`: [0, 1], `symmetric`: [-1, 1],
    `backbone`: as `backbone` was trained) and the copying of a gray channel to `channels` are its first layers. It
    returns probabilities: (N, 1), of the second class, from a sigmoid head, else (N, classes).

    weights: a weights file of the backbone, or None for random ones; of no meaning to a model without a backbone.
    options: the keys of `models.<name>` in params.yaml, where they are to differ from the paper's.
    Raises RontgenError for an unknown name or option, or weights that do not fit.
    """
    if name not in FAMILIES:
        raise RontgenError(f"model: expected one of {', '.join(FAMILIES)}, received {name!r}")
    family = import_module(f"rontgen.models.{FAMILIES[name]}")
    paper = family.PAPER[name]
    for option in options.keys() - paper.keys():
        raise RontgenError(f"models.{name}: expected one of {', '.join(paper)}, received {option!r}")
    options = paper | options

    image = keras.Input(image_shape, name="image")
    pixels = blocks.normalize(image, normalize, channels, backbone)
    features = family.features(pixels, name, weights, options)
    probabilities = blocks.head(
        features, classes, options["head"], dense_units=options["dense_units"], dropout=options["dropout"]
    )
    return keras.Model(image, probabilities, name=name)
