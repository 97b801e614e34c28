"""Load what a stage works on, a split, an image set or a run, with the profile applied.

`active` names the one described by the top-level keys of params.yaml; any other name is an entry of `splits`,
`image_sets` or `runs` in a study's protocol.yaml.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rontgen.core import params
from rontgen.core.errors import RontgenError
from rontgen.core.params import DownloadProfile, Params
from rontgen.core.settings import (
    RANDOM,
    SMALLEST_BACKBONE_IMAGE,
    Augment,
    Counts,
    Dataset,
    Model,
    Split,
    StudyImage,
    Train,
)

Entry = TypeVar("Entry")

ACTIVE = "active"

LOCK = Path("dvc.lock")

# Where archives and weights are put by hand
BY_HAND = Path("data/archives")

# The active run's metrics, which `dvc exp show` lists
SUMMARY = Path("metrics/active.json")


@dataclass(frozen=True)
class Study:
    """One of `splits`: a dataset and how it is divided. list: the folder of data/ that lists its images."""

    name: str
    dataset_name: str
    dataset: Dataset
    split: Split
    max_per_class: Counts | None
    check_counts: bool
    list: str = "raw"

    @property
    def is_leakfree(self) -> bool:
        """Whether copies and images of one patient stay together."""
        return self.list == "near_duplicates"

    @property
    def fingerprints(self) -> Path:
        return Path("data/near_duplicates", self.dataset_name)

    @property
    def raw(self) -> Path:
        return Path("data/raw", self.dataset_name)

    @property
    def manifest(self) -> Path:
        return Path("data/split", f"{self.name}.csv")

    @property
    def audit(self) -> Path:
        return Path("metrics/split", f"{self.name}.json")

    @property
    def split_command(self) -> str:
        return stage_command("split", self.name)


@dataclass(frozen=True)
class ImageSet:
    """A study's images at one size, in pixels, and how its classes are balanced."""

    name: str
    study: Study
    size: int
    max_unreadable: int
    balance: str

    @property
    def preprocessed(self) -> Path:
        return Path("data/preprocessed", self.name)

    @property
    def preprocess_metrics(self) -> Path:
        return Path("metrics/preprocess", f"{self.name}.json")

    @property
    def balanced(self) -> Path:
        return Path("data/balanced", self.name)

    @property
    def balance_plots(self) -> Path:
        return Path("plots/balance", self.name)

    @property
    def preprocess_command(self) -> str:
        return stage_command("preprocess", self.name)

    @property
    def balance_command(self) -> str:
        return stage_command("balance", self.name)


@dataclass(frozen=True)
class Start:
    """Initial weights, a key of `backbones`: ImageNet weights of a backbone, or random ones.

    file: the name of Keras's own weights file. sha256: of another file that is accepted too, or None.
    """

    name: str
    pretrained: bool
    file: str | None
    sha256: str | None

    @property
    def folder(self) -> Path:
        return Path("data/weights", self.name)

    @property
    def weights_command(self) -> str:
        return f"dvc repro weights@{self.name}"


