"""Read, change and validate the settings: params.yaml and the studies' protocol.yaml."""

from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from rontgen.core import nested, settings
from rontgen.core.errors import RontgenError
from rontgen.core.settings import LEAKFREE, RANDOM, Count, Section, Seed, check_choice

PARAMS = Path("params.yaml")

# Of a study's protocol.yaml
PROTOCOL = ("studies", "splits", "image_sets", "runs")


class DownloadProfile(Section):
    source: Literal["kaggle", "demo"]
    seed: Seed
    image_size: Annotated[int, Field(ge=32, le=1024)]


class SplitProfile(Section):
    max_per_class: settings.Counts | None


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


class StudySettings(Section):
    dataset: str
    split: settings.Split
    image: settings.StudyImage
    balance: settings.Balance
    augment: settings.Augment | None
    train: settings.Train


class SplitSettings(Section):
    """A study's split. list: where its images are listed: raw, or near_duplicates, whose copies and patients then stay
    together, so that no leak is known."""

    study: str
    dataset: str
    list: Literal["raw", "near_duplicates"]


class ImageSetSettings(Section):
    study: str
    dataset: str
    split: str
    size: settings.Size


class ImageChanges(Section):
    normalize: settings.Normalize | None = None


class TrainChanges(Section):
    batch_size: Count | None = None


class RunSettings(Section):
    study: str
    image_set: str
    model: str
    family: settings.Family
    weights: str
    image: ImageChanges = ImageChanges()
    train: TrainChanges = TrainChanges()


class Params(StudySettings):
    """All settings. Those at the top describe the active run, as a study's describe its runs."""

    profile: Literal["demo", "paper"]
    image: settings.Image
    model: str
    profiles: dict[Literal["demo", "paper"], Profile]
    datasets: dict[str, settings.Dataset]
    backbones: dict[str, settings.Backbone]
    models: dict[str, settings.Model]
    studies: dict[str, StudySettings]
    splits: dict[str, SplitSettings]
    image_sets: dict[str, ImageSetSettings]
    runs: dict[str, RunSettings]

    @model_validator(mode="after")
    def _names_exist(self):
        check_choice("profile", self.profile, self.profiles)
        check_choice("dataset", self.dataset, self.datasets)
        check_choice("model", self.model, self.models)
        layouts = {layout for dataset in self.datasets.values() for layout in dataset.archives}
        for key, dataset in self.datasets.items():
            for layout in dataset.external:
                check_choice(f"datasets.{key}.external", layout, sorted(layouts))
        for key, model in self.models.items():
            if model.backbone is not None:
                check_choice(f"models.{key}.backbone", model.backbone, self.backbones)
        for key, study in self.studies.items():
            check_choice(f"studies.{key}.dataset", study.dataset, self.datasets)
        for key, split in self.splits.items():
            check_choice(f"splits.{key}.study", split.study, self.studies)
            check_choice(f"splits.{key}.dataset", split.dataset, [self.studies[split.study].dataset])
            check_choice(f"splits.{key}.list", split.list, ["near_duplicates" if key.endswith(LEAKFREE) else "raw"])
        for key, image_set in self.image_sets.items():
            check_choice(f"image_sets.{key}.split", image_set.split, self.splits)
            split = self.splits[image_set.split]
            check_choice(f"image_sets.{key}.study", image_set.study, [split.study])
            check_choice(f"image_sets.{key}.dataset", image_set.dataset, [split.dataset])
        for key, run in self.runs.items():
            check_choice(f"runs.{key}.image_set", run.image_set, self.image_sets)
            image_set = self.image_sets[run.image_set]
            check_choice(f"runs.{key}.study", run.study, [image_set.study])
            if key.endswith(LEAKFREE) != image_set.split.endswith(LEAKFREE):
                raise ValueError(
                    f"runs.{key}: expected {LEAKFREE} at the end of both its name and its split, or neither"
                )
            check_choice(f"runs.{key}.model", run.model, self.models)
            model = self.models[run.model]
            check_choice(f"runs.{key}.family", run.family, [model.family])
            check_choice(f"runs.{key}.weights", run.weights, [*filter(None, [model.backbone]), RANDOM])
        return self


def load(path: Path = PARAMS) -> Params:
    """Read and validate params.yaml and the studies' protocol.yaml.

    Raises RontgenError, one line, naming the first wrong key, what was expected and what was received.
    """
    return validate(read(path), path)


def read(path: Path = PARAMS) -> dict:
    """The plain values of params.yaml and, beside it, of every studies/<study>/protocol.yaml, merged as DVC does.

    Raises RontgenError where a file is missing or not YAML, or two have one entry.
    """
    values = read_yaml(path)
    for protocol in protocols(path.parent):
        for section, entries in read_yaml(protocol).items():
            if section not in PROTOCOL or not isinstance(entries, dict):
                raise RontgenError(f"{protocol}: expected the sections {', '.join(PROTOCOL)}, received {section!r}")
            if twice := values.setdefault(section, {}).keys() & entries.keys():
                raise RontgenError(f"{protocol}: {section}.{min(twice)} is in another study's protocol too: rename it")
            values[section] |= entries
    return values


def protocols(folder: Path = Path()) -> list[Path]:
    """The protocol.yaml of every study in a folder's `studies`."""
    return sorted(folder.glob("studies/*/protocol.yaml"))


def read_yaml(path: Path, kind: str = "safe") -> dict:
    """The mapping in a YAML file. kind: safe, or base, which leaves every scalar as it is written.

    Raises RontgenError if it is missing or not YAML.
    """
    try:
        # YAML 1.2, as DVC reads it: in 1.1 the learning rate 1e-05 would be a string
        values = YAML(typ=kind).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RontgenError(f"{path} not found: run from the root of the repository") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise RontgenError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise RontgenError(f"{path}: expected keys such as profile and dataset, received {values!r}")
    return values


def file_of(key: str, folder: Path = Path()) -> Path:
    """The file that has a key, in `folder`: params.yaml, or the protocol.yaml that has the entry."""
    section, entry, *_ = [*key.split("."), ""]
    if section in PROTOCOL:
        for path in protocols(folder):
            if entry in read_yaml(path).get(section, {}):
                return path.relative_to(folder)
    return PARAMS


def changed(values: dict, changes: Mapping[str, str]) -> dict:
    """A copy of `values` (from `read`) with some keys changed, as `dvc exp run -S` changes them.

    changes: dotted keys, with or without their file as `file:key`, and values written as YAML. Raises RontgenError for
    a key below something that is no section, or a value not in YAML; `validate` refuses unknown keys.
    """
    values = deepcopy(values)
    for key, text in changes.items():
        try:
            nested.put(values, key.rpartition(":")[2], YAML(typ="safe").load(text))
        except YAMLError:
            raise RontgenError(f"{key}: expected a value in YAML, received {text!r}: quote what is text") from None
        except TypeError:
            raise RontgenError(f"expected a key of params.yaml or a protocol.yaml, received {key!r}") from None
    return values


def validate(values: dict, path: Path = PARAMS) -> Params:
    """Validate the values that `read` returns. Raises RontgenError as `load` does."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        problem = one_line(error)
        with suppress(RontgenError):
            path = file_of(problem.partition(":")[0], path.parent)
        raise RontgenError(f"{path}: {problem}") from None


def one_line(error: ValidationError) -> str:
    """The first problem as `key: expected …, received …`."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{key}: expected a value, received nothing"
    if problem["type"] == "value_error":
        return f"{key}: {problem['ctx']['error']}" if key else str(problem["ctx"]["error"])
    expected = problem["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return f"{key}: expected {expected}, received {problem['input']!r}"
