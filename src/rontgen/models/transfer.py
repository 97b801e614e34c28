"""ImageNet backbones with a new head: ResNet50V2 and VGG16 (smatika), MobileNetV2 (jitet), ResNet50 (covid_hybrid)."""

from pathlib import Path

import keras
from keras import layers

from rontgen.core.settings import Model
from rontgen.models.build import backbone


def features(pixels: keras.KerasTensor, model: Model, weights: Path | None) -> keras.KerasTensor:
    """The backbone's last feature map, averaged or flattened. (N, H, W, 3) to (N, features)."""
    assert model.backbone  # settings.Model requires it
    feature_map = backbone(model.backbone, pixels, weights)
    if model.pooling == "flatten":
        return layers.Flatten(name="flatten")(feature_map)
    return layers.GlobalAveragePooling2D(name="average_pool")(feature_map)
