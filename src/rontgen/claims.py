"""The claims ledger as files: counts of verdicts, tables for programs and for people, and a forest plot."""

import math
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from rontgen.arithmetic import CONTRADICTORY, UNAVAILABLE
from rontgen.compare import NOT_COMPARABLE, NOT_REPRODUCED, REPRODUCED, Claims
from rontgen.files import replacing, write_json
from rontgen.papers import COUNT

VERDICTS = (CONTRADICTORY, UNAVAILABLE, NOT_COMPARABLE, REPRODUCED, NOT_REPRODUCED)
COLUMNS = ["run", "metric", "place", "paper", "paper_low", "paper_high"]
COLUMNS += ["ours", "low", "high", "difference", "verdict", "reason"]
KINDS = {"counts of the data": "data.", "settings": "setting.", "results": ("test.", "train.", "time.")}

# Okabe and Ito's palette; the two shapes tell paper and ours apart without it
PAPER_COLOR, CONTRADICTORY_COLOR, OUR_COLOR = "#000000", "#D55E00", "#0072B2"


def write(claims: Claims, folder: Path) -> None:
    """Write claims.json, claims.csv, claims.md and, since measured times never are the same, claims_time.csv.

    Counts are written whole, other numbers with four decimals, a published number in the paper's own digits. In
    claims.json: verdicts, the number of cells of each verdict in all and by study, and headlines (rontgen.papers).
    """
    cells = claims.cells
    verdicts = {"all": _counts(cells)}
    verdicts |= {study: _counts(of_study) for study, of_study in cells.groupby("study", sort=False)}
    write_json({"verdicts": verdicts, "headlines": claims.headlines}, folder / "claims.json")
    is_time = cells.metric.str.startswith("time.")
    for name, some in (("claims.csv", cells[~is_time]), ("claims_time.csv", cells[is_time])):
        _write(folder / name, _printed(some)[COLUMNS].to_csv(index=False, lineterminator="\n"))
    _write(folder / "claims.md", _markdown(claims))


def show(claims: Claims) -> str:
    """A table for the terminal, at most 110 columns wide: one row per run, its accuracy, and the counts of verdicts."""
    table = [("run", "paper", "ours", "our interval", "difference", "verdict on accuracy")]
    for row in _accuracies(claims).itertuples():
        interval = f"{row.low:.4f}-{row.high:.4f}"
        table.append((row.run, row.paper, f"{row.ours:.4f}", interval, f"{row.difference:+z.4f}", row.verdict))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for run, *numbers, verdict in table:
        numbers = map(str.rjust, numbers, widths[1:])
        lines.append("  ".join([run.ljust(widths[0]), *numbers, verdict]))
    counts = ", ".join(f"{count} {verdict}" for verdict, count in _counts(claims.cells).items())
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:], "", f"{len(claims.cells)} numbers: {counts}"])


