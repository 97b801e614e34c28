"""Records of runs on real X-rays, in results/<run>/<treatment>/seed-<n>: what was measured, and from what.

A treatment is a reading of the paper, and whatever else was set: plain_validation+mixed_precision=true. The active
run's is the architecture in the place of a reading.

metrics.json, predictions.csv.gz, external.csv.gz and history.csv are the same bytes if a run is repeated on one
machine; provenance.json (rontgen.records.provenance) also has what may differ, such as times. A record contains no
image.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from rontgen.core.errors import RontgenError
from rontgen.core.io import read_json, replacing, write_csv
from rontgen.core.nested import flatten
from rontgen.core.runs import ACTIVE
from rontgen.core.vocabulary import PROTOCOL
from rontgen.evaluation.external import answers
from rontgen.evaluation.metrics import COLUMNS, compute_metrics, read_predictions
from rontgen.records import splits
from rontgen.training import history

FOLDER = Path("results")

# Audits of the real archives, see records.archive_audit
ARCHIVES = FOLDER / "archives"

# What an archive with a given SHA-256 is, where it is not simply Kaggle's: {SHA-256: text}
SOURCES = Path("sources.json")

FILES = ("metrics.json", "predictions.csv.gz", "history.csv", "provenance.json")
# Earlier records have none
EXTERNAL = "external.csv.gz"


@dataclass(frozen=True)
class Record:
    """One training of a run by one treatment, with one seed.

    metrics: test, train, time and perturbed, as the run's files of metrics have them, so that the names of paper.yaml's
    metrics are paths in it. predictions: a table of evaluation.metrics.prediction_table. history: a row for each epoch.
    provenance: of rontgen.records.provenance.gather. external: a table of evaluation.external.answers; None of an
    earlier record. sources: what the archives are, where SOURCES knows them.
    """

    run: str
    treatment: str
    seed: int
    metrics: dict
    predictions: pd.DataFrame
    history: pd.DataFrame
    provenance: dict
    external: pd.DataFrame | None = None
    sources: tuple[str, ...] = ()

    @property
    def deviations(self) -> list[str]:
        """How the record departs from the paper: what its archives are, then the deviations of its provenance."""
        proved = [
            f"early stopping watched {other} in these trainings, not what the paper says: by their histories neither "
            "ends a phase early, so they are the same trainings (`rontgen record --check` computes it)"
            for other in self.provenance.get("trained_with", {}).values()
        ]
        return [*self.sources, *self.provenance["deviations"], *proved]

    @property
    def name(self) -> str:
        return f"{self.run}/{self.treatment}/seed-{self.seed}"

    @property
    def reading(self) -> str:
        return reading_of(self.treatment)

    def options(self, seeds: str) -> str:
        """The options of `rontgen reproduce` that make this record. seeds: as 1-3."""
        option = "--model" if self.run == ACTIVE else "--reading"
        words = ["--seeds", seeds, *([] if self.reading == PROTOCOL else [option, self.reading])]
        return " ".join([*words, *(f"-S {key}={value}" for key, value in self.provenance["extra"].items())])

    @property
    def drawn(self) -> dict[str, str]:
        """What a random completion drew: settings, without the names of study, run and model before them."""
        fixed = {"profile"} | {key for key in self.provenance["set"] if key.endswith(".seed")}
        given = {key: value for key, value in self.provenance["set"].items() if key not in fixed}
        return {key.split(".", 2)[2]: value for key, value in given.items()}

    @property
    def classes(self) -> list[str]:
        return self.predictions.columns[len(COLUMNS) :].tolist()


def treatment_of(reading: str, extra: Mapping[str, str]) -> str:
    """The name of a reading with further settings, of which it keeps the last part of the key: scale=0.4."""
    return "+".join([reading, *(f"{key.rpartition('.')[2]}={value}" for key, value in extra.items())])


def reading_of(treatment: str) -> str:
    return treatment.partition("+")[0]


def ranges(numbers: list[int]) -> str:
    """Sorted numbers as `--seeds` takes them: 1-3,5."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ",".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in found)


def path_of(run: str, treatment: str, seed: int, folder: Path = FOLDER) -> Path:
    return folder / run / treatment / f"seed-{seed}"


def read_all(folder: Path = FOLDER) -> list[Record]:
    """Every record, by run, treatment and seed. Raises RontgenError if a file is missing or damaged."""
    places = sorted(folder.glob("*/*/seed-*"), key=lambda path: (*path.parts[-3:-1], _seed(path)))
    return [read(path) for path in places]


