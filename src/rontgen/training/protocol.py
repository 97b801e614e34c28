"""Train a run by its `train` settings: phases, schedules, early stopping, the epoch that is kept."""

import hashlib
import json
import re
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import pandas as pd
from dvclive import Live
from keras.callbacks import EarlyStopping, LambdaCallback, ReduceLROnPlateau

from rontgen.core import progress
from rontgen.core.io import replacing
from rontgen.core.runs import Run
from rontgen.core.settings import Augment, Train
from rontgen.data.arrays import Subset
from rontgen.training.augmentation import COLUMNS, Augmentation
from rontgen.training.batches import Batches
from rontgen.training.callbacks import Finite, KeepBest, LiveHistory, Progress, TimeLeft

OPTIMIZERS = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}


@dataclass(frozen=True)
class Phase:
    """Epochs that start at one learning rate. whole: whether all of a pretrained backbone is trained in them."""

    epochs: int
    learning_rate: float
    whole: bool


@dataclass(frozen=True)
class Result:
    """history: a row per epoch (epoch, one-based, and callbacks.HISTORY_COLUMNS' values). kept_epoch: whose weights are
    kept."""

    history: pd.DataFrame
    kept_epoch: int
    seconds: float
    images_per_second: float


def set_batch_norm_momentum(model: keras.Model, momentum: float) -> None:
    """Set the momentum of the moving statistics in every BatchNormalization of the model and its backbone."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            set_batch_norm_momentum(layer, momentum)
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum


def fingerprint(run: Run, files: list[Path]) -> str:
    """A SHA-256 of all that a run depends on: settings, input files, code and versions."""
    versions = (keras.__version__, keras.backend.backend(), sys.version)
    numbers = (keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format())
    digest = hashlib.sha256(repr((run, *versions, *numbers)).encode())
    for path in sorted(files) + sorted(Path(__file__).parents[1].rglob("*.py")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def fit(
    model: keras.Model,
    train_set: Subset,
    validation_set: Subset,
    train: Train,
    augmentation: Augment | None,
    *,
    unfrozen_layers: int | Literal["all"] | None,
    name: str,
    live: Live,
    progress_file: Path,
    fingerprint: str,
) -> Result:
    """Train a model by a protocol and leave it with the weights of the epoch that is kept.

    If the whole backbone is frozen and nothing is augmented, its features are computed once, not in every epoch.
    unfrozen_layers: how many of a pretrained backbone's last layers are trained, or all; None where there is no
    backbone or it has no pretrained weights: then everything is trained, for frozen random features mean nothing.
    name: of the run, for messages. progress_file: where progress is saved; a killed run with the same fingerprint
    resumes from it. Raises RontgenError if a loss is not finite.
    """
    trainer, sigmoid = _trainer(model, augmentation), model.output_shape[-1] == 1
    keep, history = KeepBest(model, train.checkpoint), LiveHistory(live)
    progress = Progress(progress_file, fingerprint, keep, history)
    phases = _phases(train)
    watch = [Finite(name), TimeLeft(name, sum(phase.epochs for phase in phases))]
    for number, phase in enumerate(phases):
        schedules = _schedules(train)
        begin = progress.start_phase(number, schedules)
        if begin is None:
            continue
        if phase.whole and progress.saved is None and train.fine_tune and train.fine_tune.start == "best":
            keep.restore()
        if unfrozen_layers is not None:
            _set_trainable(model, None if phase.whole else unfrozen_layers)
        fitted, subsets = trainer, [train_set, validation_set]
        if unfrozen_layers == 0 and augmentation is None and not phase.whole:
            begun = time.perf_counter()
            constant, fitted = split_at_backbone(model)
            subsets = [_features(constant, subset, train.batch_size, progress_file.parent) for subset in subsets]
            progress.seconds += time.perf_counter() - begun
        _compile(fitted, OPTIMIZERS[train.optimizer](phase.learning_rate), sigmoid=sigmoid)
        train_batches, validation_batches = _batches(subsets[0], subsets[1], train, augmentation, sigmoid=sigmoid)
        next_orders = [
            LambdaCallback(on_epoch_begin=lambda epoch, logs, batches=batches: batches.start_epoch(epoch))
            for batches in (train_batches, validation_batches)
        ]
        done = len(history.rows)
        fitted.fit(
            train_batches,
            validation_data=validation_batches,
            initial_epoch=done,
            epochs=done if progress.is_stopped else begin + phase.epochs,
            callbacks=[*next_orders, *watch, keep, *schedules, history, progress],
            shuffle=False,  # Keras would shuffle the batches again, with Python's own random numbers
            verbose=1 if sys.stdout.isatty() else 0,  # TimeLeft has lines for a log
        )
    keep.restore()
    seen = len(train_batches.order) * len(history.rows)
    return Result(pd.DataFrame(history.rows), keep.epoch, progress.seconds, seen / progress.seconds)


def _batches(
    train_set: Subset, validation_set: Subset, train: Train, augmentation: Augment | None, *, sigmoid: bool
) -> tuple[Batches, Batches]:
    """The training images, and the validation images in their own order, augmented once if the protocol says so."""
    options = {"sigmoid": sigmoid, "with_amounts": augmentation is not None}
    noise = augmentation.model_copy(update={"variants": 1}) if augmentation and augmentation.validation else None
    seed = train.seed if noise else None
    return (
        Batches(train_set, train.batch_size, seed=train.seed, augmentation=augmentation, **options),
        Batches(validation_set, train.batch_size, seed=seed, augmentation=noise, shuffle=False, **options),
    )


def save(model: keras.Model, path: Path) -> None:
    """Save a model as a .keras file whose bytes do not depend on the time or on memory addresses."""
    with replacing(path) as temporary:
        dated = temporary.with_name("dated.keras")
        model.save(dated)
        with zipfile.ZipFile(dated) as source, zipfile.ZipFile(temporary, "w") as target:
            for name in sorted(source.namelist()):
                data = source.read(name)
                if name == "metadata.json":
                    data = json.dumps({**json.loads(data), "date_saved": ""}).encode()
                elif name == "config.json":
                    data = _number_shared_objects(data.decode()).encode()
                target.writestr(zipfile.ZipInfo(name), data)


def _number_shared_objects(config: str) -> str:
    """Replace the memory addresses by which Keras marks shared objects with running numbers."""
    numbers: dict[str, int] = {}
    return re.sub(r'(?<="shared_object_id": )\d+', lambda id: str(numbers.setdefault(id[0], len(numbers))), config)


def device() -> str:
    """The device that trains, as the backend names it: `cpu`, or the name of the GPU."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.devices()[0].device_kind
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "gpu") if gpus else "cpu"