def draw(claims: Claims, path: Path) -> None:
    """A PNG, 900 pixels wide: for each run the paper's accuracy and ours, each with its own 95% interval.

    A paper's accuracy that its other numbers contradict has another colour and a cross.
    """
    rows = _accuracies(claims).reset_index(drop=True)
    figure = Figure(figsize=(6, 1.6 + 0.33 * len(rows)), dpi=150, layout="constrained")
    axes = figure.subplots()
    for place, row in rows.iterrows():
        contradictory = row.verdict == CONTRADICTORY
        color, accuracy = CONTRADICTORY_COLOR if contradictory else PAPER_COLOR, float(row.paper)
        above, below = place - 0.17, place + 0.17
        axes.hlines(above, row.paper_low, row.paper_high, color=color, linewidth=1.2)
        axes.plot(accuracy, above, "o", markersize=6, markerfacecolor="white", markeredgecolor=color)
        if contradictory:
            axes.plot(accuracy, above, "x", markersize=4.5, color=color)
        axes.hlines(below, row.low, row.high, color=OUR_COLOR, linewidth=1.2)
        axes.plot(row.ours, below, "D", markersize=4.5, color=OUR_COLOR)
    hollow = {"markersize": 6, "markerfacecolor": "white", "linewidth": 1.2}
    axes.plot([], [], "o-", color=PAPER_COLOR, label="paper", **hollow)
    axes.plot([], [], "o-", color=CONTRADICTORY_COLOR, label="paper, contradicts itself (×)", **hollow)
    axes.plot([], [], "D-", color=OUR_COLOR, label="ours", markersize=4.5, linewidth=1.2)
    axes.set_yticks(range(len(rows)), rows.run, fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("accuracy on the test images, with 95% interval")
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    demo = "\ndemo profile, synthetic images: not comparable" if claims.profile == "demo" else ""
    figure.suptitle("Accuracy, paper against ours" + demo, fontsize=10)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    with replacing(path) as temporary:
        # matplotlib would write its version into the file: no part of the result
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _accuracies(claims: Claims) -> pd.DataFrame:
    return claims.cells[claims.cells.metric == "test.accuracy"]


def _counts(cells: pd.DataFrame) -> dict[str, int]:
    return {verdict: int((cells.verdict == verdict).sum()) for verdict in VERDICTS}


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _printed(cells: pd.DataFrame) -> pd.DataFrame:
    printed = cells.copy()
    for column in ("ours", "difference"):
        printed[column] = [_number(*pair) for pair in zip(cells.metric, cells[column], strict=True)]
    for column in ("paper_low", "paper_high", "low", "high"):
        printed[column] = ["" if math.isnan(value) else f"{value:z.4f}" for value in cells[column]]
    return printed


def _number(metric: str, value: float) -> str:
    if math.isnan(value):
        return ""
    if COUNT.fullmatch(metric) or metric == "test.parameters":
        return f"{value:z.0f}"
    return f"{value:zg}" if metric.startswith(("setting.", "data.")) else f"{value:z.4f}"


def _markdown(claims: Claims) -> str:
    cells = claims.cells
    kinds = [(kind, cells[cells.metric.str.startswith(prefix)]) for kind, prefix in KINDS.items()]
    groups = [("all", cells), *cells.groupby("study", sort=False), *((f"of all: {kind}", some) for kind, some in kinds)]
    lines = ["# Every published number, and what became of it", ""]
    if claims.profile == "demo":
        lines += ["Demo profile: our images are synthetic, so that nothing of ours is comparable.", ""]
    lines += _table(["", *VERDICTS, "cells"], [(name, *_counts(some).values(), len(some)) for name, some in groups])
    lines += ["", "## The best accuracy of each study against its others", ""]
    lines += [
        "From the published counts alone, as printed. Fisher: exact, as if on different images. McNemar: exact, at the",
        "pairing most favourable to the claim, since no paper publishes its pairing: where this p is 0.05 or more, no",
        "pairing would make the difference significant.",
        "",
    ]
    tests = []
    for study, tested in claims.headlines.items():
        for run, other in tested["against"].items():
            best = study, tested["best"], f"{tested['correct']} of {tested['test_images']}"
            tests.append((*best, run, other["correct"], f"{other['fisher_p']:.3g}", f"{other['least_mcnemar_p']:.3g}"))
    lines += _table(["study", "best", "right", "against", "right", "Fisher p", "least McNemar p"], tests)
    for verdict, title in ((CONTRADICTORY, "Contradictions"), (UNAVAILABLE, "Data that the public archives lack")):
        lines += ["", f"## {title}", ""]
        for number, violation in enumerate(claims.violations, 1):
            if violation.verdict == verdict:
                owners = ", ".join(dict.fromkeys(owner for owner, _ in violation.cells))
                subject = owners if len(owners) <= 60 else f"{len(violation.cells)} numbers"
                lines.append(f"- ({number}) {subject}: {violation.reason}")
    lines += ["", "## All numbers", "", "Numbers in brackets are those of the lists above. Durations: claims_time.csv."]
    numbers = _numbers_of_violations(claims)
    shown = _printed(cells[~cells.metric.str.startswith("time.")])
    for run, rows in shown.groupby("run", sort=False):
        lines += ["", f"### {run}", ""]
        header = ["metric", "place", "paper", "its interval", "ours", "our interval", "difference", "verdict", "reason"]
        table = []
        for row in rows.itertuples():
            cited = numbers.get((row.run, row.metric, row.verdict))
            reason = "; ".join(filter(None, [cited or row.reason, row.note]))
            intervals = _interval(row.paper_low, row.paper_high), _interval(row.low, row.high)
            start = row.metric, row.place, row.paper, intervals[0], row.ours, intervals[1]
            table.append((*start, row.difference, row.verdict, reason))
        lines += _table(header, table)
    return "\n".join(lines) + "\n"


def _numbers_of_violations(claims: Claims) -> dict[tuple[str, str, str], str]:
    """`(3), (4)` for each cell and verdict that the violations of these numbers settle."""
    found = {}
    for number, violation in enumerate(claims.violations, 1):
        for owner, metric in violation.cells:
            found.setdefault((owner, metric, violation.verdict), []).append(f"({number})")
    return {key: ", ".join(numbers) for key, numbers in found.items()}


def _interval(low: str, high: str) -> str:
    return f"{low}-{high}" if low else ""


def _table(header: list[str], rows: list[tuple]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]