@dataclass(frozen=True)
class Run:
    """One training run: an image set, a model and a protocol."""

    name: str
    image_set: ImageSet
    image: StudyImage
    model_name: str
    model: Model
    augment: Augment | None
    train: Train
    start: Start
    batch_norm_momentum: float | None
    threads: int

    @property
    def classes(self) -> list[str]:
        return self.image_set.study.dataset.classes

    @property
    def settings(self) -> dict:
        """Every setting on which its result depends, ready for JSON; seeds among them."""
        study = self.image_set.study
        augment, train = (part.model_dump() if part else None for part in (self.augment, self.train))
        return {
            "dataset": study.dataset_name,
            "split": study.split.options,
            "max_per_class": study.max_per_class.model_dump() if study.max_per_class else None,
            "image": {"size": self.image_set.size} | self.image.model_dump(include={"channels", "normalize"}),
            "balance": self.image_set.balance,
            "model": {"name": self.model_name} | self.model.options,
            "weights": self.start.name if self.start.pretrained else RANDOM,
            "augment": augment,
            "train": train,
            "batch_norm_momentum": self.batch_norm_momentum,
            "threads": self.threads,
        }

    @property
    def model_file(self) -> Path:
        return Path("models", f"{self.name}.keras")

    @property
    def progress(self) -> Path:
        return Path("models/resume", f"{self.name}.npz")

    @property
    def predictions(self) -> Path:
        return Path("data/predictions", f"{self.name}.csv")

    @property
    def live(self) -> Path:
        return Path("dvclive", self.name)

    @property
    def plots(self) -> Path:
        return Path("plots/runs", self.name)

    @property
    def history(self) -> Path:
        return Path("metrics/runs", self.name, "train/history.csv")

    @property
    def metrics(self) -> Path:
        return Path("metrics/runs", self.name, "test/metrics.json")

    @property
    def train_metrics(self) -> Path:
        return Path("metrics/runs", self.name, "train/metrics.json")

    @property
    def time_metrics(self) -> Path:
        return Path("metrics/runs", self.name, "time.json")

    @property
    def intervals(self) -> Path:
        return Path("metrics/runs", self.name, "test/intervals.json")

    @property
    def gradcam(self) -> Path:
        return self.plots / "gradcam.png"

    @property
    def train_command(self) -> str:
        return stage_command("train", self.name)


def stage_command(stage: str, name: str) -> str:
    """The dvc command that runs one stage of the active run or of a reported one."""
    if name == ACTIVE:
        return f"dvc repro {stage}"
    return f"dvc repro reported_{stage}@{name}"


def load_dataset(name: str) -> tuple[Dataset, DownloadProfile]:
    """A dataset, and where the profile downloads it from. Raises RontgenError for a name that params.yaml lacks."""
    values = params.load()
    if name not in values.datasets:
        raise RontgenError(f"--dataset: expected one of {', '.join(values.datasets)}, received {name!r}")
    return values.datasets[name], values.profiles[values.profile].download


def load_study(name: str) -> Study:
    """The split of that name, or the active one. Raises RontgenError for a name that params.yaml lacks."""
    return _study(params.load(), name)


def load_image_set(name: str) -> ImageSet:
    """The image set of that name, or the active one. Raises RontgenError for a name that params.yaml lacks."""
    return _image_set(params.load(), name)


def load_run(name: str, values: Params | None = None) -> Run:
    """The reported run of that name, or the active one. Raises RontgenError for a name that params.yaml lacks.

    values: of params.yaml, which is read if they are not given.
    """
    values = values or params.load()
    image: StudyImage
    if name == ACTIVE:
        image_set, image, model_name = _image_set(values, ACTIVE), values.image, values.model
        augment, train = values.augment, values.train
    else:
        row = _entry(values.runs, name, "run")
        study = values.studies[row.study]
        image_set, model_name, augment = _image_set(values, row.image_set), row.model, study.augment
        image = study.image.model_copy(update=row.image.model_dump(exclude_none=True))
        train = study.train.model_copy(update=row.train.model_dump(exclude_none=True))
    profile = values.profiles[values.profile].train
    if augment is not None:
        augment = augment.model_copy(update={"variants": _at_most(augment.variants, profile.max_variants)})
    train = _with_fewer_epochs(train, profile.max_epochs)
    return Run(
        name=name,
        image_set=image_set,
        image=image,
        model_name=model_name,
        model=values.models[model_name],
        augment=augment,
        train=train,
        start=_start(values, (values.models[model_name].backbone or RANDOM) if name == ACTIVE else row.weights),
        batch_norm_momentum=profile.batch_norm_momentum,
        threads=values.profiles[values.profile].threads,
    )


def load_start(name: str) -> Start:
    """The initial weights of that name. Raises RontgenError for a name that params.yaml lacks."""
    values = params.load()
    if name not in values.backbones:
        raise RontgenError(f"--backbone: expected one of {', '.join(values.backbones)}, received {name!r}")
    return _start(values, name)


