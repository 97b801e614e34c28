"""Comparisons of runs as lines for a terminal, or in Markdown."""

import textwrap

from rontgen.records.compare import leaves_out_zero
from rontgen.records.verify import Verification
from rontgen.reporting import rendering

LOWER_IS_BETTER = ("log_loss", "brier_score", "expected_calibration_error")


def difference(result: dict) -> str:
    """A result of records.compare, with the names `first` and `second` of what was compared, for a terminal."""
    images, unknown = result["images"], result["images_without_patient"]
    known = [f"{images - unknown} of {result['patients']} patients"] if images > unknown else []
    patients = " and ".join(known + ([f"{unknown} of no known patient"] if unknown else []))
    lines = [
        f"A: {result['first']}",
        f"B: {result['second']}",
        f"{images} test images: {patients}; classes {', '.join(result['classes'])}",
        "",
        f"{'metric':<27}{'A':>8}{'B':>9}{'B − A':>10}   95% interval",
    ]
    for name, row in result["metrics"].items():
        mark = " *" if leaves_out_zero(row) else ""
        values = f"{row['first']:>8.4f}{row['second']:>9.4f}{row['difference']:>+10.4f}"
        lines.append(f"{name:<27}{values}   {row['low']:+.4f} to {row['high']:+.4f}{mark}")
    mcnemar = result["mcnemar"]
    return "\n".join(
        [
            *lines,
            "",
            "*  the interval, a bootstrap by patient, leaves out zero",
            f"Lower is better: {', '.join(LOWER_IS_BETTER)}",
            f"McNemar: only A right on {mcnemar['only_first_right']} images, only B on "
            f"{mcnemar['only_second_right']}, p = {mcnemar['p_value']:.4f} (counts every image as independent)",
            result["conclusion"],
        ]
    )


def difference_in_markdown(result: dict) -> str:
    """The same in Markdown, for a comment on a pull request."""
    return rendering.markdown("run_diff.md.j2", lower_is_better=LOWER_IS_BETTER, **result)


def verification(found: Verification) -> str:
    """A verification as lines for a terminal, the last of them its summary."""
    lines = [f"{'outputs':<24}{'same bytes':>12}{'others':>9}"]
    for kind, same in found.outputs.groupby("kind")["same"]:
        lines.append(f"{kind:<24}{int(same.sum()):>12}{int((~same).sum()) or '':>9}")
    if found.runs:
        lines += ["", f"{'run':<28}{'same decisions':>15}{'accuracy':>10}{'now':>9}{'difference, 95% interval':>34}"]
    for name, run in found.runs.items():
        metrics = run["result"]["metrics"]
        accuracy = metrics["accuracy"]
        interval = f"{accuracy['difference']:+.4f} ({accuracy['low']:+.4f} to {accuracy['high']:+.4f})"
        numbers = f"{run['same']:>15.1%}{accuracy['first']:>10.4f}{accuracy['second']:>9.4f}{interval:>34}"
        lines.append(f"{name:<28}{numbers}{' *' if name in found.significant else ''}")
    if found.runs:
        note = (
            f"* p < 0.05 by McNemar's test, with Holm's correction over {len(found.runs)} runs. The intervals are "
            "bootstraps by patient, without a correction."
        )
        lines += ["", *textwrap.wrap(note, 96)]
    if found.missing:
        lines += ["", f"Not compared, for {found.revision} has them in a cache that is not here (`dvc fetch`):"]
        lines += [f"    {name}" for name in found.missing]
    if found.unlike:
        lines += ["", *(f"{name}: {why}" for name, why in found.unlike.items())]
    if found.changed:
        lines += ["", f"The difference is also one of code or settings: {', '.join(found.changed)}"]
    return "\n".join([*lines, "", found.summary])
