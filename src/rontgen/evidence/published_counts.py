"""The counts behind published numbers, and what they alone say about their uncertainty."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from scipy.stats import fisher_exact

from rontgen.core.cells import Cell
from rontgen.core.papers import Paper
from rontgen.evaluation.proportions import exact_interval


@dataclass(frozen=True)
class Published:
    """What a paper prints about one of its runs, the cells of its study included, and the counts behind them."""

    study: str
    run: str
    classes: tuple[str, ...]
    cells: Mapping[str, Cell]

    @classmethod
    def of(cls, study: str, run: str, published: Paper, classes: list[str]) -> "Published":
        cells = {cell.metric: cell for cell in [*published.cells, *published.runs[run]]}
        return cls(study, run, tuple(classes), cells)

    def count(self, metric: str) -> int | None:
        """A published count; None where there is none."""
        return int(self.cells[metric].value) if metric in self.cells else None

    def per_class(self, pattern: str) -> dict[str, int] | None:
        """The counts of all classes, `{}` in the pattern standing for the class; None where one is missing."""
        counts = {name: self.count(pattern.format(name)) for name in self.classes}
        known = {name: count for name, count in counts.items() if count is not None}
        return known if len(known) == len(counts) else None

    @cached_property
    def confusion(self) -> dict[str, dict[str, int]] | None:
        """{true class: {predicted class: images}}; None where it is not published whole."""
        rows = {true: self.per_class(f"test.confusion.{true}.{{}}") for true in self.classes}
        known = {true: row for true, row in rows.items() if row is not None}
        return known if len(known) == len(rows) else None

    @cached_property
    def supports(self) -> dict[str, int] | None:
        """Test images of each class; None where they are not published."""
        if self.confusion:
            return {true: sum(row.values()) for true, row in self.confusion.items()}
        return self.per_class("test.classes.{}.support") or self.per_class("data.test.{}")

    @property
    def equal_support(self) -> int | None:
        """Test images of every class where all have as many, else None."""
        sizes = set(self.supports.values()) if self.supports else set()
        return sizes.pop() if len(sizes) == 1 else None

    @property
    def validation_images(self) -> int | None:
        """As published, or the published share of the published number of images where that is a whole number."""
        share, images = self.cells.get("data.share.validation"), self.count("data.images")
        if "data.validation" in self.cells or share is None or images is None:
            return self.count("data.validation")
        part = Fraction(share.number) * images
        return int(part) if part.denominator == 1 else None

    def trials(self, metric: str) -> int | None:
        """Of how many images a rate is the share; None where that is not published, or it is no such share."""
        match metric.split("."):
            case ["test", "accuracy"] | ["test", "weighted", "recall"]:
                return self.count("test.test_images")
            case ["test", "macro", "recall"] if self.equal_support:
                return self.count("test.test_images")
            case ["test", "classes", name, "recall"] if self.supports:
                return self.supports[name]
            case ["test", "classes", name, "precision"] if self.confusion:
                return sum(row[name] for row in self.confusion.values())
            case ["train", "first" | "kept" | "best" | "final", "validation_accuracy"]:
                return self.validation_images
        return None

    def successes(self, metric: str) -> tuple[int, int] | None:
        """The least and the greatest number of images that print as this rate; None where there is none."""
        trials, cell = self.trials(metric), self.cells[metric]
        if not trials:
            return None
        least, most = math.ceil(cell.low * trials), math.floor(cell.high * trials)
        return (least, most) if least <= most else None


def own_interval(published: Published, metric: str) -> tuple[float, float] | None:
    """The exact 95% interval (Clopper and Pearson 1934) of a published rate, from its own counts.

    Where the printed digits allow several counts, from the least of them to the greatest. None where the number of
    images is not published, or the metric is no share of images.
    """
    counts, trials = published.successes(metric), published.trials(metric)
    if counts is None or trials is None:
        return None
    intervals = [exact_interval(count, trials) for count in counts]
    return intervals[0][0], intervals[1][1]


def headline(runs: list[Published]) -> dict | None:
    """A study's best published accuracy tested against its others on equally many images, from counts alone.

    {best, test_images, correct, against: {run: {correct, fisher_p, least_mcnemar_p}}}; None where there is no other.
    correct: the whole number nearest to the accuracy. fisher_p: Fisher's exact test, two-sided, as if the two tests
    were of different images. least_mcnemar_p: the exact McNemar test, two-sided, for the pairing most favourable to
    the claim, since none is published: all that the other got right, the best got right too. Of d images more, that
    is b = d, c = 0 and p = 2 / 2^d, and every other pairing has a larger p. Values have six digits.
    """
    sized = [run for run in runs if run.count("test.test_images")]
    if not sized:
        return None
    best = max(sized, key=lambda run: run.cells["test.accuracy"].number)
    images = int(best.cells["test.test_images"].value)
    right = {run.run: round(run.cells["test.accuracy"].number * images) for run in sized}
    against = {}
    for other in sized:
        if other is best or other.count("test.test_images") != images:
            continue
        first, second = right[best.run], right[other.run]
        p = fisher_exact([[first, images - first], [second, images - second]]).pvalue
        mcnemar = min(1.0, 2.0 ** (1 - abs(first - second)))
        against[other.run] = {
            "correct": second,
            "fisher_p": float(f"{p:.6g}"),
            "least_mcnemar_p": float(f"{mcnemar:.6g}"),
        }
    return (
        {"best": best.run, "test_images": images, "correct": right[best.run], "against": against} if against else None
    )
