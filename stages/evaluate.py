"""Stage evaluate: probabilities of test images and of X-rays from elsewhere, metrics with intervals, and figures."""

import argparse
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rontgen.core import errors, runs
from rontgen.core.imports import importing_keras
from rontgen.core.io import read_json, require, write_csv, write_json
from rontgen.core.runs import Run
from rontgen.data import arrays
from rontgen.evaluation import intervals, metrics
from rontgen.evaluation.external import answers, robustness

if TYPE_CHECKING:
    import keras


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="active, or a key of `runs` in a protocol.yaml")
    run = runs.load_run(parser.parse_args().run)
    require(run.model_file, run.train_command)
    manifest = arrays.read_manifest(run.image_set)
    classes, test = arrays.classes(manifest), manifest[manifest["subset"] == "test"]
    pixels = arrays.read_images(run.image_set)[test.index]
    elsewhere, others = arrays.read_external(run.image_set)

    with importing_keras():
        from rontgen.core import determinism
        from rontgen.models import files

    determinism.prepare(seed=0, threads=run.threads)
    model = files.load(run.model_file, run.train_command)
    probabilities = metrics.predict(model, pixels, str(run.model_file))
    predictions = metrics.prediction_table(test["id"], test["patient"], test["class"], classes, probabilities)
    measured = metrics.compute_metrics(predictions, classes) | metrics.model_size(model)
    bounds = intervals.bootstrap_intervals(predictions, classes)

    is_film = (elsewhere["perturbation"] == "").to_numpy()
    asked = metrics.predict(model, others, str(run.model_file)) if len(others) else np.zeros((0, len(classes)))
    films = answers(elsewhere[is_film], classes, asked[is_film])
    perturbed = robustness(elsewhere[~is_film], classes, asked[~is_film], predictions)

    write_csv(predictions, run.predictions)
    write_csv(films, run.films)
    write_json(perturbed, run.perturbed)
    write_json(measured, run.metrics)
    write_json(bounds, run.intervals)
    if run.name == runs.ACTIVE:
        write_json(metrics.summary(measured), runs.SUMMARY)
    draw(run, classes, model, pixels, predictions, measured, bounds)
    print(
        f"{run.name}: accuracy {measured['accuracy']:.4f} on {measured['test_images']} test images; naming the largest "
        f"class alone would give {measured['majority_accuracy']:.4f}"
    )


def draw(
    run: Run, classes: list[str], model: "keras.Model", pixels: np.ndarray, predictions: pd.DataFrame, measured: dict,
    bounds: dict,
) -> None:  # fmt: skip
    """Every figure of a run, and the tables behind them."""
    from rontgen.evaluation import gradcam
    from rontgen.reporting import plots

    history = pd.read_csv(require(run.history, run.train_command))
    kept_epoch = read_json(run.train_metrics, run.train_command)["kept_epoch"]
    roc = metrics.roc_table(predictions, classes)
    precision_recall = metrics.precision_recall_table(predictions, classes)
    calibration = metrics.calibration_table(predictions, classes)
    write_csv(roc, run.tested / "roc.csv")
    write_csv(precision_recall, run.tested / "precision_recall.csv")
    write_csv(calibration, run.tested / "calibration.csv")

    plots.history(history, kept_epoch, run.name, run.tested / "history.png")
    plots.confusion_matrix(measured["confusion"], run.name, run.tested / "confusion_matrix.png")
    band = intervals.roc_band(predictions, classes)
    plots.roc(roc, band, measured["roc_auc"], bounds.get("roc_auc"), run.name, run.tested / "roc.png")
    band = intervals.precision_recall_band(predictions, classes)
    plots.precision_recall(
        precision_recall, band, measured["average_precision"], bounds.get("average_precision"),
        predictions["class"].value_counts(normalize=True).to_dict(), run.name, run.tested / "precision_recall.png",
    )  # fmt: skip
    plots.calibration(
        calibration, measured["brier_score"], measured["expected_calibration_error"], run.name,
        run.tested / "calibration.png",
    )  # fmt: skip
    chosen = gradcam.most_confident(predictions, classes)
    images = pixels[chosen["position"]]
    heatmaps = gradcam.heatmaps(model, images, pd.Index(classes).get_indexer(chosen["predicted"]))
    captions = [
        f"{row['class']}, {'rightly' if row['right'] else 'taken for ' + row['predicted']}, {row['probability']:.2f}"
        for _, row in chosen.iterrows()
    ]
    plots.heatmaps(images[..., 0], heatmaps, captions, gradcam.kind(model), run.name, run.tested / "gradcam.png")


if __name__ == "__main__":
    errors.run(main)
