"""The verdicts, and whether the demo's runs learn, as `make repro` shows them in the terminal."""

import textwrap

from rontgen.claims.studies import Study
from rontgen.core import runs
from rontgen.core.io import read_json, require
from rontgen.core.params import Params
from rontgen.core.settings import LEAKFREE
from rontgen.evaluation.metrics import read_predictions
from rontgen.evaluation.proportions import exact_interval
from rontgen.reporting.rendering import bound

WIDTH = 110


def show(studies: list[Study]) -> str:
    """Paper, real evidence and verdict of each published row, at most WIDTH columns wide."""
    table = [("published row, and how it was run", "paper", "seeds", "ours", "points apart", "verdict")]
    without: dict[str, list[str]] = {}
    for study in studies:
        recorded = {row.run for row in study.rows if row.records}
        for row in study.rows:
            if row.run not in recorded:
                without.setdefault(row.short, []).append(row.run)
                continue
            name = row.run if row is next(one for one in study.rows if one.run == row.run) else ""
            label, _, more = row.label.partition(", ")
            numbers = (str(len(row.records)), f"{row.replication.mean:.3f}") if row.replication else ("", "")
            table.append(
                (f"{name or '  ' + label}{' …' if more else ''}", row.paper.text, *numbers, bound(row), row.short)
            )
    lines = ["Papers against real runs: test accuracy, verdicts from the records in results/ alone", ""]
    marks = (
        "…: with further settings; *: on a condition; †: its training differs from the paper's; see the study's page"
    )
    lines += [*_aligned(table, 5), marks, ""]
    lines.append("Without a record:")
    for verdict, some in without.items():
        text = f"{verdict} ({len(some)}): {', '.join(some)}"
        lines += textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)


def demo(values: Params) -> str:
    """Of each reported run of the workspace whether it learns: whether the exact 95% interval of its accuracy lies
    above that of naming the largest class; and of the others what they had to learn from.

    Raises RontgenError for a missing file, naming the command that makes it.
    """
    table, learning = [("run", "images", "accuracy", "largest class", "")], 0
    for name in values.runs:
        if name.endswith(LEAKFREE):
            continue
        run, command = runs.load_run(name, values), runs.stage_command("evaluate", name)
        predictions = read_predictions(require(run.predictions, command), str(run.predictions), command)
        tested, trained = (read_json(path, command) for path in (run.metrics, run.train_metrics))
        majority, weights = float(tested["majority_accuracy"]), tested["parameters"] / 1e6
        right, images = int((predictions["predicted"] == predictions["class"]).sum()), len(predictions)
        learns = exact_interval(right, images)[0] > majority
        learning += learns
        had = f"{trained['epochs']} epochs of {trained['train_images']} images for {weights:.1f} million random weights"
        table.append((name, str(images), f"{right / images:.3f}", f"{majority:.3f}", "learns" if learns else had))
    return "\n".join(
        [
            "The demo: small images and few epochs, so no evidence on any paper. The X-rays of pneumonia are real, "
            "those of covid and lungs drawn",
            "",
            *_aligned(table, 4),
            "",
            f"{learning} of {len(table) - 1} runs learn: the exact 95% interval of their accuracy lies above that of "
            "naming the largest class",
        ]
    )


def _aligned(table: list[tuple], numbers: int) -> list[str]:
    """Lines of a table whose first column is to the left, the next up to `numbers` to the right; the first is ruled."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for name, *rest in table:
        rights = map(str.rjust, rest[: numbers - 1], widths[1:numbers])
        lines.append("  ".join([name.ljust(widths[0]), *rights, *rest[numbers - 1 :]]).rstrip())
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]
