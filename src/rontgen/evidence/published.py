"""papers.yaml as validated, frozen objects."""

import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from rontgen.core.errors import RontgenError
from rontgen.core.vocabulary import AS_STATED

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
        return Decimal(1).scaleb(int(self.number.as_tuple().exponent)) / 2

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


class Unpublished(_Entry):
    """What a paper does not say, though results depend on it, and what no reading varies. runs: those concerned."""

    what: Annotated[str, Field(min_length=1)]
    runs: Annotated[list[str], Field(min_length=1)]


class PublishedStudy(_Entry):
    """What one study publishes: about all of its runs, and about each; and how else it can be read.

    title: of the paper, and where it was published. trained_as: published rows that one training stands for, each with
    the run that is trained.
    """

    title: Annotated[str, Field(min_length=1)]
    cells: list[Cell]
    readings: dict[str, Reading] = {}
    unpublished: list[Unpublished] = []
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
        if unknown := [run for entry in self.unpublished for run in entry.runs if run not in trained]:
            raise ValueError(f"unpublished: expected runs of {', '.join(trained)}, received {unknown[0]!r}")
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
