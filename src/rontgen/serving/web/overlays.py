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


def save(
    prediction: Prediction, image: np.ndarray, overlay: np.ndarray | None, predictor: Predictor, text: dict
) -> dict[str, bytes]:
    """A prediction as one sheet, {"png": …, "pdf": …}: picture, heatmap, bars, and what made them when.

    image, overlay: uint8 (H, W) and (H, W, 3). text: of texts.yaml in one language.
    """
    description, words = predictor.description, text["examine"]
    figure = Figure(figsize=(7.2, 6.4), **plots.STYLE)
    figure.suptitle(f"Rontgen: {prediction.decision} ({prediction.confidence:.1%})", fontsize=15)
    ratios = (3.4, 0.6 + 0.3 * len(predictor.classes), 0.9)
    upper, middle, lower = figure.subfigures(3, 1, squeeze=False, height_ratios=ratios)[:, 0]
    pictures = {words["picture"].format(description["size"]): image}
    if overlay is not None:
        pictures[words["heatmap"][predictor.explains]] = overlay
    for axes, (title, picture) in zip(np.atleast_1d(upper.subplots(1, len(pictures))), pictures.items(), strict=True):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
    _draw_bars(middle.add_subplot(), prediction.probabilities or {}, description["threshold"], words["probability"])
    lines = [
        f"{text['run']}: {predictor.name} ({description['model']}, {predictor.kind})",
        f"{text['commit']}: {predictor.trained.commit}",
        f"{text['date']}: {datetime.now().astimezone().isoformat(timespec='minutes')}",
        text["warning"],
    ]
    lower.text(0.02, 0.95, "\n".join(lines), va="top", fontsize=9, wrap=True)
    sheets = {}
    for kind in ("png", "pdf"):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind)
        sheets[kind] = buffer.getvalue()
    return sheets


def _draw_bars(axes: Axes, probabilities: dict[str, float], threshold: float | None, label: str) -> None:
    colors = [plots.CLASS_COLORS.get(name, plots.MUTED) for name in probabilities]
    bars = axes.barh(list(probabilities), list(probabilities.values()), color=colors, height=0.6)
    axes.bar_label(bars, fmt="{:.1%}", padding=3, fontsize=9)
    if threshold is not None:
        axes.axvline(threshold, color="black", linestyle=":", linewidth=1)
    axes.set_xlim(0, 1.12)
    axes.invert_yaxis()
    axes.set_xlabel(label, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
