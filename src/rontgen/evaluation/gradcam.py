"""Where a model looked: Grad-CAM, and for a model without convolutions the gradient of its input.

Both show what the score depends on for this image, not whether the model is right to depend on it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
from keras import layers, ops
from scipy.ndimage import gaussian_filter

from rontgen.core.errors import RontgenError

# Pixels: backbones end at 7 for the papers' 224, but at 1 for the demo's 32, and one pixel shows no place
SMALLEST_MAP = 4
# Of an input gradient, the standard deviation of the Gaussian as a share of the image's width (ours): 7 of 224 pixels
SMOOTHING = 1 / 32
# Images at a time: the feature maps of one of 640 px take about 300 MB
BATCH = 8

CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)


class _Step(NamedTuple):
    """One layer of a model, nested ones included: the symbolic tensors that it takes and the one that it gives."""

    layer: layers.Layer
    inputs: list[keras.KerasTensor]
    output: keras.KerasTensor


def kind(model: keras.Model) -> str:
    """The method of `heatmaps` for this model: `Grad-CAM`, or `input gradient` if it has no usable feature map."""
    return "input gradient" if _feature_map(_steps(model)) is None else "Grad-CAM"


def heatmaps(model: keras.Model, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """How much each part of an image speaks for a class. float32 (N, H, W), each map divided by its own maximum.

    images: uint8 (N, H, W, 1), raw. classes: int (N,), the class to explain in each, as in the dataset's classes.
    Grad-CAM (Selvaraju et al. 2017, section 3): the feature map's channels, weighted by the mean gradient of the
    class's score, summed, cut off below zero and brought to the image's size bilinearly. The score is that before the
    softmax; before a sigmoid it is the second class's, and its negative the first's. The feature map is the last that
    every path from image to score goes through, at least 4 pixels wide and high. A map of zeros means
    that nothing in it speaks for the class.
    A model without such a map (lstm, simple_rnn) gets an input gradient instead, which is no Grad-CAM: the absolute
    gradient of the same score by each pixel (Simonyan et al. 2014, section 3), smoothed by a Gaussian. It speaks for
    or against the class. The model is one of `build_model`. Raises RontgenError for a backend without a gradient here.
    """
    steps = _steps(model)
    image, scores = steps[0].inputs[0], _scores(steps[-1])
    feature_map = _feature_map(steps)
    after = keras.Model(image if feature_map is None else feature_map, scores)
    before = None if feature_map is None else keras.Model(image, feature_map)
    chosen = np.eye(scores.shape[-1], dtype=np.float32)[classes]

    maps = []
    for start in range(0, len(images), BATCH):
        pixels = ops.convert_to_tensor(images[start : start + BATCH], "float32")
        values = pixels if before is None else before(pixels, training=False)
        gradient = _gradient(after, values, chosen[start : start + BATCH])
        if before is None:
            maps.append(_smooth(ops.convert_to_numpy(gradient)))
        else:
            maps.append(_weighted(values, gradient, images.shape[1:3]))
    heat = np.concatenate(maps)
    return heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny)


def most_confident(predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """For each true class, the most confident correct prediction and the most confident wrong one.

    predictions: a table of evaluation.metrics.prediction_table. Returns position (in predictions), class, predicted,
    probability (of the predicted class) and right, class by class, the correct one first; a missing one has no row.
    The first of equals is taken.
    """
    columns = pd.Index(classes).get_indexer(predictions["predicted"])
    probability = predictions[classes].to_numpy()[np.arange(len(predictions)), columns]
    table = predictions[["class", "predicted"]].assign(position=np.arange(len(predictions)), probability=probability)
    table["right"] = table["class"] == table["predicted"]
    best = table.sort_values("probability", ascending=False, kind="stable").drop_duplicates(["class", "right"])
    best["order"] = 2 * pd.Index(classes).get_indexer(best["class"]) + ~best["right"]
    return best.sort_values("order", ignore_index=True)[["position", "class", "predicted", "probability", "right"]]


def _steps(model: keras.Model) -> list[_Step]:
    """Every layer of a model in an order of computation, those of a nested backbone in its place."""
    steps = []

    def call(layer, *arguments, **keywords):
        if isinstance(layer, keras.Model):
            walk(layer, arguments[0])
        else:
            steps.append(_Step(layer, keras.tree.flatten(arguments), layer(*arguments, **keywords)))
        return steps[-1].output

    def walk(model, tensor):
        # The same layers, and so the same weights, on new symbolic tensors
        keras.models.clone_model(model, tensor, clone_function=lambda layer: layer, call_function=call)

    walk(model, keras.Input(batch_shape=model.input.shape, dtype=model.input.dtype))
    return steps


def _feature_map(steps: list[_Step]) -> keras.KerasTensor | None:
    """The last map after a convolution that is wide enough and that no path avoids: on one branch of a residual block
    it would show half of what is known. A padded map has a border that lies nowhere in the image."""
    last_use = {id(tensor): index for index, step in enumerate(steps) for tensor in step.inputs}
    found, convolved = None, False
    bridge = last_use[id(steps[0].inputs[0])]  # the last step that reads a tensor from before this one
    for index, (layer, _, output) in enumerate(steps):
        convolved = convolved or isinstance(layer, CONVOLUTIONS)
        large = len(output.shape) == 4 and min(output.shape[1:3]) >= SMALLEST_MAP
        if convolved and large and bridge <= index and not isinstance(layer, layers.ZeroPadding2D):
            found = output
        bridge = max(bridge, last_use.get(id(output), index))
    return found


def _scores(last: _Step) -> keras.KerasTensor:
    """The score of each class before the activation of the last layer, a sigmoid or a softmax. (N, classes)."""
    layer = last.layer
    linear = layers.Dense(layer.units, kernel_initializer="zeros", dtype=layer.dtype_policy, name="before_activation")
    scores = linear(last.inputs[0])
    linear.set_weights(layer.get_weights())
    return layers.Concatenate(dtype="float32", name="both_scores")([-scores, scores]) if layer.units == 1 else scores


def _gradient(function: Callable, values: Any, chosen: np.ndarray) -> Any:
    """The gradient by `values` of each image's chosen score. Keras 3 has none that does for every backend."""

    def score(values):
        return ops.sum(function(values, training=False) * chosen)

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            total = score(values)
        return tape.gradient(total, values)
    if backend == "jax":
        import jax

        return jax.grad(score)(values)
    raise RontgenError(
        f"Grad-CAM: expected the Keras backend tensorflow or jax, received {backend}: set KERAS_BACKEND=tensorflow"
    )


def _weighted(feature_map: np.ndarray, gradient: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Equations 1 and 2 of Grad-CAM, at the image's size. float32 (N, H, W)."""
    feature_map, gradient = ops.cast(feature_map, "float32"), ops.cast(gradient, "float32")
    weights = ops.mean(gradient, axis=(1, 2), keepdims=True)
    heat = ops.relu(ops.sum(weights * feature_map, axis=-1, keepdims=True))
    return ops.convert_to_numpy(ops.image.resize(heat, size, interpolation="bilinear"))[..., 0]


def _smooth(gradient: np.ndarray) -> np.ndarray:
    """The absolute gradient by each pixel, (N, H, W, 1), smoothed. float32 (N, H, W)."""
    width = gradient.shape[2]
    return gaussian_filter(np.abs(gradient[..., 0]), sigma=width * SMOOTHING, axes=(1, 2))
