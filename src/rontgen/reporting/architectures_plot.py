"""The figure of the architectures: accuracy against cost."""

from pathlib import Path

from matplotlib.figure import Figure

from rontgen.claims.architectures import Table
from rontgen.reporting import plots
from rontgen.reporting.plots import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY_BLUE, VERMILLION

COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY_BLUE, BLACK)
MARKERS = "osD^vPX<>ph*d"  # the second cue: with 7 colours, 13 markers make 91 pairs
SMALL = 8  # points of text


def draw(table: Table | None, path: Path) -> None:
    """A PNG for 700 pixels: of each architecture the mean accuracy with its 95% interval over seeds, against the
    milliseconds that it takes for one image on one core, and against its parameters."""
    figure = Figure(figsize=(7, 3.6), dpi=200, layout="constrained")
    costs = {
        "milliseconds an image, one core, Keras": lambda one: one.milliseconds.get("keras"),
        "parameters": lambda one: one.parameters,
    }
    for axes, (label, cost) in zip(figure.subplots(1, 2, sharey=True), costs.items(), strict=True):
        for number, one in enumerate(table.architectures if table else []):
            if cost(one):
                found = one.score("accuracy")
                reach = [[found.mean - found.low], [found.high - found.mean]]
                axes.errorbar(
                    cost(one), found.mean, reach, fmt=MARKERS[number % len(MARKERS)],
                    color=COLORS[number % len(COLORS)], markersize=5, linewidth=1, capsize=2, label=one.name,
                )  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlabel(label, fontsize=SMALL)
        axes.margins(x=0.15)
        axes.tick_params(labelsize=SMALL - 1)
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("accuracy on the test images", fontsize=SMALL)
    figure.suptitle("Which architecture, everything else equal? (mean and 95% interval over seeds)", fontsize=SMALL)
    if table:
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right center", frameon=False, fontsize=SMALL - 1)
    plots.save(figure, path)
