"""Exported models: a run's model as ONNX, LiteRT and int8 LiteRT.

Each is evaluated on the full test set and compared with what `evaluate` wrote of the Keras model. With them goes
model.json: what a predictor of X-rays must know besides the weights. The page and `rontgen predict` read it where the
Keras model is the one that was exported.
"""

import timeit
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from rontgen.core import errors, runs
from rontgen.core.errors import RontgenError, first_line
from rontgen.core.imports import importing_keras
from rontgen.core.io import read_json, replacing, require, write_json
from rontgen.core.runs import Run
from rontgen.data import archives, arrays
from rontgen.evaluation.metrics import Predicts, predict, read_predictions
from rontgen.serving import backends, ood, ood_probes

if TYPE_CHECKING:
    import keras

FOLDER = Path("exports")
METRICS = Path("metrics/exports")
DESCRIPTION = "model.json"
FILES = {"onnx": "model.onnx", "litert": "model.tflite", "litert_int8": "model_int8.tflite"}

# Of two classes, the second is predicted from this probability on, as evaluation.metrics.prediction_table does
THRESHOLD = 0.5
# Largest difference of probabilities, from the order of float32 sums: ResNet50, the deepest, differs by 1.5e-5.
# int8 is another model, and is measured instead
TOLERANCE = 1e-4
# Training images from which int8 takes the range of each activation
CALIBRATION_IMAGES = 100
LATENCY_IMAGES = 50


def command(run: str) -> str:
    """The command that exports a run."""
    return f"rontgen export {run}"


def export(run: Run) -> None:
    """Write the model files, model.json and the metrics of a run.

    Raises RontgenError, and writes neither that file nor metrics, where the model cannot be converted or where ONNX or
    LiteRT (not int8) gives a probability that is further than TOLERANCE from Keras's.
    """
    require(run.model_file, run.train_command)
    evaluate = runs.stage_command("evaluate", run.name)
    predictions = read_predictions(require(run.predictions, evaluate), str(run.predictions), evaluate)
    subsets = arrays.read_subsets(run.image_set)

    with errors.needs_extra("app"), importing_keras():
        import onnx  # noqa: F401

        from rontgen.core import determinism
        from rontgen.models import files

    determinism.prepare(seed=0, threads=run.threads)
    model = files.load(run.model_file, run.train_command)
    reference = ood.fit(subsets["train"], subsets["validation"])
    description = describe(run, model, reference)
    expected = predictions[run.classes].to_numpy()
    decided = decide(expected, description["threshold"])
    labels = predictions["class"].map(run.classes.index).to_numpy()

    folder = FOLDER / run.name
    metrics: dict[str, Any] = {
        "test_images": len(labels),
        "keras": {"megabytes": _megabytes(run.model_file), "accuracy": float(np.mean(decided == labels))},
    }
    milliseconds = {"keras": latency(model, subsets["test"])}
    for kind, name in tqdm(FILES.items(), desc=f"export {run.name}", unit="file"):
        with replacing(folder / name) as temporary:
            convert(model, kind, subsets["train"], temporary)
            exported = open_file(kind, temporary, run.threads)
            found = predict(exported, subsets["test"], str(folder / name))
            difference = float(np.abs(found - expected).max())
            if kind != "litert_int8" and difference > TOLERANCE:
                raise RontgenError(
                    f"{folder / name}: expected Keras's probabilities to within {TOLERANCE}, received some that are "
                    f"{difference:.2g} away: use the Keras model"
                )
        decided_too = decide(found, description["threshold"])
        metrics[kind] = {
            "megabytes": _megabytes(folder / name),
            "accuracy": float(np.mean(decided_too == labels)),
            "max_difference": float(f"{difference:.1g}"),  # its second digit depends on the processor
            "same_decisions": float(np.mean(decided_too == decided)),
        }
        milliseconds[kind] = latency(exported, subsets["test"])
    metrics["ood"] = ood_probes.measure(reference, subsets["test"], subsets["test"].shape[1])

    write_json(metrics, METRICS / f"{run.name}.json")
    write_json({"single_image_milliseconds": milliseconds}, METRICS / run.name / "time.json")
    write_json(description, folder / DESCRIPTION)  # last, for it says of which model the files are


def open_onnx(run: Run, description: dict | None) -> backends.Onnx | backends.LiteRt:
    """The ONNX file of a run. description: of `read`. Raises RontgenError where it is of another model, or missing."""
    file = FOLDER / run.name / FILES["onnx"]
    if description is None:
        raise RontgenError(
            f"{file}: expected an export of {run.model_file}, received none, or that of another model: run "
            f"`{command(run.name)}` first"
        )
    return open_file("onnx", file, run.threads)


