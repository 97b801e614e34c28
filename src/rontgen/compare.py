"""Every published number beside ours, and whether it holds.

A rate holds when the published value, give or take its rounding, lies in the exact 95% (Clopper–Pearson)
interval of ours. That interval knows the sampling error of our test images alone: not the paper's, nor what
another seed would give. And of many rates that are right, one in twenty falls outside by chance.
"""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import pandas as pd
from matplotlib.figure import Figure
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from ruamel.yaml import YAML, YAMLError
from scipy.stats import binomtest

from rontgen.errors import RontgenError
from rontgen.files import replacing

HOLDS, DOES_NOT_HOLD, NO_VERDICT = "holds", "does not hold", "no verdict"
OTHER_TEST_SIZE = "not comparable (other test size)"
DEMO = "not comparable (demo profile)"

FILES = {"test": "{run}.json", "train": "{run}/train.json", "time": "{run}/time.json"}
METRIC = re.compile(
    r"""test\.(test_images|accuracy|log_loss|roc_auc|sensitivity|specificity|majority_accuracy|parameters
              |model_megabytes|(macro|weighted)\.(precision|recall|f1)
              |classes\.[A-Z]+\.(precision|recall|f1|support)|confusion\.[A-Z]+\.[A-Z]+)
       |train\.(epochs|best_epoch|train_images|validation_images
               |(kept|best|final)\.(train|validation)_(loss|accuracy))
       |time\.(seconds|images_per_second)""",
    re.VERBOSE,
)
COUNT = re.compile(r".*(_images|epochs|epoch|parameters|\.support|\.confusion\..*)")


def _known(metric: str) -> str:
    if not METRIC.fullmatch(metric):
        raise ValueError("expected a number of our metrics, as the head of the file lists them")
    return metric


def _in_seconds(text: str) -> str:
    """h:mm:ss as seconds; any other text as it is."""
    clock = re.fullmatch(r"(\d+):(\d\d):(\d\d)", text) if isinstance(text, str) else None
    if not clock:
        return text
    hours, minutes, seconds = map(int, clock.groups())
    return str(hours * 3600 + minutes * 60 + seconds)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cell(_Entry):
    """One published number: where ours is, its value in the paper's own digits, where the paper prints it."""

    metric: Annotated[str, AfterValidator(_known)]
    value: Annotated[Decimal, BeforeValidator(_in_seconds)]
    place: Annotated[str, Field(min_length=1)]
    note: str = ""

    @property
    def rounding(self) -> float:
        """Half a unit of the last published digit, in the unit of the value: 0.005 for 0.90."""
        return float(Decimal(1).scaleb(self.value.as_tuple().exponent) / 2)


class PublishedRun(_Entry):
    """What one study publishes about one run."""

    paper: Annotated[str, Field(min_length=1)]
    cells: list[Cell]

    @model_validator(mode="after")
    def _one_cell_per_metric(self):
        metrics = [cell.metric for cell in self.cells]
        if repeated := {metric for metric in metrics if metrics.count(metric) > 1}:
            raise ValueError(f"expected one cell per metric, {', '.join(sorted(repeated))} has more")
        if "test.accuracy" not in metrics:
            raise ValueError("expected a cell test.accuracy, which the overview and the figure show")
        return self