def _trainer(model: keras.Model, augment: Augment | None) -> keras.Model:
    """The model that is fitted: the same layers, after the augmentation. `model` itself stays uncompiled, so that it is
    saved without the optimizer."""
    if augment is None:
        return keras.Model(model.inputs, model.outputs)
    image = keras.Input(model.input_shape[1:], dtype="uint8", name="raw_image")
    amounts = keras.Input((COLUMNS,), name="amounts")
    return keras.Model([image, amounts], model(Augmentation(augment.validation, name="augmentation")([image, amounts])))


def split_at_backbone(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Two models that share a model's layers: from images to features, and from features to probabilities.

    The first ends before the first layer after the backbone that has variables, whether weights or, as in Dropout, a
    random state. With a frozen backbone it is a constant function.
    """
    backbone = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    behind = model.layers[model.layers.index(backbone) + 1 :]
    features = next(layer for layer in behind if layer.variables).input
    return keras.Model(model.inputs, features), keras.Model(features, model.outputs)


def _features(constant: keras.Model, subset: Subset, batch_size: int, folder: Path) -> Subset:
    """A subset with float32 features in place of the images. They are memory-mapped: those of 5,000 images may take
    2 GB. The file in `folder` has no name, so that even a killed process leaves nothing behind."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        for start in progress.bar(range(0, len(subset), batch_size), "features", unit="batch"):
            images = subset.read(np.arange(start, min(start + batch_size, len(subset))))
            file.write(constant.predict_on_batch(images).astype(np.float32).tobytes())
        file.flush()
        shape = (len(subset), *constant.output_shape[1:])
        return Subset(np.memmap(file, np.float32, "r", shape=shape), np.arange(len(subset)), subset.labels)


def _compile(trainer: keras.Model, optimizer: keras.optimizers.Optimizer, *, sigmoid: bool) -> None:
    """Compile, with all variables made first: TensorFlow would trace a step that makes variables twice, and
    ResNet50V2's first step would take 13 seconds instead of 7."""
    metric = keras.metrics.BinaryAccuracy if sigmoid else keras.metrics.SparseCategoricalAccuracy
    loss = "binary_crossentropy" if sigmoid else "sparse_categorical_crossentropy"
    optimizer.build(trainer.trainable_variables)
    trainer.compile(optimizer, loss, metrics=[metric(name="accuracy")])


def _phases(train: Train) -> list[Phase]:
    """One phase, then fine-tuning of the whole backbone where the protocol has it (jitet)."""
    phases = [Phase(train.epochs, train.learning_rate, whole=False)]
    if train.fine_tune is not None:
        phases.append(Phase(train.fine_tune.epochs, train.fine_tune.learning_rate, whole=True))
    return phases


def _set_trainable(model: keras.Model, unfrozen_layers: int | Literal["all"] | None) -> None:
    """Freeze a pretrained backbone except its last layers; `all` freezes nothing. None, for fine-tuning, unfreezes all
    but the batch statistics, which small batches of another kind of image would spoil (Keras guide "Transfer learning &
    fine-tuning")."""
    backbone = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    # Layer by layer: `backbone.trainable = True` does nothing, with TensorFlow, where only its layers had been frozen
    for position, layer in enumerate(reversed(backbone.layers)):
        layer.trainable = unfrozen_layers is None or unfrozen_layers == "all" or position < unfrozen_layers
        if unfrozen_layers is None and isinstance(layer, keras.layers.BatchNormalization):
            # Frozen, the layer takes its moving statistics, and its gamma and beta can be trained all the same. The
            # guide's `backbone(x, training=False)` does not hold: `fit` runs the whole model with training=True
            layer.trainable = False
            layer.gamma.trainable = layer.beta.trainable = True


def _schedules(train: Train) -> list[keras.callbacks.Callback]:
    schedules: list[keras.callbacks.Callback] = []
    if plateau := train.reduce_lr_on_plateau:
        schedules.append(ReduceLROnPlateau("val_loss", factor=plateau.factor, patience=plateau.patience))
    if stopping := train.early_stopping:
        schedules.append(EarlyStopping(stopping.monitor, patience=stopping.patience))
    return schedules
