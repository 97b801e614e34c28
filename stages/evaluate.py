"""Stage evaluate: probabilities of every test image, the metrics with their intervals, and their figures."""

import argparse
import gc
import json

import pandas as pd

from rontgen import datasets, errors, evaluation, intervals, runs
from rontgen.files import replacing, write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="active, or a key of `reported` in params.yaml")
    run = runs.load_run(parser.parse_args().run)
    runs.require(run.model_file, run.command)
    manifest = datasets.read_manifest(run.view)
    test = manifest[manifest["subset"] == "test"]
    pixels = datasets.read_images(run.view)[test.index]

    # as in stages/train.py
    gc.disable()
    from rontgen import model_files, reproducibility

    gc.freeze()
    gc.enable()

    reproducibility.prepare(seed=0, threads=run.threads)
    model = model_files.load(run.model_file, run.command)
    probabilities = evaluation.predict(model, pixels)
    predictions = evaluation.prediction_table(test["id"], test["patient"], test["class"], run.classes, probabilities)
    metrics = evaluation.metrics(predictions, run.classes) | evaluation.model_size(model)
    bounds = intervals.of(predictions, run.classes)

    write_csv(predictions, run.predictions)
    write_json(metrics, run.metrics)
    write_json(bounds, run.intervals)
    if not run.view.study.is_leakfree:  # a twin is for its metrics
        draw(run, model, pixels, predictions, metrics, bounds)
    print(f"{run.name}: accuracy {metrics['accuracy']:.4f} on {metrics['test_images']} test images")


def draw(run, model, pixels, predictions, metrics, bounds) -> None:
    """Every figure of a run, and the tables behind them."""
    from rontgen import figures, gradcam

    history = pd.read_csv(runs.require(run.history, run.command))
    best_epoch = json.loads(runs.require(run.train_metrics, run.command).read_text())["best_epoch"]
    roc = evaluation.roc_table(predictions, run.classes)
    precision_recall = evaluation.precision_recall_table(predictions, run.classes)
    calibration = evaluation.calibration_table(predictions, run.classes)
    write_csv(roc, run.plots / "roc.csv")
    write_csv(precision_recall, run.plots / "precision_recall.csv")
    write_csv(calibration, run.plots / "calibration.csv")
    write_csv(predictions[["class", "predicted"]], run.plots / "confusion.csv")

    figures.history(history, best_epoch, run.name, run.plots / "history.png")
    figures.confusion_matrix(metrics["confusion"], run.name, run.plots / "confusion_matrix.png")
    band = intervals.roc_band(predictions, run.classes)
    figures.roc(roc, band, metrics["roc_auc"], bounds.get("roc_auc"), run.name, run.plots / "roc.png")
    band = intervals.precision_recall_band(predictions, run.classes)
    figures.precision_recall(
        precision_recall, band, metrics["average_precision"], bounds.get("average_precision"),
        predictions["class"].value_counts(normalize=True).to_dict(), run.name, run.plots / "precision_recall.png",
    )  # fmt: skip
    figures.calibration(
        calibration, metrics["brier_score"], metrics["expected_calibration_error"], run.name,
        run.plots / "calibration.png",
    )  # fmt: skip
    chosen = gradcam.most_confident(predictions, run.classes)
    images = pixels[chosen["position"]]
    heatmaps = gradcam.heatmaps(model, images, pd.Index(run.classes).get_indexer(chosen["predicted"]))
    captions = [
        f"{row['class']}, {'rightly' if row['right'] else 'taken for ' + row['predicted']}, {row['probability']:.2f}"
        for _, row in chosen.iterrows()
    ]
    figures.heatmaps(images[..., 0], heatmaps, captions, gradcam.kind(model), run.name, run.gradcam)


def write_csv(table: pd.DataFrame, path) -> None:
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


if __name__ == "__main__":
    errors.run(main)
