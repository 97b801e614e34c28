"""Figures of the data: numbers of images, contact sheets, and SMOTE's images beside their parents."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from rontgen.reporting.plots import CLASS_COLORS, STYLE, save, show_xray

# Of a contact sheet: images in a row, pixels of a tile, which keep a sheet of real X-rays below 1 MB, and inches
SHEET_COLUMNS, TILE = 8, 90
SHEET_WIDTH, LABEL_WIDTH, TITLE_HEIGHT = 6.6, 1.7, 0.4


def class_counts(table: pd.DataFrame, title: str, path: Path) -> None:
    """Draw the numbers of images as a PNG, a bar for each class in each subset, the synthetic ones hatched on top.

    table: class, subset, real and synthetic (numbers of images); classes and subsets are drawn in its order.
    """
    subsets, classes = table["subset"].unique(), table["class"].unique()
    figure = Figure(figsize=(7.2, 3.8), **STYLE)
    axes = figure.add_subplot()
    width = 0.86 / len(classes)
    for index, name in enumerate(classes):
        rows = table[table["class"] == name].set_index("subset").reindex(subsets, fill_value=0)
        x = np.arange(len(subsets)) + (index - (len(classes) - 1) / 2) * width
        style: dict[str, Any] = {"width": width * 0.94, "edgecolor": "black", "linewidth": 0.6}
        color = CLASS_COLORS.get(name)
        axes.bar(x, rows["real"], color=color, label=name, **style)
        axes.bar(x, rows["synthetic"], bottom=rows["real"], color=color, alpha=0.45, hatch="///", **style)
        for place, real, synthetic in zip(x, rows["real"], rows["synthetic"], strict=True):
            text = f"{real:,}\n+{synthetic:,}" if synthetic else f"{real:,}"
            axes.annotate(
                text, (place, real + synthetic), (0, 2), textcoords="offset points", ha="center", fontsize=7.5
            )
    axes.set_xticks(range(len(subsets)), subsets)
    axes.set(ylim=(0, 1.15 * (table["real"] + table["synthetic"]).max()), ylabel="images", title=title)
    handles = axes.get_legend_handles_labels()[0]
    if table["synthetic"].any():
        handles.append(Patch(facecolor="white", edgecolor="black", hatch="///", label="synthetic"))
    axes.legend(handles=handles, frameon=False, fontsize=9)
    save(figure, path)


def smote_examples(rows: list[tuple[np.ndarray, np.ndarray, np.ndarray, float, str]], title: str, path: Path) -> None:
    """Draw synthetic images between their two parents as a PNG, a row for each.

    rows: (first parent, synthetic, second parent, step, class), the images uint8 (H, W).
    """
    figure = Figure(figsize=(6.4, 0.7 + 2.2 * len(rows)), **STYLE)
    grid = figure.subplots(len(rows), 3, squeeze=False)
    for axes, (first, synthetic, second, step, name) in zip(grid, rows, strict=True):
        captions = (f"first parent, {name}", f"first + {step:.2f} × (second − first)", "second parent")
        for place, image, caption in zip(axes, (first, synthetic, second), captions, strict=True):
            show_xray(place, image)
            place.set_xlabel(caption, fontsize=9)
        for spine in axes[1].spines.values():
            spine.set(color=CLASS_COLORS.get(name), linewidth=3)
    for place, heading in zip(grid[0], ("real", "synthetic", "real"), strict=True):
        place.set_title(heading, fontsize=10)
    figure.suptitle(title)
    save(figure, path)


def contact_sheet(images: dict[tuple[str, str], np.ndarray], title: str, path: Path) -> None:
    """Draw up to 8 images of each subset and class as a PNG, a row for each, with a stripe in the class's colour.

    images: uint8 (n, H, W) by subset and class, all of one size. Larger ones are shrunk; what is not there is white.
    """
    height, width = next(iter(images.values())).shape[1:]
    scale = min(1, TILE / max(height, width))
    height, width = max(1, round(height * scale)), max(1, round(width * scale))
    gap = max(1, width // 25)
    sheet = np.full((len(images) * (height + gap), SHEET_COLUMNS * (width + gap) + 2 * gap, 3), 255, np.uint8)
    for row, ((_, name), tiles) in enumerate(images.items()):
        rows = slice(row * (height + gap), row * (height + gap) + height)
        sheet[rows, : 2 * gap] = np.rint(255 * np.array(to_rgb(CLASS_COLORS.get(name, "black"))))
        for column, tile in enumerate(tiles[:SHEET_COLUMNS]):
            left = 3 * gap + column * (width + gap)
            small = Image.fromarray(tile).resize((width, height), Image.Resampling.LANCZOS)
            sheet[rows, left : left + width] = np.asarray(small)[..., None]

    sheet_height = (SHEET_WIDTH - LABEL_WIDTH) * sheet.shape[0] / sheet.shape[1]
    figure = Figure(figsize=(SHEET_WIDTH, sheet_height + TITLE_HEIGHT), dpi=STYLE["dpi"])
    share = sheet_height / (sheet_height + TITLE_HEIGHT)
    axes = figure.add_axes((LABEL_WIDTH / SHEET_WIDTH, 0, 1 - LABEL_WIDTH / SHEET_WIDTH, share))
    axes.imshow(sheet)
    labels = [f"{subset} / {name}" for subset, name in images]
    axes.set_yticks(np.arange(len(images)) * (height + gap) + height / 2, labels, fontsize=8)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.suptitle(title, y=1 - 0.1 / figure.get_figheight())
    save(figure, path)
