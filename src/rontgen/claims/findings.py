"""What follows from the records of a study, a sentence each, in plain text."""

from collections.abc import Iterator

import numpy as np

from rontgen.claims import verdicts
from rontgen.claims.architectures import SEEDS
from rontgen.claims.comparisons import SIGNIFICANT, Comparison
from rontgen.claims.external import External
from rontgen.claims.published import Headline
from rontgen.claims.replication import MARGIN, Replication
from rontgen.claims.studies import Study
from rontgen.claims.trainings import COMPLETIONS, Completions
from rontgen.claims.verdicts import FEWEST, Row
from rontgen.core.settings import LEAKFREE
from rontgen.core.vocabulary import CLOSE, CONTRADICTORY, PROTOCOL, REPRODUCED, UNAVAILABLE
from rontgen.records.records import ranges


def points(value: float, sign: bool = False) -> str:
    """A share in points, with one decimal: `5.1`."""
    return f"{100 * value:{'+' if sign else ''}z.1f}"


def in_brief(study: Study) -> str:
    """What stands for a study, in a few sentences."""
    row, best = study.main, max(study.rows, key=lambda row: row.paper.number)
    found = row.replication
    if found is None:
        return f"Not recorded: {verdicts.command(row.trained, row.reading)} does so."
    apart = "" if found.bound != found.bound else f": the two are {apart_in_words(found)} points apart"
    of = f" for {row.run}" if len({one.run for one in study.rows}) > 1 else ""
    said = [
        f"The paper reports {row.paper.text}{of}. {len(row.records)} training{'s' if len(row.records) > 1 else ''} by "
        f"{row.label} reach {found.mean:.3f} on average{apart}."
    ]
    if row.verdict == CONTRADICTORY:
        said.append(
            f"But the paper's own numbers for this row cannot all be true{' ' * bool(row.condition)}{row.condition}."
        )
    if row.verdict == UNAVAILABLE:
        said.append("But the paper's images are not all openly available.")
    if row.verdict in (REPRODUCED, CLOSE) and (largest := _largest_class(row)):
        said.append(f"But always naming the largest class gives {largest:.3f}, within 10 points too.")
    if row.fit == "differs" and row.verdict in (REPRODUCED, CLOSE):
        said.append("But the training differs from the paper's.")
    others = [
        (abs(one.replication.mean - float(row.paper.number)), one.replication.mean, one)
        for one in study.rows
        if one.run == row.run and one.replication and one.verdict != row.verdict
    ]
    if others:
        _, mean, nearest = min(others, key=lambda other: other[0])
        said.append(f"By another reading ({nearest.label}) it is {nearest.verdict}: {mean:.3f}.")
    if drawn := study.completions_of(row.trained):
        said.append(of_completions(drawn))
    if best.paper.number > row.paper.number:
        said.append(f"The paper's highest, {best.paper.text} ({best.run}), is {best.words}.")
    return " ".join(said)


def apart_in_words(found: Replication) -> str:
    """How far the paper and our runs are apart: `at most 5.3`, or `27.7 to 39.8` where that is never nothing."""
    least = max(found.least, -found.greatest)
    return f"{points(least)} to {points(found.bound)}" if least > 0 else f"at most {points(found.bound)}"


def of_completions(drawn: Completions) -> str:
    """How near random completions come."""
    many = len(drawn.records)
    said = f"{drawn.near} of {many} random completions come within 10 points of it"
    if drawn.are_complete:
        low, high = drawn.interval
        return f"{said} ({100 * low:.0f} to {100 * high:.0f}% of all such completions, 95% interval)."
    seeds = [record.seed for record in drawn.records]
    fair = "" if seeds == list(range(1, many + 1)) else f"; these are seeds {ranges(seeds)} alone, so no fair sample"
    return f"{said}; {COMPLETIONS} are planned{fair}."


def findings(study: Study) -> list[str]:
    """A sentence or two for each finding."""
    return [
        *_of_readings(study),
        *_of_the_largest_class(study),
        *_of_other_images(study),
        *_of_training(study),
        *_of_the_papers_comparison(study),
        *filter(None, [study.doubt]),
        *_of_leaks(study),
        *(_of_gap(run, study) for run in study.gaps),
        *_of_shortcuts(study),
        *map(of_external, study.external),
    ]