def load_papers(path: Path) -> dict[str, PublishedRun]:
    """Read and validate papers.yaml: what is published about each reported run, by run name, in its order.

    Raises RontgenError, one line, naming the first wrong key, what was expected and what was received.
    """
    try:
        # the base loader leaves scalars as written: as a float, 0.90 would lose a digit, and with it its precision
        values = YAML(typ="base", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RontgenError(f"{path} not found: run from the root of the repository") from None
    except YAMLError as error:
        raise RontgenError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    try:
        return TypeAdapter(dict[str, PublishedRun]).validate_python(values)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        expected = problem["msg"].removeprefix("Value error, ")
        raise RontgenError(f"{path}: {key}: {expected}, received {str(problem['input'])[:80]!r}") from None


def compare(papers: dict[str, PublishedRun], metrics_folder: Path, profile: str) -> pd.DataFrame:
    """One row per published cell, in the order of papers.yaml.

    Columns: run, metric, paper and ours (float64, in the metric's own unit: proportion, count, seconds, …),
    difference (ours - paper), verdict, place, note. Only the profile `paper` is judged. There
    - a rate measured on the test images holds as the head of this module says,
    - a confusion count likewise, as a share of its class, where both tests hold equally many images of it,
    - a number of parameters holds where it rounds to the published one,
    - the rest (losses, F1, the best of many epochs, …) are no plain proportions and get no verdict.

    Raises RontgenError for a metrics file, or a number in one, that is missing.
    """
    rows = []
    for run, published in papers.items():
        sources = sorted({cell.metric.partition(".")[0] for cell in published.cells})
        metrics = {source: _read(run, metrics_folder / FILES[source].format(run=run)) for source in sources}
        confusion = _value(run, metrics, "test.confusion", dict)
        for cell in published.cells:
            ours, paper = float(_value(run, metrics, cell.metric, int | float)), float(cell.value)
            verdict = _verdict(cell, published.cells, ours, confusion) if profile == "paper" else DEMO
            rows.append((run, cell.metric, paper, ours, ours - paper, verdict, cell.place, cell.note))
    columns = ["run", "metric", "paper", "ours", "difference", "verdict", "place", "note"]
    return pd.DataFrame(rows, columns=columns)


def _read(run: str, path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RontgenError(f"{run}: {path} not found: run `dvc repro paper_evaluate@{run}` first") from None


def _value(run: str, metrics: dict, metric: str, kind):
    value = metrics
    for key in metric.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, kind):
        stage = "evaluate" if metric.startswith("test.") else "train"
        raise RontgenError(
            f"{run}: our metrics have {value!r} for {metric}: correct papers.yaml, or run "
            f"`dvc repro --force --single-item paper_{stage}@{run}`"
        )
    return value


def _verdict(cell: Cell, cells: list[Cell], ours: float, confusion: dict[str, dict[str, int]]) -> str:
    published, rounding = float(cell.value), cell.rounding
    if cell.metric == "test.parameters":
        return HOLDS if abs(ours - published) <= rounding else DOES_NOT_HOLD
    successes, trials = _successes_and_trials(cell.metric, confusion)
    if trials == 0:
        return NO_VERDICT
    if ".confusion." in cell.metric:
        row = cell.metric.rpartition(".")[0] + "."
        if trials != sum(other.value for other in cells if other.metric.startswith(row)):
            return OTHER_TEST_SIZE
        published, rounding = published / trials, 0
    interval = binomtest(successes, trials).proportion_ci(confidence_level=0.95, method="exact")
    overlaps = interval.low <= published + rounding and published - rounding <= interval.high
    return HOLDS if overlaps else DOES_NOT_HOLD


def _successes_and_trials(metric: str, confusion: dict[str, dict[str, int]]) -> tuple[int, int]:
    """The two counts whose quotient the metric is; (0, 0) where it is no quotient of counts."""
    supports = {true: sum(row.values()) for true, row in confusion.items()}
    everything = sum(confusion[true][true] for true in confusion), sum(supports.values())
    match metric.split("."):
        case ["test", "accuracy"] | ["test", "weighted", "recall"]:
            return everything
        case ["test", "macro", "recall"] if len(set(supports.values())) == 1:
            return everything  # with equal classes it is the accuracy under another name
        case ["test", "classes", true, "recall"]:
            return confusion[true][true], supports[true]
        case ["test", "classes", predicted, "precision"]:
            return confusion[predicted][predicted], sum(row[predicted] for row in confusion.values())
        case ["test", "confusion", true, predicted]:
            return confusion[true][predicted], supports[true]
        case ["test", "sensitivity" | "specificity" as rate] if len(confusion) == 2:
            (true,) = {"NORMAL"} if rate == "specificity" else confusion.keys() - {"NORMAL"}
            return confusion[true][true], supports[true]
    return 0, 0


def write_tables(frame: pd.DataFrame, folder: Path) -> None:
    """Write comparison.csv and comparison.md, and comparison_time.csv, in `folder` from a frame of `compare`.

    Times are apart: they differ from run to run, and the other two tables must not. Counts are written whole,
    other numbers with four decimals.
    """
    printed = frame.copy()
    for column in ("paper", "ours", "difference"):
        pairs = zip(frame.metric, frame[column], strict=True)
        printed[column] = [f"{x:z.0f}" if COUNT.fullmatch(metric) else f"{x:z.4f}" for metric, x in pairs]
    is_time = frame.metric.str.startswith("time.")
    _write(folder / "comparison.csv", printed[~is_time].to_csv(index=False, lineterminator="\n"))
    _write(folder / "comparison.md", _markdown(printed[~is_time]))
    _write(folder / "comparison_time.csv", printed[is_time].to_csv(index=False, lineterminator="\n"))


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _markdown(printed: pd.DataFrame) -> str:
    lines = ["# Paper against ours", "", _summary(printed)]
    for run, rows in printed.groupby("run", sort=False):
        table = rows.drop(columns="run")
        lines += ["", f"## {run}", ""]
        lines += [f"| {' | '.join(row)} |" for row in (table.columns, ["---"] * len(table.columns))]
        lines += [f"| {' | '.join(row)} |" for row in table.itertuples(index=False)]
    return "\n".join(lines) + "\n"


def headline(frame: pd.DataFrame) -> str:
    """A table for the terminal from a frame of `compare`: one row per run, at most 110 columns wide.

    `holding` counts the cells that hold, of those that hold or do not; `cells` counts all but the times.
    """
    table = [("run", "paper", "ours", "difference", "holding", "cells", "verdict on accuracy")]
    frame = frame[~frame.metric.str.startswith("time.")]
    for run, rows in frame.groupby("run", sort=False):
        accuracy = rows[rows.metric == "test.accuracy"].iloc[0]
        numbers = f"{accuracy.paper:.4f}", f"{accuracy.ours:.4f}", f"{accuracy.difference:+z.4f}"
        table.append((run, *numbers, _holding(rows), str(len(rows)), accuracy.verdict))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for name, *numbers, verdict in table:
        numbers = map(str.rjust, numbers, widths[1:])
        lines.append("  ".join([name.ljust(widths[0]), *numbers, verdict]))
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:], "", _summary(frame)])


