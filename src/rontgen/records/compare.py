"""Compare two runs on the same test images: every metric's difference with its 95% interval, and McNemar's test.

It is `dvc metrics diff` with significance. Each run is named RUN, REVISION or REVISION:RUN; what is both is the run.
"""

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from rontgen.core.errors import RontgenError
from rontgen.core.runs import stage_command
from rontgen.evaluation import bootstrap, intervals
from rontgen.evaluation.metrics import COLUMNS, read_predictions


def load(name: str, run: str) -> tuple[str, pd.DataFrame]:
    """What `name` (RUN, REVISION or REVISION:RUN) is, in words, and its prediction table.

    run: the run that a bare revision means. Predictions of a revision are read through DVC, from its cache or a
    remote. Raises RontgenError where there are none, or none by evaluation.read_predictions.
    """
    path, command = _path(name), stage_command("evaluate", name)
    if path.is_file():
        return f"{name}, in the workspace", read_predictions(path, str(path), command)

    from rontgen.parallel import clone

    clone.require_repository()
    revision, _, named = name.rpartition(":")
    if not revision:
        revision, named = name, run
    try:
        commit, read = reader_at(revision)
    except RontgenError as error:
        tried = f"there is no {path} (if {name} is a run, `{command}` makes it) and " if revision == name else ""
        raise RontgenError(f"expected the name of a run, a git revision or a DVC experiment: {tried}{error}") from None
    label, path, command = f"{named}, at {revision} ({commit[:7]})", _path(named), stage_command("evaluate", named)
    content = read(path)
    if content is None:
        raise RontgenError(
            f"{label}: expected {path} as an output there, and in the cache or a remote, found none: run "
            f"`dvc fetch --all-commits`, or check {revision} out and run `{command}`"
        )
    return label, read_predictions(io.BytesIO(content), label, command)


def reader_at(revision: str) -> tuple[str, Callable[[Path], bytes | None]]:
    """The commit of a git revision or a DVC experiment, and a function that reads its files, from git, DVC's cache or
    a remote; it gives None for one that is in none of them. Raises RontgenError with what DVC says of an unknown one.
    """
    # Half a second to import, and two runs of the workspace need none of it
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import resolve_rev

    try:
        with Repo() as repo:
            commit = resolve_rev(repo.scm, revision)
    except DvcException as error:
        raise RontgenError(f"of {revision!r} DVC says: {error}") from error
    files = DVCFileSystem(rev=commit)

    def read(path: Path) -> bytes | None:
        try:
            return files.read_bytes(path.as_posix())
        except (DvcException, OSError):
            return None

    return commit, read


def compare(first: pd.DataFrame, second: pd.DataFrame) -> dict:
    """The comparison of two prediction tables, ready for JSON: images, patients, images_without_patient, classes,
    metrics (first, second, difference, low, high by name), mcnemar and conclusion.

    Raises RontgenError where the two have other classes, other test images or other true classes.
    """
    classes, others = (table.columns[len(COLUMNS) :].tolist() for table in (first, second))
    if classes != others:
        raise RontgenError(
            f"expected the same classes in both, received {', '.join(classes)} in the first and {', '.join(others)} in "
            "the second: compare runs of one dataset"
        )
    differences = intervals.paired_difference(first, second, classes)
    one, two = (bootstrap.Sample(table, classes).point() for table in (first, second))
    metrics = {
        name: {"first": one[key], "second": two[key], **differences[name]} for name, key in intervals.COMPARED.items()
    }
    mcnemar = intervals.mcnemar(first, second)
    patients = first["patient"][first["patient"] != ""]
    return {
        "images": len(first),
        "patients": patients.nunique(),
        "images_without_patient": len(first) - len(patients),
        "classes": classes,
        "metrics": metrics,
        "mcnemar": mcnemar,
        "conclusion": _conclusion(metrics["accuracy"], mcnemar),
    }


def _conclusion(accuracy: dict, mcnemar: dict) -> str:
    if mcnemar["only_first_right"] == mcnemar["only_second_right"] == 0:
        return "A and B are right on the same images."
    size = (
        f"{100 * accuracy['difference']:+.1f} percentage points "
        f"(95% interval {100 * accuracy['low']:+.1f} to {100 * accuracy['high']:+.1f})"
    )
    # the bootstrap alone is too sure of a handful of images that differ: 4 of 100 give an interval above zero
    if not leaves_out_zero(accuracy) or mcnemar["p_value"] >= 0.05:
        return f"The difference in accuracy, {size}, may be chance."
    better, worse = ("B", "A") if accuracy["difference"] > 0 else ("A", "B")
    return f"{better} is right more often than {worse}: accuracy differs by {size}."


def leaves_out_zero(row: dict) -> bool:
    """Whether the interval of a metric, an entry of `metrics` in a result of `compare`, is on one side of zero."""
    return row["low"] > 0 or row["high"] < 0


def _path(run: str) -> Path:
    return Path("data/predictions", f"{run}.csv")