def read(run: Run) -> tuple[dict | None, dict | None]:
    """model.json and the metrics of a run's export: None where there is none of the Keras model that is there."""
    folder = FOLDER / run.name
    if not (folder / DESCRIPTION).exists():
        return None, None
    description = read_json(folder / DESCRIPTION, command(run.name))
    if run.model_file.exists() and archives.sha256(run.model_file) != description["model_sha256"]:
        return None, None
    return description, read_json(METRICS / f"{run.name}.json", command(run.name))


def describe(run: Run, model: "keras.Model", reference: ood.Reference) -> dict:
    """What model.json holds: what a predictor needs besides the weights, and the layers for who wants to see them.

    threshold: of the second of two classes; None for several, of which the most probable is decided for.
    """
    return {
        "run": run.name,
        "model": run.model_name,
        "dataset": run.image_set.split.dataset_name,
        "classes": run.classes,
        "size": int(model.input_shape[1]),
        "model_sha256": archives.sha256(run.model_file),
        "threshold": THRESHOLD if len(run.classes) == 2 else None,
        "threads": run.threads,
        "parameters": model.count_params(),
        "layers": [
            {
                "name": layer.name,
                "type": type(layer).__name__,
                "output": list(layer.output.shape[1:]),
                "parameters": layer.count_params(),
                "layers": len(getattr(layer, "layers", [])),
            }
            for layer in model.layers
        ],
        "ood": reference.to_dict(),
    }


def convert(model: "keras.Model", kind: str, training_images: np.ndarray, path: Path) -> None:
    """Write a Keras model that was called before as `kind` of FILES. Raises RontgenError where that is refused."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of NumPy's names, in the converter
            if kind == "onnx":
                model.export(path, format="onnx", verbose=False)
            else:
                _convert_to_litert(model, kind, training_images, path)
    except Exception as error:  # converters raise whatever the graph makes them
        raise RontgenError(
            f"{path.name}: expected a model that {kind} can hold, received {first_line(error)}: use another"
        ) from error


def _convert_to_litert(model: "keras.Model", kind: str, training_images: np.ndarray, path: Path) -> None:
    import tensorflow as tf

    options = {}
    if kind == "litert_int8":
        step = max(1, len(training_images) // CALIBRATION_IMAGES)
        chosen = training_images[::step][:CALIBRATION_IMAGES].astype(np.float32)
        options = {
            "optimizations": [tf.lite.Optimize.DEFAULT],
            "representative_dataset": lambda: ([chosen[index : index + 1]] for index in range(len(chosen))),
        }
    # LiteRT's own operations alone: others need a runtime that phones lack
    options["target_spec"] = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    _unrolled(model).export(path, format="litert", verbose=False, **options)


def _unrolled(model: "keras.Model") -> "keras.Model":
    """The same model with the steps of recurrent layers laid out: LiteRT has no loop over a list of tensors."""
    import keras

    def unroll(layer):
        if not isinstance(layer, keras.layers.LSTM | keras.layers.SimpleRNN):
            return layer
        return type(layer).from_config(layer.get_config() | {"unroll": True})

    copy = keras.models.clone_model(model, clone_function=unroll)
    copy.set_weights(model.get_weights())
    return copy


def open_file(kind: str, path: Path, threads: int) -> backends.Onnx | backends.LiteRt:
    """The exported file behind Keras's `predict_on_batch`. Raises RontgenError where it is damaged."""
    return (backends.Onnx if kind == "onnx" else backends.LiteRt)(path, threads)


def latency(model: Predicts, images: np.ndarray) -> float:
    """The median milliseconds that a model takes for one image, after one to warm up."""
    predict(model, images[:1])
    single = [images[index % len(images)][None] for index in range(LATENCY_IMAGES)]
    return 1000 * float(np.median([timeit.timeit(partial(predict, model, image), number=1) for image in single]))


def decide(probabilities: np.ndarray, threshold: float | None) -> np.ndarray:
    """The class decided for, as its number: int (N,). probabilities: float (N, classes). threshold: of model.json."""
    return probabilities.argmax(axis=1) if threshold is None else (probabilities[:, 1] >= threshold).astype(int)


def _megabytes(path: Path) -> float:
    return round(path.stat().st_size / 1e6, 2)  # tf2onnx names its nodes otherwise each time: bytes more or less
