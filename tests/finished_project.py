"""Made-up records."""

import numpy as np
import pandas as pd

from rontgen.evaluation.metrics import compute_metrics, prediction_table
from rontgen.records.records import Record

EPOCHS = ("first", "kept", "best", "final")


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
