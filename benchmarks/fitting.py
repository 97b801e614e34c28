"""How long training and prediction take, against Keras alone."""

import subprocess
import tempfile
import time
from contextlib import chdir
from pathlib import Path

import numpy as np

from rontgen.core.imports import keep_freed_memory
from rontgen.training.batches import Batches

from .common import Measured, Row, chests, in_process, in_turn, seconds, settings, threads
from .reading import whole

BATCH = 32


class Clock:
    """DVCLive, and the time at which each epoch ended."""

    def __init__(self, live):
        self.live, self.ends = live, []

    def log_metric(self, name, value):
        self.live.log_metric(name, value)

    def next_step(self):
        self.live.next_step()
        self.ends.append(time.perf_counter())


def fit_ours(model, train_set, validation_set, train, unfrozen_layers=None, augmentation=None):
    """training.fit, with DVCLive in a repository and a progress file. Returns its result and when each epoch ended."""
    from rontgen.training import callbacks, protocol

    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        subprocess.run(["git", "init", "-q"], check=True)
        who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
        subprocess.run(["git", *who, "commit", "--allow-empty", "-qm", "0"], check=True)
        with callbacks.open_live(Path("live")) as live:
            clock = Clock(live)
            result = protocol.fit(
                model, train_set, validation_set, train, augmentation, unfrozen_layers=unfrozen_layers,
                name="benchmark", live=clock,
                progress_file=Path("progress.npz"), fingerprint="",
            )  # fmt: skip
    return result, clock.ends


def _sigmoid(name: str):
    """A model's options, with one output for two classes."""
    return settings().models[name].model_copy(update={"head": "sigmoid"})


def epoch() -> Measured:
    """Seconds of an epoch of cnn4 on 64-px images, the median of those after the first, which compiles."""
    import keras

    from rontgen.core import determinism
    from rontgen.models.build import build_model

    determinism.prepare(1, threads())
    train = settings().studies["covid_hybrid"].train.model_copy(update={"epochs": 3})
    images, labels = chests(400, 64)
    images, labels = np.tile(images, (3, 1, 1, 1)), np.tile(labels, 3)
    held, held_labels = images[:240].copy(), labels[:240]

    def model():
        return build_model("cnn4", _sigmoid("cnn4"), images.shape[1:], 2)

    def ours() -> float:
        _, ends = fit_ours(model(), whole(images, labels), whole(held, held_labels), train)
        return float(np.median(np.diff(ends)))

    def peer() -> float:
        network, ends = model(), []
        network.compile(keras.optimizers.Adam(train.learning_rate), "binary_crossentropy", metrics=["accuracy"])
        clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))
        network.fit(
            images, labels[:, None].astype(np.float32), batch_size=BATCH, epochs=train.epochs, verbose=0,
            validation_data=(held, held_labels[:, None].astype(np.float32)), callbacks=[clock],
        )  # fmt: skip
        return float(np.median(np.diff(ends)))

    return in_turn(ours, peer, repeats=3, warm_up=False)


HEAD_SIZE, HEAD_TRAIN, HEAD_VALIDATION, HEAD_PEER_EPOCHS = 224, 800, 100, 3


def head() -> Measured:
    """Seconds of covid_hybrid_resnet50_lstm: 15 epochs of its 800 + 100 images, the backbone frozen, from a file.

    The peer's epochs all take the same time, so three of them are enough.
    """
    import keras

    from rontgen.core import determinism
    from rontgen.models.build import build_model

    determinism.prepare(1, threads())
    run = settings().runs["covid_hybrid_resnet50_lstm"]
    train = settings().studies[run.study].train
    images, labels = chests(HEAD_TRAIN + HEAD_VALIDATION, HEAD_SIZE)
    train_set = whole(images[:HEAD_TRAIN], labels[:HEAD_TRAIN])
    validation_set = whole(images[HEAD_TRAIN:], labels[HEAD_TRAIN:])

    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "resnet50.weights.h5")
        save_weights(weights, images[:64])

        def model():
            keras.utils.set_random_seed(train.seed)
            return build_model(run.model, settings().models[run.model], images.shape[1:], 2, weights)

        network = model()
        begun = time.perf_counter()
        result, _ = fit_ours(network, train_set, validation_set, train, unfrozen_layers=0)
        ours, history = time.perf_counter() - begun, result.history

        plain, ends = model(), []
        plain.get_layer("resnet50").trainable = False
        plain.compile(keras.optimizers.Adam(train.learning_rate), "binary_crossentropy", metrics=["accuracy"])
        # the same batches in the same order, so that the metrics are the same
        batches = Batches(train_set, train.batch_size, sigmoid=True, seed=train.seed)
        each = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: batches.start_epoch(epoch),
            on_train_begin=lambda logs: ends.append(time.perf_counter()),
            on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()),
        )
        validation = Batches(validation_set, train.batch_size, sigmoid=True)
        theirs = plain.fit(
            batches, validation_data=validation, epochs=HEAD_PEER_EPOCHS, callbacks=[each], shuffle=False, verbose=0
        ).history
    first, *others = np.diff(ends)
    peer = first + (train.epochs - 1) * float(np.median(others))
    same = history.iloc[:HEAD_PEER_EPOCHS]
    loss = np.abs(same["validation_loss"] - theirs["val_loss"]).max()
    accuracy = np.abs(same["validation_accuracy"] - theirs["val_accuracy"]).max()
    return Measured(
        ours, peer, peer / ours,
        f"the peer's time is that of its first {HEAD_PEER_EPOCHS} epochs, the later ones {train.epochs - 1} times; the "
        f"validation loss of an epoch differs by {loss:.1g} at most, the accuracy by {accuracy:.1g}",
    )  # fmt: skip