def of_external(found: External) -> str:
    """How many people without a finding a model calls sick."""
    all_sick, images, sizes = found.all_sick, sum(found.films.values()), found.sizes
    seeds = f"seed{'s' * (len(found.seeds) > 1)} {ranges(found.seeds)}"
    said = (
        f"{found.training.run} ({found.training.label}, {seeds}), right on {100 * found.accuracy:.1f}% of its own test "
        f"images, calls {100 * all_sick.mean:.0f}% ({100 * all_sick.low:.0f} to {100 * all_sick.high:.0f}) of {images} "
        f"normal films of {found.people} sick, from archives that gave it no normal film. The out-of-distribution "
        f"check refuses {100 * found.refused:.0f}% of these films, and {100 * found.refused_sick:.0f}% of those that "
        "are called sick."
    )
    if sizes is None:
        return said
    return (
        f"{said} Of {sizes.files} files of chest_xray, full-size ones get the answer of their small copies in "
        f"{100 * sizes.same:.1f}%, and {100 * sizes.originals:.1f}% instead of {100 * sizes.copies:.1f}% are right."
    )


def _of_readings(study: Study) -> Iterator[str]:
    few = []
    for run in dict.fromkeys(row.run for row in study.rows if row.records):
        rows = [row for row in study.rows if row.run == run and row.records]
        judged = [row for row in rows if len(row.records) >= FEWEST]
        few += [f"{run} ({row.label})" for row in rows if len(row.records) < FEWEST]
        verdicts = list(dict.fromkeys(row.verdict for row in judged))
        by_verdict = {verdict: [row.label for row in judged if row.verdict == verdict] for verdict in verdicts}
        each = "; ".join(f"{verdict}: {', '.join(labels)}" for verdict, labels in by_verdict.items())
        if len(verdicts) > 1:
            yield f"The verdict on {run} depends on the reading. {each}."
        elif len(judged) > 1 and verdicts[0] not in (CONTRADICTORY, UNAVAILABLE):
            yield f"{run} is {verdicts[0]} by every reading that is recorded: {', '.join(by_verdict[verdicts[0]])}."
    if few:
        yield f"One seed decides nothing, and two are too few; five are the standard. So far: {', '.join(few)}."
    fewer = {f"{row.run} ({row.label})": row.records for row in study.rows if FEWEST <= len(row.records) < SEEDS}
    if fewer:
        minutes = {name: np.mean([one.metrics["time"]["seconds"] for one in some]) / 60 for name, some in fewer.items()}
        each = "; ".join(f"{name}: {len(some)} seeds, {minutes[name]:.0f} minutes" for name, some in fewer.items())
        yield f"{SEEDS} seeds are the standard. For want of time there are fewer (and what a training took): {each}."


def _largest_class(row: Row) -> float | None:
    """The accuracy of naming one class alone, where that is as near to the paper as a verdict asks."""
    largest = max(record.metrics["test"]["majority_accuracy"] for record in row.records)
    return largest if largest > float(row.paper.number) - MARGIN else None


def _of_the_largest_class(study: Study) -> Iterator[str]:
    for row in {row.run: row for row in study.rows if row.records}.values():
        if largest := _largest_class(row):
            yield (
                f"Always naming the largest class gives {largest:.3f}, within 10 points of the {row.paper.text} of "
                f"{row.run}: a verdict on accuracy alone says little here. See sensitivity and specificity below."
            )


def _of_other_images(study: Study) -> Iterator[str]:
    """What the verdicts would be if the paper's test images were not ours."""
    others = [
        f"{row.run} ({row.label}) {row.other_images.verdict}, {apart_in_words(row.other_images)} points apart"
        for row in study.rows
        if row.other_images
    ]
    if others:
        yield f"We take the paper's test images to be ours. Were they others: {'; '.join(others)}."


def _of_training(study: Study) -> Iterator[str]:
    """Where the test accuracy is reproduced or close by a training that is not the paper's."""
    for row in study.rows:
        if row.fit == "differs" and row.verdict in (REPRODUCED, CLOSE):
            apart = [
                f"{score.replace('_', ' ')} ({scores.epoch}) {scores.ours[score].mean():.3f}, the paper's "
                f"{scores.paper[score].text}"
                for scores in row.training
                for score in scores.differs
            ]
            yield f"The training of {row.run} ({row.label}) differs from the paper's: {'; '.join(apart)}."


