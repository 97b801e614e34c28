"""Build any architecture of params.yaml, with the parts that all share: first layers, pretrained backbone, head."""

import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import keras
from keras import layers

from rontgen.core.errors import RontgenError
from rontgen.core.settings import Model

# Scale and offset of each channel
UNIT, SYMMETRIC = (1 / 255, 0.0), (1 / 127.5, -1.0)
NORMALIZE = {"unit": UNIT, "symmetric": SYMMETRIC, "none": (1.0, 0.0)}

# What the weights of a backbone were trained with, by the modes of keras.applications.imagenet_utils. caffe takes
# ImageNet's mean of each channel away; it also swaps red and blue, which are the same here. torch divides by the
# standard deviation as well
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PREPROCESSING = {
    "caffe": (1.0, (-103.939, -116.779, -123.68)),
    "tf": SYMMETRIC,
    "torch": (tuple(1 / 255 / std for std in _STD), tuple(-mean / std for mean, std in zip(_MEAN, _STD, strict=True))),
}


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
    RontgenError if they do not fit. Whether the backbone accepts such images is for `runs.check` to say.
    """
    family = import_module(f"rontgen.models.{model.family}")
    image = keras.Input(image_shape, name="image")
    pixels = _normalize(image, normalize, channels, model.preprocessing)
    features = family.features(pixels, model, weights)
    probabilities = _head(features, classes, model.head, dense_units=model.dense_units, dropout=model.dropout)
    return keras.Model(image, probabilities, name=name)


def _normalize(image: keras.KerasTensor, normalize: str, channels: int, preprocessing: str | None) -> keras.KerasTensor:
    """Scale pixels (N, H, W, C), 0 to 255, and copy a gray channel to `channels`. No parameters.

    normalize: unit, symmetric, none, or backbone, which is the mode `preprocessing` of the model's backbone.
    """
    if normalize == "backbone":  # whose scale and offset may differ from channel to channel
        scale, offset = PREPROCESSING[preprocessing or ""]
        return layers.Rescaling(scale, offset, name="normalize")(_to_channels(image, channels))
    scale, offset = NORMALIZE[normalize]
    return _to_channels(layers.Rescaling(scale, offset, name="normalize")(image), channels)


def _to_channels(image: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    if image.shape[-1] == channels:
        return image
    return layers.Concatenate(name="gray_to_channels")([image] * channels)


def _head(
    features: keras.KerasTensor, classes: int, kind: str, *, dense_units: int | None, dropout: float
) -> keras.KerasTensor:
    """Dense (where `dense_units`), Dropout and the output: one sigmoid unit for two classes of kind `sigmoid`, else
    a softmax unit for each class. Outputs are float32 also in mixed precision."""
    if dense_units is not None:
        features = layers.Dense(dense_units, activation="relu", name="dense")(features)
    features = layers.Dropout(dropout, name="dropout")(features)
    if kind == "sigmoid" and classes == 2:
        return layers.Dense(1, activation="sigmoid", dtype="float32", name="probability")(features)
    return layers.Dense(classes, activation="softmax", dtype="float32", name="probabilities")(features)


def backbone(name: str, pixels: keras.KerasTensor, weights: Path | None) -> keras.KerasTensor:
    """The feature map of a Keras application without its top, for pixels (N, H, W, 3), as one layer.

    weights: a file that Keras's `load_weights` reads, or None for random ones. Raises RontgenError if they do not fit.
    """
    model = application(name)(weights=None, include_top=False, input_shape=pixels.shape[1:], name=name)
    if weights is not None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # Keras only warns of layers that it leaves random
                model.load_weights(weights)
        except (OSError, ValueError, UserWarning) as error:
            raise RontgenError(f"weights: {weights} does not fit {name}: {error}") from None
    return model(pixels)


def application(name: str) -> Callable[..., keras.Model]:
    """The model of keras.applications with that name in lower case. Raises RontgenError for an unknown name."""
    for key, value in vars(keras.applications).items():
        if key.lower() == name and callable(value):
            return value
    raise RontgenError(f"backbones: expected models of keras.applications, in lower case, received {name!r}")
