"""The forest plot of the verdicts: each published accuracy, and the results of real runs for each reading."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rontgen.core.vocabulary import CONTRADICTORY, NOT_RUN, PROTOCOL
from rontgen.reporting import plots
from rontgen.reporting.plots import BLACK, BLUE, VERMILLION

# The shapes distinguish the paper's from ours without colors
PAPER_COLOR, CONTRADICTORY_COLOR, OUR_COLOR, MUTED = BLACK, VERMILLION, BLUE, "#595959"
LINE = 0.21  # inches from one line of the figure to the next
GAP = 0.3  # lines between two published rows


def draw(endpoints: pd.DataFrame, path: Path) -> None:
    """A PNG, 900 pixels wide: for each published row the paper's accuracy with its exact 95% interval, and below it,
    for each treatment that was run, the mean over our seeds with the 95% prediction interval.

    endpoints: of verdicts.Claims. The protocol is filled, another reading hollow. A published accuracy that other
    numbers of the paper contradict has another colour and a cross. A row without records is marked as not run.
    """
    lines = []  # the published row or reading of each line, and where it lies
    place = 0.0
    for _, rows in endpoints.groupby("run", sort=False):
        lines.append((place, rows.iloc[0], False))
        for _, row in rows[rows.seeds > 0].iterrows():
            place += 1
            lines.append((place, row, True))
        place += 1 + GAP
    figure = Figure(figsize=(6, 1.15 + LINE * place), dpi=150, layout="constrained")
    axes = figure.subplots()
    edge = axes.get_yaxis_transform()
    for place, row, is_ours in lines:
        if is_ours:
            fill = OUR_COLOR if row.reading == PROTOCOL else "white"
            axes.hlines(place, row.low, row.high, color=OUR_COLOR, linewidth=1.3)
            axes.plot(row["mean"], place, "D", markersize=4.5, markerfacecolor=fill, markeredgecolor=OUR_COLOR)
            said = f"{'narrowly ' if row.narrow else ''}{row.verdict}, {row.seeds} seed{'s' if row.seeds > 1 else ''}"
            color = OUR_COLOR
        else:
            contradictory = row.verdict == CONTRADICTORY
            color, accuracy = CONTRADICTORY_COLOR if contradictory else PAPER_COLOR, float(row.paper)
            axes.hlines(place, row.paper_low, row.paper_high, color=color, linewidth=1.3)
            axes.plot(accuracy, place, "o", markersize=6, markerfacecolor="white", markeredgecolor=color)
            if contradictory:
                axes.plot(accuracy, place, "x", markersize=4.5, color=color)
            said, color = _beside_the_paper(row, endpoints), MUTED
        axes.text(1.02, place, said, transform=edge, fontsize=7.5, color=color, va="center", clip_on=False)
    labels = [row.label.partition(",")[0] if is_ours else row.run for _, row, is_ours in lines]
    axes.set_yticks([place for place, *_ in lines], labels, fontsize=7.5)
    for tick, (_, _, is_ours) in zip(axes.get_yticklabels(), lines, strict=True):
        tick.set_color(OUR_COLOR if is_ours else PAPER_COLOR)
    axes.set_ylim(lines[-1][0] + 0.7, -0.7)
    axes.set_xlabel("accuracy on the test images", fontsize=8)
    axes.tick_params(axis="x", labelsize=7.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    _legend(figure, axes)
    plots.save(figure, path)


def _beside_the_paper(row: pd.Series, endpoints: pd.DataFrame) -> str:
    """The text beside a published row: none if our lines below it have the verdict."""
    if endpoints[endpoints.run == row.run].seeds.any():
        return ""
    return row.verdict if row.verdict == NOT_RUN else f"{row.verdict}, {NOT_RUN}"


def _legend(figure: Figure, axes: Axes) -> None:
    hollow: dict[str, Any] = {"markerfacecolor": "white", "linewidth": 1.3}
    axes.plot([], [], "o-", color=PAPER_COLOR, label="paper", markersize=6, **hollow)
    axes.plot([], [], "o-", color=CONTRADICTORY_COLOR, label="paper, contradicts itself (×)", markersize=6, **hollow)
    axes.plot([], [], "D-", color=OUR_COLOR, label="ours, by the protocol", markersize=4.5, linewidth=1.3)
    axes.plot([], [], "D-", color=OUR_COLOR, label="ours, another reading", markersize=4.5, **hollow)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=7.5)
    figure.suptitle("Published accuracy, and what real runs gave: 95% intervals", fontsize=9.5)
