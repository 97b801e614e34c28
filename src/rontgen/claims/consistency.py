"""Find the published numbers of a run that cannot all be true, by arithmetic alone.

A published number stands for all values that print as it: 0.90 for 0.895 to 0.905. A relation is violated if no choice
within these intervals satisfies it, so rounding alone never makes a contradiction. The reason names every number
involved. All of them get the verdict, except the firmer evidence: counts next to a rate computed from them, and (in
rontgen.claims.archive_counts) counts next to a count that is made of them.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from scipy.stats import binom

from rontgen.claims.published import Published
from rontgen.claims.wording import PARTS, in_words, listed, plus, printed, short, span
from rontgen.core.cells import COUNT
from rontgen.core.papers import Paper
from rontgen.core.vocabulary import CONTRADICTORY

SCORES = ("precision", "recall", "f1")
RARE = 0.05
SAME_IMAGES = "if its accuracy and its other scores are of the same test images"
AVERAGES = "if its scores are averages over the classes, of the same test images"


@dataclass(frozen=True)
class Violation:
    """A relation that does not hold.

    cells: (run or study, metric) of those that get the verdict.
    condition: "if …", what the numbers must mean for it; "" if it holds whatever they mean.
    """

    verdict: str
    cells: tuple[tuple[str, str], ...]
    reason: str
    condition: str = ""


def violations(published: Published) -> list[Violation]:
    """Every violated relation among the numbers published about one run, its study's included."""
    return [violation for relation in RELATIONS for violation in relation(published)]


def _confusion(published: Published) -> Iterator[Violation]:
    """Everything that follows from a confusion matrix."""
    for metric, (value, working) in _from_counts(published.confusion).items() if published.confusion else ():
        cell = published.cells.get(metric)
        if cell is not None and not cell.low <= value <= cell.high:
            counts = [f"test.confusion.{true}.{name}" for true in published.classes for name in published.classes]
            reason = f"the confusion matrix gives {in_words(metric)} {working} = {short(value)}, and {printed(cell)}"
            yield contradiction(published, [metric, *(counts if COUNT.fullmatch(metric) else [])], reason)


def _from_counts(matrix: dict[str, dict[str, int]]) -> dict[str, tuple[Fraction, str]]:
    """Each rate and sum of a confusion matrix and how it is computed, by metric; a rate of no images is 0."""
    right = {name: matrix[name][name] for name in matrix}
    supports = {true: sum(row.values()) for true, row in matrix.items()}
    images = sum(supports.values())
    accuracy = _share(sum(right.values()), images), f"({plus(right.values())})/{images}"
    found = {"test.test_images": (Fraction(images), plus(supports.values())), "test.accuracy": accuracy}
    for name, hits in right.items():
        missed, wrong = supports[name] - hits, sum(row[name] for row in matrix.values()) - hits
        values = _share(hits, hits + wrong), _share(hits, hits + missed), _share(2 * hits, 2 * hits + wrong + missed)
        workings = (
            f"{hits}/({hits} + {wrong})",
            f"{hits}/({hits} + {missed})",
            f"2·{hits}/(2·{hits} + {wrong} + {missed})",
        )
        for score, value, working in zip(SCORES, values, workings, strict=True):
            found[f"test.classes.{name}.{score}"] = value, working
        found[f"test.classes.{name}.support"] = Fraction(supports[name]), f"{hits} + {missed}"
    for score in SCORES:
        scores = [found[f"test.classes.{name}.{score}"][0] for name in matrix]
        mean = sum(scores, Fraction(0)) / len(scores), f"({plus(map(short, scores))})/{len(scores)}"
        weighted = [f"{supports[name]}·{short(value)}" for name, value in zip(matrix, scores, strict=True)]
        sums = sum(supports[name] * value for name, value in zip(matrix, scores, strict=True))
        found[f"test.macro.{score}"] = mean
        found[f"test.weighted.{score}"] = _share(sums, images), f"({plus(weighted)})/{images}"
    return found


