"""What was rebuilt here against what is committed: the same bytes, or trainings that differ, and by how much.

On another processor, trainings do not write the same bytes (docs/reliability.md). Then the question is whether a
rebuilt run decides otherwise than chance explains.
"""

import io
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from ruamel.yaml import YAML
from statsmodels.stats.multitest import multipletests

from rontgen.core.errors import RontgenError
from rontgen.evaluation.metrics import read_predictions
from rontgen.evidence import clone, run_diff

LOCK = Path("dvc.lock")
PREDICTIONS = Path("data/predictions")
TIMES = ("time.json", "claims_time.csv")  # names of outputs that are never the same twice


@dataclass(frozen=True)
class Verification:
    """A workspace against a revision.

    outputs: a row for each output that either has, but for TIMES: path, kind (its folder, to the second level of
    metrics and plots), same (bool). changed: tracked files that set what is computed, where they differ. runs: by name,
    of each run whose predictions have other bytes, the share of images with the same decision (same) and a comparison
    of run_diff.compare (result), first the revision. missing: runs whose predictions at the revision are not at hand.
    unlike: why a run cannot be compared, which was tested on other images there, or with other labels or classes.
    significant: runs that are right more or less often than chance explains, by Holm's correction over `runs`.
    """

    revision: str
    outputs: pd.DataFrame
    changed: list[str]
    runs: dict[str, dict]
    missing: list[str]
    unlike: dict[str, str]
    significant: list[str]

    @property
    def summary(self) -> str:
        """The result in one line."""
        same, trained = int(self.outputs["same"].sum()), len(self.runs) + len(self.missing) + len(self.unlike)
        line = f"Against {self.revision}: {same} of {len(self.outputs)} outputs have the same bytes"
        if not trained:
            return f"{line}, all predictions among them."
        line += f"; {trained} trained run{'s predict' if trained > 1 else ' predicts'} other numbers"
        if self.unlike:
            line += f"; {', '.join(self.unlike)}: tested on other images, labels or classes"
        if not self.runs:
            return f"{line}, and none of them can be compared here."
        compared = f" of {len(self.runs)} that can be compared" if len(self.runs) < trained else ""
        differ = "differ" if len(self.significant) > 1 else "differs"
        return f"{line};{compared} {', '.join(self.significant) or 'none'} {differ} significantly."


def verify(revision: str) -> Verification:
    """Compare the workspace with a git revision.

    Raises RontgenError for an unknown revision, one without dvc.lock, or a workspace that is not up to date.
    """
    # Half a second to import
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        commit = clone.git("rev-parse", "--verify", f"{revision}^{{commit}}")
    except RontgenError:
        raise RontgenError(f"expected a git revision, received {revision!r}: `git log` lists them") from None
    try:
        theirs = _outputs(clone.git("show", f"{commit}:{LOCK}"))
    except RontgenError:
        raise RontgenError(
            f"expected {LOCK} at {revision}, received none: name a commit of a rebuilt project"
        ) from None
    with Repo() as repo:
        stale = repo.status()
    if stale:
        raise RontgenError(
            f"expected an up-to-date workspace, received changes in {next(iter(stale))}: run `dvc repro`"
        )
    ours = _outputs(LOCK.read_text(encoding="utf-8"))
    outputs = pd.DataFrame(
        [(path, _kind(path), ours.get(path) == theirs.get(path)) for path in sorted(ours | theirs)],
        columns=["path", "kind", "same"],
    )
    differ = [Path(path) for path in outputs.loc[~outputs["same"], "path"] if Path(path).parent == PREDICTIONS]
    differ = [path for path in differ if str(path) in ours.keys() & theirs.keys()]  # a run of one side has no pair
    files, runs, missing, unlike = DVCFileSystem(rev=commit), dict[str, dict](), [], dict[str, str]()
    for path in differ:
        try:
            content = files.read_bytes(path.as_posix())
        except (DvcException, OSError):
            missing.append(path.stem)
            continue
        committed = read_predictions(io.BytesIO(content), f"{path} at {revision}", "dvc fetch")
        rebuilt = read_predictions(path, str(path), "dvc repro")
        try:
            runs[path.stem] = compare(committed, rebuilt)
        except RontgenError as error:
            unlike[path.stem] = str(error)
    changed = clone.git("diff", "--name-only", commit, "--", *clone.CODE).splitlines()
    return Verification(f"{revision} ({commit[:7]})", outputs, changed, runs, missing, unlike, significant(runs))


def compare(committed: pd.DataFrame, rebuilt: pd.DataFrame) -> dict:
    """same, the share of images with the same decision, and result, of run_diff.compare, of two prediction tables.

    Raises RontgenError where these are of other images or classes.
    """
    result = run_diff.compare(committed, rebuilt)
    decisions = committed.set_index("id")["predicted"], rebuilt.set_index("id")["predicted"]
    return {"same": float((decisions[0] == decisions[1].reindex(decisions[0].index)).mean()), "result": result}


def significant(runs: dict[str, dict]) -> list[str]:
    """The runs whose accuracies differ by McNemar's exact test at 0.05, with Holm's (1979) correction over all."""
    if not runs:
        return []
    rejected, *_ = multipletests([run["result"]["mcnemar"]["p_value"] for run in runs.values()], 0.05, "holm")
    return [name for name, is_rejected in zip(runs, rejected, strict=True) if is_rejected]


def as_text(found: Verification) -> str:
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
        others = [
            f"{other} {row['difference']:+.3f}"
            for other, row in metrics.items()
            if other != "accuracy" and run_diff.leaves_out_zero(row)
        ]
        if others:
            text = f"intervals without zero: {', '.join(others)}"
            lines += textwrap.wrap(text, 96, initial_indent=" " * 4, subsequent_indent=" " * 6)
    if found.runs:
        note = (
            f"* p < 0.05 by McNemar's test, with Holm's correction over {len(found.runs)} runs. The intervals are "
            "bootstraps by patient without a correction: of many, one in twenty leaves out zero by chance."
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


def _outputs(lock: str) -> dict[str, str]:
    """The MD5 of each output in a dvc.lock, but for TIMES, by its path."""
    stages = YAML(typ="safe").load(lock).get("stages", {}).values()
    outputs = {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}
    return {path: md5 for path, md5 in outputs.items() if Path(path).name not in TIMES}


def _kind(path: str) -> str:
    """The folder of an output, but for what tells one run from another."""
    parts = Path(path).parts
    return "/".join(parts[:2]) if parts[0] in ("data", "metrics", "plots") and len(parts) > 2 else parts[0]
