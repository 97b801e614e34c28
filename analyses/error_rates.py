"""How often does the rule of rontgen.claims.replication err? The stage error_rates simulates it: error-rates.md.

The intervals come from the code that judges the papers. Every case has its own seed, so the same code writes the same
page.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rontgen.claims import replication
from rontgen.core import errors
from rontgen.core.io import replacing

PAGE = Path("analyses/error-rates.md")
ACCURACIES = (0.70, 0.80, 0.90, 0.95, 0.97)
SPREADS = (0.0, 0.01, 0.03, 0.06, 0.09)
SEEDS = (3, 5, 10)
SIZES = (100, 592, 1000)  # test images
RUNS = 20_000
LINE = "\n"

# Takes a generator and the accuracy of each run, float (runs, seeds + 1), the paper's last. Returns right answers of
# our seeds, int (runs, seeds), and of a paper, int (runs,), and the number of distinct test images
Test = Callable[[np.random.Generator, np.ndarray], tuple[np.ndarray, np.ndarray, float]]


@dataclass(frozen=True)
class Design:
    """How paper and seeds are tested.

    size, published_size: test images of ours and of the paper.
    paper_spread: of the paper's trainings, if it is not that of ours. best_of: how many the paper reports the best of.
    """

    name: str
    size: int
    published_size: int
    seeds: int
    test: Test
    same_images: bool = False
    paper_spread: float | None = None
    best_of: int = 1

    @property
    def is_as_assumed(self) -> bool:
        return self.seeds >= 3 and self.paper_spread is None and self.best_of == 1


def rates(design: Design, spread: float, accuracy: float, lower: float = 0.0, runs: int = RUNS) -> dict[str, float]:
    """How often a published accuracy is inside the prediction interval, reproduced, and different, in per cent.

    spread: the standard deviation between the true accuracies of runs, which have a beta distribution.
    accuracy: the mean of the paper's protocol. lower: how far ours is below it. runs: how many are simulated.
    """
    sizes = design.size, design.published_size, design.seeds
    thousandths = [round(1000 * abs(value)) for value in (spread, accuracy, lower)]
    random = np.random.default_rng([*sizes, *thousandths, int(lower < 0), runs])
    ours = draw(random, accuracy - lower, spread, (runs, design.seeds))
    paper_spread = spread if design.paper_spread is None else design.paper_spread
    of_paper = draw(random, accuracy, paper_spread, (runs, design.best_of))
    correct, published, distinct = design.test(random, np.c_[ours, of_paper.max(axis=1)])
    share = published / design.published_size
    found = replication.intervals(
        (share, share), design.published_size, correct, np.full(design.seeds, design.size), distinct, design.same_images
    )
    different, equivalent = found.is_different(share, share), found.is_equivalent()
    shares = {"inside": ~different, "reproduced": equivalent & ~different, "different": different}
    return {name: 100 * float(share.mean()) for name, share in shares.items()}


def draw(random: np.random.Generator, mean: float, spread: float, shape: tuple[int, int]) -> np.ndarray:
    """True accuracies of runs, of a beta distribution."""
    if not spread:
        return np.full(shape, mean)
    concentration = mean * (1 - mean) / spread**2 - 1
    return random.beta(mean * concentration, (1 - mean) * concentration, shape)


def apart(size: int, published_size: int, seeds: int, name: str = "") -> Design:
    """Every seed and the paper are tested on images of their own."""

    def test(random, accuracies):
        correct = random.binomial(size, accuracies[:, :-1])
        return correct, random.binomial(published_size, accuracies[:, -1]), seeds * size

    return Design(name, size, published_size, seeds, test)


def official(size: int, seeds: int, agreed: float, same: bool, name: str = "") -> Design:
    """All seeds are tested on the same images; the paper is tested on them too, or on as many others.

    agreed: the share of images that are hard or easy for all seeds alike, so that a better seed is right wherever a
    worse one is. On the rest, the seeds are right independently of each other.
    """
    decided = round(agreed * size)

    def test(random, accuracies):
        together = accuracies if same else accuracies[:, :-1]
        right = nested(random, together, decided) + random.binomial(size - decided, together)
        published = right[:, -1] if same else random.binomial(size, accuracies[:, -1])
        return right[:, :seeds], published, size

    return Design(name, size, size, seeds, test, same)


def redrawn(size: int, archive: int, seeds: int, name: str = "") -> Design:
    """Each seed draws its test images from one archive, whose images are hard or easy for all seeds alike."""

    def test(random, accuracies):
        right = nested(random, accuracies[:, :-1], archive)
        distinct = archive * (1 - (1 - size / archive) ** right.shape[1])
        correct = random.hypergeometric(right, archive - right, size)
        return correct, random.binomial(size, accuracies[:, -1]), distinct

    return Design(name, size, size, seeds, test)


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


def designs() -> Iterator[Design]:
    """All that the page has."""
    for size, seeds in product(SIZES, SEEDS):
        yield apart(size, size, seeds, "images of their own")
    for seeds in SEEDS:
        for size, published_size in ((64, 1000), (624, 100), (100, 1000)):
            yield apart(size, published_size, seeds, "images of their own, two sizes")
    for seeds, (agreed, some) in product(SEEDS, ((1, "all"), (0.95, "95% of the"), (0.5, "half of the"))):
        yield official(624, seeds, agreed, True, f"the paper's own test images, seeds agree on {some} images")
    for seeds, (agreed, some) in product(SEEDS, ((1, "all"), (0.5, "half of the"))):
        yield official(624, seeds, agreed, False, f"one test set, the paper's another, seeds agree on {some} images")
    for seeds, (parts, share) in product(SEEDS, ((2, "half"), (10, "a tenth"))):
        yield redrawn(592, parts * 592, seeds, f"test drawn anew by each seed, {share} of the archive")
    for size in (100, 624):
        yield apart(size, size, 2, "images of their own, two seeds")
    for design in (apart(100, 100, 5), apart(592, 592, 5)):
        yield replace(design, name="not as assumed: the paper's trainings spread by 6 points", paper_spread=0.06)
        yield replace(design, name="not as assumed: the paper reports the best of 5 trainings", best_of=5)


def row(design: Design, spread: float, runs: int = RUNS) -> dict[str, tuple[float, float]]:
    """The least and the greatest percentage over all accuracies.

    inside: true replications in the prediction interval. reproduced: true replications called so.
    false: protocols 10 points away that are called reproduced. seen: those that are called different.
    """

    def apart_by(lower: float) -> list[dict[str, float]]:
        """Of all accuracies at which both protocols can spread so far."""
        possible = [accuracy for accuracy in ACCURACIES if max(accuracy, accuracy - lower) + spread <= 1]
        return [rates(design, spread, accuracy, lower, runs) for accuracy in possible]

    true, ten = apart_by(0.0), apart_by(replication.MARGIN) + apart_by(-replication.MARGIN)
    columns = {
        "inside": [found["inside"] for found in true],
        "reproduced": [found["reproduced"] for found in true],
        "false": [found["reproduced"] for found in ten],
        "seen": [found["different"] for found in ten],
    }
    return {name: (min(values), max(values)) for name, values in columns.items()}


def line(design: Design, first: str, second: str, found: list[dict[str, tuple[float, float]]]) -> str:
    """A line of a table: two of a row's percentages for each spread, the first as a range, the second at its worst."""
    cells = [design.name, design.size, design.published_size, design.seeds]
    for one in found:
        low, high = one[first]
        worst = one[second][1] if second == "false" else one[second][0]
        cells.append(f"{low:.0f}–{high:.0f}, {worst:.1f}")
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    found = {design: [row(design, spread) for spread in SPREADS] for design in tqdm(list(designs()), desc="designs")}
    some = [(design, one) for design, rows in found.items() if design.is_as_assumed for one in rows]
    inside = [value for _, one in some for value in one["inside"]]
    false = max(one["false"][1] for _, one in some)
    wide = "; ".join(dict.fromkeys(design.name for design, one in some if one["inside"][1] > 98.5))
    spreads = " | ".join(f"{100 * spread:.0f}" for spread in SPREADS)
    head = f"| tested on | our images | the paper's | seeds | {spreads} |\n|---|{'---:|' * (3 + len(SPREADS))}"
    page = f"""# How often does the rule err?

The stage `error_rates` writes this page; do not edit it. The rule is in [evidence.md](../docs/evidence.md#the-rule).

If the paper's trainings spread as ours do, and it reports one of them: with three seeds or more, a true replication
lies in the prediction interval in {min(inside):.0f} to {max(inside):.0f}% of cases, and a protocol that is truly 10
points better or worse is called *reproduced* in at most {false:.1f}%. More than 98% lie inside, so that the interval is
wider than it need be, only in some cases of: {wide}.

Each percentage is of {RUNS:,} simulated papers, each with seeds of ours: its standard error is at most 0.4 points, 0.15
near 95%. A run's true accuracy has a beta distribution around the protocol's, with the spread as standard deviation;
its right answers are binomial. Columns are spreads in points. Ranges and maxima are over true accuracies of the paper
of {", ".join(f"{accuracy:g}" for accuracy in ACCURACIES)}, without those that leave no room for the spread below 1.
Seeds *agree* on images where the better of two is right on each that the worse is right on; on others they are right
independently.

## Errors

True replications in the 95% prediction interval, so not called different; and the most that a protocol 10 points away
is called *reproduced*. Both in per cent.

{head}
{LINE.join(line(design, "inside", "false", rows) for design, rows in found.items())}

## Power

True replications that are called *reproduced* (the others are mostly *inconclusive*); and the least that a protocol 10
points away is called different. Both in per cent.

{head}
{LINE.join(line(design, "reproduced", "seen", rows) for design, rows in found.items())}
"""
    with replacing(PAGE) as path:
        path.write_text(page, encoding="utf-8")
    print(f"inside {min(inside):.1f} to {max(inside):.1f}%, false at most {false:.1f}%: {PAGE}")


if __name__ == "__main__":
    errors.run(main)