def _of_the_papers_comparison(study: Study) -> Iterator[str]:
    """The best published row against each other: what paired records say."""
    best = max(study.rows, key=lambda row: row.paper.number)
    if len({row.run for row in study.rows}) < 2:
        return
    if not best.records:
        yield f"Whether {best.run} ({best.paper.text}) is better than the others is not examined: it is not recorded."
    if study.headline:
        yield _of_counts(study.headline)
    for one in study.comparisons:
        if not one.is_of_readings:
            yield _in_words(one)


def _of_counts(tested: Headline) -> str:
    """The best published row against the next one, from the published counts."""
    whatever = "no pairing of the answers would make the difference significant"
    if tested.least_mcnemar_p < SIGNIFICANT:
        whatever = "it depends on the pairing of the answers, which is not published"
    return (
        f"By the published accuracies, {tested.best} has {tested.right} of {tested.images} right and {tested.other} "
        f"{tested.other_right}: Fisher's exact p = {tested.fisher_p:.2g}, as if on different images; on the same, by "
        f"McNemar's exact test, at least {tested.least_mcnemar_p:.2g}: {whatever}."
    )


def _in_words(one: Comparison) -> str:
    shown = "a difference is shown" if one.is_shown else "no difference is shown"
    return (
        f"{one.first.trained} against {one.second.trained} ({one.first.label}), on the same test images: "
        f"{points(one.accuracy.mean, sign=True)} points ({points(one.accuracy.low, sign=True)} to "
        f"{points(one.accuracy.high, sign=True)} for this pair alone): {shown}, p = {one.p:.2g}, corrected for "
        "all pairs of the study."
    )


def _of_leaks(study: Study) -> Iterator[str]:
    if not study.leaks or not study.leaks["test_any"]:
        return
    least = "at least " if study.leaks["test_unknown_patient"] else ""
    yield (
        f"In the split of protocol.yaml, {least}{study.leaks['share']:.1%} of the test images "
        f"({study.leaks['test_any']} of {study.leaks['test_images']}) have a copy, a near copy or another image of the "
        "same patient in training or validation."
    )
    for one in study.leak_effects:
        (errors, other_errors), (images, other_images) = one.answers[:, 0], one.answers.sum(axis=1)
        yield (
            f"{one.run}, {one.name}: {errors} of {images} answers are wrong where another image of the patient was "
            f"trained on, {other_errors} of {other_images} where none was (p = {one.p:.2g}). An effect of leaks is "
            f"{one.conclusion}."
        )


def _of_gap(run: str, study: Study) -> str:
    gap = study.gaps[run]
    if gap.seeds == 1:
        return f"What leaks are worth to {run} is open: one seed with them and one without show nothing."
    measured, low, high = f"The leakage gap of {run} is {gap.accuracy.mean:+.3f}", gap.accuracy.low, gap.accuracy.high
    if high - low < 1e-9:  # equal but for rounding
        return f"{measured} in accuracy in every seed ({gap.note})."
    shown = "undecided" if low <= 0 <= high else "more than the seeds explain"
    return f"{measured} in accuracy, 95% interval {low:+.3f} to {high:+.3f}: {shown} ({gap.note})."


def _of_shortcuts(study: Study) -> Iterator[str]:
    scored = [one for one in study.trainings if not one.run.endswith(LEAKFREE)]
    if not study.shortcuts or not scored:
        return
    border, thumbnail = (study.shortcuts["probes"][name]["roc_auc"] for name in ("border", "thumbnail"))
    by_protocol = [one for one in scored if one.reading == PROTOCOL] or scored
    best = max(by_protocol, key=lambda training: training.scores("ROC-AUC").mean())
    yield (
        f"The border alone, a tenth of the image wide, predicts the class with a ROC-AUC of {border:.3f}, and a "
        f"16 × 16 thumbnail, lungs included, with {thumbnail:.3f}, both cross-validated on all "
        f"{study.shortcuts['images']:,} images of {study.dataset}. The best of this study's runs by {best.label}, "
        f"{best.run}, has {best.scores('ROC-AUC').mean():.3f} on its test images."
    )
