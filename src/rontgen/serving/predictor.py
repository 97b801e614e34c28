"""Predict one picture: from the bytes of a file to probabilities, a decision, and a heatmap.

The page and `rontgen predict` both use this. Decoding and prediction are the pipeline's own functions, so a test image
gets the probability that `evaluate` wrote, but for rounding.
"""

from contextlib import chdir
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from rontgen.core import runs
from rontgen.core.errors import RontgenError
from rontgen.core.imports import importing_keras
from rontgen.core.io import commit, read_json, require
from rontgen.core.runs import Run
from rontgen.data import arrays, decoding
from rontgen.data.unpacked import open_archive
from rontgen.evaluation import metrics
from rontgen.evaluation.intervals import bootstrap_intervals
from rontgen.records.records import Record
from rontgen.serving import dicom, export, ood, ood_probes, recorded
from rontgen.serving.ood import Reference

# Bytes of one file: an uncompressed radiograph of 16 bits and 9 megapixels has 18 MB
MAX_BYTES = 25_000_000
# Of a picture on the page, in pixels
SHOWN = 448


@dataclass(frozen=True)
class Prediction:
    """A model's answer to one picture. An out-of-distribution picture has no probabilities, decision or confidence.

    in_distribution: whether it looks like the X-rays the model was trained on.
    reason: why not, a key of the page's texts.
    probabilities: by class.
    """

    in_distribution: bool
    reason: str | None = None
    probabilities: dict[str, float] | None = None
    decision: str | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class Example:
    """A test image to try: its id, its class by the archive, and the bytes of its file."""

    id: str
    label: str
    data: bytes


@dataclass(frozen=True)
class Trained:
    """A trained model and what is known of it: that of a run in the workspace, or of a record.

    name: of the run, or of the record.
    folder: where the run's files lie.
    metrics, intervals: on its test images.
    record: None in the workspace.
    """

    name: str
    run: Run
    folder: Path
    metrics: dict
    intervals: dict
    commit: str
    images: str
    record: Record | None = None

    @classmethod
    def in_workspace(cls, name: str) -> "Trained":
        """The model of a run. Raises RontgenError, naming the command that fixes it, if a file is missing."""
        run, evaluate = runs.load_run(name), runs.stage_command("evaluate", name)
        metrics, intervals = (read_json(path, evaluate) for path in (run.metrics, run.intervals))
        split = run.image_set.split
        made = {facts["source"] for facts in read_json(split.raw / "SOURCE.json", split.split_command).values()}
        images = next((kind for kind in ("drawn", "miniature") if kind in made), "real")
        return cls(name, run, Path(), metrics, intervals, commit(), images)

    @classmethod
    def recorded(cls, name: str) -> "Trained":
        """The model of a record. Raises RontgenError if there is no such record, or DVC's cache lacks its files."""
        record = recorded.find(name)
        run = recorded.run_of(record)
        folder = recorded.checkout(record, run)
        bounds = bootstrap_intervals(record.predictions, record.classes)
        commit = record.provenance["commit"][:12]
        return cls(record.name, run, folder, record.metrics["test"], bounds, commit, "real", record)

    @cached_property
    def examples(self) -> dict[str, Example]:
        """Of the demo's miniature, by id: for each class, the first test images that are read rightly and wrongly."""
        if self.images != "miniature":
            return {}
        split, evaluate = self.run.image_set.split, runs.stage_command("evaluate", self.name)
        tested = metrics.read_predictions(self.run.predictions, str(self.run.predictions), evaluate)
        is_right = tested["class"] == tested["predicted"]
        chosen = tested.assign(is_right=is_right).groupby(["class", "is_right"])["id"].first()
        manifest = arrays.read_split(split).set_index("id").loc[chosen]
        found = {}
        for id_, image in manifest.iterrows():
            with open_archive(split.raw / image["archive"], command=split.split_command) as archive:
                found[id_] = Example(id_, image["class"], archive.read(image["member"]))
        return found

    @property
    def xrays(self) -> str:
        """The X-rays that it was trained on, in words."""
        kind = {"miniature": "small real"}.get(self.images, self.images)
        return f"the {kind} X-rays that {self.name} was trained on"


