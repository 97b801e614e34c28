"""Milliseconds for one image on one core, of each model of params.yaml by Keras and as ONNX: results/active/costs.json.

`python -m benchmarks.architectures`, with the extra `app`. The size is that of studies/architectures.yaml. The weights
are random, which makes no difference to the time. Each model is measured in a process of its own.
"""

import os
import tempfile
from pathlib import Path

from tqdm import tqdm

from rontgen.claims.architectures import COSTS
from rontgen.core import architectures, environment, errors, params
from rontgen.core.io import write_json

from .common import chests, in_process, settings


def main() -> None:
    measured = {name: in_process(milliseconds, name) for name in tqdm(settings().models, unit="model")}
    write_json({"machine": environment.machine()["processor"], "milliseconds": measured}, COSTS)


def milliseconds(name: str) -> dict[str, float]:
    """The median time of a model for one image, by kind of file."""
    from rontgen.core import determinism
    from rontgen.models.build import build_model
    from rontgen.serving import export

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    determinism.prepare(seed=1, threads=1)
    size = params.read_yaml(architectures.FILE)["image"]["size"]
    images, _ = chests(export.LATENCY_IMAGES, size)
    model = build_model(name, settings().models[name], images.shape[1:], 2)
    found = {"keras": export.latency(model, images)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        export.convert(model, "onnx", images, path)
        found["onnx"] = export.latency(export.open_file("onnx", path, threads=1), images)
    return {kind: round(value, 2) for kind, value in found.items()}


if __name__ == "__main__":
    errors.run(main)
