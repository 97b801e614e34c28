"""Checks of the settings as a whole, before anything runs: every run can be built, every setting has an origin."""

import math

from rontgen.core.errors import RontgenError
from rontgen.core.papers import FOLDER, Papers, leaves
from rontgen.core.params import Params
from rontgen.core.runs import ACTIVE, load_run
from rontgen.core.settings import SMALLEST_BACKBONE_IMAGE


def check_runs(values: Params) -> None:
    """Raise RontgenError for the first run whose model does not accept its images."""
    scale = values.profiles[values.profile].preprocess.scale
    for name in [ACTIVE, *values.runs]:
        run = load_run(name, values)
        if name == ACTIVE:
            image, size_key, size = "image", "image.size", values.image.size
        else:
            image, size_key = f"studies.{values.runs[name].study}.image", f"image_sets.{run.image_set.name}.size"
            size = values.image_sets[run.image_set.name].size
        if run.model.backbone is None:
            if run.image.normalize == "backbone":
                raise RontgenError(
                    f"{image}.normalize: expected unit, symmetric or none for {run.model_name}, "
                    "which has no backbone, received backbone"
                )
        elif run.image.channels != 3:
            raise RontgenError(f"{image}.channels: expected 3 for {run.model_name}, received {run.image.channels}")
        elif run.image_set.size < SMALLEST_BACKBONE_IMAGE:
            least = math.ceil((SMALLEST_BACKBONE_IMAGE - 0.5) / scale)
            raise RontgenError(
                f"{size_key}: expected at least {least} for {run.model_name} in the profile {values.profile}, "
                f"which scales by {scale:g}, received {size}"
            )


def check_origins(papers: Papers, values: Params) -> None:
    """Raise RontgenError for the first setting of a run, in the profile `paper`, whose origin its paper.yaml lacks."""
    values = values.model_copy(update={"profile": "paper"})
    for name, row in values.runs.items():
        paper = papers.studies.get(row.study)
        if paper is None:
            raise RontgenError(f"{FOLDER / row.study}: expected a paper.yaml, received none: see docs/add-a-study.md")
        for key in leaves(load_run(name, values).settings):
            if paper.origin(name, key) is None:
                raise RontgenError(
                    f"{FOLDER / row.study}/paper.yaml: expected where {key} of {name} comes from, received no origin: "
                    "enter it under origins, as stated, ours or departs"
                )
