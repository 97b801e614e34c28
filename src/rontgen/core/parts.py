"""A study, an image set and a run: their settings, the paths of their files, and the commands that make these."""

from dataclasses import dataclass
from pathlib import Path

from rontgen.core.sections import RANDOM, Augment, Counts, Dataset, Model, Split, StudyImage, Train

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
