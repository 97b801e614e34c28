"""Simulate how often the rule of rontgen.evidence.replication errs: `python -m benchmarks.error_rates`, 3 minutes.

It writes docs/error-rates.md. The intervals come from the code that judges the papers. Every case has its own seed, so
the same code writes the same page.
"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy.stats import binom
from tqdm import tqdm

from rontgen.core import errors
from rontgen.core.io import replacing
from rontgen.evidence import replication

PAGE = Path("docs/error-rates.md")
SIZES = (100, 592, 624, 1000)  # test images
ACCURACIES = (0.70, 0.80, 0.90, 0.95, 0.97, 0.99)
SPREADS = (0.0, 0.01, 0.02, 0.03)
SEEDS = (3, 5, 10)
RUNS = 50_000
WANTED = (93, 98)  # per cent of true replications inside
LINE = "\n"

# Takes a generator and the accuracy of each run, float (runs, seeds + 1), the paper's last. Returns right answers of
# our seeds, int (runs, seeds), and of a paper, int (runs,), and the number of distinct test images
Test = Callable[[np.random.Generator, np.ndarray], tuple[np.ndarray, np.ndarray, float]]


def rates(
    size: int,
    published_size: int,
    seeds: int,
    spread: float,
    accuracy: float,
    test: Test,
    lower: float = 0.0,
    runs: int = RUNS,
) -> dict[str, float]:
    """How often a published accuracy is inside, inconclusive and not reproduced, in per cent.

    size, published_size: test images of ours and of the paper. spread: the standard deviation between seeds, which are
    normal and clipped to 0 and 1. accuracy: the mean of the paper's protocol. lower: how far ours is below it. runs:
    how many are simulated.
    """
    case = [size, published_size, seeds, *(round(1000 * value) for value in (spread, accuracy, lower)), runs]
    random = np.random.default_rng(case)
    means = np.full(seeds + 1, accuracy - lower)
    means[-1] = accuracy
    correct, published, distinct = test(random, np.clip(random.normal(means, spread, (runs, seeds + 1)), 0, 1))
    images = np.full(seeds, size)
    low, high, _ = replication.intervals(correct, images, distinct, published_size)
    inside = replication.inside(published / published_size, published / published_size, low, high)
    wide = replication.wide((correct / images).mean(axis=1), low, high)
    shares = {"inside": inside, "inconclusive": inside & wide, "not reproduced": ~inside}
    return {name: 100 * share.mean() for name, share in shares.items()}


def apart(size: int, published_size: int) -> Test:
    """Every seed and the paper are tested on images of their own."""

    def test(random, accuracies):
        correct = random.binomial(size, accuracies[:, :-1])
        return correct, random.binomial(published_size, accuracies[:, -1]), correct.shape[1] * size

    return test


def official(size: int, agreed: float, same: bool) -> Test:
    """All seeds are tested on the same images; the paper is tested on them too, or on as many others.

    agreed: the share of images that are hard or easy for all seeds alike, so that a better seed is right wherever a
    worse one is. On the rest, the seeds are right independently of each other.
    """
    decided = round(agreed * size)

    def test(random, accuracies):
        together = accuracies if same else accuracies[:, :-1]
        right = nested(random, together, decided) + random.binomial(size - decided, together)
        published = right[:, -1] if same else random.binomial(size, accuracies[:, -1])
        return right[:, : accuracies.shape[1] - 1], published, size

    return test


def redrawn(size: int, archive: int) -> Test:
    """Each seed draws its test images from one archive, whose images are hard or easy for all seeds alike."""

    def test(random, accuracies):
        right = nested(random, accuracies[:, :-1], archive)
        distinct = archive * (1 - (1 - size / archive) ** right.shape[1])
        correct = random.hypergeometric(right, archive - right, size)
        return correct, random.binomial(size, accuracies[:, -1]), distinct

    return test


def nested(random: np.random.Generator, accuracies: np.ndarray, images: int) -> np.ndarray:
    """Right answers of runs on the same images, where a better seed is right wherever a worse one is.

    accuracies: float (runs, seeds). Returns int (runs, seeds). From the worst seed on, each gets right what the one
    before got right, plus the part of the rest by which it is better.
    """
    order = np.argsort(accuracies, axis=1)
    ranked = np.take_along_axis(accuracies, order, axis=1)
    right, before = np.zeros(len(ranked), dtype=int), np.zeros(len(ranked))
    counts = np.empty(ranked.shape, dtype=int)
    for rank, accuracy in enumerate(ranked.T):
        gain = np.divide(accuracy - before, 1 - before, out=np.zeros_like(before), where=before < 1)
        right, before = right + random.binomial(images - right, gain), accuracy
        counts[:, rank] = right
    result = np.empty_like(counts)
    np.put_along_axis(result, order, counts, axis=1)
    return result


def row(size: int, seeds: int, spread: float) -> tuple[dict[float, float], str]:
    """A line of the first table: the per cent inside by accuracy, and the line."""
    test = apart(size, size)
    true = [rates(size, size, seeds, spread, accuracy, test) for accuracy in ACCURACIES]
    others = [[found["inconclusive"] for found in true]]
    for lower in (0.05, 0.10):
        false = [rates(size, size, seeds, spread, accuracy, test, lower=lower) for accuracy in ACCURACIES]
        others.append([found["not reproduced"] for found in false])
    inside = {accuracy: found["inside"] for accuracy, found in zip(ACCURACIES, true, strict=True)}
    cells = [size, seeds, f"{spread:.2f}", *(f"{value:.1f}" for value in inside.values())]
    cells += [f"{min(values):.0f}–{max(values):.0f}" for values in others]
    return inside, f"| {' | '.join(map(str, cells))} |"


def other_designs() -> Iterator[tuple[str, int, int, int, Test]]:
    """Name, test images of ours and of the paper, seeds, and the test."""
    for size in (100, 624):
        yield "two seeds", size, size, 2, apart(size, size)
    for seeds in SEEDS:
        for size, published_size in ((624, 592), (1000, 100), (100, 1000)):
            yield "tests of two sizes", size, published_size, seeds, apart(size, published_size)
    for seeds in SEEDS:
        for agreed, some in ((1, "all"), (0.5, "half of the")):
            for same in (False, True):
                name = f"one test set, seeds agree on {some} images, the paper's are {'the same' if same else 'others'}"
                yield name, 624, 624, seeds, official(624, agreed, same)
    for seeds in SEEDS:
        for parts, share in ((2, "half"), (5, "a fifth"), (10, "a tenth")):
            name = f"test drawn anew, {share} of the archive, seeds agree on all images"
            yield name, 592, 592, seeds, redrawn(592, parts * 592)


def other_row(name: str, size: int, published_size: int, seeds: int, test: Test) -> str:
    """A line of the second table: the range of the per cent inside over all accuracies, by spread."""
    cells = [name, size, published_size, seeds]
    for spread in SPREADS:
        inside = [rates(size, published_size, seeds, spread, accuracy, test)["inside"] for accuracy in ACCURACIES]
        cells.append(f"{min(inside):.1f}–{max(inside):.1f}")
    return f"| {' | '.join(map(str, cells))} |"


def summary(inside: dict[tuple, float]) -> str:
    """A summary of the first table. inside: per cent by (size, seeds, spread, accuracy)."""
    least, most = WANTED
    outside = {case: value for case, value in inside.items() if not least <= round(value) <= most}
    lines = [
        f"A true replication is inside in {least} to {most}%, in whole per cent, in {len(inside) - len(outside)} of "
        f"{len(inside)} cases,",
        f"and in {min(inside.values()):.1f} to {max(inside.values()):.1f}% in all of them.",
    ]
    if outside:
        lines += [
            "The exceptions, and what the fewest whole counts of at least 95% would hold if the accuracy were known:",
            "",
        ]
    for (size, seeds, spread, accuracy), value in outside.items():
        case = f"{size} images, {seeds} seeds, spread {spread:.2f}, accuracy {accuracy:.2f}"
        lines.append(f"- {case}: {value:.1f}%; known, {known(size, accuracy):.1f}%")
    return "\n".join(lines)


def known(size: int, accuracy: float) -> float:
    """The per cent of results covered by the most probable counts, with as few counts as it takes to cover 95%."""
    held = np.cumsum(np.sort(binom.pmf(np.arange(size + 1), size, accuracy))[::-1])
    return 100 * held[np.argmax(held >= replication.LEVEL)]


def main() -> None:
    inside, rows = {}, []
    for size, seeds, spread in tqdm(list(itertools.product(SIZES, SEEDS, SPREADS)), desc="tests of one size"):
        found, line = row(size, seeds, spread)
        inside |= {(size, seeds, spread, accuracy): value for accuracy, value in found.items()}
        rows.append(line)
    others = [other_row(*design) for design in tqdm(list(other_designs()), desc="other designs")]
    head = "| test images | seeds | spread | " + " | ".join(f"{accuracy:.2f}" for accuracy in ACCURACIES)
    columns = f"{head} | inconclusive | sees 5 points | sees 10 points |\n|{'---:|' * (6 + len(ACCURACIES))}"
    spreads = " | ".join(f"{spread:.2f}" for spread in SPREADS)
    error, greatest = (100 * np.sqrt(share * (1 - share) / RUNS) for share in (0.95, 0.5))
    page = f"""# How often does the rule err?

