"""Published counts against the public archives: images counted twice, and images that the archives lack."""

from collections.abc import Iterator
from itertools import combinations

from rontgen.claims.consistency import Violation, contradiction
from rontgen.claims.published import Published
from rontgen.claims.wording import listed, plus, printed
from rontgen.core.papers import Paper, Papers, Restricted
from rontgen.core.settings import Dataset, StudySettings
from rontgen.core.vocabulary import UNAVAILABLE

# Images of a class, or of all classes together (None), by part of the archive; "all" for an archive without parts
ArchiveCounts = dict[str | None, dict[str, int]]

# Archives may have more images of a class than a dataset takes, as of normal ones
TAKEN = "the public archives, as params.yaml takes them, hold"


def violations(papers: Papers, study: str, dataset: Dataset, settings: StudySettings) -> list[Violation]:
    """The published counts of a study that the public archives contradict or cannot supply.

    Uses the classes, labels and counts of the dataset, and the policy and counts of the study's split.
    """
    published = papers.studies[study]
    held = of_archives(dataset, papers.archives)
    more = _restricted(dataset, papers.restricted)
    runs = [Published.of(study, run, published, dataset.classes) for run in published.runs]
    # What concerns all runs of the study is the same seen from each of them
    found = [violation for run in runs for violation in _archive(run, held, more)]
    found += [violation for relation in (_smote, _shares) for run in runs for violation in relation(run, held)]
    return [*dict.fromkeys(found), *_shortage(study, published, settings, held, more)]


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


def _restricted(dataset: Dataset, restricted: dict[str, dict[str, Restricted]]) -> dict[str, str]:
    """What the archives offer besides, under terms, by class: `; 2,800 more of … under an agreement with …`."""
    return {
        name: f"; the archive's page offers {more.images:,} more of {name} {more.terms}"
        for archive, labels in dataset.labels.items()
        for label, name in labels.items()
        if (more := restricted.get(archive, {}).get(label))
    }


def _archive(published: Published, held: ArchiveCounts, more: dict[str, str]) -> Iterator[Violation]:
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
            sizes = [sum(held[other].values()) for other in published.classes]
            working = str(archive) if name else f"{plus(sizes)} = {archive}"
            reason = f"{printed(cell)}, and {TAKEN} {working}{more.get(name or '', '')}"
            yield Violation(UNAVAILABLE, ((published.study, cell.metric),), reason)


def _shares(published: Published, held: ArchiveCounts) -> Iterator[Violation]:
    """A subset has its stated share of the images, to within one image of each class.

    The images are those selected, or else those published, or else those of the archive.
    """
    sizes = [sum(held[name].values()) for name in published.classes]
    base = published.count("data.selected") or published.count("data.images")
    whole = base if base else f"{plus(sizes)} = {sum(sizes)}"
    for share, subset in (("train", "data.train"), ("validation", "data.validation"), ("test", "test.test_images")):
        stated, counted = published.cells.get(f"data.share.{share}"), published.cells.get(subset)
        if stated and counted:
            low, high = (bound * (base or sum(sizes)) for bound in (stated.low, stated.high))
            if not low - len(published.classes) <= counted.low <= high + len(published.classes):
                reason = (
                    f"{printed(stated)}; of {whole} images {float(low):.6g}-{float(high):.6g}, and {printed(counted)}"
                )
                yield contradiction(published, [stated.metric, counted.metric], reason)


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
    study: str, published: Paper, settings: StudySettings, held: ArchiveCounts, more: dict[str, str]
) -> Iterator[Violation]:
    """If a study needs more distinct images of a class than exist, all its counts and results depend on them."""
    counts = settings.split.counts
    if settings.split.policy != "balanced" or counts is None:
        return
    need = counts.train + counts.validation + counts.test
    short = {name: sum(parts.values()) for name, parts in held.items() if name and sum(parts.values()) < need}
    if short:
        cells = [(study, cell.metric) for cell in published.cells]
        cells += [(run, cell.metric) for run, of_run in published.runs.items() for cell in of_run]
        reason = (
            f"{study} needs {counts.train} + {counts.validation} + {counts.test} = {need} distinct images of each "
            f"class, and {TAKEN} {', '.join(f'{count} of {name}' for name, count in short.items())}"
            f"{''.join(more.get(name, '') for name in short)}"
        )
        yield Violation(UNAVAILABLE, tuple(cells), reason)


def sums_of_parts(parts: dict[str, int]) -> set[int]:
    """Every number of images that whole parts of an archive make together."""
    return {sum(some) for size in range(1, len(parts) + 1) for some in combinations(parts.values(), size)}
