"""The sections of params.yaml as frozen objects; unknown keys, wrong types and impossible combinations are refused."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

SUBSETS = ("train", "validation", "test")
# Pixels, height and width. A backbone halves an image five times, and keras.applications refuses smaller ones
SMALLEST_BACKBONE_IMAGE = 32
# Suffix of a split that shares no patient, copy or near copy between subsets, and of its runs
LEAKFREE = "_leakfree"
# A key of `backbones`, and what a run's `weights` may be instead of its model's backbone
RANDOM = "random"

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]
Size = Annotated[int, Field(ge=8, le=4096)]  # pixels
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Balance = Literal["none", "smote", "smote_train_test", "smote_all"]
Normalize = Literal["unit", "symmetric", "none", "backbone"]
Family = Literal["cnn", "transfer", "recurrent"]  # each a module of rontgen.models


def check_choice(key: str, name: str, choices: Collection[str]) -> None:
    """Raise ValueError for a name that is none of the choices, with the most similar one as a hint."""
    if name not in choices:
        hint = "".join(f": did you mean {near}?" for near in get_close_matches(name, choices, 1))
        raise ValueError(f"{key}: expected one of {', '.join(choices) or 'none'}, received {name!r}{hint}")


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_unknown_key(cls, values):
        for key in values if isinstance(values, dict) else ():
            check_choice("unknown key", key, cls.model_fields)
        return values


class Fractions(Section):
    train: Share
    validation: Share
    test: Share | None = None


class Counts(Section):
    train: Count
    validation: Count
    test: Count


class Split(Section):
    policy: Literal["stratified", "balanced", "official"]
    fractions: Fractions | None = None
    counts: Counts | None = None
    on_shortage: Literal["error", "shrink", "repeat"] = "error"
    group_by: Literal["patient", "none"]
    deduplicate: bool
    keep_copies: bool = False
    seed: Seed

    @property
    def options(self) -> dict:
        """What its policy uses: name and value."""
        unused = set() if self.policy == "balanced" else {"on_shortage"}
        return self.model_dump(exclude=unused, exclude_none=True)

    @model_validator(mode="after")
    def _fits_together(self):
        if self.keep_copies and self.deduplicate:
            raise ValueError("keep_copies and deduplicate exclude each other: set one of them to false")
        if self.policy == "balanced":
            if self.counts is None:
                raise ValueError("policy balanced needs counts")
            return self
        if self.fractions is None:
            raise ValueError(f"policy {self.policy} needs fractions")
        shares = [self.fractions.train, self.fractions.validation]
        if self.policy == "stratified":
            if self.fractions.test is None:
                raise ValueError("policy stratified needs fractions.test")
            shares.append(self.fractions.test)
            if abs(sum(shares) - 1) > 1e-6:
                raise ValueError(f"fractions must sum to 1, received {sum(shares):g}")
        if min(shares) <= 0:
            raise ValueError("every fraction in use must be above 0")
        return self


class StudyImage(Section):
    channels: Literal[1, 3]
    normalize: Normalize


class Image(StudyImage):
    size: Size


class Augment(Section):
    rotation: Annotated[float, Field(ge=0, le=180)]
    width_shift: Share
    height_shift: Share
    zoom: Annotated[float, Field(ge=0, lt=1)]
    shear: Annotated[float, Field(ge=0, lt=90)]
    contrast: Annotated[float, Field(ge=0, lt=1)]
    horizontal_flip: bool
    variants: Count
    validation: bool = False


class FineTune(Section):
    epochs: Count
    learning_rate: Rate
    start: Literal["best", "last"] = "best"


class EarlyStopping(Section):
    monitor: Literal["val_loss", "val_accuracy"]
    patience: Count


class ReduceLrOnPlateau(Section):
    factor: Annotated[float, Field(gt=0, lt=1)]
    patience: Count


class Train(Section):
    epochs: Count
    batch_size: Count
    optimizer: Literal["adam", "adamw"]
    learning_rate: Rate
    fine_tune: FineTune | None
    early_stopping: EarlyStopping | None
    reduce_lr_on_plateau: ReduceLrOnPlateau | None
    checkpoint: Literal["val_loss", "val_accuracy", "last"]
    mixed_precision: bool
    seed: Seed


class Source(Section):
    """A Kaggle dataset, owner/name, with the version and the archive's SHA-256 if they are pinned."""

    slug: Annotated[str, Field(pattern="^[^/]+/[^/]+$")]
    version: Count | None = None
    sha256: Sha256 | None = None


def _source(value):
    return {"slug": value} if isinstance(value, str) else value


class External(Section):
    """Films of an archive of which a dataset has none: its slug, and which of its labels is which class."""

    slug: Annotated[str, Field(pattern="^[^/]+/[^/]+$")]
    labels: dict[str, str]


class Dataset(Section):
    archives: dict[str, Annotated[Source, BeforeValidator(_source)]]
    classes: Annotated[list[str], Field(min_length=2)]
    labels: dict[str, dict[str, str]]
    check_counts: bool
    counts: dict[str, dict[str, Count]]
    median_widths: dict[str, Count]
    external: dict[str, External] = {}

    @model_validator(mode="after")
    def _archives_classes_and_labels_agree(self):
        if any(set(part) != set(self.archives) for part in (self.labels, self.counts, self.median_widths)):
            raise ValueError("labels, counts and median_widths need one entry for each of archives")
        named = {name for archive in self.labels.values() for name in archive.values()}
        if named != set(self.classes):
            raise ValueError(f"labels name the classes {sorted(named)}, classes lists {sorted(self.classes)}")
        for layout, archive in self.external.items():
            for label, name in archive.labels.items():
                check_choice(f"external.{layout}.labels.{label}", name, self.classes)
        return self


class Backbone(Section):
    file: str | None
    sha256: Sha256 | None


class Model(Section):
    family: Family
    backbone: str | None = None
    dense_units: Count | None
    dropout: Annotated[float, Field(ge=0, lt=1)]
    head: Literal["sigmoid", "softmax"]
    layers: Count | None = None
    filters: Count | None = None
    pooling: Literal["average", "flatten"] | None = None
    pool_to: Count | None = None
    cell: Literal["lstm", "simple_rnn"] | None = None
    recurrent_units: list[Count] | None = None
    preprocessing: Literal["caffe", "tf", "torch"] | None = None
    unfrozen_layers: Annotated[int, Field(ge=0)] | Literal["all"] | None = None

    @model_validator(mode="after")
    def _has_the_options_of_its_family(self):
        needed = OF_FAMILY[self.family] | (OF_BACKBONE if self.backbone else set())
        if self.family == "transfer" and self.backbone is None:
            raise ValueError("family transfer needs a backbone")
        given = {name for name in OF_BACKBONE.union(*OF_FAMILY.values()) if getattr(self, name) is not None}
        if given != needed:
            received = ", ".join(sorted(given)) or "none"
            raise ValueError(f"expected the options {', '.join(sorted(needed))} of its family, received {received}")
        if self.pool_to is not None and (self.family != "recurrent" or self.backbone is None):
            raise ValueError("pool_to: expected a recurrent network behind a backbone")
        return self

    @property
    def options(self) -> dict:
        """Its settings, without those of other families: name and value."""
        optional = {"dense_units", "pool_to"} if self.family == "recurrent" and self.backbone else {"dense_units"}
        return {name: value for name, value in self.model_dump().items() if value is not None or name in optional}


OF_FAMILY = {"cnn": {"layers", "filters"}, "transfer": {"pooling"}, "recurrent": {"cell", "recurrent_units"}}
OF_BACKBONE = {"preprocessing", "unfrozen_layers"}