def _harmonic_means(published: Published) -> Iterator[Violation]:
    """F1 of a class from its precision and recall."""
    for name in published.classes:
        metrics = [f"test.classes.{name}.{score}" for score in SCORES]
        if reason := _harmonic_mean(published, metrics):
            yield contradiction(published, metrics, reason)


def _harmonic_mean(published: Published, metrics: list[str]) -> str:
    """Why an F1 is not that of a precision and a recall, which it grows with; "" where it is, or one is missing."""
    if any(metric not in published.cells for metric in metrics):
        return ""
    precision, recall, f1 = (published.cells[metric] for metric in metrics)
    low, high = (_share(2 * p * r, p + r) for p, r in ((precision.low, recall.low), (precision.high, recall.high)))
    if low <= f1.high and f1.low <= high:
        return ""
    return f"{listed([precision, recall])}: their harmonic mean is {span(low, high)}, and {printed(f1)}"


def _averages(published: Published) -> Iterator[Violation]:
    """Averages from the values of all classes; the accuracy is the weighted recall."""
    for score in SCORES:
        names = [f"test.classes.{name}.{score}" for name in published.classes]
        cells = [published.cells[name] for name in names if name in published.cells]
        if len(cells) < len(names):
            continue
        averages = {"test.macro": [1] * len(cells)}
        if published.supports:
            averages["test.weighted"] = list(published.supports.values())
        for kind, weights in averages.items():
            low, high = (
                sum(weight * bound for weight, bound in zip(weights, bounds, strict=True)) / Fraction(sum(weights))
                for bounds in ([cell.low for cell in cells], [cell.high for cell in cells])
            )
            of = "the same weight" if kind == "test.macro" else f"weights {', '.join(map(str, weights))}"
            metrics = [f"{kind}.{score}"] + ["test.accuracy"] * (kind == "test.weighted" and score == "recall")
            for metric in metrics:
                cell = published.cells.get(metric)
                if cell is not None and (high < cell.low or cell.high < low):
                    reason = f"{listed(cells)}: with {of} their mean is {span(low, high)}, and {printed(cell)}"
                    condition = SAME_IMAGES if metric == "test.accuracy" else ""
                    yield contradiction(published, [metric, *(part.metric for part in cells)], reason, condition)


def _one_number(published: Published) -> Iterator[Violation]:
    """Accuracy is the weighted recall, and with equal classes the macro recall too.

    Intervals that only touch do meet: at 0.905, the last bit of two different computations decides what is printed.
    """
    accuracy, size = published.cells.get("test.accuracy"), published.equal_support
    for kind in ["weighted", *(["macro"] if size else [])]:
        recall = published.cells.get(f"test.{kind}.recall")
        if accuracy and recall and (accuracy.high < recall.low or recall.high < accuracy.low):
            why = f"with {size} images of each class the two are one number" if size else "the two are one number"
            reason, condition = f"{listed([accuracy, recall])}; {why}", AVERAGES if kind == "macro" else SAME_IMAGES
            yield contradiction(published, [accuracy.metric, recall.metric], reason, condition)


def doubt(rows: Sequence[Published]) -> str:
    """Why the scores of a study's rows can hardly be averages on the images of their accuracies; "" if they can.

    Then accuracy and recall are one number, printed as two only where it lies halfway, so that the last bit of two
    computations decides: as rare as an exact half is among all shares of as many images.
    """
    pairs = [
        (accuracy, recall, min(1.0, 1 / (2 * float(accuracy.rounding) * row.images)))
        for row in rows
        if row.equal_support
        and "test.weighted.recall" not in row.cells
        and (accuracy := row.cells.get("test.accuracy"))
        and (recall := row.cells.get("test.macro.recall"))
    ]
    apart = sum(accuracy.high == recall.low or recall.high == accuracy.low for accuracy, recall, _ in pairs)
    if not apart or (p := float(binom.sf(apart - 1, len(pairs), max(half for *_, half in pairs)))) >= RARE:
        return ""
    return (
        f"In {apart} of {len(pairs)} rows the printed accuracy and recall are neighbours. As averages on the same "
        f"images they are one number, which would have to lie exactly halfway each time (p = {p:.1g}): so the accuracy "
        "is probably of other images than the scores, and what rests on their being of the same is doubtful."
    )


