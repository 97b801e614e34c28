"""The models of params.yaml as they are shipped, built as a test wants them."""

from pathlib import Path

from rontgen.core import params, settings
from rontgen.models import build

MODELS = params.load(Path(__file__).parents[1] / "params.yaml").models


def build_model(name, image_shape=(224, 224, 1), classes=2, weights=None, *, channels=3, normalize="unit", **changes):
    model = settings.Model.model_validate(MODELS[name].model_dump() | changes)
    return build.build_model(name, model, image_shape, classes, weights, channels=channels, normalize=normalize)
