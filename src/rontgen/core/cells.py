"""Published numbers: what each is a number of, its value in the paper's own digits, and what the paper says of it."""

import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cached_property, partial
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

OF_A_RUN = re.compile(
    r"""test\.(test_images|accuracy|log_loss|roc_auc|sensitivity|specificity|majority_accuracy|parameters
              |model_megabytes|(macro|weighted)\.(precision|recall|f1)
              |classes\.[A-Z]+\.(precision|recall|f1|support)|confusion\.[A-Z]+\.[A-Z]+)
       |train\.(epochs|(kept|best_accuracy|best_loss)_epoch|train_images|validation_images
               |(first|kept|best|final)\.(train|validation)_(loss|accuracy))
       |time\.(seconds|images_per_second)""",
    re.VERBOSE,
)
OF_A_STUDY = re.compile(
    r"""data\.((images|selected|train|validation|test|augmented|smote|synthetic)(\.[A-Z]+)?
              |share\.(train|validation|test))""",
    re.VERBOSE,
)
COUNT = re.compile(
    r"test\.(test_images|.*\.support|confusion\..*)|train\.(epochs|\w+_epoch|\w+_images)|data\.(?!share).*"
)
RATE = re.compile(r".*(accuracy|precision|recall|f1|roc_auc|sensitivity|specificity)|data\.share\..*")
CLOCK = re.compile(r"(\d+):(\d\d):(\d\d)")
NEEDED = ("test.accuracy", "test.test_images")
ABOUT = Fraction(1, 10)  # how far "about" reaches, either way; docs/add-a-study.md says so too


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cell(Entry):
    """One published number: where ours is, its value in the paper's own digits, where the paper prints it.

    relation: whether the paper says that its number equals this, is at most, at least or about this, or between this
    and `to`.
    """

    metric: str
    value: str
    relation: Literal["equal", "at_most", "at_least", "about", "between"] = "equal"
    to: str = ""
    place: Annotated[str, Field(min_length=1)]
    note: str = ""

    @model_validator(mode="after")
    def _is_a_number_of_its_kind(self):
        try:
            finite = self.number.is_finite() and (self.relation != "between" or Decimal(self.to) > self.number)
        except InvalidOperation:
            finite = False
        if not finite:
            received = f"{self.value!r} to {self.to!r}" if self.relation == "between" else repr(self.value)
            raise ValueError(f"expected a number, or a duration as h:mm:ss, for {self.metric}, received {received}")
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
        """The value as published, and what the paper says of it: `0.90`, `at most 15`, `about 9`, `0.05 to 0.08`."""
        if self.relation == "between":
            return f"{self.value} to {self.to}"
        return self.value if self.relation == "equal" else f"{self.relation.replace('_', ' ')} {self.value}"

    @cached_property
    def rounding(self) -> Decimal:
        """Half a unit of the last published digit, 0.005 for 0.90; of a share of the split half a percent, for it is
        stated in whole ones; nothing for counts."""
        if self.metric.startswith("data.share."):
            return Decimal("0.005")
        if COUNT.fullmatch(self.metric) or self.metric.startswith("data."):
            return Decimal(0)
        return Decimal(1).scaleb(int(self.number.as_tuple().exponent)) / 2

    @cached_property
    def bounds(self) -> tuple[Fraction, Fraction]:
        """The least and the greatest number that it can stand for; no published number is below zero."""
        number, rounding = Fraction(self.number), Fraction(self.rounding)
        most = Fraction(1) if RATE.fullmatch(self.metric) else Fraction(10**12)
        low, high = {
            "equal": (number - rounding, number + rounding),
            "at_most": (Fraction(0), number + rounding),
            "at_least": (number, most),
            "about": (number * (1 - ABOUT), number * (1 + ABOUT)),
            "between": (number, Fraction(self.to or 0)),
        }[self.relation]
        return max(low, Fraction(0)), min(high, most)

    @property
    def low(self) -> Fraction:
        return self.bounds[0]

    @property
    def high(self) -> Fraction:
        return self.bounds[1]


def _check_metrics(cells: list[Cell], known: re.Pattern, needed: tuple[str, ...] = ()) -> list[Cell]:
    metrics = [cell.metric for cell in cells]
    for metric in metrics:
        if not known.fullmatch(metric):
            raise ValueError(f"expected metrics as docs/add-a-study.md lists them, received {metric!r}")
        if metrics.count(metric) > 1:
            raise ValueError(f"expected one cell per metric, {metric} has more")
    for metric in needed:
        if metric not in metrics:
            raise ValueError(f"expected a cell {metric}, on which the verdict rests")
    return cells


CellsOfAStudy = Annotated[list[Cell], AfterValidator(partial(_check_metrics, known=OF_A_STUDY))]
CellsOfARun = Annotated[list[Cell], AfterValidator(partial(_check_metrics, known=OF_A_RUN, needed=NEEDED))]