def check(values: Params) -> None:
    """Check that every run's model accepts its images. Raises RontgenError for the first that does not."""
    for name in [ACTIVE, *values.runs]:
        run = load_run(name, values)
        if name == ACTIVE:
            study, image_set, size = "", "image", values.image.size
        else:
            study, image_set = f"studies.{values.runs[name].study}.", f"image_sets.{run.image_set.name}"
            size = values.image_sets[run.image_set.name].size
        if run.model.backbone is None:
            if run.image.normalize == "backbone":
                raise RontgenError(
                    f"{study}image.normalize: expected unit, symmetric or none for {run.model_name}, "
                    "which has no backbone, received backbone"
                )
            continue
        if run.image.channels != 3:
            raise RontgenError(f"{study}image.channels: expected 3 for {run.model_name}, received {run.image.channels}")
        if run.image_set.size < SMALLEST_BACKBONE_IMAGE:
            scale = values.profiles[values.profile].preprocess.scale
            least = math.ceil((SMALLEST_BACKBONE_IMAGE - 0.5) / scale)
            raise RontgenError(
                f"{image_set}.size: expected at least {least} for {run.model_name} in the profile {values.profile}, "
                f"which scales by {scale:g}, received {size}"
            )


def _start(values: Params, name: str) -> Start:
    backbone = values.backbones[name]
    pretrained = values.profiles[values.profile].train.pretrained and backbone.file is not None
    return Start(name=name, pretrained=pretrained, file=backbone.file, sha256=backbone.sha256)


def _study(values: Params, name: str) -> Study:
    if name == ACTIVE:
        dataset_name, split, listed = values.dataset, values.split, "raw"
    else:
        row = _entry(values.splits, name, "split")
        dataset_name, split, listed = row.dataset, values.studies[row.study].split, row.list
    if listed == "near_duplicates":
        # fewer images are usable: copies, and images of one patient, stay in one subset
        apart = {"group_by": "patient", "deduplicate": True, "keep_copies": False}
        split = split.model_copy(update={**apart, "on_shortage": "shrink"})
    dataset = values.datasets[dataset_name]
    return Study(
        name=name,
        dataset_name=dataset_name,
        dataset=dataset,
        split=split,
        max_per_class=values.profiles[values.profile].split.max_per_class,
        check_counts=dataset.check_counts and values.profile == "paper",
        list=listed,
    )


def _image_set(values: Params, name: str) -> ImageSet:
    if name == ACTIVE:
        split, size, balance = ACTIVE, values.image.size, values.balance
    else:
        image_set = _entry(values.image_sets, name, "image-set")
        split, size, balance = image_set.split, image_set.size, values.studies[image_set.study].balance
        if (
            values.splits[split].list == "near_duplicates" and balance != "none"
        ):  # a parent in the test subset is a leak
            balance = "smote"
    profile = values.profiles[values.profile].preprocess
    return ImageSet(
        name=name,
        study=_study(values, split),
        size=max(8, round(size * profile.scale)),
        max_unreadable=profile.max_unreadable,
        balance=balance,
    )


def _entry(section: Mapping[str, Entry], name: str, kind: str) -> Entry:
    if name not in section:
        choices = ", ".join([ACTIVE, *(key for key in section if key != ACTIVE)])
        raise RontgenError(f"--{kind}: expected one of {choices}, received {name!r}")
    return section[name]


def _with_fewer_epochs(train: Train, cap: int | None) -> Train:
    """At most `cap` epochs in all, or one for each phase; fine-tuning, where there is any, gets half of them."""
    fine_tune = train.fine_tune
    if fine_tune is not None and cap is not None:
        fine_tune = fine_tune.model_copy(update={"epochs": min(fine_tune.epochs, max(1, cap // 2))})
        cap = max(1, cap - fine_tune.epochs)
    return train.model_copy(update={"epochs": _at_most(train.epochs, cap), "fine_tune": fine_tune})


def _at_most(value: int, cap: int | None) -> int:
    return value if cap is None else min(value, cap)
