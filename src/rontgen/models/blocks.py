"""What every architecture shares: the first layers, the head, and pretrained backbones."""

import warnings
from pathlib import Path

import keras
from keras import layers

from rontgen.errors import RontgenError

NORMALIZE = {"unit": (1 / 255, 0.0), "symmetric": (1 / 127.5, -1.0)}

BACKBONES = {
    "mobilenetv2": keras.applications.MobileNetV2,
    "resnet50": keras.applications.ResNet50,
    "resnet50v2": keras.applications.ResNet50V2,
    "vgg16": keras.applications.VGG16,
}

# Below it their five halvings leave nothing; keras.applications refuses it too
SMALLEST_BACKBONE_IMAGE = 32


def normalize(image, normalize: str, channels: int):
    """Scale pixels (N, H, W, C), 0 to 255, and copy a gray channel to `channels`. No parameters."""
    scale, offset = NORMALIZE[normalize]
    pixels = layers.Rescaling(scale, offset, name="normalize")(image)
    if image.shape[-1] == channels:
        return pixels
    return layers.Concatenate(name="gray_to_channels")([pixels] * channels)


def head(features, classes: int, kind: str, *, dense_units: int | None, dropout: float):
    """Dense (where `dense_units`), Dropout and the output: one sigmoid unit for two classes of kind `sigmoid`, else
    a softmax unit for each class. Outputs are float32 also in mixed precision."""
    if dense_units is not None:
        features = layers.Dense(dense_units, activation="relu", name="dense")(features)
    features = layers.Dropout(dropout, name="dropout")(features)
    if kind == "sigmoid" and classes == 2:
        return layers.Dense(1, activation="sigmoid", dtype="float32", name="probability")(features)
    return layers.Dense(classes, activation="softmax", dtype="float32", name="probabilities")(features)


def backbone(name: str, pixels, weights: str | None) -> keras.Model:
    """A Keras application without its top, for pixels (N, H, W, 3), under its own name.

    weights: None, `imagenet`, or a file that `load_weights` reads. Raises RontgenError where the image is too small
    or not of three channels, or the weights cannot be had.
    """
    height, width, channels = pixels.shape[1:]
    if channels != 3:
        raise RontgenError(f"image.channels: expected 3 for {name}, received {channels}: set image.channels=3")
    if min(height, width) < SMALLEST_BACKBONE_IMAGE:
        raise RontgenError(
            f"image.size: expected at least {SMALLEST_BACKBONE_IMAGE} pixels for {name}, received {min(height, width)}"
        )
    options = {"include_top": False, "input_shape": (height, width, 3), "name": name}
    if weights is None:
        return BACKBONES[name](weights=None, **options)
    if weights != "imagenet":
        if not Path(weights).is_file():
            raise RontgenError(f"weights: expected none, imagenet or a file, received {weights!r}, which is no file")
        model = BACKBONES[name](weights=None, **options)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # Keras only warns of layers that it leaves random
                model.load_weights(weights)
        except (OSError, ValueError, UserWarning) as error:
            raise RontgenError(f"weights: {weights} does not fit {name}: {error}") from None
        return model
    try:
        return BACKBONES[name](weights="imagenet", **options)
    except Exception as error:  # what keras.utils.get_file raises when it has no network is a bare Exception
        if "URL fetch failure" not in str(error):
            raise
        raise RontgenError(
            f"weights: ImageNet weights of {name} could not be downloaded: connect once, copy the file into "
            "~/.keras/models, or set profiles.paper.train.weights to a weights file or to none"
        ) from None
