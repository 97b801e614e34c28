"""The protocols of the five papers: phases, schedules, early stopping, and the epoch that is kept."""

import json
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from dvclive import Live

from rontgen.augment import COLUMNS, Augmentation
from rontgen.batches import Batches, Subset
from rontgen.files import replacing
from rontgen.params import Augment, Train

OPTIMIZERS = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}

# Keras's names of what it measures each epoch, and ours
HISTORY_COLUMNS = {
    "loss": "train_loss",
    "accuracy": "train_accuracy",
    "val_loss": "validation_loss",
    "val_accuracy": "validation_accuracy",
    "learning_rate": "learning_rate",
}


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs with one learning rate to begin with. whole: the whole backbone is trained."""

    epochs: int
    learning_rate: float
    whole: bool


@dataclass(frozen=True)
class Result:
    """history: a row per epoch (epoch, one-based, and HISTORY_COLUMNS). best_epoch: the one whose weights are kept."""

    history: pd.DataFrame
    best_epoch: int
    seconds: float
    images_per_second: float


def prepare(seed: int, mixed_precision: bool) -> None:
    """Seed Python, NumPy and the backend, make its operations deterministic, and set the precision."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    if mixed_precision:
        keras.mixed_precision.set_global_policy("mixed_float16" if _has_gpu() else "mixed_bfloat16")


def set_batch_norm_momentum(model: keras.Model, momentum: float) -> None:
    """How slowly batch statistics are averaged, in every BatchNormalization of the model and its backbone."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            set_batch_norm_momentum(layer, momentum)
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum


def fit(
    model: keras.Model,
    train_set: Subset,
    validation_set: Subset,
    train: Train,
    augmentation: Augment | None,
    *,
    unfrozen_layers: int | None,
    live: Live,
) -> Result:
    """Train a model by a protocol and leave it with the weights of the epoch that is kept.

    unfrozen_layers: how many of a pretrained backbone's last layers are trained; None where there is no backbone or
    it has no pretrained weights: then everything is trained, for frozen random features mean nothing.
    """
    trainer = _trainer(model, augmentation is not None)
    options = {"sigmoid": model.output_shape[-1] == 1, "amounts": augmentation is not None}
    train_batches = Batches(train_set, train.batch_size, seed=train.seed, augmentation=augmentation, **options)
    validation_batches = Batches(validation_set, train.batch_size, **options)
    keep = KeepBest(model, train.checkpoint)
    record = Record(live)

    start = time.perf_counter()
    for phase in _phases(train):
        _set_trainable(model, None if phase.whole else unfrozen_layers, pretrained=unfrozen_layers is not None)
        _compile(trainer, OPTIMIZERS[train.optimizer](phase.learning_rate), sigmoid=options["sigmoid"])
        begin = len(record.rows)
        trainer.fit(
            train_batches,
            validation_data=validation_batches,
            initial_epoch=begin,
            epochs=begin + phase.epochs,
            callbacks=[keep, *_schedules(train), record],
            verbose=1 if sys.stdout.isatty() else 2,
        )
    seconds = time.perf_counter() - start
    keep.restore()
    seen = len(train_batches.order) * len(record.rows)
    return Result(pd.DataFrame(record.rows), keep.epoch, seconds, seen / seconds)


def summary(result: Result, train_images: int, validation_images: int) -> dict:
    """The training metrics of a run, ready for JSON; times are not among them."""
    history = result.history.drop(columns=["epoch", "learning_rate"])
    best = {name: float(history[name].agg("min" if name.endswith("loss") else "max")) for name in history}
    return {
        "epochs": len(history),
        "best_epoch": result.best_epoch,
        "train_images": train_images,
        "validation_images": validation_images,
        "kept": history.iloc[result.best_epoch - 1].astype(float).to_dict(),
        "best": best,
        "final": history.iloc[-1].astype(float).to_dict(),
    }


def save(model: keras.Model, path: Path) -> None:
    """Save a model as one .keras file whose bytes do not depend on when it was saved."""
    with replacing(path) as temporary:
        dated = temporary.with_name("dated.keras")
        model.save(dated)
        with zipfile.ZipFile(dated) as source, zipfile.ZipFile(temporary, "w") as target:
            for name in sorted(source.namelist()):
                data = source.read(name)
                if name == "metadata.json":
                    data = json.dumps({**json.loads(data), "date_saved": ""}).encode()
                target.writestr(zipfile.ZipInfo(name), data)


def device() -> str:
    """The device that trains, as the backend names it: `cpu`, or the name of the GPU."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "gpu") if gpus else "cpu"
    return keras.distribution.list_devices()[0].split(":")[0]


