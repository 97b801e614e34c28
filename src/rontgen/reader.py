"""A picture read by the model of one run: from the bytes of a file to probabilities, a decision, and where it looked.

The page (rontgen.app) and the command line (rontgen.predict) both read here. Decoding and prediction are the pipeline's
own functions, so that a test image gets the probability that `evaluate` wrote, to the last bit.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from rontgen import cards, dicom, evaluation, export, familiarity, images, report, runs
from rontgen.errors import RontgenError
from rontgen.familiarity import Reference

KINDS = ("keras", "onnx")
# Bytes of one file: an uncompressed radiograph of 16 bits and 9 megapixels has 18 MB
MAX_BYTES = 25_000_000
# Of a picture on the page, in pixels
SHOWN = 448


@dataclass(frozen=True)
class Reading:
    """What a model says of one picture. is_xray: whether it looks like those the model was trained on; what does not
    has no probabilities (by class), decision and confidence. reason: why not, a key of the page's texts. For the page:
    image, uint8 (SHOWN, SHOWN), and heatmap, float32 (H, W) in [0, 1], of gradcam.heatmaps for the class decided for;
    None elsewhere, and where the model's kind has no heatmap."""

    is_xray: bool
    reason: str | None
    probabilities: dict[str, float] | None
    decision: str | None
    confidence: float | None
    image: np.ndarray | None
    heatmap: np.ndarray | None


class Reader:
    """The model of one run, and what is known of it.

    description: of export.describe. metrics, intervals: of the run's evaluation. kind: of KINDS. explains: the method
    of the heatmaps (gradcam.kind), None where there are none. Raises RontgenError, naming the command that mends it,
    where a file is missing, or where the model file is not the one that was exported.
    """

    def __init__(self, name: str, kind: str = "keras"):
        run, folder = export.load_run(name), export.FOLDER / name
        self.name, self.kind, self.classes = name, kind, run.classes
        self.description = cards.read_json(folder / export.DESCRIPTION, export.command(name))
        self.export_metrics = cards.read_json(export.METRICS / f"{name}.json", export.command(name))
        evaluate = runs.stage_command("evaluate", name)
        self.metrics = cards.read_json(run.metrics, evaluate)
        self.intervals = cards.read_json(run.intervals, evaluate)
        self.commit = report.commit()
        self._reference = Reference.from_dict(self.description["familiarity"])
        self.explains = None
        if kind == "keras" or run.model_file.exists():
            _check_is_exported(run, self.description)
        if kind == "onnx":
            file = runs.require(folder / export.FILES["onnx"], export.command(name))
            self._model = export.open_file("onnx", file, run.threads)
        else:
            from rontgen import gradcam, model_files

            self._model = model_files.load(run.model_file, run.command)
            self.explains = gradcam.kind(self._model)
        size = self.description["size"]
        evaluation.predict(self._model, np.zeros((2, size, size, 1), np.uint8))  # the first takes seconds

    def read(self, data: bytes, *, for_page: bool = False) -> Reading:
        """Read the bytes of a JPEG, PNG or DICOM file. Raises RontgenError where they are none, or too large."""
        if len(data) > MAX_BYTES:
            raise RontgenError(
                f"expected a file of at most {MAX_BYTES / 1e6:.0f} MB, received {len(data) / 1e6:.1f} MB"
            )
        if dicom.is_dicom(data):
            data = dicom.to_png(data)
        image = images.decode(data, self.description["size"])[..., None]
        shown = images.decode(data, SHOWN) if for_page else None
        reason = self._unfamiliar(data, image)
        if reason:
            return Reading(False, reason, None, None, None, shown, None)
        # as two of a batch: for one alone TensorFlow takes other kernels, whose last bit may differ from evaluate's
        (probabilities, _) = evaluation.predict(self._model, np.stack([image, image]))
        (decided,) = export.decide(probabilities[None], self.description["threshold"])
        heatmap = self._heatmap(image, decided) if for_page and self.explains else None
        named = dict(zip(self.classes, map(float, probabilities), strict=True))
        return Reading(True, None, named, self.classes[decided], float(probabilities[decided]), shown, heatmap)

    def _unfamiliar(self, data: bytes, image: np.ndarray) -> str | None:
        if familiarity.colourfulness(data) > familiarity.COLOUR:
            return "in_colour"
        (score,) = self._reference.score(image[None])
        return "unlike_xrays" if score > self._reference.threshold else None

    def _heatmap(self, image: np.ndarray, decided: int) -> np.ndarray:
        from rontgen import gradcam

        (heatmap,) = gradcam.heatmaps(self._model, image[None], np.array([decided]))
        return heatmap


def open_readers(names: list[str], kind: str = "keras") -> dict[str, Reader]:
    """The reader of each run, the backend prepared as `evaluate` prepares it."""
    if kind == "keras":
        from rontgen import reproducibility

        reproducibility.prepare(seed=0, threads=export.load_run(names[0]).threads)
    return {name: Reader(name, kind) for name in names}


def _check_is_exported(run: runs.Run, description: dict) -> None:
    path = runs.require(run.model_file, run.command)
    if hashlib.sha256(path.read_bytes()).hexdigest() != description["model_sha256"]:
        raise RontgenError(
            f"{path}: expected the model that {export.FOLDER / run.name} was made from, received another: run "
            f"`{export.command(run.name)}`"
        )
