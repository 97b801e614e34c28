"""CNN of 1 to 5 layers (lungcare, Primakara University): accuracy 0.79, 0.87, 0.80, 0.87, 0.81 in its layer study."""

from pathlib import Path

import keras
from keras import layers

from rontgen.core.settings import Model


def features(pixels: keras.KerasTensor, model: Model, weights: Path | None) -> keras.KerasTensor:
    """N × [Conv2D 3×3 relu, BatchNormalization, MaxPooling2D 2×2], Flatten. (N, H, W, C) to (N, features).

    The paper gives the first layer 32 filters and no width for the rest; each doubles the one before. Padding is
    not given either; `same` keeps five layers possible on small images.
    """
    x = pixels
    assert model.layers and model.filters  # settings.Model requires them
    for index in range(model.layers):
        x = layers.Conv2D(model.filters * 2**index, 3, padding="same", activation="relu", name=f"conv{index + 1}")(x)
        x = layers.BatchNormalization(name=f"normalization{index + 1}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{index + 1}")(x)
    return layers.Flatten(name="flatten")(x)
