"""Figures of the audits: leaks of splits, near duplicates, and shortcuts."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rontgen.reporting.plots import BLUE, CLASS_COLORS, CLASS_MARKERS, ORANGE, STYLE, VERMILLION, save, show_xray

KIND_COLORS = {"exact": VERMILLION, "near": ORANGE, "patient": BLUE}

EXAMPLES = 6  # near pairs that are drawn
NAME_LENGTH = 26  # letters of a name that are drawn


def leaks(splits: dict[str, dict], path: Path) -> None:
    """Draw the share of each split's test images that leak, by kind, as a PNG; splits: of leakage.audit."""
    figure = Figure(figsize=(6, 0.9 + 0.5 * len(splits)), **STYLE)
    axes = figure.add_subplot()
    for row, (name, counts) in enumerate(splits.items()):
        axes.text(-1.5, row - 0.14, name, ha="right", va="center", fontsize=9)
        size, unknown = f"{counts['test_images']} test images", counts["test_unknown_patient"]
        size += f", {unknown} of unknown patients" if unknown else ""
        axes.text(-1.5, row + 0.22, size, ha="right", va="center", fontsize=7)
        if counts["test_any"] == 0:
            axes.text(1, row, "none known", va="center", fontsize=8)
            continue
        for place, (kind, color) in enumerate(KIND_COLORS.items()):
            found, y = counts[f"test_{kind}"], row + 0.27 * (place - 1)
            share = 100 * found / counts["test_images"]
            axes.barh(y, share, height=0.25, color=color)
            axes.annotate(f"{kind} {found}", (share, y), (3, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set(xlim=(0, 112), ylim=(len(splits) - 0.4, -0.6), xticks=range(0, 101, 20), yticks=[])
    axes.set_xlabel("% of the test images")
    figure.suptitle("Test images with a copy, or another image of the patient,\nin train or validation", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def near_pairs(pairs: pd.DataFrame, images: pd.DataFrame, thumbnails: np.ndarray, path: Path) -> None:
    """Draw the EXAMPLES near pairs that agree least, as thumbnails side by side, as a PNG."""
    near = pairs[pairs["kind"] == "near"].sort_values(["agreement", "first", "second"]).head(EXAMPLES)
    figure = Figure(figsize=(6, 0.6 + 1.75 * max(1, -(-len(near) // 2))), **STYLE)
    figure.suptitle(
        f"Near duplicates: the {len(near)} pairs that agree least" if len(near) else "No near duplicate found",
        fontsize=10,
    )
    for place, pair in enumerate(near.itertuples()):
        # two pairs in a row, parted by a narrow empty column
        grid = figure.add_gridspec(-(-len(near) // 2), 5, width_ratios=[1, 1, 0.15, 1, 1])
        for side, index in enumerate((pair.first, pair.second)):
            axes = figure.add_subplot(grid[place // 2, 3 * (place % 2) + side])
            show_xray(axes, thumbnails[index])
            image = images.iloc[index]
            axes.set_title(_end_of_name(image["member"]), fontsize=6.5)
            axes.set_xlabel(f"{image['width']}×{image['height']}, {image['class']}", fontsize=6.5)
    save(figure, path)


def shortcuts(probes: dict[str, dict], images: pd.DataFrame, title: str, path: Path) -> None:
    """Draw width against height of every image, and the ROC-AUC of each probe with its interval, as a PNG."""
    figure = Figure(figsize=(7.2, 3.6), **STYLE)
    sizes, areas = figure.subplots(1, 2)
    for name, count in images["class"].value_counts().items():  # the largest class lowest
        ours = images[images["class"] == name]
        color, marker = CLASS_COLORS.get(name), CLASS_MARKERS.get(name)
        label = f"{name} ({count})"
        sizes.scatter(ours["width"], ours["height"], s=9, color=color, marker=marker, alpha=0.6, lw=0, label=label)
    different = len(images[["width", "height"]].drop_duplicates())
    sizes.set_title("all images of one size" if different == 1 else f"{different} sizes", fontsize=9)
    sizes.set(xlabel="width (pixels)", ylabel="height (pixels)")
    sizes.legend(frameon=False, fontsize=8, markerscale=1.6)
    _probe_scores(areas, probes)
    figure.suptitle(title)
    save(figure, path)


def _probe_scores(axes: Axes, probes: dict[str, dict]) -> None:
    for row, result in enumerate(probes.values()):
        axes.plot([result["low"], result["high"]], [row, row], color="black", linewidth=1.5)
        axes.plot(result["roc_auc"], row, "o", color="black", markersize=5)
        axes.text(1.04, row, f"{result['roc_auc']:.3f}", va="center", fontsize=9)
    axes.axvline(0.5, color="0.6", linestyle=":")
    axes.text(0.51, -0.7, "chance", va="center", color="0.4", fontsize=8)
    axes.set_xlim(min(0.4, *(result["low"] - 0.05 for result in probes.values())), 1.02)
    axes.set_ylim(len(probes) - 0.5, -1)
    axes.set_yticks(range(len(probes)), list(probes))
    axes.set_xlabel("ROC-AUC, 95% interval by patient")
    axes.spines[["top", "right"]].set_visible(False)


def _end_of_name(member: str) -> str:
    """The end of a member's name, which has the number that identifies it."""
    name = member.rpartition("/")[2]
    return name if len(name) <= NAME_LENGTH else "…" + name[1 - NAME_LENGTH :]
