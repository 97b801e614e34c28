"""Recurrent networks: LSTM and ResNet50-LSTM (covid_hybrid), SimpleRNN (pirngadi)."""

from pathlib import Path

from keras import layers

from rontgen.models.blocks import backbone

PAPER = {
    # covid_hybrid: test accuracy 0.95. The dropout rate is ours.
    "resnet50_lstm": {
        "recurrent_units": [32, 16, 8],
        "dense_units": None,
        "dropout": 0.2,
        "head": "sigmoid",
        "unfrozen_layers": 0,
    },
    # covid_hybrid: test accuracy 0.84. The dropout rate is ours.
    "lstm": {"recurrent_units": [32, 16, 8], "dense_units": None, "dropout": 0.2, "head": "sigmoid"},
    # pirngadi: test accuracy 0.72. The dropout rate is ours.
    "simple_rnn": {"recurrent_units": [128], "dense_units": 64, "dropout": 0.5, "head": "softmax"},
}


def features(pixels, name: str, weights: Path | None, options: dict):
    """Read a sequence with one recurrent layer after another. (N, H, W, C) to (N, units of the last).

    resnet50_lstm reads ResNet50's feature map as steps, 7×7×2048 as 49 of 2048 (covid_hybrid, "2x2" in its text);
    the others read the rows of the image as steps (pirngadi; ours for lstm, where the paper does not say).
    """
    if name == "resnet50_lstm":
        feature_map = backbone("resnet50", pixels, weights)
        sequence = layers.Reshape((-1, feature_map.shape[-1]), name="positions_as_steps")(feature_map)
    else:
        height, width, channels = pixels.shape[1:]
        sequence = layers.Reshape((height, width * channels), name="rows_as_steps")(pixels)
    kind = layers.SimpleRNN if name == "simple_rnn" else layers.LSTM
    units = options["recurrent_units"]
    for index, width in enumerate(units):
        sequence = kind(width, return_sequences=index + 1 < len(units), name=f"recurrent{index + 1}")(sequence)
    return sequence