def _least_averages(published: Published) -> Iterator[Violation]:
    """With equal classes, many right answers leave precision and F1 no room to be low.

    Of K classes with m test images each, n = Km, let d be the right answers of a class, s the times it is predicted, T
    the sum of the d. Its precision is d/s and its F1 2d/(m + s), where s sums to n and m + s to 2n. By the inequality
    of Cauchy and Schwarz the sum of d/s is at least (Σ√d)²/n, and that of 2d/(m + s) at least 2(Σ√d)²/(2n), the same.
    Σ√d is concave, so among all d from 0 to m with the sum T it is least at a corner: as many classes as can be wholly
    right, one with the rest, the others with none. A class never predicted counts 0, as its d. The bound grows with T.

    Scores that can be neither such averages nor those of one class are contradictory whatever they are.
    """
    size, images, classes = published.equal_support, published.count("test.test_images"), len(published.classes)
    if not size or images != size * classes:
        return
    for source in ("test.accuracy", "test.macro.recall"):
        known = published.cells.get(source)
        if known is None:
            continue
        full, rest = divmod(math.ceil(known.low * images), size)
        least = (full * math.sqrt(size) + math.sqrt(rest)) ** 2 / (classes * images)
        one_class = _harmonic_mean(published, [f"test.macro.{score}" for score in SCORES])
        whatever = f"; as scores of one class, {one_class}" if one_class and source == "test.macro.recall" else ""
        for target in [f"test.{kind}.{score}" for kind in ("macro", "weighted") for score in ("precision", "f1")]:
            cell = published.cells.get(target)
            if cell is not None and cell.high < least - 1e-9:
                shown = f"({full}·√{size} + √{rest})²/({classes}·{images}) = {least:.4f}"
                reason = (
                    f"{printed(known)}: with {size} images of each class, {in_words(target)} is then at least {shown}, "
                    f"and {printed(cell)}"
                )
                if whatever and target.startswith("test.macro."):
                    yield contradiction(published, [source, target], reason + whatever)
                else:
                    yield contradiction(published, [source, target], reason, AVERAGES)


def _whole_images(published: Published) -> Iterator[Violation]:
    """A share of n images is k/n for a whole k (the GRIM test of Brown and Heathers 2017)."""
    for metric, cell in published.cells.items():
        images = published.trials(metric)
        if images and published.successes(metric) is None:
            below = math.floor(cell.low * images)
            reason = f"{printed(cell)}, but of {images} images {below} are {short(Fraction(below, images))} and "
            reason += f"{below + 1} are {short(Fraction(below + 1, images))}"
            yield contradiction(published, [metric], reason)


def _predictions(published: Published) -> Iterator[Violation]:
    """Each test image is predicted once: a class of m images is predicted m·recall/precision times."""
    supports = published.supports
    names = [(f"test.classes.{name}.recall", f"test.classes.{name}.precision") for name in published.classes]
    pairs = [tuple(published.cells[name] for name in pair) for pair in names if published.cells.keys() >= set(pair)]
    if not supports or len(pairs) < len(names) or any(precision.low <= 0 for _, precision in pairs):
        return
    sizes = list(zip(supports.values(), pairs, strict=True))
    low = sum((size * recall.low / precision.high for size, (recall, precision) in sizes), Fraction(0))
    high = sum((size * recall.high / precision.low for size, (recall, precision) in sizes), Fraction(0))
    images = sum(supports.values())
    if not low <= images <= high:
        cells = [cell for pair in pairs for cell in pair]
        reason = f"{listed(cells)}: images times recall by precision, the number of predictions, is "
        reason += f"{float(low):.1f}-{float(high):.1f} over all classes, and there are {images} images"
        yield contradiction(published, [cell.metric for cell in cells], reason)