def save_weights(path: Path, images: np.ndarray) -> None:
    """Random weights of a ResNet50, with batch statistics of these images, so that features stay within bounds."""
    import keras

    backbone = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(*images.shape[1:3], 3))
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    backbone(np.repeat(images / 255, 3, axis=-1), training=True)
    backbone.save_weights(path)


FROZEN_TRAIN, FROZEN_VALIDATION = 128, 32


def frozen() -> Measured:
    """Seconds of an epoch of smatika_vgg16 in bfloat16, augmented, its backbone frozen, against float32.

    An epoch is 128 + 32 images of 224 px; the second epoch of each training counts, because the first compiles.
    """
    import keras

    from rontgen.core import determinism
    from rontgen.models.build import build_model

    determinism.prepare(1, threads())
    study = settings().studies["smatika"]
    train = study.train.model_copy(update={"epochs": 2})
    images, labels = chests(FROZEN_TRAIN + FROZEN_VALIDATION, 224)
    train_set = whole(images[:FROZEN_TRAIN], labels[:FROZEN_TRAIN])
    validation_set = whole(images[FROZEN_TRAIN:], labels[FROZEN_TRAIN:])

    def epoch(policy: str) -> float:
        keras.config.set_dtype_policy(policy)
        network = build_model("vgg16", settings().models["vgg16"], images.shape[1:], 2)
        keras.config.set_dtype_policy("float32")
        _, ends = fit_ours(
            network, train_set, validation_set, train, unfrozen_layers=0, augmentation=study.augment
        )  # fmt: skip
        return float(np.diff(ends)[0])

    measured = in_turn(lambda: epoch("mixed_bfloat16"), lambda: epoch("float32"), repeats=2, warm_up=False)
    note = "bfloat16 pays on processors with AMX or AVX512_BF16"
    return Measured(measured.ours, measured.peer, measured.peer / measured.ours, note)


KEPT_TRAIN, KEPT_VALIDATION = 640, 64


def kept() -> Measured:
    """Seconds of an epoch of resnet50v2, trained whole, on one thread, against the same with glibc's own settings."""
    measured = in_turn(
        lambda: in_process(whole_epoch, True), lambda: in_process(whole_epoch, False), repeats=3, warm_up=False
    )  # fmt: skip
    return Measured(measured.ours, measured.peer, measured.peer / measured.ours)


def whole_epoch(keep: bool) -> float:
    """Seconds of the second epoch, for the first compiles, on images of 32 px, as in the demo."""
    from rontgen.core import determinism
    from rontgen.models.build import build_model

    if keep:
        keep_freed_memory()
    determinism.prepare(1, 1)
    train = settings().train.model_copy(update={"epochs": 2})
    images, labels = chests(KEPT_TRAIN + KEPT_VALIDATION, 32)
    train_set = whole(images[:KEPT_TRAIN], labels[:KEPT_TRAIN])
    validation_set = whole(images[KEPT_TRAIN:], labels[KEPT_TRAIN:])
    model = build_model("resnet50v2", settings().models["resnet50v2"], images.shape[1:], 2)
    _, ends = fit_ours(model, train_set, validation_set, train)
    return float(np.diff(ends)[0])


def predicted() -> Measured:
    """Images per second of a forward pass of MobileNetV2 over 300 images of 224 px."""
    from rontgen.core import determinism
    from rontgen.evaluation import metrics
    from rontgen.models.build import build_model

    determinism.prepare(1, threads())
    images, _ = chests(300, 224)
    model = build_model("mobilenetv2", settings().models["mobilenetv2"], images.shape[1:], 2)
    return in_turn(
        lambda: len(images) / seconds(lambda: metrics.predict(model, images)),
        lambda: len(images) / seconds(lambda: model.predict(images, verbose=0)),
        repeats=7,
    )


ROWS = {
    "epoch": Row(
        "a training epoch, cnn4, 1,200 + 240 images of 64 px, every callback",
        "model.fit on the arrays in memory", "s", 1.10, False, lambda originals: epoch(),
    ),
    "head": Row(
        f"15 epochs of covid_hybrid_resnet50_lstm, frozen backbone, 800 + 100 images of {HEAD_SIZE} px",
        "model.fit through the backbone", "s", 8, True, lambda originals: head(),
    ),
    "frozen": Row(
        f"a training epoch of smatika_vgg16 in bfloat16, {FROZEN_TRAIN} + {FROZEN_VALIDATION} images of 224 px",
        "the same in float32", "s", 2, True, lambda originals: frozen(),
    ),
    "kept": Row(
        f"a training epoch of resnet50v2, trained whole, {KEPT_TRAIN} + {KEPT_VALIDATION} images of 32 px",
        "the same with glibc's own settings for memory", "s", 1.1, True, lambda originals: kept(),
    ),
    "predicted": Row(
        "forward pass over 300 images of 224 px, mobilenetv2",
        "model.predict", "images/s", 1, True, lambda originals: predicted(),
    ),
}  # fmt: skip
