"""The figure of the architectures: accuracy against cost."""

from pathlib import Path

from matplotlib.figure import Figure

from rontgen.claims.architectures import Table
from rontgen.reporting import plots
from rontgen.reporting.plots import BLUE

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
        known = [one for one in (table.architectures if table else []) if cost(one)]
        for number, one in enumerate(sorted(known, key=cost)):
            found = one.score("accuracy")
            reach = [[found.mean - found.low], [found.high - found.mean]]
            axes.errorbar(cost(one), found.mean, reach, fmt="o", color=BLUE, markersize=4, linewidth=1, capsize=2)
            above = number % 2 == 0
            axes.annotate(
                one.name, (cost(one), found.high if above else found.low), (0, 3 if above else -3),
                textcoords="offset points", ha="center", va="bottom" if above else "top", fontsize=SMALL - 1.5,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlabel(label, fontsize=SMALL)
        axes.margins(x=0.15, y=0.12)
        axes.tick_params(labelsize=SMALL - 1)
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("accuracy on the test images", fontsize=SMALL)
    figure.suptitle("Which architecture, everything else equal? (mean and 95% interval over seeds)", fontsize=SMALL)
    plots.save(figure, path)