def read(path: Path) -> Record:
    """The record in a folder. Raises RontgenError if a file is missing or damaged."""
    command = f"git checkout {path}"
    for name in FILES:
        if not (path / name).exists():
            raise RontgenError(f"{path}: expected {', '.join(FILES)}, received no {name}: run `{command}`")
    try:
        metrics, provenance = (json.loads((path / name).read_text("utf-8")) for name in (FILES[0], FILES[3]))
        epochs = _in_single_precision(pd.read_csv(path / FILES[2])).astype(float).astype({"epoch": int})
        metrics = {"test": metrics["test"], "train": metrics["train"]} | metrics | {"time": provenance["time"]}
        external = pd.read_csv(path / EXTERNAL, dtype={"id": str}) if (path / EXTERNAL).exists() else None
    except (KeyError, ValueError) as error:
        problem = f"no key {error}" if isinstance(error, KeyError) else error
        raise RontgenError(f"{path}: expected the files of a record, received {problem}: run `{command}`") from None
    predictions = read_predictions(path / FILES[1], str(path / FILES[1]), command)
    run, treatment = path.parts[-3:-1]
    known = sources_of(provenance.get("archives", {}), path.parents[2])
    return Record(run, treatment, _seed(path), metrics, predictions, epochs, provenance, external, known)


def sources_of(archives: dict[str, dict], folder: Path = FOLDER) -> tuple[str, ...]:
    """What archives (data.archive_facts.describe) are, for those that SOURCES in `folder` knows."""
    path = folder / SOURCES
    known = read_json(path, f"git checkout {path}") if path.exists() else {}
    return tuple(known[archive["sha256"]] for archive in archives.values() if archive.get("sha256") in known)


def write(record: Record, folder: Path = FOLDER) -> Path:
    """Write a record completely or not at all, replacing an earlier one; returns its folder."""
    path = path_of(record.run, record.treatment, record.seed, folder)
    metrics = {part: record.metrics[part] for part in ("test", "train", "perturbed") if part in record.metrics}
    with replacing(path) as temporary:
        temporary.mkdir()
        for name, values in (("metrics.json", metrics), ("provenance.json", record.provenance)):
            text = json.dumps(values, indent=1, allow_nan=False, ensure_ascii=False)
            (temporary / name).write_text(text + "\n", encoding="utf-8")
        write_csv(record.predictions, temporary / FILES[1])
        write_csv(_in_single_precision(record.history), temporary / FILES[2])
        if record.external is not None:
            write_csv(record.external, temporary / EXTERNAL)
    return path


def check(record: Record, folder: Path = FOLDER) -> list[str]:
    """What in a record contradicts itself, a line each: test metrics that its predictions do not give, training metrics
    that its history does not give, a history of another length than its settings and early stopping give, test images
    that are not those of its split, answers to external films that their probabilities do not give, another reading or
    seed."""
    expected = flatten(compute_metrics(record.predictions, record.classes))
    received = flatten(record.metrics["test"])
    wrong = [
        f"{record.name}: {name}: the predictions give {value}, the record has {received.get(name, 'nothing')}"
        for name, value in expected.items()
        if name not in received or not math.isclose(value, received[name], rel_tol=1e-12, abs_tol=1e-12)
    ]
    if len(record.history) != record.metrics["train"]["epochs"]:
        epochs = record.metrics["train"]["epochs"]
        wrong.append(f"{record.name}: history.csv has {len(record.history)} epochs, the record says {epochs}")
    trained = record.metrics["train"]
    measured = flatten(history.summary(record.history, trained["kept_epoch"]))
    if measured != {key: value for key, value in flatten(trained).items() if not key.endswith("_images")}:
        wrong.append(f"{record.name}: history.csv gives other training metrics than metrics.json")
    train = record.provenance["settings"]["train"]
    rules = [{}, *filter(None, [record.provenance.get("trained_with")])] if train["early_stopping"] else [None]
    for rule in rules:
        stopping = None if rule is None else train["early_stopping"] | rule
        if sum(history.stops(record.history, train | {"early_stopping": stopping})) != len(record.history):
            rule_said = f"early stopping by {stopping}" if stopping else "its settings"
            wrong.append(f"{record.name}: {rule_said} would have ended its history elsewhere")
    split = record.provenance["split"]
    subsets = splits.read(**split, results=folder)
    if set(subsets.index[subsets == "test"]) != set(record.predictions["id"]):
        wrong.append(f"{record.name}: the test images are not those of {split['dataset']}, column {split['column']}")
    if record.external is not None:
        films = record.external
        given = answers(films, record.classes, films[record.classes].to_numpy())
        if not given["predicted"].equals(films["predicted"]):
            wrong.append(f"{record.name}: external.csv.gz has other answers than its probabilities give")
    if record.reading != record.provenance["reading"] or record.seed != record.provenance["seed"]:
        wrong.append(f"{record.name}: provenance.json has another reading or seed")
    return wrong


def _in_single_precision(history: pd.DataFrame) -> pd.DataFrame:
    """What Keras measures, in the precision in which it does: half the digits say the same."""
    return history.astype(dict.fromkeys(history.columns.drop("epoch"), "float32"))


def _seed(path: Path) -> int:
    try:
        return int(path.name.removeprefix("seed-"))
    except ValueError:
        raise RontgenError(f"{path}: expected a folder seed-<number>: rename or remove it") from None
