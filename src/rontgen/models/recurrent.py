"""Recurrent networks: LSTM and ResNet50-LSTM (covid_hybrid), SimpleRNN (pirngadi)."""

from pathlib import Path

import keras
from keras import layers

from rontgen.core.settings import Model
from rontgen.models.build import backbone


def features(pixels: keras.KerasTensor, model: Model, weights: Path | None) -> keras.KerasTensor:
    """Read a sequence with one recurrent layer after another. (N, H, W, C) to (N, units of the last).

    With a backbone the positions of its feature map are the steps, ResNet50's 7×7×2048 as 49 of 2048, or, averaged to
    pool_to × pool_to first, as 4 (covid_hybrid, Section 2.3, has "2x2"); without one the rows of the image (pirngadi;
    ours for covid_hybrid's LSTM, where the paper does not say).
    """
    if model.backbone:
        feature_map = backbone(model.backbone, pixels, weights)
        if model.pool_to:
            feature_map = layers.AdaptiveAveragePooling2D(model.pool_to, name="pooled_map")(feature_map)
        sequence = layers.Reshape((-1, feature_map.shape[-1]), name="positions_as_steps")(feature_map)
    else:
        height, width, channels = pixels.shape[1:]
        sequence = layers.Reshape((height, width * channels), name="rows_as_steps")(pixels)
    kind = layers.SimpleRNN if model.cell == "simple_rnn" else layers.LSTM
    assert model.recurrent_units  # settings.Model requires them
    units = model.recurrent_units
    for index, width in enumerate(units):
        sequence = kind(width, return_sequences=index + 1 < len(units), name=f"recurrent{index + 1}")(sequence)
    return sequence
