"""Records of runs on real X-rays, in results/<run>/<reading>/seed-<n>: what was measured, and from what.

metrics.json, predictions.csv and history.csv are the same bytes if a run is repeated on one machine; provenance.json
(rontgen.evidence.provenance) also has what may differ, such as times. A record contains no image.
"""

import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from rontgen.core.errors import RontgenError
from rontgen.core.io import read_json, replacing
from rontgen.core.vocabulary import AS_STATED
from rontgen.evaluation.metrics import COLUMNS, compute_metrics, read_predictions, roc_table

FOLDER = Path("results")

# What an archive with a given SHA-256 is, where it is not simply Kaggle's: {SHA-256: text}
SOURCES = Path("sources.json")

FILES = ("metrics.json", "predictions.csv", "history.csv", "provenance.json")


@dataclass(frozen=True)
class Record:
    """One training of a reported run by one reading of its paper, with one seed.

    metrics: test, train and time, as the run's files of metrics have them, so that the names of papers.yaml's metrics
    are paths in it. predictions: a table of evaluation.metrics.prediction_table. history: a row for each epoch.
    provenance: of rontgen.evidence.provenance.gather. sources: what the archives are, where SOURCES knows them.
    """

    run: str
    reading: str
    seed: int
    metrics: dict
    predictions: pd.DataFrame
    history: pd.DataFrame
    provenance: dict
    sources: tuple[str, ...] = ()

    @property
    def deviations(self) -> list[str]:
        """How the record departs from the paper: what its archives are, then the deviations of its provenance."""
        return [*self.sources, *self.provenance["deviations"]]

    @property
    def name(self) -> str:
        return f"{self.run}/{self.reading}/seed-{self.seed}"

    def options(self, stated: Collection[str], seeds: str) -> str:
        """The options of `rontgen reproduce` that make this record. seeds: as 1-3. stated: keys its reading sets."""
        words = ["--seeds", seeds, *([] if self.reading == AS_STATED else ["--reading", self.reading])]
        given = self.provenance["set"].items()
        extra = {key: value for key, value in given if not key.endswith(".seed") and key not in {"profile", *stated}}
        return " ".join([*words, *(f"-S {key}={value}" for key, value in extra.items())])

    @property
    def classes(self) -> list[str]:
        return self.predictions.columns[len(COLUMNS) :].tolist()

    @property
    def roc(self) -> pd.DataFrame:
        """A table of evaluation.metrics.roc_table."""
        return roc_table(self.predictions, self.classes)


def path_of(run: str, reading: str, seed: int, folder: Path = FOLDER) -> Path:
    return folder / run / reading / f"seed-{seed}"


def read_all(folder: Path = FOLDER) -> list[Record]:
    """Every record, by run, reading and seed. Raises RontgenError if a file is missing or damaged."""
    places = sorted(folder.glob("*/*/seed-*"), key=lambda path: (*path.parts[-3:-1], _seed(path)))
    return [read(path) for path in places]


def by_run(found: list[Record]) -> dict[str, dict[str, list[Record]]]:
    """Records by run and then by reading, as stated first."""
    order = sorted(found, key=lambda record: (record.run, record.reading != AS_STATED, record.reading, record.seed))
    grouped: dict[str, dict[str, list[Record]]] = {}
    for record in order:
        grouped.setdefault(record.run, {}).setdefault(record.reading, []).append(record)
    return grouped


def read(path: Path) -> Record:
    """The record in a folder. Raises RontgenError if a file is missing or damaged."""
    command = f"git checkout {path}"
    for name in FILES:
        if not (path / name).exists():
            raise RontgenError(f"{path}: expected {', '.join(FILES)}, received no {name}: run `{command}`")
    try:
        metrics, provenance = (json.loads((path / name).read_text("utf-8")) for name in (FILES[0], FILES[3]))
        history = pd.read_csv(path / "history.csv")
        metrics = {"test": metrics["test"], "train": metrics["train"], "time": provenance["time"]}
    except (KeyError, ValueError) as error:
        problem = f"no key {error}" if isinstance(error, KeyError) else error
        raise RontgenError(f"{path}: expected the files of a record, received {problem}: run `{command}`") from None
    predictions = read_predictions(path / "predictions.csv", str(path / "predictions.csv"), command)
    run, reading = path.parts[-3:-1]
    known = sources_of(provenance.get("archives", {}), path.parents[2])
    return Record(run, reading, _seed(path), metrics, predictions, history, provenance, known)


def sources_of(archives: dict[str, dict], folder: Path = FOLDER) -> tuple[str, ...]:
    """What archives (provenance.describe_archives) are, for those that SOURCES in `folder` knows."""
    path = folder / SOURCES
    known = read_json(path, f"git checkout {path}") if path.exists() else {}
    return tuple(known[archive["sha256"]] for archive in archives.values() if archive.get("sha256") in known)


def write(record: Record, folder: Path = FOLDER) -> Path:
    """Write a record completely or not at all, replacing an earlier one; returns its folder."""
    path = path_of(record.run, record.reading, record.seed, folder)
    metrics = {part: record.metrics[part] for part in ("test", "train")}
    with replacing(path) as temporary:
        temporary.mkdir()
        for name, values in (("metrics.json", metrics), ("provenance.json", record.provenance)):
            text = json.dumps(values, indent=1, allow_nan=False, ensure_ascii=False)
            (temporary / name).write_text(text + "\n", encoding="utf-8")
        record.predictions.to_csv(temporary / "predictions.csv", index=False)
        record.history.to_csv(temporary / "history.csv", index=False)
        if path.exists():  # a folder is renamed over an empty one alone
            path.replace(temporary.with_name("earlier"))
    return path


def check(record: Record) -> list[str]:
    """The test metrics of a record that its predictions do not give, a line each; empty if all agree."""
    expected = _flat(compute_metrics(record.predictions, record.classes))
    received = _flat(record.metrics["test"])
    wrong = [
        f"{record.name}: {name}: the predictions give {value}, the record has {received.get(name, 'nothing')}"
        for name, value in expected.items()
        if name not in received or not math.isclose(value, received[name], rel_tol=1e-12, abs_tol=1e-12)
    ]
    if len(record.history) != record.metrics["train"]["epochs"]:
        epochs = record.metrics["train"]["epochs"]
        wrong.append(f"{record.name}: history.csv has {len(record.history)} epochs, the record says {epochs}")
    return wrong


def _flat(values: dict, prefix: str = "") -> dict[str, float]:
    flat: dict[str, float] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _seed(path: Path) -> int:
    try:
        return int(path.name.removeprefix("seed-"))
    except ValueError:
        raise RontgenError(f"{path}: expected a folder seed-<number>: rename or remove it") from None