def _holding(frame: pd.DataFrame) -> str:
    judged = frame.verdict.isin([HOLDS, DOES_NOT_HOLD]).sum()
    return f"{(frame.verdict == HOLDS).sum()} of {judged}" if judged else "-"


def _summary(frame: pd.DataFrame) -> str:
    if (frame.verdict == DEMO).all():
        return "No row is comparable: the demo profile's images are synthetic (profile=paper takes the papers')."
    return f"{_holding(frame)} published numbers that can be judged hold; {len(frame)} are compared."


def draw(frame: pd.DataFrame, path: Path) -> None:
    """A PNG with one row per run: the accuracy of the paper and ours, joined by a line."""
    rows = frame[frame.metric == "test.accuracy"]
    places = range(len(rows))
    figure = Figure(figsize=(8, 1.5 + 0.28 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.hlines(places, rows.paper, rows.ours, color="0.6", linewidth=1.5)
    # Okabe and Ito's blue and orange, and two shapes: told apart by any eye and on a black-and-white print.
    # The circle is wide enough to show around a diamond at the same place.
    axes.plot(rows.paper, places, "o", ms=9, mfc="white", mec="#0072B2", mew=1.8, label="paper")
    axes.plot(rows.ours, places, "D", ms=5, color="#D55E00", label="ours")
    axes.set_yticks(places, rows.run)
    axes.invert_yaxis()
    axes.set_xlabel("accuracy on the test images")
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    is_demo = (rows.verdict == DEMO).all()
    axes.set_title("Accuracy, paper against ours" + (" – demo profile: not comparable" if is_demo else ""))
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    with replacing(path) as temporary:
        # matplotlib would write its version into the file: no part of the result
        figure.savefig(temporary, dpi=150, metadata={"Software": None})
