"""What was rebuilt here against what is committed: the same bytes, or trainings that differ, and by how much.

On another processor, trainings do not write the same bytes (docs/reliability.md). Then the question is whether a
rebuilt run decides otherwise than chance explains.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from ruamel.yaml import YAML
from statsmodels.stats.multitest import multipletests

from rontgen.core.errors import RontgenError
from rontgen.core.runs import LOCK
from rontgen.evaluation.metrics import read_predictions
from rontgen.records import compare

PREDICTIONS = Path("data/predictions")
TIMES = ("time.json",)  # names of outputs that are never the same twice


@dataclass(frozen=True)
class Verification:
    """A workspace against a revision.

    outputs: a row for each output that either has, but for TIMES: path, kind (its folder, to the second level of
    metrics and plots), same (bool). changed: tracked files that set what is computed, where they differ. runs: by name,
    of each run whose predictions have other bytes, the share of images with the same decision (same) and a comparison
    of compare.compare (result), first the revision. missing: runs whose predictions at the revision are not at hand.
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
    from dvc.repo import Repo

    from rontgen.parallel import clone

    clone.require_repository()
    try:
        commit, read = compare.reader_at(revision)
    except RontgenError:
        raise RontgenError(f"expected a git revision, received {revision!r}: `git log` lists them") from None
    lock = read(LOCK)
    if lock is None:
        raise RontgenError(f"expected {LOCK} at {revision}, received none: name a commit of a rebuilt project")
    with Repo() as repo:
        stale = repo.status()
    if stale:
        raise RontgenError(
            f"expected an up-to-date workspace, received changes in {next(iter(stale))}: run `dvc repro`"
        )
    ours, theirs = _outputs(LOCK.read_bytes()), _outputs(lock)
    outputs = pd.DataFrame(
        [(path, _kind(path), ours.get(path) == theirs.get(path)) for path in sorted(ours | theirs)],
        columns=["path", "kind", "same"],
    )
    runs, missing, unlike = dict[str, dict](), [], dict[str, str]()
    # a run that one side lacks has no pair
    for path in map(Path, sorted(ours.keys() & theirs.keys())):
        if path.parent != PREDICTIONS or ours[str(path)] == theirs[str(path)]:
            continue
        content = read(path)
        if content is None:
            missing.append(path.stem)
            continue
        committed = read_predictions(io.BytesIO(content), f"{path} at {revision}", "dvc fetch")
        rebuilt = read_predictions(path, str(path), "dvc repro")
        try:
            result = compare.compare(committed, rebuilt)
        except RontgenError as error:
            unlike[path.stem] = str(error)
            continue
        pairs = committed.merge(rebuilt, on="id")
        runs[path.stem] = {"same": float((pairs["predicted_x"] == pairs["predicted_y"]).mean()), "result": result}
    changed = clone.git("diff", "--name-only", commit, "--", *clone.CODE).splitlines()
    return Verification(f"{revision} ({commit[:7]})", outputs, changed, runs, missing, unlike, significant(runs))


def significant(runs: dict[str, dict]) -> list[str]:
    """The runs whose accuracies differ by McNemar's exact test at 0.05, with Holm's (1979) correction over all."""
    if not runs:
        return []
    rejected, *_ = multipletests([run["result"]["mcnemar"]["p_value"] for run in runs.values()], 0.05, "holm")
    return [name for name, is_rejected in zip(runs, rejected, strict=True) if is_rejected]


def _outputs(lock: bytes) -> dict[str, str]:
    """The MD5 of each output in a dvc.lock, but for TIMES, by its path."""
    stages = YAML(typ="safe").load(lock).get("stages", {}).values()
    outputs = {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}
    return {path: md5 for path, md5 in outputs.items() if Path(path).name not in TIMES}


def _kind(path: str) -> str:
    """The folder of an output, but for what tells one run from another."""
    parts = Path(path).parts
    return "/".join(parts[:2]) if parts[0] in ("data", "metrics", "plots") and len(parts) > 2 else parts[0]
