"""Stage evaluate: probabilities of every test image, the metrics, and their figures."""

import argparse
import json

import pandas as pd

from rontgen import datasets, errors, evaluation, figures, runs
from rontgen.files import replacing, write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="active, or a key of `reported` in params.yaml")
    run = runs.load_run(parser.parse_args().run)
    runs.require(run.model_file, run.command)
    history = pd.read_csv(runs.require(run.history, run.command))
    best_epoch = json.loads(runs.require(run.train_metrics, run.command).read_text())["best_epoch"]
    manifest = datasets.read_manifest(run.view)
    test = manifest[manifest["subset"] == "test"]
    pixels = datasets.read_images(run.view)[test.index]

    # Keras takes seconds to import: --help and missing inputs need not wait for it
    from rontgen import model_files, reproducibility

    reproducibility.prepare(seed=0, threads=run.threads)
    model = model_files.load(run.model_file, run.command)
    probabilities = evaluation.predict(model, pixels)
    predictions = evaluation.prediction_table(test["id"], test["class"], run.classes, probabilities)
    metrics = evaluation.metrics(predictions, run.classes) | evaluation.model_size(model, run.model_file)
    roc = evaluation.roc_table(predictions, run.classes)

    for table, path in [
        (predictions, run.predictions),
        (roc, run.plots / "roc.csv"),
        (predictions[["class", "predicted"]], run.plots / "confusion.csv"),
    ]:
        with replacing(path) as temporary:
            table.to_csv(temporary, index=False)
    figures.confusion_matrix(metrics["confusion"], run.name, run.plots / "confusion_matrix.png")
    figures.roc(roc, metrics["roc_auc"], run.name, run.plots / "roc.png")
    figures.history(history, best_epoch, run.name, run.plots / "history.png")
    write_json(metrics, run.metrics)
    print(f"{run.name}: accuracy {metrics['accuracy']:.4f} on {metrics['test_images']} test images")


if __name__ == "__main__":
    errors.run(main)
