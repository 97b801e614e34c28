"""A relation of published numbers that does not hold, and its reason in words."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from rontgen.claims.published import Published
from rontgen.core.cells import Cell
from rontgen.core.vocabulary import CONTRADICTORY

PARTS = {
    "images": "images",
    "selected": "selected images",
    "train": "training images",
    "validation": "validation images",
    "test": "test images",
    "augmented": "images after augmentation",
    "smote": "images after SMOTE",
    "synthetic": "synthetic images",
}


@dataclass(frozen=True)
class Violation:
    """A relation that does not hold.

    cells: (run or study, metric) of those that get the verdict.
    condition: "if …", what the numbers must mean for it; "" if it holds whatever they mean.
    """

    verdict: str
    cells: tuple[tuple[str, str], ...]
    reason: str
    condition: str = ""


def contradiction(published: Published, metrics: Iterable[str], reason: str, condition: str = "") -> Violation:
    """That these numbers of a run and its study cannot all be true."""
    cells = tuple((published.owner(metric), metric) for metric in dict.fromkeys(metrics))
    return Violation(CONTRADICTORY, cells, reason, condition)


def in_words(metric: str) -> str:
    """`PNEUMONIA recall` of test.classes.PNEUMONIA.recall, `NORMAL training images` of data.train.NORMAL."""
    match metric.split("."):
        case ["data", "share", subset]:
            return f"share of {subset}"
        case ["data", part, *name]:
            return " ".join([*name, PARTS[part]])
        case ["test", "classes", *words] | [_, *words]:
            return " ".join(words).replace("_", " ")
    raise AssertionError(metric)


def printed(cell: Cell) -> str:
    """`accuracy 0.90 is 0.895-0.905`; of an exact number or a limit, `epochs at most 15`, nothing more."""
    said = f"{in_words(cell.metric)} {cell.text}"
    if cell.relation in ("at_most", "at_least", "between") or cell.low == cell.high:
        return said
    return f"{said} is {interval(cell.low, cell.high)}"


def listed(cells: Iterable[Cell]) -> str:
    return ", ".join(map(printed, cells))


def interval(low: Fraction, high: Fraction) -> str:
    return f"{decimal(low)}-{decimal(high)}"


def decimal(value: Fraction) -> str:
    return f"{float(value):.6g}"


def addition(values: Iterable) -> str:
    """`3 + 4`."""
    return " + ".join(map(str, values))