class Predictor:
    """A trained model that reads pictures.

    description: of export.describe.
    kind: keras or onnx.
    explains: the method of the heatmaps (gradcam.kind), None where there are none.
    export_metrics: of the exported files, None where this model has none.
    Raises RontgenError, naming the command that fixes it, if a file is missing, if the ONNX file is of another model
    than the Keras file, or if kind is onnx for a record.
    """

    def __init__(self, trained: Trained, kind: str = "keras"):
        self.trained, self.kind = trained, kind
        self.name, self.classes = trained.name, trained.run.classes
        self.explains: str | None = None
        description, self.export_metrics = (None, None) if trained.record else export.read(trained.run)
        if kind == "onnx":
            if trained.record:
                raise RontgenError("--kind: expected keras for --record, received onnx")
            self._model: metrics.Predicts = export.open_onnx(trained.run, description)
        with chdir(trained.folder):
            if kind == "keras":
                with importing_keras():
                    from rontgen.evaluation import gradcam
                    from rontgen.models import files

                command = trained.run.train_command
                self._model = files.load(require(trained.run.model_file, command), command)
                self.explains, self._heatmaps = gradcam.kind(self._model), gradcam.heatmaps
            if description is None:
                subsets = arrays.read_subsets(trained.run.image_set)
                reference = ood.fit(subsets["train"], subsets["validation"])
                description, self._test = export.describe(trained.run, self._model, reference), subsets["test"]
        self.description = description
        self._reference = Reference.from_dict(description["ood"])
        size = description["size"]
        metrics.predict(self._model, np.zeros((1, size, size, 1), np.uint8))  # the first takes seconds

    @cached_property
    def ood_rates(self) -> dict:
        """How often X-rays of the test subset and other pictures are refused, see ood_probes.measure."""
        if self.export_metrics:
            return self.export_metrics["ood"]
        return ood_probes.measure(self._reference, self._test, self._test.shape[1])

    def read(self, data: bytes) -> Prediction:
        """Read the bytes of a JPEG, PNG or DICOM file. Raises RontgenError if they are not, or are too large."""
        (image,), colour = self._decode(data)
        return self._predict(image[..., None], colour)

    def show(self, data: bytes) -> tuple[Prediction, np.ndarray, np.ndarray | None]:
        """Read the bytes of a file as `read` does, with what the page shows of it.

        That is the picture, uint8 (SHOWN, SHOWN), and its heatmap for the decision, float32 (H, W) in [0, 1], None
        where there is none.
        """
        (image, shown), colour = self._decode(data, SHOWN)
        image = image[..., None]
        prediction = self._predict(image, colour)
        heatmap = None
        if prediction.decision and self.explains:
            (heatmap,) = self._heatmaps(self._model, image[None], np.array([self.classes.index(prediction.decision)]))
        return prediction, shown, heatmap

    def _decode(self, data: bytes, *sizes: int) -> tuple[list[np.ndarray], float]:
        """The picture at the model's size, and at each of `sizes`: uint8 (size, size); and its colourfulness."""
        if len(data) > MAX_BYTES:
            raise RontgenError(f"expected a file of at most {MAX_BYTES / 1e6:.0f} MB, received a larger one")
        if dicom.is_dicom(data):
            data = dicom.to_png(data)
        return decoding.decode_with_colour(data, self.description["size"], *sizes)

    def _predict(self, image: np.ndarray, colour: float) -> Prediction:
        if colour > ood.COLOUR:
            return Prediction(False, "in_colour")
        if self._reference.flags(image[None]).any():
            return Prediction(False, "unlike_drawn_xrays" if self.trained.images == "drawn" else "unlike_xrays")
        (probabilities,) = metrics.predict(self._model, image[None], self.name)
        (decided,) = export.decide(probabilities[None], self.description["threshold"])
        named = dict(zip(self.classes, map(float, probabilities), strict=True))
        return Prediction(True, None, named, self.classes[decided], float(probabilities[decided]))


def open_predictors(models: list[Trained], kind: str = "keras") -> dict[str, Predictor]:
    """The predictor of each model, by its name, the backend prepared as `evaluate` prepares it."""
    if kind == "keras":
        with importing_keras():
            from rontgen.core import determinism

        determinism.prepare(seed=0, threads=models[0].run.threads)
    return {trained.name: Predictor(trained, kind) for trained in models}
