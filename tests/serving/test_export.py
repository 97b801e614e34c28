"""An exported model gives the answers of the Keras model; what cannot be exported stops with an error."""

import numpy as np
import pytest

from rontgen.core.errors import RontgenError
from rontgen.evaluation.metrics import predict, prediction_table
from rontgen.serving import export
from shipped_models import build_model

SIZE = 32
EXACT = ("onnx", "litert")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (12, SIZE, SIZE, 1), np.uint8)


@pytest.fixture(scope="module", params=["cnn2", "simple_rnn", "lstm"])
def model(request, images):
    return called(build_model(request.param, (SIZE, SIZE, 1), 2, None), images)


def called(model, images):
    """The model after a prediction, without which Keras does not export it."""
    predict(model, images)
    return model


@pytest.mark.parametrize("kind", EXACT)
def test_an_exported_file_gives_keras_probabilities(model, images, kind, tmp_path):
    path = tmp_path / export.FILES[kind]
    export.convert(model, kind, images, path)
    found = predict(export.open_file(kind, path, threads=1), images)
    assert np.abs(found - predict(model, images)).max() <= export.TOLERANCE


def test_int8_is_a_fraction_of_the_size_and_near(images, tmp_path):
    model = called(build_model("cnn2", (SIZE, SIZE, 1), 4, None), images)
    paths = {kind: tmp_path / export.FILES[kind] for kind in ("litert", "litert_int8")}
    for kind, path in paths.items():
        export.convert(model, kind, images, path)
    assert paths["litert_int8"].stat().st_size < paths["litert"].stat().st_size / 3
    found = predict(export.open_file("litert_int8", paths["litert_int8"], threads=1), images)
    assert found.shape == (12, 4)
    assert 0 < np.abs(found - predict(model, images)).max() < 0.05


def test_what_no_converter_takes_is_one_line(images, tmp_path):
    with pytest.raises(RontgenError, match=r"^model\.onnx: expected a model that onnx can hold, received [^\n]*$"):
        export.convert(object(), "onnx", images, tmp_path / "model.onnx")


@pytest.mark.parametrize("kind", export.FILES)
def test_a_damaged_file_is_one_line(kind, tmp_path):
    path = tmp_path / export.FILES[kind]
    path.write_bytes(b"nothing")
    with pytest.raises(RontgenError, match=r"expected an? \w+ model, received [^\n]*$"):
        export.open_file(kind, path, threads=1)


def test_a_decision_is_at_the_threshold_or_for_the_most_probable():
    assert export.decide(np.array([[0.5, 0.5], [0.51, 0.49]]), export.THRESHOLD).tolist() == [1, 0]
    assert export.decide(np.array([[0.2, 0.5, 0.3], [0.4, 0.3, 0.3]]), None).tolist() == [1, 0]


def test_the_threshold_is_that_at_which_evaluate_decides():
    probabilities = np.array([[1 - share, share] for share in (0.4999, 0.5, 0.5001)])
    table = prediction_table(list("abc"), list("abc"), ["A"] * 3, ["A", "B"], probabilities)
    decided = export.decide(probabilities, export.THRESHOLD)
    assert table["predicted"].tolist() == np.array(["A", "B"])[decided].tolist()