def _epochs(published: Published) -> Iterator[Violation]:
    epochs = published.cells.get("train.epochs")
    for metric in ("train.kept_epoch", "train.best_accuracy_epoch", "train.best_loss_epoch"):
        best = published.cells.get(metric)
        if best and epochs and best.low > epochs.high:
            yield contradiction(published, [metric, epochs.metric], f"{printed(best)} of {printed(epochs)}")


def _synthetic(published: Published) -> Iterator[Violation]:
    """What SMOTE makes of a class is what it has more afterwards."""
    for name in published.classes:
        metrics = [f"data.{part}.{name}" for part in ("images", "smote", "synthetic")]
        if all(metric in published.cells for metric in metrics):
            before, after, made = (published.cells[metric] for metric in metrics)
            if not made.low <= after.low - before.low <= made.high:
                reason = f"{listed([before, after])}: SMOTE made {short(after.low - before.low)}, and {printed(made)}"
                yield contradiction(published, metrics, reason)


def orderings(study: str, paper: Paper) -> list[Violation]:
    """The sentences about the order of a paper's numbers that the numbers do not bear out, whatever their rounding."""
    found = []
    for ordering in paper.orderings:
        cells = {run: cell for run in paper.runs for cell in paper.runs[run] if cell.metric == ordering.metric}
        for one, other in ordering.pairs:
            first, second = cells[one], cells[other]
            low, high = (first.low, second.high) if ordering.order == "rising" else (second.low, first.high)
            if high <= low:
                printed_numbers = f"{first.text} in {one}, {second.text} in {other}"
                reason = f"“{ordering.says}” ({ordering.place}), and {in_words(ordering.metric)} is {printed_numbers}"
                found.append(Violation(CONTRADICTORY, ((study, ordering.place),), reason, ordering.condition))
    return found


def _totals(published: Published) -> Iterator[Violation]:
    """A total is the sum of its classes, a number printed twice is one, and the subsets are no more than the whole."""
    sums = [(f"data.{part}", [f"data.{part}.{of}" for of in published.classes]) for part in PARTS]
    sums.append(("test.test_images", [f"test.classes.{of}.support" for of in published.classes]))
    sums.append(("data.test", ["test.test_images"]))
    sums += [(f"data.test.{of}", [f"test.classes.{of}.support"]) for of in published.classes]
    for total, parts in sums:
        if all(metric in published.cells for metric in [total, *parts]):
            cells, printed_total = [published.cells[part] for part in parts], published.cells[total]
            if sum(c.high for c in cells) < printed_total.low or printed_total.high < sum(c.low for c in cells):
                counts = [int(cell.value) for cell in cells]
                working = f"{plus(counts)} = {sum(counts)}" if len(counts) > 1 else f"{counts[0]}"
                reason = f"{listed(cells)} make {working}, and {printed(printed_total)}"
                yield contradiction(published, [total, *parts], reason)
    for of in ["", *(f".{name}" for name in published.classes)]:
        parts = [
            f"data.{part}{of}" for part in ("train", "validation", "test") if f"data.{part}{of}" in published.cells
        ]
        cells = [published.cells[part] for part in parts]
        whole = published.cells.get(f"data.selected{of}") or published.cells.get(f"data.images{of}")
        if whole and sum(cell.low for cell in cells) > whole.high:
            reason = f"{listed(cells)} make {plus(cell.value for cell in cells)}, more than {printed(whole)}"
            yield contradiction(published, [*parts, whole.metric], reason)


RELATIONS: tuple[Callable[[Published], Iterable[Violation]], ...] = (
    _confusion,
    _harmonic_means,
    _averages,
    _one_number,
    _least_averages,
    _whole_images,
    _predictions,
    _epochs,
    _synthetic,
    _totals,
)


def contradiction(published: Published, metrics: Iterable[str], reason: str, condition: str = "") -> Violation:
    def owner(metric):
        return published.study if metric.startswith("data.") else published.run

    cells = tuple((owner(metric), metric) for metric in dict.fromkeys(metrics))
    return Violation(CONTRADICTORY, cells, reason, condition)


def _share(part: Fraction | int, whole: Fraction | int) -> Fraction:
    return Fraction(part) / whole if whole else Fraction(0)
