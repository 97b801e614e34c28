"""Build any architecture of params.yaml."""

from importlib import import_module
from pathlib import Path

import keras

from rontgen.core.settings import Model
from rontgen.models import blocks


def build_model(
    name: str,
    model: Model,
    image_shape: tuple[int, int, int],
    classes: int,
    weights: Path | None = None,
    *,
    channels: int = 3,
    normalize: str = "unit",
) -> keras.Model:
    """Build an architecture, named `name`, with the head its paper gives it.

    The model takes raw pixels, 0 to 255, of (N, *image_shape): normalisation (`unit`: [0, 1], `symmetric`: [-1, 1],
    `backbone`: as its backbone was trained) and the copying of a gray channel to `channels` are its first layers. It
    returns probabilities: (N, 1), of the second class, from a sigmoid head, else (N, classes).

    weights: a weights file for the backbone, or None for random ones; ignored by a model without a backbone. Raises
    RontgenError if the backbone does not accept such images, or the weights do not fit.
    """
    family = import_module(f"rontgen.models.{model.family}")
    image = keras.Input(image_shape, name="image")
    pixels = blocks.normalize(image, normalize, channels, model.preprocessing)
    features = family.features(pixels, model, weights)
    probabilities = blocks.head(features, classes, model.head, dense_units=model.dense_units, dropout=model.dropout)
    return keras.Model(image, probabilities, name=name)
