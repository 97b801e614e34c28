"""The counts behind published numbers, and what they alone say about their uncertainty."""

import math
from collections.abc import Iterable, Mapping
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
    def of(cls, study: str, run: str, paper: Paper, classes: list[str]) -> "Published":
        cells = {cell.metric: cell for cell in [*paper.cells, *paper.runs[run]]}
        return cls(study, run, tuple(classes), cells)

    @property
    def accuracy(self) -> Cell:
        return self.cells["test.accuracy"]

    @property
    def images(self) -> int:
        """Of the test set."""
        return int(self.cells["test.test_images"].value)

    def owner(self, metric: str) -> str:
        """What a metric is a number of: the study or the run."""
        return self.study if metric.startswith("data.") else self.run

    def count(self, metric: str) -> int | None:
        """A published count; None where there is none."""
        return int(self.cells[metric].value) if metric in self.cells else None

    def all_of(self, metrics: Iterable[str]) -> list[Cell]:
        """The cells of these metrics; none where one of them is missing."""
        wanted = list(metrics)
        return [self.cells[metric] for metric in wanted] if self.cells.keys() >= set(wanted) else []

    def per_class(self, pattern: str) -> dict[str, int] | None:
        """The counts of all classes, `{}` in the pattern standing for the class; None where one is missing."""
        cells = self.all_of(pattern.format(name) for name in self.classes)
        return {name: int(cell.value) for name, cell in zip(self.classes, cells, strict=False)} or None

    @cached_property
    def confusion(self) -> dict[str, dict[str, int]] | None:
        """{true class: {predicted class: images}}; None where it is not published whole."""
        rows = {true: row for true in self.classes if (row := self.per_class(f"test.confusion.{true}.{{}}"))}
        return rows if len(rows) == len(self.classes) else None

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

    def own_interval(self, metric: str) -> tuple[float, float] | None:
        """The exact 95% interval (Clopper and Pearson 1934) of a published rate, from its own counts.

        Where the printed digits allow several counts, from the least of them to the greatest. None where the number of
        images is not published, or the metric is no share of images.
        """
        counts, trials = self.successes(metric), self.trials(metric)
        if counts is None or trials is None:
            return None
        (low, _), (_, high) = (exact_interval(count, trials) for count in counts)
        return low, high


@dataclass(frozen=True)
class Headline:
    """A study's best published accuracy against the next one on as many images, from their counts alone.

    right, other_right: of `images`, the whole numbers nearest to the accuracies.
    fisher_p: Fisher's exact test, two-sided, as if the two tests were of different images.
    least_mcnemar_p: the exact McNemar test, two-sided, for the pairing most favourable to the claim, since none is
        published: all that the other got right, the best got right too. Every other pairing has a larger p.
    """

    best: str
    other: str
    images: int
    right: int
    other_right: int
    fisher_p: float
    least_mcnemar_p: float


def headline(runs: list[Published]) -> Headline | None:
    """The headline of a study; None where its best run has no other."""
    best, *others = sorted(runs, key=lambda run: run.accuracy.number, reverse=True)
    other = next((run for run in others if run.images == best.images), None)
    if other is None:
        return None
    images = best.images
    first, second = (round(run.accuracy.number * images) for run in (best, other))
    p = float(fisher_exact([[first, images - first], [second, images - second]]).pvalue)
    return Headline(best.run, other.run, images, first, second, p, min(1.0, 2.0 ** (1 - (first - second))))