Written by `python -m benchmarks.error_rates`; do not edit. The rule is in [evidence.md](evidence.md#the-rule).

Every number is of {RUNS:,} simulated papers, each with seeds of ours. A run's true accuracy is normal around the
protocol's, with the spread as standard deviation, and clipped to 0 and 1, which near 1 lowers both the mean and the
spread. Its right answers are binomial. The standard error of a percentage is {error:.1f} points
near 95%, and at most {greatest:.1f}.

## Tests of one size, each on images of its own

{summary(inside)}

Under each accuracy: how often a true replication lies in the interval, in per cent. The last three columns are ranges
over the accuracies, in per cent: how often a true replication is *inconclusive*, and how often the rule says
*not reproduced* where our protocol's true accuracy is 5 or 10 points below the paper's.

{columns}
{LINE.join(rows)}

## Other designs

How often a true replication lies in the interval, in per cent: the range over the accuracies, by spread. Seeds *agree*
on images where the better of two is right on each that the worse is right on; on others they are right independently.
The interval assumes that the paper's images are not ours. Where they are the same and seeds spread little, or seeds
agree on few images of a common test set, it is wider than needed.

| design | our images | the paper's | seeds | {spreads} |
|---|{"---:|" * (3 + len(SPREADS))}
{LINE.join(others)}
"""
    with replacing(PAGE) as path:
        path.write_text(page, encoding="utf-8")
    print(summary(inside), f"Written to {PAGE}.", sep="\n")


if __name__ == "__main__":
    errors.run(main)
