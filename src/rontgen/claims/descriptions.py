"""Describe the published numbers that are not judged: our value, its interval, and whether the two agree."""

import math
import re
from dataclasses import dataclass

import numpy as np
from scipy import stats

from rontgen.claims import archive_counts
from rontgen.claims.published import Published
from rontgen.core import nested
from rontgen.core.cells import RATE, Cell
from rontgen.core.errors import RontgenError
from rontgen.core.settings import Split
from rontgen.core.vocabulary import NOT_RUN
from rontgen.records.records import Record

CONSISTENT, NOT_CONSISTENT, NOT_COMPARABLE = "consistent", "not consistent", "not comparable"
SCORES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
TRAINING = re.compile(rf"train\.(first|kept|best|final)\.({'|'.join(SCORES)})")
FEWER_EPOCHS = "profiles.paper.train.max_epochs"
# The same for every seed, or bounded by the protocol: no spread to reckon with
EXACT = ("test.test_images", "test.parameters", "test.model_megabytes", "train.epochs")


@dataclass(frozen=True)
class Description:
    """Our number and its interval, and what became of the published one: a finding with reasons.

    condition: "if …", what a contradiction rests on.
    """

    finding: str
    reasons: list[str]
    ours: float = math.nan
    low: float = math.nan
    high: float = math.nan
    condition: str = ""


@dataclass(frozen=True)
class TrainingScores:
    """Those of SCORES that a paper gives for one of its rows, and those of the records by one treatment.

    epoch: first, kept, best (of all epochs, each number for itself) or final.
    paper: by score. ours: float (seeds,), by score.
    differs: the scores whose published value lies outside the range of one more seed, corrected for their number.
    """

    epoch: str
    paper: dict[str, Cell]
    ours: dict[str, np.ndarray]
    differs: list[str]


def of_the_archive(cell: Cell, archive: archive_counts.ArchiveCounts, split: Split) -> Description:
    """A count of the public archive, by the archive's own parts, or our share of the split."""
    _, part, *rest = cell.metric.split(".")
    if part == "share" and split.policy != "official":
        shares = split.fractions if split.policy == "stratified" else split.counts
        assert shares is not None  # settings.Split requires it
        sizes = shares.model_dump()
        return _exact(cell, [round(sizes[rest[0]] / sum(sizes.values()), 9)], "our share")
    parts, published = archive.get(rest[0] if rest else None, {}), int(cell.number)
    if part == "images" and published in archive_counts.sums_of_parts(parts):
        return Description(CONSISTENT, ["whole parts of the archive make as many"], published)
    if part in parts:
        return _exact(cell, [parts[part]], "the number in the archive's own part")
    if part == "images" and parts:
        ours = sum(parts.values())
        return Description(NOT_COMPARABLE, [f"a choice of {published} from the archive's {ours}"], ours)
    return Description(NOT_COMPARABLE, ["the paper's own count; the archive has none"])


def _exact(cell: Cell, ours: list[float], what: str) -> Description:
    """A number without sampling error, which must fit in every seed; of several values low and high are the range."""
    low, high = (min(ours), max(ours)) if len(set(ours)) > 1 else (math.nan, math.nan)
    fits = all(float(cell.low) <= value <= float(cell.high) for value in ours)
    finding, reason = (CONSISTENT, f"{what} fits") if fits else (NOT_CONSISTENT, f"{what} is another")
    return Description(finding, [reason], float(np.mean(ours)), low, high)


def of_records(cell: Cell, published: Published, records: list[Record], of: int = 1) -> Description:
    """The mean of a result over the seeds, and what one more seed would give in 95 of 100 cases.

    That is mean ± t·s·√(1 + 1/n), with s the standard deviation over n seeds and t of n − 1 degrees of freedom. of: how
    many results are asked together, for Bonferroni's correction.
    """
    if not records:
        return Description(NOT_RUN, ["no record"])
    metric = cell.metric
    values = [_number(record, metric) for record in records]
    ours = float(np.mean(values))
    if metric.startswith("time."):
        return Description(NOT_COMPARABLE, ["a duration on another machine"], ours)
    if metric == "train.epochs" and any(FEWER_EPOCHS in record.provenance["extra"] for record in records):
        return Description(NOT_COMPARABLE, ["ours are fewer, for want of time"], ours)
    if metric in EXACT or metric.endswith(".support"):
        return _exact(cell, values, "our number")
    if len(values) == 1:
        return Description(NOT_COMPARABLE, ["one seed, so that its spread is not known"], ours)
    half = float(stats.t.ppf(1 - 0.025 / of, len(values) - 1) * np.std(values, ddof=1) * math.sqrt(1 + 1 / len(values)))
    low, high = max(ours - half, 0.0), min(ours + half, 1.0) if RATE.fullmatch(metric) else ours + half
    if RATE.fullmatch(metric) and (low, high) == (0.0, 1.0):
        return Description(NOT_COMPARABLE, ["the range of one more seed is too wide to tell"], ours, low, high)
    if ".confusion." in metric and (reason := _other_size(metric.split(".")[2], published, records)):
        return Description(NOT_COMPARABLE, [reason], ours, low, high)
    inside = low <= cell.high and cell.low <= high
    where = f"{'in' if inside else 'outside'} the range of one more seed"
    return Description(CONSISTENT if inside else NOT_CONSISTENT, [where], ours, low, high)


def _other_size(name: str, published: Published, records: list[Record]) -> str:
    """Why counts of a class cannot be compared; "" where both tests have as many images of it."""
    images = {_number(record, f"test.classes.{name}.support") for record in records}
    theirs = (published.supports or {}).get(name)
    if images == {theirs}:
        return ""
    sizes = " or ".join(f"{size:g}" for size in sorted(images))
    return f"other test size: our test has {sizes} images of {name}, the paper's {theirs or 'not given'}"


def training_scores(published: Published, records: list[Record]) -> list[TrainingScores]:
    """What a paper publishes of training itself beside what the records have, an entry for each epoch it names."""
    found = [match for metric in published.cells if (match := TRAINING.fullmatch(metric))]
    scores = []
    for epoch in dict.fromkeys(match[1] for match in found):
        paper = {match[2]: published.cells[match[0]] for match in found if match[1] == epoch}
        ours = {score: np.array([_number(record, cell.metric) for record in records]) for score, cell in paper.items()}
        differs = [
            score
            for score, cell in paper.items()
            if of_records(cell, published, records, len(found)).finding == NOT_CONSISTENT
        ]
        scores.append(TrainingScores(epoch, paper, ours, differs))
    return scores


def _number(record: Record, metric: str) -> float:
    value = nested.find(record.metrics, metric)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RontgenError(
            f"{record.name}: expected a number for {metric}, received {value!r}: correct the study's paper.yaml, "
            f"or record it again with `rontgen reproduce {record.run} {record.options(str(record.seed))} --again`"
        )
    return float(value)
