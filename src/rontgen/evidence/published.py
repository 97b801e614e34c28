"""papers.yaml as validated, frozen objects, and what the published numbers alone say about their own uncertainty."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError
from scipy.stats import fisher_exact

from rontgen.core.errors import RontgenError
from rontgen.core.vocabulary import AS_STATED
from rontgen.evaluation.proportions import exact_interval

OF_A_RUN = re.compile(
    r"""test\.(test_images|accuracy|log_loss|roc_auc|sensitivity|specificity|majority_accuracy|parameters
              |model_megabytes|(macro|weighted)\.(precision|recall|f1)
              |classes\.[A-Z]+\.(precision|recall|f1|support)|confusion\.[A-Z]+\.[A-Z]+)
       |train\.(epochs|best_epoch|train_images|validation_images
               |(kept|best|final)\.(train|validation)_(loss|accuracy))
       |time\.(seconds|images_per_second)
       |setting\.(train|augment|model|image_set)\.[a-z_0-9.]+""",
    re.VERBOSE,
)
OF_A_STUDY = re.compile(
    r"""data\.((images|selected|train|validation|test|augmented|smote)(\.[A-Z]+)?|share\.(train|validation|test))
       |setting\.(train|augment|model|image_set)\.[a-z_0-9.]+""",
    re.VERBOSE,
)
COUNT = re.compile(
    r"test\.(test_images|.*\.support|confusion\..*)|train\.(epochs|best_epoch|\w+_images)|data\.(?!share).*"
)
RATE = re.compile(r".*(accuracy|precision|recall|f1|roc_auc|sensitivity|specificity)|data\.share\..*")
CLOCK = re.compile(r"(\d+):(\d\d):(\d\d)")
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
KEY = re.compile(r"\w+(\.\w+)+")
NEEDED = ("test.accuracy", "test.test_images")
ABOUT = Fraction(1, 10)  # how far "about" reaches, either way; the head of papers.yaml says so too


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cell(_Entry):
    """One published number: where ours is, its value in the paper's own digits, where the paper prints it.

    relation: whether the paper says that its number equals this, is at most this, or is about this.
    """

    metric: str
    value: str
    relation: Literal["equal", "at_most", "about"] = "equal"
    place: Annotated[str, Field(min_length=1)]
    note: str = ""

    @model_validator(mode="after")
    def _is_a_number_of_its_kind(self):
        try:
            finite = self.number.is_finite()
        except InvalidOperation:
            finite = False
        if not finite:
            raise ValueError(f"expected a number, or a duration as h:mm:ss, for {self.metric}, received {self.value!r}")
        if COUNT.fullmatch(self.metric) and not self.value.isdigit():
            raise ValueError(f"expected a whole number for {self.metric}, received {self.value!r}")
        if self.number < 0:
            raise ValueError(f"expected no number below zero for {self.metric}, received {self.value!r}")
        if RATE.fullmatch(self.metric) and self.number > 1:
            raise ValueError(f"expected a share of 1, 97% as 0.97, for {self.metric}, received {self.value!r}")
        return self

    @cached_property
    def number(self) -> Decimal:
        """The value; of a duration, in seconds."""
        clock = CLOCK.fullmatch(self.value)
        if not clock:
            return Decimal(self.value)
        hours, minutes, seconds = map(int, clock.groups())
        return Decimal(hours * 3600 + minutes * 60 + seconds)

    @property
    def text(self) -> str:
        """The value as published, and what the paper says of it: `0.90`, `at most 15`, `about 9`."""
        return self.value if self.relation == "equal" else f"{self.relation.replace('_', ' ')} {self.value}"

    @cached_property
    def rounding(self) -> Decimal:
        """Half a unit of the last published digit, 0.005 for 0.90; of a share of the split half a percent, for it is
        stated in whole ones; nothing for counts and settings."""
        if self.metric.startswith("data.share."):
            return Decimal("0.005")
        if COUNT.fullmatch(self.metric) or self.metric.startswith(("data.", "setting.")):
            return Decimal(0)
        return Decimal(1).scaleb(self.number.as_tuple().exponent) / 2

    @cached_property
    def low(self) -> Fraction:
        """The least number that it can stand for; no published number is below zero."""
        match self.relation:
            case "at_most":
                return Fraction(0)
            case "about":
                return Fraction(self.number) * (1 - ABOUT)
        return max(Fraction(self.number - self.rounding), Fraction(0))

    @cached_property
    def high(self) -> Fraction:
        """The greatest number that it can stand for."""
        number, rounding = Fraction(self.number), Fraction(self.rounding)
        high = number * (1 + ABOUT) if self.relation == "about" else number + rounding
        return min(high, Fraction(1)) if RATE.fullmatch(self.metric) else high


def _each_metric_once(cells: list[Cell], known: re.Pattern) -> None:
    metrics = [cell.metric for cell in cells]
    for metric in metrics:
        if not known.fullmatch(metric):
            raise ValueError(f"expected metrics as the head of the file lists them, received {metric!r}")
        if metrics.count(metric) > 1:
            raise ValueError(f"expected one cell per metric, {metric} has more")


class Reading(_Entry):
    """Another way to read a paper where it is silent or contradicts itself.

    why: what the paper says, and where. runs: those that are read so. set: keys of params.yaml and their values, as
    text that is YAML.
    """

    why: Annotated[str, Field(min_length=1)]
    runs: Annotated[list[str], Field(min_length=1)]
    set: Annotated[dict[str, str], Field(min_length=1)]

    @model_validator(mode="after")
    def _sets_keys(self):
        if wrong := [key for key in self.set if not KEY.fullmatch(key)]:
            raise ValueError(f"expected keys of params.yaml such as studies.jitet.balance, received {wrong[0]!r}")
        return self


class PublishedStudy(_Entry):
    """What one study publishes: about all of its runs, and about each; and how else it can be read.

    trained_as: published rows that one training stands for, each with the run that is trained.
    """

    cells: list[Cell]
    readings: dict[str, Reading] = {}
    trained_as: dict[str, str] = {}
    runs: Annotated[dict[str, list[Cell]], Field(min_length=1)]

    @model_validator(mode="after")
    def _cells_are_where_they_belong(self):
        _each_metric_once(self.cells, OF_A_STUDY)
        for run, cells in self.runs.items():
            _each_metric_once(cells, OF_A_RUN)
            if missing := [metric for metric in NEEDED if metric not in {cell.metric for cell in cells}]:
                raise ValueError(f"expected a cell {missing[0]} in {run}, on which its verdict rests")
        return self

    @model_validator(mode="after")
    def _runs_exist(self):
        trained = [run for run in self.runs if run not in self.trained_as]
        for run, other in self.trained_as.items():
            if run not in self.runs or other not in trained:
                known = ", ".join(self.runs)
                raise ValueError(f"trained_as: expected two of the runs {known}, received {run}: {other}")
        for name, reading in self.readings.items():
            if not NAME.fullmatch(name) or name == AS_STATED:
                raise ValueError(f"readings: expected names such as own_preprocessing, received {name!r}")
            if unknown := [run for run in reading.runs if run not in trained]:
                raise ValueError(f"readings.{name}: expected runs of {', '.join(trained)}, received {unknown[0]!r}")
        return self

    def trained(self, run: str) -> str:
        """The run that is trained for a published row."""
        return self.trained_as.get(run, run)

    def readings_of(self, run: str) -> list[str]:
        """The readings of a published row, as stated first."""
        return [AS_STATED, *(name for name, reading in self.readings.items() if self.trained(run) in reading.runs)]


class Papers(_Entry):
    """All of papers.yaml. archives: images by archive, label and part of the archive."""

    archives: dict[str, dict[str, dict[str, int]]]
    studies: dict[str, PublishedStudy]


def load_papers(path: Path) -> Papers:
    """Read and validate papers.yaml.

    Raises RontgenError, one line, naming the first wrong key, what was expected and what was received.
    """
    try:
        # the base loader leaves scalars as written: as a float, 0.90 would lose a digit, and with it its precision
        values = YAML(typ="base", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RontgenError(f"{path} not found: run from the root of the repository") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise RontgenError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    try:
        return Papers.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        expected = problem["msg"].removeprefix("Value error, ")
        received = "" if problem["type"] == "value_error" else f", received {str(problem['input'])[:80]!r}"
        raise RontgenError(f"{path}: {key}: {expected}{received}") from None


@dataclass(frozen=True)
class Published:
    """What a paper prints about one of its runs, the cells of its study included, and the counts behind them."""

    study: str
    run: str
    classes: tuple[str, ...]
    cells: Mapping[str, Cell]

    @classmethod
    def of(cls, study: str, run: str, published: PublishedStudy, classes: list[str]) -> "Published":
        cells = {cell.metric: cell for cell in [*published.cells, *published.runs[run]]}
        return cls(study, run, tuple(classes), cells)

    def count(self, metric: str) -> int | None:
        """A published count; None where there is none."""
        return int(self.cells[metric].value) if metric in self.cells else None

    def per_class(self, pattern: str) -> dict[str, int] | None:
        """The counts of all classes, `{}` in the pattern standing for the class; None where one is missing."""
        counts = {name: self.count(pattern.format(name)) for name in self.classes}
        return None if None in counts.values() else counts

    @cached_property
    def confusion(self) -> dict[str, dict[str, int]] | None:
        """{true class: {predicted class: images}}; None where it is not published whole."""
        rows = {true: self.per_class(f"test.confusion.{true}.{{}}") for true in self.classes}
        return None if None in rows.values() else rows

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
            case ["train", "kept" | "best" | "final", "validation_accuracy"]:
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
    counts = published.successes(metric)
    if counts is None:
        return None
    intervals = [exact_interval(count, published.trials(metric)) for count in counts]
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
    images = best.count("test.test_images")
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
