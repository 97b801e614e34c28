"""Pictures of a prediction: the heatmap over the X-ray, and the sheet that a person saves."""

import io
from datetime import datetime

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from rontgen.reporting import plots
from rontgen.serving.predictor import Prediction, Predictor


def overlay(image: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """The heatmap over the image: uint8 (H, W, 3). image: uint8 (H, W). heatmap: float32 in [0, 1], of any size."""
    height, width = image.shape
    heat = np.asarray(Image.fromarray(heatmap).resize((width, height), Image.Resampling.BILINEAR))
    colors = plots.HEAT(np.clip(heat, 0, 1))
    alpha = colors[..., 3:]
    return (image[..., None] * (1 - alpha) + 255 * colors[..., :3] * alpha).round().astype(np.uint8)


def save(prediction: Prediction, predictor: Predictor, text: dict) -> dict[str, bytes]:
    """A prediction as one sheet, {"png": …, "pdf": …}: picture, heatmap, bars, and what made them when.

    text: of texts.yaml in one language.
    """
    figure = Figure(figsize=(7.2, 6.4), **plots.STYLE)
    figure.suptitle(f"Rontgen: {prediction.decision} ({prediction.confidence:.1%})", fontsize=15)
    parts = figure.subfigures(3, 1, squeeze=False, height_ratios=(3.4, 0.6 + 0.3 * len(predictor.classes), 0.9))
    upper, middle, lower = parts[:, 0]
    pictures = {text["examine"]["picture"].format(predictor.description["size"]): prediction.image}
    if prediction.image is not None and prediction.heatmap is not None and predictor.explains:
        pictures[text["examine"]["heatmap"][predictor.explains]] = overlay(prediction.image, prediction.heatmap)
    for axes, (title, picture) in zip(np.atleast_1d(upper.subplots(1, len(pictures))), pictures.items(), strict=True):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
    _bars(middle.add_subplot(), prediction, predictor, text)
    description = predictor.description
    lines = [
        f"{text['run']}: {predictor.name} ({description['model']}, {predictor.kind})",
        f"{text['commit']}: {predictor.trained.commit}",
        f"{text['date']}: {datetime.now().astimezone().isoformat(timespec='minutes')}",
        text["warning"],
    ]
    lower.text(0.02, 0.95, "\n".join(lines), va="top", fontsize=9, wrap=True)
    sheets = {}
    for kind, metadata in (("png", {"Software": None}), ("pdf", {"Producer": None, "Creator": "Rontgen"})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, metadata=metadata)
        sheets[kind] = buffer.getvalue()
    return sheets


def _bars(axes: Axes, prediction: Prediction, predictor: Predictor, text: dict) -> None:
    probabilities = prediction.probabilities or {}
    names, values = list(probabilities), list(probabilities.values())
    axes.barh(names, values, color=[plots.CLASS_COLORS.get(name, plots.MUTED) for name in names], height=0.6)
    for row, value in enumerate(values):
        axes.text(value + 0.01, row, f"{value:.1%}", va="center", fontsize=9)
    if predictor.description["threshold"] is not None:
        axes.axvline(predictor.description["threshold"], color="black", linestyle=":", linewidth=1)
    axes.set_xlim(0, 1.12)
    axes.invert_yaxis()
    axes.set_xlabel(text["examine"]["probability"], fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
