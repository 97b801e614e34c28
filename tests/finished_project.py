"""A folder in which every stage seems to have run: the settings and the files that the report reads; and made-up
records."""

import json
from contextlib import chdir
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from conftest import copy_settings
from rontgen.core import params, parts, runs, sections
from rontgen.evaluation import intervals
from rontgen.evaluation.metrics import compute_metrics, prediction_table
from rontgen.evidence.records import Record

ROOT = Path(__file__).parents[1]

RUNS = ("smatika_resnet50v2", "smatika_vgg16", "lungcare_cnn4", "lungcare_b8_s480", "pirngadi_simple_rnn")
INTERVAL = "the 95% prediction interval"
A_SUM, ANOTHER = "precision | recall give 0.9703", "a sum; with 250 images the two are one"
CLAIMS = f"""run,metric,place,paper,paper_low,paper_high,ours,low,high,difference,finding,reason
pirngadi,data.train,Section 4.1,5216,,,5216,,,0,consistent,the number in the archive's own part fits
smatika_vgg16,test.accuracy,Section 4,0.92,0.8484,0.9648,0.5,0.4,0.6,-0.42,not reproduced,outside {INTERVAL}
smatika_resnet50v2,test.classes.PNEUMONIA.f1,Section 4,0.9705,,,0.9,0.8,1,-0.07,contradictory,{A_SUM}
smatika_resnet50v2,test.accuracy,Section 4,0.97,0.9148,0.9938,0.9,,,-0.07,contradictory,{ANOTHER}; {A_SUM}
"""
# reading, treatment, label
OURS, OWN = "protocol,protocol,our completion", "own_preprocessing,own_preprocessing,own preprocessing"
COPIES = "copies_on_both_sides,copies_on_both_sides,copies on both sides"
COLUMNS = "study,run,trained,reading,treatment,label,paper,paper_low,paper_high,seeds,mean,spread,low,high"
ENDPOINTS = f"""{COLUMNS},verdict,narrow,reason
smatika,smatika_resnet50v2,smatika_resnet50v2,{OURS},0.97,0.91,0.99,1,0.9,,,,contradictory,False,{ANOTHER}; {A_SUM}
smatika,smatika_vgg16,smatika_vgg16,{OURS},0.92,0.85,0.96,5,0.5,0.02,0.4,0.6,not reproduced,False,outside {INTERVAL}
smatika,smatika_vgg16,smatika_vgg16,{OWN},0.92,0.85,0.96,3,0.91,0.01,0.82,0.99,reproduced,True,in {INTERVAL}
lungcare,lungcare_cnn4,lungcare_cnn4,{OURS},0.87,0.84,0.89,0,,,,,not run,False,`rontgen reproduce lungcare_cnn4`
lungcare,lungcare_cnn4,lungcare_cnn4,{COPIES},0.87,0.84,0.89,0,,,,,not run,False,`a command`
lungcare,lungcare_b32_s240,lungcare_cnn4,{OURS},0.91,0.88,0.93,0,,,,,contradictory,False,a sum of b32
"""
EPOCHS = ("first", "kept", "best", "final")
VERDICTS = {"contradictory": 2, "data unavailable": 0, "reproduced": 0, "not reproduced": 1}
VERDICTS |= {"inconclusive": 0, "not run": 1}
FINDINGS = {"contradictory": 1, "consistent": 1}
AGAINST = {"smatika_vgg16": {"correct": 92, "fisher_p": 0.21341, "least_mcnemar_p": 0.0625}}
HEADLINE = {"best": "smatika_resnet50v2", "test_images": 100, "correct": 97, "against": AGAINST}


def make(folder: Path) -> Path:
    """Write a finished project with only RUNS into `folder`."""
    copy_settings(folder)
    for path in params.protocols(folder):
        values = params.read_yaml(path)
        values["runs"] = {name: run for name, run in values["runs"].items() if name in RUNS}
        path.write_text(json.dumps(values))  # which is YAML too
    with chdir(folder):
        write_results()
    return folder


def write_results() -> None:
    """Write what the stages write, for the params.yaml of the working directory."""
    values = params.load()
    for number, name in enumerate([parts.ACTIVE, *values.runs]):
        run = runs.load_run(name)
        metrics, bounds = measured(tuple(run.classes), number % 2)
        write_json(run.metrics, metrics | {"parameters": 14846273, "model_megabytes": 59.6})
        write_json(run.intervals, bounds)
        write_json(run.train_metrics, {"epochs": 4, "kept_epoch": 2, "train_images": 20, "validation_images": 4})
        write_json(run.time_metrics, {"seconds": 12.5, "images_per_second": 1.6, "device": "cpu"})
    for name in [parts.ACTIVE, *values.image_sets]:
        image_set = runs.load_image_set(name)
        write_json(image_set.preprocess_metrics, {"images": 30, "size": image_set.size, "unreadable": 1})
    for name in [parts.ACTIVE, *values.splits]:
        study = runs.load_study(name)
        write_json(study.audit, audit(study.dataset))
    for name in values.datasets:
        probe = {"roc_auc": 0.75, "low": 0.7, "high": 0.8, "accuracy": 0.6, "majority_accuracy": 0.5}
        write_json(Path("metrics/shortcuts", f"{name}.json"), {"images": 30, "probes": {"size": probe}})
    write_json(Path("metrics/leakage.json"), leakage(values))
    write_json(Path("metrics/leakage_gap.json"), leakage_gap(values))
    write_claims(Path("metrics"))
    write_evidence(values)


