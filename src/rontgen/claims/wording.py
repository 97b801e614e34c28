"""Published numbers in words, as the reasons of contradictions have them."""

from collections.abc import Iterable
from fractions import Fraction

from rontgen.core.cells import Cell

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
    return f"{said} is {span(cell.low, cell.high)}"


def listed(cells: Iterable[Cell]) -> str:
    return ", ".join(map(printed, cells))


def span(low: Fraction, high: Fraction) -> str:
    return f"{short(low)}-{short(high)}"


def short(value: Fraction) -> str:
    return f"{float(value):.6g}"


def plus(values: Iterable) -> str:
    return " + ".join(map(str, values))
