"""The figure of the verdicts: each published accuracy, our seeds, and how far apart the two are."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rontgen.claims.replication import MARGIN
from rontgen.claims.studies import Study
from rontgen.claims.verdicts import Row
from rontgen.core.vocabulary import PROTOCOL
from rontgen.reporting import plots
from rontgen.reporting.plots import BLACK, BLUE, SKY_BLUE

MUTED = "#595959"
LINE = 0.2  # inches from one line of the figure to the next
ENDS = (-0.45, 0.45)  # of the differences that are drawn
SMALL, TINY = 8, 7  # points of text


def draw(studies: list[Study], path: Path) -> None:
    """A PNG for 700 pixels: for each published row and each treatment that is recorded a line, sorted by study.

    Left, the paper's accuracy with its exact 95% interval, and below it on the same line each of our seeds; right, the
    90% interval of the difference over the margin of 10 points. Filled by our completion, hollow by another reading.
    """
    lines: list[Row | str] = []
    for study in studies:
        lines += [study.name, *study.rows]
    figure = Figure(figsize=(7, 1.2 + LINE * len(lines)), dpi=200, layout="constrained")
    accuracy, apart = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
    apart.axvspan(-MARGIN, MARGIN, color=SKY_BLUE, alpha=0.25, linewidth=0)
    apart.axvline(0, color=MUTED, linewidth=0.8, linestyle=":")
    for place, row in enumerate(lines):
        if isinstance(row, Row):
            _line(accuracy, apart, place, row)
    accuracy.set_yticks(range(len(lines)), [_label(line) for line in lines], fontsize=TINY)
    for tick, line in zip(accuracy.get_yticklabels(), lines, strict=True):
        tick.set_fontweight("bold" if isinstance(line, str) else "normal")
        tick.set_color(BLACK if isinstance(line, str) or line.records else MUTED)
    accuracy.set(xlim=(0.38, 1.02), ylim=(len(lines) - 0.4, -0.6))
    accuracy.set_xlabel("accuracy on the test images", fontsize=SMALL)
    apart.set_xlim(*ENDS)
    apart.set_xticks([-0.4, -0.2, 0, 0.2, 0.4], ["−40", "−20", "0", "20", "40"])
    apart.set_xlabel("paper less ours, points", fontsize=SMALL)
    for axes in (accuracy, apart):
        axes.tick_params(axis="x", labelsize=TINY)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="0.92")
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
    _legend(figure, accuracy, apart)
    plots.save(figure, path)


def _line(accuracy: Axes, apart: Axes, place: int, row: Row) -> None:
    fill = BLUE if row.reading == PROTOCOL else "white"
    accuracy.hlines(place - 0.14, *row.paper_interval, color=BLACK, linewidth=1)
    accuracy.plot(float(row.paper.number), place - 0.14, "|", color=BLACK, markersize=6)
    accuracy.plot(row.accuracies, [place + 0.2] * len(row.records), "o", markersize=3.2, mfc=fill, mec=BLUE)
    found = row.replication
    if found and found.bound == found.bound:
        low, high = max(found.least, ENDS[0]), min(found.greatest, ENDS[1])
        apart.hlines(place, low, high, color=BLUE, linewidth=1.6)
        apart.plot(float(row.paper.number) - found.mean, place, "o", markersize=3.2, mfc=fill, mec=BLUE)
    color = BLACK if row.records else MUTED
    apart.text(1.03, place, row.short, transform=apart.get_yaxis_transform(), fontsize=TINY, va="center", color=color)


def _label(line: Row | str) -> str:
    """A study's name, or the run without it, and the reading; what else was set is on the study's page."""
    if isinstance(line, str):
        return line
    run = line.run.removeprefix(f"{line.study}_")
    if not line.records:
        return run
    label, _, more = line.label.partition(", ")
    return f"{run}, {label}{' …' if more else ''}"


def _legend(figure: Figure, accuracy: Axes, apart: Axes) -> None:
    accuracy.plot([], [], "|-", color=BLACK, label="the paper, with its 95% interval", markersize=6, linewidth=1)
    accuracy.plot([], [], "o", color=BLUE, label="our seeds (hollow: another reading)", markersize=3.5)
    apart.plot([], [], "o-", color=BLUE, label="difference, 90% interval", markersize=4)
    apart.fill_between([], [], color=SKY_BLUE, alpha=0.25, linewidth=0, label="within 10 points")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=TINY)
    title = "How close are our runs?   …: further settings   *: on a condition   †: another training"
    figure.suptitle(title, fontsize=SMALL, x=0.01, ha="left")
