"""Find the published numbers of a run that cannot all be true, by arithmetic alone.

A published number stands for all values that print as it: 0.90 for 0.895 to 0.905. A relation is violated if no choice
within these intervals satisfies it, so rounding alone never makes a contradiction. The reason names every number
involved. All of them get the verdict, except the firmer evidence: counts next to a rate computed from them, and (in
rontgen.claims.archive_counts) counts next to a count that is made of them.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

from rontgen.claims.published import Published
from rontgen.claims.violations import (
    PARTS,
    Violation,
    addition,
    contradiction,
    decimal,
    in_words,
    interval,
    listed,
    printed,
)
from rontgen.core.cells import COUNT, Cell

SCORES = ("precision", "recall", "f1")
SAME_IMAGES = "if its accuracy and its other scores are of the same test images"
AVERAGES = "if its scores are averages over the classes, of the same test images"


def violations(published: Published) -> list[Violation]:
    """Every violated relation among the numbers published about one run, its study's included."""
    return [violation for relation in RELATIONS for violation in relation(published)]


def _confusion(published: Published) -> Iterator[Violation]:
    """Everything that follows from a confusion matrix."""
    matrix = published.confusion or {}
    counts = [f"test.confusion.{true}.{name}" for true in matrix for name in matrix]
    shown = "; ".join(f"{true}: {', '.join(map(str, row.values()))}" for true, row in matrix.items())
    for metric, value in _rates(matrix).items() if matrix else ():
        cell = published.cells.get(metric)
        if cell and _misses(cell, value, value):
            reason = f"the confusion matrix ({shown}) gives {in_words(metric)} {decimal(value)}, and {printed(cell)}"
            yield contradiction(published, [metric, *(counts if COUNT.fullmatch(metric) else [])], reason)


def _rates(matrix: dict[str, dict[str, int]]) -> dict[str, Fraction]:
    """Each rate and sum of a confusion matrix, by metric; a rate of no images is 0."""
    supports = {true: sum(row.values()) for true, row in matrix.items()}
    images = sum(supports.values())
    right = sum(matrix[name][name] for name in matrix)
    found = {"test.test_images": Fraction(images), "test.accuracy": _share(right, images)}
    for name, support in supports.items():
        hits, predictions = matrix[name][name], sum(row[name] for row in matrix.values())
        found[f"test.classes.{name}.precision"] = _share(hits, predictions)
        found[f"test.classes.{name}.recall"] = _share(hits, support)
        found[f"test.classes.{name}.f1"] = _share(2 * hits, predictions + support)
        found[f"test.classes.{name}.support"] = Fraction(support)
    for score in SCORES:
        of_classes = {name: found[f"test.classes.{name}.{score}"] for name in matrix}
        found[f"test.macro.{score}"] = _mean(of_classes.values(), [1] * len(matrix))
        found[f"test.weighted.{score}"] = _mean(of_classes.values(), supports.values())
    return found


def _harmonic_means(published: Published) -> Iterator[Violation]:
    """F1 of a class from its precision and recall."""
    for name in published.classes:
        metrics = [f"test.classes.{name}.{score}" for score in SCORES]
        if reason := _harmonic_mean(published, metrics):
            yield contradiction(published, metrics, reason)


def _harmonic_mean(published: Published, metrics: list[str]) -> str:
    """Why an F1 is not that of a precision and a recall, which it grows with; "" where it is, or one is missing."""
    cells = published.all_of(metrics)
    if not cells:
        return ""
    precision, recall, f1 = cells
    low, high = (_share(2 * p * r, p + r) for p, r in ((precision.low, recall.low), (precision.high, recall.high)))
    if not _misses(f1, low, high):
        return ""
    return f"{listed([precision, recall])}: their harmonic mean is {interval(low, high)}, and {printed(f1)}"


def _averages(published: Published) -> Iterator[Violation]:
    """Averages from the values of all classes; the accuracy is the weighted recall."""
    weights = {"macro": [1] * len(published.classes)}
    if published.supports:
        weights["weighted"] = list(published.supports.values())
    for score in SCORES:
        cells = published.all_of(f"test.classes.{name}.{score}" for name in published.classes)
        for kind, of_classes in weights.items() if cells else ():
            low, high = (_mean(ends, of_classes) for ends in ([c.low for c in cells], [c.high for c in cells]))
            of = "the same weight" if kind == "macro" else f"weights {', '.join(map(str, of_classes))}"
            for metric in [f"test.{kind}.{score}"] + ["test.accuracy"] * (kind == "weighted" and score == "recall"):
                cell = published.cells.get(metric)
                if cell and _misses(cell, low, high):
                    reason = f"{listed(cells)}: with {of} their mean is {interval(low, high)}, and {printed(cell)}"
                    condition = SAME_IMAGES if metric == "test.accuracy" else ""
                    yield contradiction(published, [metric, *(part.metric for part in cells)], reason, condition)