def _has_gpu() -> bool:
    return bool(keras.distribution.list_devices("gpu"))


def _trainer(model: keras.Model, augmented: bool) -> keras.Model:
    """The model that is fitted: the same layers, behind the augmentation. `model` itself stays uncompiled, and so is
    saved without the optimizer."""
    if not augmented:
        return keras.Model(model.inputs, model.outputs)
    image = keras.Input(model.input_shape[1:], name="raw_image")
    amounts = keras.Input((COLUMNS,), name="amounts")
    return keras.Model([image, amounts], model(Augmentation(name="augmentation")([image, amounts])))


def _compile(trainer: keras.Model, optimizer: keras.optimizers.Optimizer, *, sigmoid: bool) -> None:
    """Compile with all variables made beforehand: TensorFlow traces a step twice that makes some, and ResNet50V2's
    first step then takes 13 seconds instead of 7."""
    metric = keras.metrics.BinaryAccuracy if sigmoid else keras.metrics.SparseCategoricalAccuracy
    loss = "binary_crossentropy" if sigmoid else "sparse_categorical_crossentropy"
    optimizer.build(trainer.trainable_variables)
    trainer.compile(optimizer, loss, metrics=[metric(name="accuracy")])


def _phases(train: Train) -> list[Phase]:
    """Feature extraction, then fine-tuning where the protocol has it (jitet)."""
    phases = [Phase(train.epochs, train.learning_rate, whole=False)]
    if train.fine_tune is not None:
        phases.append(Phase(train.fine_tune.epochs, train.fine_tune.learning_rate, whole=True))
    return phases


def _set_trainable(model: keras.Model, unfrozen_layers: int | None, *, pretrained: bool) -> None:
    """Freeze a pretrained backbone but for its last layers; None unfreezes it whole, save its batch statistics,
    which small batches of another kind of image would wreck (Keras guide "Transfer learning & fine-tuning")."""
    if not pretrained:
        return
    backbone = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    backbone.trainable = True
    for position, layer in enumerate(reversed(backbone.layers)):
        if unfrozen_layers is not None:
            layer.trainable = position < unfrozen_layers
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def _schedules(train: Train) -> list[keras.callbacks.Callback]:
    callbacks = []
    if train.reduce_lr_on_plateau is not None:
        plateau = train.reduce_lr_on_plateau
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau("val_loss", factor=plateau.factor, patience=plateau.patience)
        )
    if train.early_stopping is not None:
        callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=train.early_stopping.patience))
    return callbacks


class KeepBest(keras.callbacks.Callback):
    """Keeps the weights of the best epoch over all phases.

    val_accuracy: the highest, and of several the one with the lowest val_loss (covid_hybrid); val_loss: the lowest;
    last: the last.
    """

    def __init__(self, kept: keras.Model, monitor: str):
        super().__init__()
        self.kept, self.monitor = kept, monitor
        self.score, self.epoch, self.weights = None, 0, None

    def on_epoch_end(self, epoch, logs=None):
        scores = {
            "val_accuracy": (logs["val_accuracy"], -logs["val_loss"]),
            "val_loss": (-logs["val_loss"],),
            "last": (epoch,),
        }
        score = scores[self.monitor]
        if self.score is None or score > self.score:
            self.score, self.epoch, self.weights = score, epoch + 1, self.kept.get_weights()

    def restore(self) -> None:
        self.kept.set_weights(self.weights)


class Record(keras.callbacks.Callback):
    """Collects the history, and logs it to DVCLive as it grows, so that DVC and its editors follow a run."""

    def __init__(self, live: Live):
        super().__init__()
        self.live, self.rows = live, []

    def on_epoch_end(self, epoch, logs=None):
        values = {ours: float(logs[keras_name]) for keras_name, ours in HISTORY_COLUMNS.items() if keras_name in logs}
        values.setdefault("learning_rate", float(np.asarray(self.model.optimizer.learning_rate)))
        self.rows.append({"epoch": epoch + 1, **values})
        for name, value in values.items():
            self.live.log_metric(name, value)
        self.live.next_step()