def write_evidence(values) -> None:
    """Write what is recorded about the real archives."""
    folder = Path("results/archives")
    write_json(folder / "leakage.json", leakage(values) | {"folders": {}})
    probe = {"roc_auc": 0.85, "low": 0.8, "high": 0.9, "accuracy": 0.6, "majority_accuracy": 0.5}
    write_json(folder / "shortcuts.json", {name: {"images": 30, "probes": {"size": probe}} for name in values.datasets})
    archive = {"images": {"NORMAL": 1575}, "expected_images": {"NORMAL": 1583}}
    archive |= {"median_width": 224, "expected_median_width": 1224}
    write_json(folder / "provenance.json", {"archives": {"chest_xray": archive}})


def write_claims(folder: Path) -> None:
    """Write what the stage compare writes for two studies."""
    (folder / "claims.csv").write_text(CLAIMS)
    (folder / "endpoints.csv").write_text(ENDPOINTS)
    endpoints = {"all": VERDICTS, "smatika": VERDICTS}
    write_json(
        folder / "claims.json", {"endpoints": endpoints, "numbers": FINDINGS, "headlines": {"smatika": HEADLINE}}
    )


def write_json(path: Path, values: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


@cache
def measured(classes: tuple[str, ...], seed: int) -> tuple[dict, dict]:
    """Metrics and intervals of made-up predictions, twelve images of each class."""
    random = np.random.default_rng(seed)
    names = np.repeat(classes, 12)
    scores = random.random((len(names), len(classes))) + 0.4 * np.repeat(np.eye(len(classes)), 12, axis=0)
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    ids = np.array([f"image{number}" for number in range(len(names))])
    table = prediction_table(ids, np.full(len(ids), ""), names, list(classes), probabilities)
    return compute_metrics(table, list(classes)), intervals.bootstrap_intervals(table, list(classes), resamples=50)


def recorded(run: str, treatment: str, seed: int, classes: tuple[str, ...], right: int, images: int) -> Record:
    """A record with `right` of `images` test images correct; equal classes where possible; drawn from a thousand."""
    names = np.array([classes[number % len(classes)] for number in range(images)])
    ids = np.random.default_rng(seed).choice(1000, images, replace=False)
    of_class = np.array([classes.index(name) for name in names])
    answers = np.where(np.arange(images) < right, of_class, (of_class + 1) % len(classes))
    probabilities = np.where(np.eye(len(classes))[answers] == 1, 0.9, 0.1 / (len(classes) - 1))
    table = prediction_table(
        np.array([f"{number:012x}" for number in ids]), np.full(images, ""), names, list(classes), probabilities
    )
    train = {"epochs": 20, "kept_epoch": 10 + seed, "best_accuracy_epoch": 10 + seed, "best_loss_epoch": 12}
    train |= {"train_images": 800, "validation_images": 100}
    rates = dict.fromkeys(["train_accuracy", "validation_accuracy"], 0.9)
    train |= {epoch: rates | {"train_loss": 0.3, "validation_loss": 0.3} for epoch in EPOCHS}
    test = compute_metrics(table, list(classes)) | {"parameters": 2_260_546, "model_megabytes": 9.042}
    metrics = {
        "test": test,
        "train": train,
        "time": {"seconds": 100.0 + seed, "images_per_second": 50.0, "device": "cpu"},
    }
    machine = {"processor": "Zilog Z80", "cores": 2, "keras_backend": "tensorflow"}
    provenance = {
        "reading": treatment.partition("+")[0],
        "seed": seed,
        "set": {},
        "extra": {},
        "deviations": ["2 images missing from the archive"],
        "time": metrics["time"],
        "machine": machine,
    }
    history = pd.DataFrame({"epoch": np.arange(1, 21), "train_loss": 0.3, "validation_accuracy": 0.9})
    return Record(run, treatment, seed, metrics, table, history, provenance)


def audit(dataset) -> dict:
    pairs = ("train_validation", "train_test", "validation_test")
    return {
        "images": {subset: dict.fromkeys(dataset.classes, 12) for subset in sections.SUBSETS},
        "found": {archive: dict.fromkeys(labels, 1234) for archive, labels in dataset.labels.items()},
        "left_out": {archive: {"nested copies": 706, "masks": 0} for archive in dataset.archives},
        "dropped": {"duplicates": 31, "same image under two labels": 0},
        "repeated": 0,
        "shared": {"images": dict.fromkeys(pairs, 0), "patients": dict.fromkeys(pairs, 17)},
    }


def leakage_gap(values) -> dict:
    """One seed of each run; for smatika_vgg16, three recorded seeds too."""
    single = {"run": 0.9, "leakfree": 0.7, "gap": 0.2}
    mean = {"run": 0.9, "leakfree": 0.8, "gap": 0.1, "low": 0.02, "high": 0.18}
    one = {"seeds": 1, "note": "one seed each, made up", "metrics": {"accuracy": single}}
    several = {"seeds": 3, "note": "3 seeds each, made up", "metrics": {"accuracy": mean}}
    return {"records": {"smatika_vgg16": several}, "workspace": dict.fromkeys(values.runs, one)}


def leakage(values) -> dict:
    dataset = {"images": 5856, "exact_duplicates": 32, "near_duplicates": 9, "label_conflicts": 2}
    kinds = {"images": 24, "exact": 0, "near": 3, "patient": 5, "any": 7, "unknown_patient": 2}
    split = {f"{subset}_{kind}": count for subset in ("test", "validation") for kind, count in kinds.items()}
    names = [parts.ACTIVE, *values.splits]
    return {
        "datasets": dict.fromkeys(values.datasets, dataset),
        "splits": dict.fromkeys(names, split | {"share": 7 / 24}),
        "across": {"pneumonia covid": {"exact": 0, "near": 1341}},
    }