def _one_number(published: Published) -> Iterator[Violation]:
    """Accuracy is the weighted recall, and with equal classes the macro recall too.

    Intervals that only touch do meet: at 0.905, the last bit of two different computations decides what is printed.
    """
    size = published.equal_support
    for kind in ["weighted", *(["macro"] if size else [])]:
        cells = published.all_of(["test.accuracy", f"test.{kind}.recall"])
        if cells and _misses(cells[0], cells[1].low, cells[1].high):
            why = f"with {size} images of each class the two are one number" if size else "the two are one number"
            condition = AVERAGES if kind == "macro" else SAME_IMAGES
            yield contradiction(published, [cell.metric for cell in cells], f"{listed(cells)}; {why}", condition)


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
    one_class = _harmonic_mean(published, [f"test.macro.{score}" for score in SCORES])
    for known in (published.cells[name] for name in ("test.accuracy", "test.macro.recall") if name in published.cells):
        full, rest = divmod(math.ceil(known.low * images), size)
        least = (full * math.sqrt(size) + math.sqrt(rest)) ** 2 / (classes * images)
        for target in [f"test.{kind}.{score}" for kind in ("macro", "weighted") for score in ("precision", "f1")]:
            cell = published.cells.get(target)
            if cell is None or cell.high >= least - 1e-9:
                continue
            reason = (
                f"{printed(known)}: with {size} images of each class, {in_words(target)} is then at least "
                f"({full}·√{size} + √{rest})²/({classes}·{images}) = {least:.4f}, and {printed(cell)}"
            )
            condition = AVERAGES
            if one_class and known.metric == "test.macro.recall" and target.startswith("test.macro."):
                reason, condition = f"{reason}; as scores of one class, {one_class}", ""
            yield contradiction(published, [known.metric, target], reason, condition)


def _whole_images(published: Published) -> Iterator[Violation]:
    """A share of n images is k/n for a whole k (the GRIM test of Brown and Heathers 2017)."""
    for metric, cell in published.cells.items():
        images = published.trials(metric)
        if images and published.successes(metric) is None:
            below = math.floor(cell.low * images)
            first, second = (f"{count} are {decimal(Fraction(count, images))}" for count in (below, below + 1))
            reason = f"{printed(cell)}, but of {images} images {first} and {second}"
            yield contradiction(published, [metric], reason)


def _predictions(published: Published) -> Iterator[Violation]:
    """Each test image is predicted once: a class of m images is predicted m·recall/precision times."""
    supports = published.supports
    recalls, precisions = (
        published.all_of(f"test.classes.{name}.{score}" for name in published.classes)
        for score in ("recall", "precision")
    )
    if not supports or not recalls or not precisions or any(precision.low <= 0 for precision in precisions):
        return
    classes = list(zip(supports.values(), recalls, precisions, strict=True))
    low = sum(size * recall.low / precision.high for size, recall, precision in classes)
    high = sum(size * recall.high / precision.low for size, recall, precision in classes)
    images = sum(supports.values())
    if not low <= images <= high:
        cells = [cell for _, *pair in classes for cell in pair]
        reason = f"{listed(cells)}: images times recall by precision, the number of predictions, is "
        reason += f"{float(low):.1f}-{float(high):.1f} over all classes, and there are {images} images"
        yield contradiction(published, [cell.metric for cell in cells], reason)


def _epochs(published: Published) -> Iterator[Violation]:
    for metric in ("train.kept_epoch", "train.best_accuracy_epoch", "train.best_loss_epoch"):
        cells = published.all_of([metric, "train.epochs"])
        if cells and cells[0].low > cells[1].high:
            yield contradiction(published, [metric, "train.epochs"], " of ".join(map(printed, cells)))


def _synthetic(published: Published) -> Iterator[Violation]:
    """What SMOTE makes of a class is what it has more afterwards."""
    for name in published.classes:
        metrics = [f"data.{part}.{name}" for part in ("images", "smote", "synthetic")]
        if cells := published.all_of(metrics):
            before, after, made = cells
            more = after.low - before.low
            if _misses(made, more, more):
                reason = f"{listed([before, after])}: SMOTE made {decimal(more)}, and {printed(made)}"
                yield contradiction(published, metrics, reason)


def _totals(published: Published) -> Iterator[Violation]:
    """A total is the sum of its classes, and a number printed twice is one."""
    sums = [(f"data.{part}", [f"data.{part}.{of}" for of in published.classes]) for part in PARTS]
    sums.append(("test.test_images", [f"test.classes.{of}.support" for of in published.classes]))
    sums.append(("data.test", ["test.test_images"]))
    sums += [(f"data.test.{of}", [f"test.classes.{of}.support"]) for of in published.classes]
    for total, parts in sums:
        whole, cells = published.cells.get(total), published.all_of(parts)
        if whole and cells and _misses(whole, sum(cell.low for cell in cells), sum(cell.high for cell in cells)):
            counts = [int(cell.value) for cell in cells]
            working = f"{addition(counts)} = {sum(counts)}" if len(counts) > 1 else f"{counts[0]}"
            yield contradiction(published, [total, *parts], f"{listed(cells)} make {working}, and {printed(whole)}")


def _subsets(published: Published) -> Iterator[Violation]:
    """The subsets are no more than the whole."""
    for of in ["", *(f".{name}" for name in published.classes)]:
        parts = [f"data.{part}{of}" for part in ("train", "validation", "test")]
        cells = [published.cells[part] for part in parts if part in published.cells]
        whole = published.cells.get(f"data.selected{of}") or published.cells.get(f"data.images{of}")
        if whole and sum(cell.low for cell in cells) > whole.high:
            reason = f"{listed(cells)} make {addition(cell.value for cell in cells)}, more than {printed(whole)}"
            yield contradiction(published, [cell.metric for cell in [*cells, whole]], reason)


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
    _subsets,
)


def _misses(cell: Cell, low: Fraction | int, high: Fraction | int) -> bool:
    """Whether no number from low to high prints as the cell; limits that only touch do meet."""
    return high < cell.low or cell.high < low


def _mean(values: Iterable[Fraction], weights: Iterable[int]) -> Fraction:
    pairs = list(zip(values, weights, strict=True))
    return _share(sum(value * weight for value, weight in pairs), sum(weight for _, weight in pairs))


def _share(part: Fraction | int, whole: Fraction | int) -> Fraction:
    return Fraction(part) / whole if whole else Fraction(0)
