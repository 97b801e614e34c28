"""Read, change and validate params.yaml."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from rontgen.core.errors import RontgenError
from rontgen.core.sections import (
    LEAKFREE,
    Augment,
    Backbone,
    Balance,
    Count,
    Counts,
    Dataset,
    Image,
    ImageSetSettings,
    Leakfree,
    Model,
    RunSettings,
    Section,
    Split,
    StudySettings,
    Train,
    nearest,
)


class DownloadProfile(Section):
    source: Literal["kaggle", "synthetic"]
    seed: Annotated[int, Field(ge=0)]
    image_size: Annotated[int, Field(ge=32, le=1024)]


class SplitProfile(Section):
    max_per_class: Counts | None


class PreprocessProfile(Section):
    scale: Annotated[float, Field(gt=0, le=1)]
    max_unreadable: Annotated[int, Field(ge=0)]


class TrainProfile(Section):
    pretrained: bool
    max_epochs: Count | None
    max_variants: Count | None
    batch_norm_momentum: Annotated[float, Field(gt=0, lt=1)] | None


class Profile(Section):
    threads: Annotated[int, Field(ge=1, le=256)]
    download: DownloadProfile
    split: SplitProfile
    preprocess: PreprocessProfile
    train: TrainProfile


class Params(Section):
    profile: Literal["demo", "paper"]
    dataset: str
    split: Split
    image: Image
    balance: Balance
    model: str
    augment: Augment | None
    train: Train
    profiles: dict[Literal["demo", "paper"], Profile]
    datasets: dict[str, Dataset]
    backbones: dict[str, Backbone]
    models: dict[str, Model]
    studies: dict[str, StudySettings]
    leakfree: dict[str, Leakfree]
    image_sets: dict[str, ImageSetSettings]
    reported: dict[str, RunSettings]

    @model_validator(mode="after")
    def _names_exist(self):
        def known(key, name, choices):
            if name not in choices:
                hint = nearest(name, choices)
                raise ValueError(f"{key}: expected one of {', '.join(choices)}, received {name!r}{hint}")

        known("profile", self.profile, self.profiles)
        known("dataset", self.dataset, self.datasets)
        known("model", self.model, self.models)
        for key, model in self.models.items():
            if model.backbone is not None:
                known(f"models.{key}.backbone", model.backbone, self.backbones)
        for key, study in self.studies.items():
            known(f"studies.{key}.dataset", study.dataset, self.datasets)
        for key, split in self.leakfree.items():
            known(f"leakfree.{key}", key, self.studies)
            known(f"leakfree.{key}.dataset", split.dataset, [self.studies[key].dataset])
        for key, image_set in self.image_sets.items():
            known(f"image_sets.{key}.study", image_set.study, self.studies)
            known(f"image_sets.{key}.dataset", image_set.dataset, [self.studies[image_set.study].dataset])
            leakfree = [image_set.study + LEAKFREE] if image_set.study in self.leakfree else []
            known(f"image_sets.{key}.split", image_set.split, [image_set.study, *leakfree])
        for key, run in self.reported.items():
            known(f"reported.{key}.image_set", run.image_set, self.image_sets)
            image_set = self.image_sets[run.image_set]
            known(f"reported.{key}.study", run.study, [image_set.study])
            known(f"reported.{key}.dataset", run.dataset, [image_set.dataset])
            known(f"reported.{key}.split", run.split, [image_set.split])
            if key.endswith(LEAKFREE) != run.split.endswith(LEAKFREE):
                raise ValueError(
                    f"reported.{key}: expected {LEAKFREE} at the end of both its name and its split, or neither"
                )
            known(f"reported.{key}.model", run.model, self.models)
            known(f"reported.{key}.family", run.family, [self.models[run.model].family])
        return self


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and validate params.yaml.

    Raises RontgenError, one line, naming the first wrong key, what was expected and what was received.
    """
    return validate(read(path), path)


def read(path: Path = Path("params.yaml")) -> dict:
    """The plain values of params.yaml. Raises RontgenError if it is missing or not YAML."""
    try:
        # YAML 1.2, as DVC reads it: in 1.1 the learning rate 1e-05 would be a string
        values = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RontgenError(f"{path} not found: run from the root of the repository") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise RontgenError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise RontgenError(f"{path}: expected keys such as profile and dataset, received {values!r}")
    return values


def changed(values: dict, changes: Mapping[str, str]) -> dict:
    """A copy of `values` (from `read`) with some keys changed, as `dvc exp run -S` changes them.

    changes: dotted keys, and values written as YAML. Raises RontgenError for an unknown key or a value not in YAML.
    """
    values = deepcopy(values)
    for key, text in changes.items():
        *parents, last = key.split(".")
        section: Any = values
        for name in parents:
            section = section.get(name) if isinstance(section, dict) else None
        if not isinstance(section, dict) or last not in section:
            raise RontgenError(f"expected a key of params.yaml, received {key!r}: see the file for its keys")
        try:
            section[last] = YAML(typ="safe").load(text)
        except YAMLError:
            raise RontgenError(f"{key}: expected a value in YAML, received {text!r}: quote what is text") from None
    return values


def validate(values: dict, path: Path = Path("params.yaml")) -> Params:
    """Validate the values that `read` returns. Raises RontgenError as `load` does."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise RontgenError(f"{path}: {_one_line(error)}") from None


def _one_line(error: ValidationError) -> str:
    """The first problem as `key: expected …, received …`."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{key}: expected a value, received nothing"
    if problem["type"] == "value_error":
        return f"{key}: {problem['ctx']['error']}" if key else str(problem["ctx"]["error"])
    expected = problem["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return f"{key}: expected {expected}, received {problem['input']!r}"
