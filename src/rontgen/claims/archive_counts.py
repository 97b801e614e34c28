"""Published counts against the public archives: images counted twice, and images that the archives lack."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from rontgen.claims.published import Published
from rontgen.claims.violations import Violation, addition, contradiction, listed, printed
from rontgen.core.papers import Papers
from rontgen.core.settings import Dataset, Split
from rontgen.core.vocabulary import UNAVAILABLE

# Images of a class, or of all classes together (None), by part of the archive; "all" for an archive without parts
ArchiveCounts = dict[str | None, dict[str, int]]

# Archives may have more images of a class than a dataset takes, as of normal ones
TAKEN = "the public archives, as params.yaml takes them, hold"


def violations(papers: Papers, published: Sequence[Published], dataset: Dataset, split: Split) -> list[Violation]:
    """The published counts of a study's runs that the public archives contradict or cannot supply.

    Uses the classes, labels and counts of the dataset, and the policy and counts of the study's split.
    """
    held, offered = of_archives(dataset, papers.archives), _offered(dataset, papers)
    found = [violation for run in published for violation in _archive(run, held, offered)]
    found += [violation for relation in (_smote, _shares) for run in published for violation in relation(run, held)]
    return [*found, *_shortage(published, split, held, offered)]


def of_archives(dataset: Dataset, archives: dict[str, dict[str, dict[str, int]]]) -> ArchiveCounts:
    """The images in the archives of a dataset. archives: their parts, from studies/common.yaml."""
    held: dict[str, dict] = {name: {} for name in dataset.classes}
    for archive, labels in dataset.labels.items():
        for label, name in labels.items():
            held[name] |= archives.get(archive, {}).get(label, {"all": dataset.counts[archive][label]})
    parts = list(next(iter(held.values())))
    if all(list(of_class) == parts for of_class in held.values()):
        return held | {None: {part: sum(of_class[part] for of_class in held.values()) for part in parts}}
    return held | {None: {"all": sum(sum(of_class.values()) for of_class in held.values())}}


def sums_of_parts(parts: dict[str, int]) -> set[int]:
    """Every number of images that whole parts of an archive make together."""
    return {sum(some) for size in range(1, len(parts) + 1) for some in combinations(parts.values(), size)}


def _offered(dataset: Dataset, papers: Papers) -> dict[str, str]:
    """What the archives offer besides, under terms, by class: `; 2,800 more of … under an agreement with …`."""
    return {
        name: f"; the archive's page offers {more.images:,} more of {name} {more.terms}"
        for archive, labels in dataset.labels.items()
        for label, name in labels.items()
        if (more := papers.restricted.get(archive, {}).get(label))
    }


def _archive(published: Published, held: ArchiveCounts, offered: dict[str, str]) -> Iterator[Violation]:
    """Fewer images than the archive's are a choice; more do not exist, or were counted more than once."""
    for name, parts in held.items():
        cell = published.cells.get(f"data.images.{name}" if name else "data.images")
        archive = sum(parts.values())
        if cell is None or cell.number <= archive:
            continue
        times, rest = divmod(int(cell.number), archive)
        part = next((part for part, count in parts.items() if count == rest), None)
        if name and (rest == 0 or part):
            working = f"{times} × {archive}" + (f" + {rest} (its part {part} once more)" if rest else "")
            reason = f"{printed(cell)} are {working}: the archive holds {archive}, and nested copies were counted too"
            yield contradiction(published, [cell.metric], reason)
        else:
            working = str(archive) if name else _total(published, held)
            reason = f"{printed(cell)}, and {TAKEN} {working}{offered.get(name or '', '')}"
            yield Violation(UNAVAILABLE, ((published.study, cell.metric),), reason)


def _total(published: Published, held: ArchiveCounts) -> str:
    """`1583 + 4273 = 5856`."""
    sizes = [sum(held[name].values()) for name in published.classes]
    return f"{addition(sizes)} = {sum(sizes)}"


def _shares(published: Published, held: ArchiveCounts) -> Iterator[Violation]:
    """A subset has its stated share of the images, to within one image of each class.

    The images are those selected, or else those published, or else those of the archive.
    """
    known = published.count("data.selected") or published.count("data.images")
    images = known or sum(held[None].values())
    for metrics in (
        ("data.share.train", "data.train"),
        ("data.share.validation", "data.validation"),
        ("data.share.test", "test.test_images"),
    ):
        if cells := published.all_of(metrics):
            stated, counted = cells
            low, high = (bound * images for bound in (stated.low, stated.high))
            if not low - len(published.classes) <= counted.low <= high + len(published.classes):
                share = f"of {known or _total(published, held)} images {float(low):.6g}-{float(high):.6g}"
                yield contradiction(published, metrics, f"{printed(stated)}; {share}, and {printed(counted)}")


def _smote(published: Published, held: ArchiveCounts) -> Iterator[Violation]:
    """SMOTE makes all classes as large as the largest; it may have been given the test images too."""
    train, smote = published.per_class("data.train.{}"), published.per_class("data.smote.{}")
    if not train or not smote:
        return
    largest, made = max(train, key=lambda name: train[name]), max(smote.values())
    test = published.count(f"data.test.{largest}") or 0
    if made <= train[largest] or made == train[largest] + test:
        return
    cells = [published.cells[f"data.smote.{name}"] for name in published.classes]
    reason = f"{listed(cells)}, and the largest class ({largest}) has {train[largest]} training and {test} test images"
    yield contradiction(published, [cell.metric for cell in cells], reason)


def _shortage(
    published: Sequence[Published], split: Split, held: ArchiveCounts, offered: dict[str, str]
) -> Iterator[Violation]:
    """If a study needs more distinct images of a class than exist, all its counts and results depend on them."""
    counts = split.counts
    if split.policy != "balanced" or counts is None:
        return
    need = counts.train + counts.validation + counts.test
    lacking = {name: sum(parts.values()) for name, parts in held.items() if name and sum(parts.values()) < need}
    if lacking:
        cells = dict.fromkeys((run.owner(metric), metric) for run in published for metric in run.cells)
        reason = (
            f"{published[0].study} needs {counts.train} + {counts.validation} + {counts.test} = {need} distinct images "
            f"of each class, and {TAKEN} {', '.join(f'{count} of {name}' for name, count in lacking.items())}"
            f"{''.join(offered.get(name, '') for name in lacking)}"
        )
        yield Violation(UNAVAILABLE, tuple(cells), reason)
