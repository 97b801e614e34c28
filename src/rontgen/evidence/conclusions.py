"""What follows from the records of a study, in words."""

from collections.abc import Iterable, Iterator

from rontgen.core.sections import LEAKFREE
from rontgen.core.vocabulary import CONTRADICTORY, INCONCLUSIVE, NOT_REPRODUCED, PROTOCOL, REPRODUCED, UNAVAILABLE
from rontgen.evidence.real_data import StudyEvidence
from rontgen.evidence.replication import VISIBLE
from rontgen.reporting.rendering import ranges

# Seeds of a record that is complete; with fewer, spreads are known badly
STANDARD_SEEDS = 5

# Random completions of a run, seeds 1 to 10, before their spread says something
COMPLETIONS = 10


def conclusions(study: StudyEvidence) -> list[str]:
    """A sentence or two for each finding, in Markdown."""
    lines = [*_of_readings(study), *_of_training(study), *_of_completions(study)]
    if study.between_runs:
        lines.append(_of_runs(study))
    lines += [*_of_leaks(study), *(_of_gap(run, study) for run in study.gaps)]
    return [*lines, *_of_shortcuts(study)]


def _of_readings(study: StudyEvidence) -> Iterator[str]:
    few = []
    for run, rows in study.rows[study.rows["seeds"] > 0].groupby("run", sort=False):
        judged, short = rows[rows["seeds"] > 2], rows[rows["seeds"] <= 2]
        few += [f"`{run}`"] if judged.empty else [f"`{run}` ({_listed([label])})" for label in short["label"]]
        by_verdict = judged.groupby("verdict", sort=False)["label"].agg(_listed)
        each = "; ".join(f"{verdict} under {readings}" for verdict, readings in by_verdict.items())
        if {REPRODUCED, NOT_REPRODUCED} <= set(by_verdict.index):
            yield f"The verdict on `{run}` depends on the treatment: {each}."
        elif len(by_verdict) > 1:
            yield f"`{run}` is {each}."
        elif len(judged) > 1 and by_verdict.index[0] not in (CONTRADICTORY, UNAVAILABLE):  # which no run can change
            yield f"`{run}` is {by_verdict.index[0]} under every treatment that is recorded: {by_verdict.iloc[0]}."
        for row in judged[judged["narrow"]].itertuples():
            yield f"`{run}` ({_listed([row.label])}) is {row.verdict} by a narrow margin. {row.reason}"
        for row in judged[judged["verdict"] == INCONCLUSIVE].itertuples():
            yield (
                f"The {row.seeds} seeds of `{run}` ({_listed([row.label])}) are too few, or too far apart, to "
                f"decide: the interval for one more run is {row.low:.2f} to {row.high:.2f}."
            )
    if few:
        yield f"One seed decides nothing, and two are too few; five are the standard. So far: {', '.join(few)}."


def _listed(labels: Iterable[str]) -> str:
    return ", ".join(f"*{label}*" for label in labels)


def _of_training(study: StudyEvidence) -> Iterator[str]:
    for run in dict.fromkeys(scores.run for scores in study.training_scores):
        apart = [one for one in study.training_scores if one.run == run and "train_accuracy" in one.differs]
        if apart:
            trained = study.paper.trained(run)
            ours = ", ".join(
                f"{one.ours['train_accuracy'].mean():.3f} ({_listed([study.paper.label(trained, one.treatment)])})"
                for one in apart
            )
            yield (
                f"The training accuracy of `{run}` differs from the paper's "
                f"({apart[0].paper['train_accuracy'].text}): {ours}."
            )


def _of_completions(study: StudyEvidence) -> Iterator[str]:
    for run, records in study.completions.items():
        paper = next(float(row.paper) for row in study.rows.itertuples() if row.trained == run.removesuffix(LEAKFREE))
        found = [record.metrics["test"]["accuracy"] for record in records]
        near = sum(abs(accuracy - paper) <= VISIBLE for accuracy in found)
        said = (
            f"{near} of {len(found)} random completions of `{run}` come within 10 points of the paper's {paper:g}: "
            f"they reach {min(found):.3f} to {max(found):.3f}."
        )
        if len(found) < COMPLETIONS:
            seeds = ranges([record.seed for record in records])
            said += (
                f" These are seeds {seeds} of {COMPLETIONS} that are planned. What trains fastest was trained first, "
                "so they are no fair sample of the ten."
            )
        yield said


def _of_runs(study: StudyEvidence) -> str:
    tested = study.between_runs
    assert tested  # asked for only then
    label = next(one.label for one in study.trainings if one.reading == PROTOCOL)
    ranked = sorted(tested["means"].items(), key=lambda item: -item[1])
    (best, high), (worst, low) = ranked[0], ranked[-1]
    shown = "A difference is shown" if tested["p"] < 0.05 else "No difference is shown"
    weak = "; so few seeds can show only large differences" if tested["seeds"] < STANDARD_SEEDS else ""
    return (
        f"{shown} between the {len(ranked)} runs ({_listed([label])}), from `{best}` ({high:.3f}) to `{worst}` "
        f"({low:.3f}): repeated-measures analysis of variance over {tested['seeds']} seeds "
        f"with the Greenhouse-Geisser correction, F = {tested['f']:.2f}, p = {tested['p']:.2g}{weak}."
    )


def _of_leaks(study: StudyEvidence) -> Iterator[str]:
    if not study.leaks or not study.leaks["test_any"]:
        return
    least = "at least " if study.leaks["test_unknown_patient"] else ""
    worth = "" if study.gaps else " What that is worth is open: no run is recorded on a split without leaks."
    yield (
        "Split by the protocol, with its seed, the share of test images with a copy, a near copy or another "
        f"image of the same patient in training or validation is {least}{study.leaks['share']:.1%} "
        f"({study.leaks['test_any']} of {study.leaks['test_images']}).{worth}"
    )


def _of_gap(run: str, study: StudyEvidence) -> str:
    gap, note = study.gaps[run], study.gaps[run]["note"]
    accuracy = gap["metrics"]["accuracy"]
    if gap["seeds"] == 1:
        return f"What leaks are worth to `{run}` is open: one seed with them and one without show nothing."
    measured = f"The leakage gap of `{run}` is {accuracy['gap']:+.3f} in accuracy"
    if "low" not in accuracy:
        return f"{measured} in every seed ({note})."
    shown = "undecided" if accuracy["low"] <= 0 <= accuracy["high"] else "more than the seeds explain"
    return f"{measured}, 95% interval {accuracy['low']:+.3f} to {accuracy['high']:+.3f}: {shown} ({note})."


def _of_shortcuts(study: StudyEvidence) -> Iterator[str]:
    scored = [one for one in study.trainings if not one.run.endswith(LEAKFREE)]
    if not study.shortcuts or not scored:
        return
    border, thumbnail = (study.shortcuts["probes"][name]["roc_auc"] for name in ("border", "thumbnail"))
    by_protocol = [one for one in scored if one.reading == PROTOCOL] or scored
    best = max(by_protocol, key=lambda training: training.scores("ROC-AUC").mean())
    yield (
        f"The border alone, a tenth of the image wide, predicts the class with a ROC-AUC of {border:.3f}, and a "
        f"16 × 16 thumbnail, lungs included, with {thumbnail:.3f}, both cross-validated on all "
        f"{study.shortcuts['images']:,} images of `{study.dataset}`. Of this study's runs `{best.run}` "
        f"({_listed([best.label])}) has {best.scores('ROC-AUC').mean():.3f} on its test images."
    )
