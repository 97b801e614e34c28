"""All architectures by one table: shapes, heads, and the parameter counts that the papers print."""

import sys
from functools import partial

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from rontgen.core.errors import RontgenError
from rontgen.core.settings import Model
from rontgen.models import build, recurrent
from shipped_models import MODELS, build_model

pytestmark = pytest.mark.slow

# name, total parameters for 224-pixel grayscale images and two classes (studies/*/paper.yaml), units of the output
PUBLISHED = [
    ("resnet50v2", 24_089_601, 1),
    ("vgg16", 14_846_273, 1),
    ("mobilenetv2", 2_260_546, 2),
]
UNITS = {"resnet50": 1, "resnet50_lstm": 1, "lstm": 1, "simple_rnn": 2, "cnn4": 2}


@pytest.mark.parametrize(("name", "parameters", "units"), PUBLISHED)
def test_published_parameter_counts(name, parameters, units):
    model = build_model(name, image_shape=(224, 224, 1), classes=2, weights=None)
    assert model.count_params() == parameters
    assert model.output_shape == (None, units)


@pytest.mark.parametrize(("name", "units"), UNITS.items())
def test_head_of_two_classes_is_the_papers(name, units):
    assert build_model(name, image_shape=(32, 32, 1)).output_shape == (None, units)


@pytest.mark.parametrize("name", MODELS)
def test_every_architecture_gives_probabilities_of_raw_pixels(name):
    model = build_model(name, image_shape=(32, 32, 1), classes=4)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1), dtype=np.uint8)
    probabilities = model.predict_on_batch(images)
    assert probabilities.shape == (2, 4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(("normalize", "low", "high"), [("unit", 0, 1), ("symmetric", -1, 1), ("none", 0, 255)])
def test_normalisation_is_the_models_own(normalize, low, high):
    model = build_model("cnn1", image_shape=(32, 32, 1), normalize=normalize)
    pixels = keras.Model(model.input, model.get_layer("gray_to_channels").output)
    images = np.concatenate([np.zeros((1, 32, 32, 1)), np.full((1, 32, 32, 1), 255)]).astype(np.uint8)
    values = pixels.predict_on_batch(images)
    assert values.shape == (2, 32, 32, 3)
    np.testing.assert_allclose([values.min(), values.max()], [low, high], atol=1e-6)


def test_lungcare_widths_double():
    model = build_model("cnn5", image_shape=(32, 32, 1))
    widths = [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert widths == [32, 64, 128, 256, 512]


@pytest.mark.parametrize(("side", "pool_to", "steps"), [(224, None, 49), (224, 2, 4), (96, 2, 4)])
def test_a_hybrid_reads_the_positions_of_its_feature_map_or_of_one_pooled_to_two_by_two(side, pool_to, steps):
    model = build_model("resnet50_lstm", image_shape=(side, side, 1), pool_to=pool_to)
    assert model.get_layer("positions_as_steps").output.shape == (None, steps, 2048)


def test_a_step_of_a_pooled_map_is_the_mean_of_its_quarter(monkeypatch):
    monkeypatch.setattr(recurrent, "backbone", lambda name, pixels, weights: pixels)  # the image is the feature map
    model = Model.model_validate(MODELS["resnet50_lstm"].model_dump() | {"pool_to": 2})
    image = keras.Input((4, 4, 3))
    built = keras.Model(image, recurrent.features(image, model, None))
    steps = keras.Model(image, built.get_layer("positions_as_steps").output)
    pixels = np.random.default_rng(0).random((1, 4, 4, 3), dtype=np.float32)
    quarters = [pixels[0, rows, columns] for rows in (slice(2), slice(2, 4)) for columns in (slice(2), slice(2, 4))]
    means = [quarter.mean(axis=(0, 1)) for quarter in quarters]
    np.testing.assert_allclose(steps.predict_on_batch(pixels)[0], means, rtol=1e-5)


def test_only_a_sequence_is_pooled():
    with pytest.raises(ValidationError, match="pool_to: expected a recurrent network behind a backbone"):
        build_model("resnet50", image_shape=(64, 64, 1), pool_to=2)


BACKBONE = {"backbone", "preprocessing", "unfrozen_layers"}
OPTIONS = {
    "cnn4": {"layers", "filters"},
    "vgg16": BACKBONE | {"pooling"},
    "lstm": {"cell", "recurrent_units"},
    "resnet50_lstm": BACKBONE | {"cell", "recurrent_units", "pool_to"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_options_of_a_model_are_those_of_its_family(name):
    options = MODELS[name].options
    assert options.keys() == OPTIONS[name] | {"family", "dense_units", "dropout", "head"}
    assert Model.model_validate(options) == MODELS[name]


def test_options_change_the_architecture():
    wide = build_model("vgg16", image_shape=(32, 32, 1), dense_units=8, head="softmax")
    assert wide.get_layer("dense").units == 8
    assert wide.output_shape == (None, 2)


def test_weights_come_from_a_file(tmp_path):
    path = tmp_path / "vgg16.weights.h5"
    donor = build_model("vgg16", image_shape=(32, 32, 1))
    donor.get_layer("vgg16").save_weights(path)
    model = build_model("vgg16", image_shape=(32, 32, 1), weights=path)
    np.testing.assert_array_equal(model.get_layer("vgg16").get_weights()[0], donor.get_layer("vgg16").get_weights()[0])


def test_weights_that_are_missing_or_of_another_backbone_are_refused(tmp_path):
    path = tmp_path / "vgg16.weights.h5"
    with pytest.raises(RontgenError, match="does not fit vgg16"):
        build_model("vgg16", image_shape=(32, 32, 1), weights=path)
    build_model("vgg16", image_shape=(32, 32, 1)).get_layer("vgg16").save_weights(path)
    with pytest.raises(RontgenError, match="does not fit mobilenetv2"):
        build_model("mobilenetv2", image_shape=(32, 32, 1), weights=path)


# torch is the mode of no shipped model
@pytest.mark.parametrize("name", ["resnet50v2", "vgg16", "mobilenetv2", "resnet50", "in the mode torch"])
def test_a_backbones_own_normalisation_is_that_of_keras_on_gray_images(name):
    shipped, changes = (name, {}) if name in MODELS else ("vgg16", {"preprocessing": "torch"})
    model = build_model(shipped, image_shape=(32, 32, 1), normalize="backbone", **changes)
    gray = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1)).astype(np.float32)
    module = sys.modules[build.application(MODELS[shipped].backbone).__module__]
    preprocess = (
        partial(keras.applications.imagenet_utils.preprocess_input, mode="torch")
        if changes
        else module.preprocess_input
    )
    normalized = keras.Model(model.input, model.get_layer("normalize").output)
    expected = preprocess(np.repeat(gray, 3, axis=-1))
    np.testing.assert_allclose(normalized.predict_on_batch(gray), expected, atol=1e-4)


def test_a_backbone_that_keras_lacks_is_refused():
    with pytest.raises(RontgenError, match=r"expected models of keras\.applications, in lower case, received 'vgg11'"):
        build.application("vgg11")


def test_a_feature_map_may_be_flattened():
    model = build_model("resnet50", image_shape=(64, 64, 1), pooling="flatten")
    assert model.get_layer("flatten").output.shape == (None, 2 * 2 * 2048)
