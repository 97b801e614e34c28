"""Load what a stage works on, a split, an image set or a run, with the profile applied; its files and its commands.

`active` names the one described by the top-level keys of params.yaml; any other name is an entry of `splits`,
`image_sets` or `runs` in a study's protocol.yaml.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rontgen.core import params, settings
from rontgen.core.errors import RontgenError
from rontgen.core.params import Params
from rontgen.core.settings import RANDOM, Train

Entry = TypeVar("Entry")

ACTIVE = "active"
LOCK = Path("dvc.lock")
BY_HAND = Path("data/archives")  # where archives and weights are put by hand
SUMMARY = Path("metrics/active.json")  # the active run's metrics, which `dvc exp show` lists


class PathOf:
    """A path in which attributes of the object stand."""

    def __init__(self, template: str):
        self.template = template

    def __get__(self, instance: Any, owner: type) -> Path:
        return Path(self.template.format(self=instance))


class CommandOf:
    """The dvc command that runs a stage of the object."""

    def __init__(self, stage: str):
        self.stage = stage

    def __get__(self, instance: Any, owner: type) -> str:
        return stage_command(self.stage, instance.name)


@dataclass(frozen=True)
class DatasetSplit:
    """One of `splits`: a dataset, and the rule that divides it. list: the folder of data/ that lists its images."""

    name: str
    dataset_name: str
    dataset: settings.Dataset
    rule: settings.Split
    max_per_class: settings.Counts | None
    check_counts: bool
    list: str = "raw"

    fingerprints = PathOf("data/near_duplicates/{self.dataset_name}")
    raw = PathOf("data/raw/{self.dataset_name}")
    manifest = PathOf("data/split/{self.name}.csv")
    audit = PathOf("metrics/split/{self.name}.json")
    split_command = CommandOf("split")

    @property
    def is_leakfree(self) -> bool:
        """Whether copies and images of one patient stay together."""
        return self.list == "near_duplicates"


@dataclass(frozen=True)
class ImageSet:
    """The images of a split at one size, in pixels, and how its classes are balanced."""

    name: str
    split: DatasetSplit
    size: int
    max_unreadable: int
    balance: str

    preprocessed = PathOf("data/preprocessed/{self.name}")
    external = PathOf("data/external/{self.name}")
    preprocess_command = CommandOf("preprocess")
    balanced = PathOf("data/balanced/{self.name}")
    balance_plots = PathOf("plots/balance/{self.name}")
    balance_command = CommandOf("balance")


@dataclass(frozen=True)
class Start:
    """Initial weights, a key of `backbones`: ImageNet weights of a backbone, or random ones.

    file: the name of Keras's own weights file. sha256: of another file that is accepted too, or None. place: the folder
    in data/weights, the same name or `active`.
    """

    name: str
    pretrained: bool
    file: str | None
    sha256: str | None
    place: str

    folder = PathOf("data/weights/{self.place}")

    @property
    def weights_command(self) -> str:
        return "dvc repro initial_weights" if self.place == ACTIVE else f"dvc repro weights@{self.place}"


@dataclass(frozen=True)
class Run:
    """One training run: an image set, a model and a protocol."""

    name: str
    image_set: ImageSet
    image: settings.StudyImage
    model_name: str
    model: settings.Model
    augment: settings.Augment | None
    train: Train
    start: Start
    batch_norm_momentum: float | None
    threads: int

    model_file = PathOf("models/{self.name}.keras")
    progress = PathOf("models/resume/{self.name}.npz")
    predictions = PathOf("data/predictions/{self.name}.csv")
    live = PathOf("metrics/runs/{self.name}/train/dvclive")
    history = PathOf("metrics/runs/{self.name}/train/history.csv")
    train_metrics = PathOf("metrics/runs/{self.name}/train/metrics.json")
    time_metrics = PathOf("metrics/runs/{self.name}/time.json")
    tested = PathOf("metrics/runs/{self.name}/test")  # what follows, figures, and the tables behind them
    metrics = PathOf("metrics/runs/{self.name}/test/metrics.json")
    intervals = PathOf("metrics/runs/{self.name}/test/intervals.json")
    films = PathOf("metrics/runs/{self.name}/test/films.csv")
    perturbed = PathOf("metrics/runs/{self.name}/test/perturbed.json")
    train_command = CommandOf("train")

    @property
    def classes(self) -> list[str]:
        return self.image_set.split.dataset.classes

    @property
    def settings(self) -> dict:
        """Every setting on which its result depends, ready for JSON; seeds among them."""
        split = self.image_set.split
        return {
            "dataset": split.dataset_name,
            "split": split.rule.options,
            "max_per_class": split.max_per_class and split.max_per_class.model_dump(),
            "image": {"size": self.image_set.size} | self.image.model_dump(include={"channels", "normalize"}),
            "balance": self.image_set.balance,
            "model": {"name": self.model_name} | self.model.options,
            "weights": self.start.name if self.start.pretrained else RANDOM,
            "augment": self.augment and self.augment.model_dump(),
            "train": self.train.model_dump(),
            "batch_norm_momentum": self.batch_norm_momentum,
            "threads": self.threads,
        }


def stage_name(stage: str, name: str) -> str:
    """A stage of the active run or of a reported one, as DVC names it."""
    return stage if name == ACTIVE else f"reported_{stage}@{name}"


def stage_command(stage: str, name: str) -> str:
    """The dvc command that runs a stage of the active run or of a reported one."""
    return f"dvc repro {stage_name(stage, name)}"


def load_dataset(name: str) -> tuple[settings.Dataset, params.DownloadProfile]:
    """A dataset, and where the profile downloads it from. Raises RontgenError for a name that params.yaml lacks."""
    values = params.load()
    return _entry(values.datasets, name, "dataset"), values.profiles[values.profile].download


def load_start(name: str, values: Params | None = None) -> Start:
    """Initial weights of a backbone, or of the active run's. values: of params.yaml, if loaded.

    Raises RontgenError for a name that params.yaml lacks.
    """
    values, place = values or params.load(), name
    if name == ACTIVE:
        name = values.models[values.model].backbone or RANDOM
    backbone = _entry(values.backbones, name, "backbone", ACTIVE)
    pretrained = values.profiles[values.profile].train.pretrained and backbone.file is not None
    return Start(name, pretrained, backbone.file, backbone.sha256, place)


def load_split(name: str, values: Params | None = None) -> DatasetSplit:
    """The split of that name, or the active one, as load_start."""
    values = values or params.load()
    if name == ACTIVE:
        dataset_name, rule, listed = values.dataset, values.split, "raw"
    else:
        row = _entry(values.splits, name, "split", ACTIVE)
        dataset_name, rule, listed = row.dataset, values.studies[row.study].split, row.list
    if listed == "near_duplicates":
        # fewer images are usable: copies, and images of one patient, stay in one subset
        apart = {"group_by": "patient", "deduplicate": True, "keep_copies": False, "on_shortage": "shrink"}
        rule = rule.model_copy(update=apart)
    dataset = values.datasets[dataset_name]
    max_per_class = None if name == ACTIVE else values.profiles[values.profile].split.max_per_class
    check_counts = dataset.check_counts and values.profile == "paper"
    return DatasetSplit(name, dataset_name, dataset, rule, max_per_class, check_counts, listed)


def load_image_set(name: str, values: Params | None = None) -> ImageSet:
    """The image set of that name, or the active one, as load_start."""
    values = values or params.load()
    if name == ACTIVE:
        split, size, balance = load_split(ACTIVE, values), values.image.size, values.balance
    else:
        row = _entry(values.image_sets, name, "image-set", ACTIVE)
        split, size, balance = load_split(row.split, values), row.size, values.studies[row.study].balance
    if split.is_leakfree and balance != "none":
        balance = "smote"  # a parent in the test subset is a leak
    profile = values.profiles[values.profile].preprocess
    return ImageSet(name, split, max(8, round(size * profile.scale)), profile.max_unreadable, balance)


def load_run(name: str, values: Params | None = None) -> Run:
    """The reported run of that name, or the active one, as load_start."""
    values = values or params.load()
    profile = values.profiles[values.profile]
    image: settings.StudyImage
    if name == ACTIVE:
        image_set, model_name, weights = ACTIVE, values.model, ACTIVE
        image, augment, train = values.image, values.augment, values.train  # it has what it is given, in the demo too
    else:
        row = _entry(values.runs, name, "run", ACTIVE)
        study = values.studies[row.study]
        image_set, model_name, weights, augment = row.image_set, row.model, row.weights, study.augment
        image = study.image.model_copy(update=row.image.model_dump(exclude_none=True))
        train = study.train.model_copy(update=row.train.model_dump(exclude_none=True))
        if augment is not None and profile.train.max_variants is not None:
            augment = augment.model_copy(update={"variants": min(augment.variants, profile.train.max_variants)})
        if profile.train.max_epochs is not None:
            train = _with_fewer_epochs(train, profile.train.max_epochs)
    return Run(
        name=name, image_set=load_image_set(image_set, values), image=image, model_name=model_name,
        model=values.models[model_name], augment=augment, train=train, start=load_start(weights, values),
        batch_norm_momentum=profile.train.batch_norm_momentum, threads=profile.threads,
    )  # fmt: skip


def _entry(section: Mapping[str, Entry], name: str, option: str, *others: str) -> Entry:
    """An entry of a section. others: further names that the option takes."""
    if name not in section:
        raise RontgenError(f"--{option}: expected one of {', '.join([*others, *section])}, received {name!r}")
    return section[name]


def _with_fewer_epochs(train: Train, cap: int) -> Train:
    """At most `cap` epochs in all, or one for each phase; fine-tuning, where there is any, gets half of them."""
    fine_tune = train.fine_tune
    if fine_tune is not None:
        fine_tune = fine_tune.model_copy(update={"epochs": min(fine_tune.epochs, max(1, cap // 2))})
        cap = max(1, cap - fine_tune.epochs)
    return train.model_copy(update={"epochs": min(train.epochs, cap), "fine_tune": fine_tune})
