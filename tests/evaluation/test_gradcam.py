"""Heatmaps by hand-worked models: what they are, where they lie, and that they leave the model as it was."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers
from scipy.ndimage import gaussian_filter

from rontgen.core.errors import RontgenError
from rontgen.evaluation import gradcam
from rontgen.training import protocol
from shipped_models import MODELS, build_model

pytestmark = pytest.mark.slow


def images(count, side, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 1), dtype=np.uint8)


def through(side, *stack):
    """A model of these layers, one after another."""
    image = tensor = keras.Input((side, side, 1))
    for layer in stack:
        tensor = layer(tensor)
    return keras.Model(image, tensor)


def identity_and_negative():
    """A convolution whose two channels are the pixel and 255 less the pixel."""
    convolution = layers.Conv2D(2, 1)
    convolution.build((None, None, None, 1))
    convolution.set_weights([np.array([1.0, -1.0]).reshape(1, 1, 1, 2), np.array([0.0, 255.0])])
    return convolution


def dense(weights, activation):
    weights = np.array(weights, np.float32)
    layer = layers.Dense(weights.shape[1], activation=activation)
    layer.build((None, weights.shape[0]))
    layer.set_weights([weights, np.zeros(weights.shape[1])])
    return layer


def test_grad_cam_of_global_average_pooling_is_the_class_activation_map():
    # Selvaraju et al. 2017, section 3.1: there it is the feature map weighted by the class's own weights
    weights = np.array([[0.5, -0.2], [-0.3, 0.4]])
    model = through(6, identity_and_negative(), layers.GlobalAveragePooling2D(), dense(weights, "softmax"))
    pixels = images(4, 6)
    classes = np.array([0, 1, 1, 0])
    x = pixels[..., 0].astype(float)
    expected = np.maximum(weights[0, classes][:, None, None] * x + weights[1, classes][:, None, None] * (255 - x), 0)
    expected /= expected.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(gradcam.heatmaps(model, pixels, classes), expected, atol=1e-6)


@pytest.mark.parametrize("scale", [1, 1000])  # at 1000 the probability is 0 or 1 and has no gradient
def test_sigmoid_explains_as_the_softmax_of_opposite_scores(scale):
    def model(weights, activation):
        return through(6, identity_and_negative(), layers.GlobalAveragePooling2D(), dense(weights, activation))

    one = model(scale * np.array([[0.4], [-0.3]]), "sigmoid")
    two = model(np.array([[-0.4, 0.4], [0.3, -0.3]]), "softmax")
    pixels, classes = images(4, 6), np.array([0, 1, 0, 1])
    heat = gradcam.heatmaps(one, pixels, classes)
    np.testing.assert_allclose(heat, gradcam.heatmaps(two, pixels, classes), atol=1e-6)
    assert (heat.max(axis=(1, 2)) == 1).all()


def test_heat_lies_on_what_the_class_is_told_by():
    bright = layers.Conv2D(1, 3, padding="same", activation="relu")
    bright.build((None, None, None, 1))
    bright.set_weights([np.full((3, 3, 1, 1), 1 / 9), np.array([-150.0])])
    model = through(32, bright, layers.MaxPooling2D(4), layers.GlobalAveragePooling2D(), dense([[1.0]], "sigmoid"))
    pixels = np.full((1, 32, 32, 1), 40, np.uint8)
    pixels[0, 4:12, 20:28] = 250
    heat = gradcam.heatmaps(model, pixels, np.array([1]))[0]
    assert heat[4:12, 20:28].mean() > 0.7  # bilinear, from 4-pixel cells: it fades at the square's edge
    assert heat[16:].max() == heat[:, :14].max() == 0
    assert not gradcam.heatmaps(model, pixels, np.array([0])).any()


def test_a_branch_that_can_be_avoided_is_not_the_feature_map():
    image = keras.Input((8, 8, 1))
    stem = identity_and_negative()(image)
    silent = layers.Conv2D(2, 1, kernel_initializer="zeros")(stem)
    joined = layers.Add()([layers.MaxPooling2D(4)(stem), layers.MaxPooling2D(4)(silent)])
    scores = dense([[0.5, -0.5], [0.1, 0.2]], "softmax")(layers.GlobalAveragePooling2D()(joined))
    assert gradcam.heatmaps(keras.Model(image, scores), images(1, 8), np.array([0])).any()


def test_a_padded_map_is_not_the_feature_map():
    shrink = layers.Conv2D(1, 3, strides=2, kernel_initializer="ones")
    stack = [layers.ZeroPadding2D(), shrink, layers.GlobalAveragePooling2D(), dense([[-1.0, 1.0]], "softmax")]
    one = layers.Conv2D(1, 1, kernel_initializer="ones")
    pixels = images(1, 4)
    heat = gradcam.heatmaps(through(4, one, *stack), pixels, np.array([1]))
    np.testing.assert_allclose(heat, pixels[..., 0] / pixels.max(), atol=1e-6)


def test_without_a_convolution_it_is_the_smoothed_gradient_of_the_input():
    weights = np.random.default_rng(0).normal(size=(32 * 32, 2))
    model = through(32, layers.Flatten(), dense(weights, "softmax"))
    expected = gaussian_filter(np.abs(weights[:, 0].reshape(32, 32)), sigma=1)
    assert gradcam.kind(model) == "input gradient"
    heat = gradcam.heatmaps(model, images(1, 32), np.array([0]))
    np.testing.assert_allclose(heat[0], expected / expected.max(), atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_every_architecture_is_explained(name):
    keras.utils.set_random_seed(0)
    model = build_model(name, image_shape=(32, 32, 1))
    heat = gradcam.heatmaps(model, images(4, 32), np.array([0, 1, 0, 1]))
    assert heat.shape == (4, 32, 32)
    assert heat.dtype == np.float32
    assert heat.min() >= 0
    assert set(heat.max(axis=(1, 2))) <= {0, 1}
    assert heat.any()
    assert gradcam.kind(model) == ("input gradient" if name in ("lstm", "simple_rnn") else "Grad-CAM")


@pytest.mark.parametrize(
    ("name", "shape"), [("resnet50v2", (7, 7, 2048)), ("vgg16", (7, 7, 512)), ("mobilenetv2", (7, 7, 1280))]
)
def test_at_the_papers_size_it_is_the_backbones_last_map(name, shape):
    model = build_model(name, image_shape=(224, 224, 1))
    assert gradcam._feature_map(gradcam._steps(model)).shape == (None, *shape)


def test_an_image_is_explained_the_same_in_any_batch():
    model = build_model("cnn2", image_shape=(32, 32, 1))
    pixels, classes = images(gradcam.BATCH + 2, 32), np.arange(gradcam.BATCH + 2) % 2
    last = gradcam.heatmaps(model, pixels[-1:], classes[-1:])
    np.testing.assert_allclose(gradcam.heatmaps(model, pixels, classes)[-1:], last, atol=1e-5)


def test_the_model_stays_as_it_was(tmp_path):
    model = build_model("mobilenetv2", image_shape=(32, 32, 1))
    protocol.save(model, tmp_path / "before.keras")
    gradcam.heatmaps(model, images(1, 32), np.array([0]))
    protocol.save(model, tmp_path / "after.keras")
    assert (tmp_path / "before.keras").read_bytes() == (tmp_path / "after.keras").read_bytes()


def test_a_backend_without_a_gradient_is_refused(monkeypatch):
    model = through(6, layers.Flatten(), layers.Dense(2, activation="softmax"))
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(RontgenError, match="set KERAS_BACKEND=tensorflow"):
        gradcam.heatmaps(model, images(1, 6), np.array([0]))


def predictions(rows):
    table = pd.DataFrame(rows, columns=["class", "predicted", "A", "B", "C"])
    return table.assign(id=[f"image{index}" for index in range(len(rows))], patient="")


def test_the_most_confident_right_and_wrong_of_each_true_class():
    table = predictions(
        [
            ("A", "A", 0.7, 0.2, 0.1),
            ("A", "A", 0.9, 0.1, 0.0),
            ("A", "B", 0.1, 0.6, 0.3),
            ("A", "C", 0.1, 0.1, 0.8),
            ("B", "B", 0.1, 0.6, 0.3),
            ("B", "B", 0.3, 0.6, 0.1),
            ("C", "A", 0.5, 0.3, 0.2),
        ]
    )
    chosen = gradcam.most_confident(table.set_index(pd.Index(range(9, 2, -1))), ["A", "B", "C"])
    assert list(chosen.itertuples(index=False, name=None)) == [
        (1, "A", "A", 0.9, True),
        (3, "A", "C", 0.8, False),
        (4, "B", "B", 0.6, True),  # the first of equals
        (6, "C", "A", 0.5, False),
    ]
