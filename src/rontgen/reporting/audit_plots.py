"""Figures of the audits: leaks of splits, near duplicates, the leakage gap, and shortcuts."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rontgen.reporting.plots import BLUE, CLASS_COLORS, CLASS_MARKERS, ORANGE, STYLE, VERMILLION, save

KIND_COLORS = {"exact": VERMILLION, "near": ORANGE, "patient": BLUE}

EXAMPLES = 6  # near pairs that are drawn
NAME_LENGTH = 26  # letters of a name that are drawn

SEVERAL_SEEDS = {"color": BLUE, "marker": "o", "label": "mean over the seeds, with its 95% interval"}
ONE_SEED = {"color": "0.45", "marker": "o", "mfc": "white", "label": "one seed each: shows nothing about the split"}


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
    axes.set_xlim(0, 112)
    axes.set_ylim(len(splits) - 0.4, -0.6)
    axes.set_xticks(range(0, 101, 20))
    axes.set_yticks([])
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
            axes.imshow(thumbnails[index], cmap="gray", vmin=0, vmax=255)
            axes.set_xticks([])
            axes.set_yticks([])
            image = images.iloc[index]
            axes.set_title(_short(image["member"]), fontsize=6.5)
            axes.set_xlabel(f"{image['width']}×{image['height']}, {image['class']}", fontsize=6.5)
    save(figure, path)


def leakage_gap(measured: dict[str, dict[str, dict]], is_demo: bool, path: Path) -> None:
    """Draw the gap of each run's accuracy as a PNG, the records above the workspace.

    measured: under "records" and "workspace" what leakage_gap.measure gives, by run. Each has an axis of its own, since
    real X-rays and the demo's drawn images cannot be compared.
    """
    titles = {
        "records": "Records: real X-rays",
        "workspace": "This workspace" + (": drawn images of the demo profile" if is_demo else ""),
    }
    panels = [(title, measured[source]) for source, title in titles.items() if measured[source]]
    heights = [len(found) + 2.2 for _, found in panels]
    figure = Figure(figsize=(7.5, 1.2 + 0.26 * sum(heights)), **STYLE)
    column = figure.subplots(len(panels), squeeze=False, height_ratios=heights)[:, 0]
    used = {}
    for axes, (title, found) in zip(column, panels, strict=True):
        for place, gap in enumerate(found.values()):
            accuracy, style = gap["metrics"]["accuracy"], ONE_SEED if gap["seeds"] == 1 else SEVERAL_SEEDS
            if "low" in accuracy:
                axes.plot([accuracy["low"], accuracy["high"]], [place, place], color=style["color"], linewidth=1.8)
            used[style["label"]] = axes.plot(accuracy["gap"], place, linestyle="", markersize=6, **style)[0]
        axes.axvline(0, color="0.4", linewidth=1, zorder=1)
        counts = [f", {gap['seeds']} seeds" if gap["seeds"] > 1 else "" for gap in found.values()]
        axes.set_yticks(range(len(found)), [name + count for name, count in zip(found, counts, strict=True)])
        axes.set_ylim(len(found) - 0.4, -0.6)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.set_title(title, fontsize=10)
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    axes.set_xlabel("accuracy on the paper's split minus accuracy without known leaks")
    known = "" if measured["records"] else ": unknown, for no run has records of both splits yet"
    figure.suptitle("Leakage gap" + known)
    figure.legend(handles=list(used.values()), loc="outside lower center", ncols=2, frameon=False)
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
    sizes.set_xlabel("width (pixels)")
    sizes.set_ylabel("height (pixels)")
    sizes.legend(frameon=False, fontsize=8, markerscale=1.6)
    _probe_scores(areas, probes)
    figure.suptitle(title)
    save(figure, path)


def probe_scores(datasets: dict[str, dict], path: Path) -> None:
    """Draw the ROC-AUC of each probe with its interval, a panel for each dataset, as a PNG.

    datasets: what shortcuts.probe gives, by dataset.
    """
    heights = [len(found["probes"]) + 2.5 for found in datasets.values()]
    figure = Figure(figsize=(6, 0.3 + 0.24 * sum(heights)), **STYLE)
    column = figure.subplots(len(datasets), squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, found) in zip(column, datasets.items(), strict=True):
        _probe_scores(axes, found["probes"])
        axes.set_title(f"{name}: {found['images']:,} images", fontsize=9)
    for axes in column[:-1]:
        axes.set_xlabel("")
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


def _short(member: str) -> str:
    """The end of a member's name, which has the number that identifies it."""
    name = member.rpartition("/")[2]
    return name if len(name) <= NAME_LENGTH else "…" + name[1 - NAME_LENGTH :]
