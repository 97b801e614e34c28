"""The protocols: phases, what is frozen, the epoch kept, and what is written."""

import json
import re
import subprocess
from collections import Counter

import keras
import numpy as np
import pytest

from rontgen.core import progress
from rontgen.core.errors import RontgenError
from rontgen.core.settings import EarlyStopping, FineTune, ReduceLrOnPlateau
from rontgen.data.arrays import Subset
from rontgen.models import files
from rontgen.training import callbacks, protocol
from rontgen.training.batches import Batches
from shipped_models import build_model
from small_training import AUGMENT, TRAIN, Killed, KilledLive, SilentLive, bright_or_dark

UNMOVED = AUGMENT.model_copy(
    update=dict.fromkeys(("rotation", "width_shift", "height_shift", "zoom", "shear", "contrast"), 0)
    | {"horizontal_flip": False, "variants": 1}
)

pytestmark = pytest.mark.slow


@pytest.fixture
def fit(tmp_path, monkeypatch):
    """Train on images that any model can tell apart; every epoch is saved, however short."""
    monkeypatch.setattr(callbacks, "SAVE_EVERY", 0)

    def run(model, train=TRAIN, augmentation=None, unfrozen_layers=None, live=None, fingerprint="one"):
        keras.utils.set_random_seed(0)
        return protocol.fit(
            model, bright_or_dark(40), bright_or_dark(16), train, augmentation, unfrozen_layers=unfrozen_layers,
            name="a_run", live=live or SilentLive(), progress_file=tmp_path / "progress.npz", fingerprint=fingerprint,
        )  # fmt: skip

    run.path = tmp_path / "progress.npz"
    return run


def small(**options):
    keras.utils.set_random_seed(0)
    return build_model("simple_rnn", image_shape=(16, 16, 1), channels=1, recurrent_units=[8], **options)


def with_backbone(rate=0.0):
    """A model that counts as pretrained: its backbone's batch statistics are not the initial ones."""
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 1))
    layers = [keras.Input((16, 16, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3)]
    inner = keras.Sequential([*layers, keras.layers.BatchNormalization(), keras.layers.Conv2D(4, 3)])
    inner.layers[2].set_weights([np.full(4, value, np.float32) for value in (1.1, 0.1, 0.2, 0.3)])
    features = keras.layers.GlobalAveragePooling2D()(inner(image))
    features = keras.layers.Dropout(rate)(keras.layers.Dense(8)(features))
    return keras.Model(image, keras.layers.Dense(1, activation="sigmoid")(features))


@pytest.mark.slow
@pytest.mark.parametrize(("head", "augmentation"), [("sigmoid", None), ("softmax", AUGMENT)])
def test_both_heads_learn_with_and_without_augmentation(head, augmentation, fit):
    model = small(head=head)
    train = TRAIN.model_copy(update={"epochs": 6, "learning_rate": 0.01})
    result = fit(model, train, augmentation)
    assert result.history["validation_accuracy"].iloc[result.kept_epoch - 1] == 1.0


@pytest.fixture
def mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    yield
    keras.mixed_precision.set_global_policy("float32")


def test_mixed_precision_trains_augments_and_predicts_in_float32(mixed_precision, fit, tmp_path):
    model = small()
    fit(model, augmentation=AUGMENT)
    protocol.save(model, tmp_path / "model.keras")
    loaded = files.load(tmp_path / "model.keras", "dvc repro train")
    assert loaded.get_layer("recurrent1").compute_dtype == "bfloat16"
    assert loaded.predict_on_batch(np.zeros((2, 16, 16, 1), np.uint8)).dtype == np.float32


def test_features_in_mixed_precision_train_the_head(mixed_precision, fit):
    assert len(fit(with_backbone(), unfrozen_layers=0).history) == 2


def test_the_history_has_a_row_per_epoch_and_live_gets_it(fit):
    live = SilentLive()
    history = fit(small(), live=live).history
    assert history["epoch"].tolist() == [1, 2]
    assert set(history) == {"epoch", *callbacks.HISTORY_COLUMNS.values()}
    assert live.steps == 2 and (1, "validation_loss", history["validation_loss"][1]) in live.logged


def test_images_per_second_counts_every_variant(fit):
    result = fit(small(), augmentation=AUGMENT)
    assert result.images_per_second * result.seconds == pytest.approx(40 * 2 * 2)


def test_fine_tuning_follows_at_its_own_learning_rate(fit):
    train = TRAIN.model_copy(update={"fine_tune": FineTune(epochs=1, learning_rate=0.00001)})
    history = fit(small(), train).history
    assert history["learning_rate"].tolist() == pytest.approx([0.001, 0.001, 0.00001])


@pytest.mark.parametrize(
    ("unfrozen_layers", "trained"),
    [(0, []), (1, ["conv2"]), (3, ["conv1", "norm", "conv2"]), ("all", ["conv1", "norm", "conv2"])],
)
def test_a_pretrained_backbone_is_frozen_but_for_its_last_layers(fit, unfrozen_layers, trained):
    model = with_backbone()
    before = model.layers[1].get_weights()
    fit(model, unfrozen_layers=unfrozen_layers)
    changed = [(old != new).any() for old, new in zip(before, model.layers[1].get_weights(), strict=True)]
    layers = {"conv1": changed[:2], "norm": changed[2:6], "conv2": changed[6:]}
    assert [name for name, weights in layers.items() if any(weights)] == trained


def test_a_backbone_of_random_weights_is_trained_with_its_batch_statistics(fit):
    model = with_backbone()
    before = model.get_weights()
    fit(model, unfrozen_layers=None)
    assert all((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))


def test_features_of_a_frozen_backbone_train_the_head_as_images_do(fit):
    """With an augmentation that moves nothing, the images go through the backbone in every epoch."""
    model, expected = with_backbone(rate=0.3), with_backbone(rate=0.3)
    history = fit(model, unfrozen_layers=0).history
    fit.path.unlink()
    theirs = fit(expected, augmentation=UNMOVED, unfrozen_layers=0).history
    np.testing.assert_allclose(history, theirs, rtol=1e-5)
    for ours, weight in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(ours, weight, atol=1e-5)


@pytest.fixture
def images_read(monkeypatch):
    """How many images have been read."""
    read, count = Subset.read, Counter()

    def counted(subset, positions):
        count["images" if subset.images.dtype == np.uint8 else "features"] += len(positions)
        return read(subset, positions)

    monkeypatch.setattr(Subset, "read", counted)
    return count


def test_a_frozen_backbone_sees_each_image_once(fit, images_read):
    fit(with_backbone(), unfrozen_layers=0)
    assert images_read["images"] == 40 + 16
    assert images_read["features"] >= 2 * (40 + 16)  # Keras looks at the first batch before it begins


@pytest.mark.parametrize(("augmentation", "unfrozen_layers"), [(AUGMENT, 0), (None, 1), (None, None)])
def test_what_differs_between_epochs_is_computed_in_each(augmentation, unfrozen_layers, fit, images_read):
    fit(with_backbone(), augmentation=augmentation, unfrozen_layers=unfrozen_layers)
    assert set(images_read) == {"images"}


def test_fine_tuning_trains_the_backbone_after_its_features(fit, images_read):
    model = with_backbone()
    before = model.get_weights()
    train = TRAIN.model_copy(update={"fine_tune": FineTune(epochs=1, learning_rate=0.001), "checkpoint": "last"})
    fit(model, train, unfrozen_layers=0)
    assert images_read["images"] >= 2 * (40 + 16)
    changed = [(old != new).any() for old, new in zip(before, model.get_weights(), strict=True)]
    # gamma and beta of batch normalisation are trained; its mean and variance stay the same
    assert changed == [True] * 4 + [False] * 2 + [True] * 6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenetv2", "resnet50_lstm", "vgg16"])
def test_a_model_in_two_is_the_model_and_its_first_part_draws_nothing(name):
    model = build_model(name, image_shape=(32, 32, 1))
    constant, head = protocol.split_at_backbone(model)
    images = bright_or_dark(4, side=32).images
    probabilities = head.predict_on_batch(constant.predict_on_batch(images))
    np.testing.assert_allclose(probabilities, model.predict_on_batch(images), rtol=1e-5)
    assert len(constant.variables) == len(constant.weights)  # they would differ by the state of random generators
    assert len(constant.weights) + len(head.weights) == len(model.weights)


@pytest.mark.parametrize(
    ("monitor", "kept"), [("val_loss", 3), ("val_accuracy", 2), ("last", 4)], ids=lambda value: str(value)
)
def test_the_epoch_kept(monitor, kept):
    """Accuracies tie at epochs 2 and 4, where the lower loss decides; the lowest loss of all is at epoch 3."""
    model = small()
    keep = callbacks.KeepBest(model, monitor)
    for epoch, (accuracy, loss) in enumerate([(0.7, 0.9), (0.9, 0.4), (0.8, 0.3), (0.9, 0.5)]):
        model.set_weights([np.full_like(weight, epoch) for weight in model.get_weights()])
        keep.on_epoch_end(epoch, {"val_accuracy": accuracy, "val_loss": loss})
    keep.restore()
    assert keep.epoch == kept
    assert model.get_weights()[0].flat[0] == kept - 1


# Of six epochs, scripted: the best loss comes first, the best accuracy third; then neither gets better
LOSSES, ACCURACIES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8), (0.5, 0.6, 0.7, 0.7, 0.6, 0.5)


@pytest.mark.parametrize(("monitor", "epochs"), [("val_loss", 3), ("val_accuracy", 5)])
def test_early_stopping_watches_what_it_is_told_to_and_the_plateau_the_loss(fit, monkeypatch, monitor, epochs):
    class Scripted(callbacks.Finite):
        def on_epoch_end(self, epoch, logs=None):
            logs |= {"val_loss": LOSSES[epoch], "val_accuracy": ACCURACIES[epoch]}

    monkeypatch.setattr(protocol, "Finite", Scripted)
    schedules = {
        "early_stopping": EarlyStopping(monitor=monitor, patience=2),
        "reduce_lr_on_plateau": ReduceLrOnPlateau(factor=0.5, patience=1),
    }
    history = fit(small(), TRAIN.model_copy(update={"epochs": 6} | schedules)).history
    assert history["validation_loss"].tolist() == list(LOSSES[:epochs])
    assert history["learning_rate"].tolist() == pytest.approx([1e-3, 1e-3, 5e-4, 2.5e-4, 1.25e-4][:epochs])


def test_adamw_decays_weights():
    assert protocol.OPTIMIZERS["adamw"](0.001).weight_decay == 0.004


def test_the_kept_epoch_is_that_whose_weights_the_model_has(fit):
    model = small()
    result = fit(model, TRAIN.model_copy(update={"epochs": 4, "learning_rate": 0.05}))
    assert result.kept_epoch == result.history["validation_loss"].argmin() + 1
    model.compile(loss="sparse_categorical_crossentropy")
    loss = model.evaluate(Batches(bright_or_dark(16), 8, sigmoid=False), verbose=0)
    assert loss == pytest.approx(result.history["validation_loss"].min(), rel=1e-5)


@pytest.mark.parametrize("validation", [False, True])
def test_validation_images_are_augmented_anew_in_each_epoch_only_where_asked(fit, validation):
    """The model learns nothing, so the validation loss changes with the images alone."""
    train = TRAIN.model_copy(update={"epochs": 3, "learning_rate": 1e-12})
    losses = fit(small(), train, AUGMENT.model_copy(update={"validation": validation})).history["validation_loss"]
    plain = fit(small(), train, fingerprint="another").history["validation_loss"]
    if validation:
        assert (losses.round(5).nunique(), losses.round(5).isin(plain.round(5)).any()) == (3, False)
    else:
        np.testing.assert_allclose(losses, plain, rtol=1e-6)


def test_a_validation_image_has_one_variant_at_its_own_place(fit, monkeypatch):
    orders = []

    class Watched(Batches):
        def start_epoch(self, epoch):
            super().start_epoch(epoch)
            orders.append(self.order.tolist())

    monkeypatch.setattr(protocol, "Batches", Watched)
    fit(small(), augmentation=AUGMENT.model_copy(update={"validation": True}))
    assert [order for order in orders if len(order) != 2 * 40] == [list(range(16))] * 3


def test_batch_norm_momentum_reaches_the_backbone():
    model = with_backbone()
    protocol.set_batch_norm_momentum(model, 0.5)
    assert model.layers[1].layers[2].momentum == 0.5


def test_shared_objects_are_numbered_not_addressed():
    config = '{"shared_object_id": 139695568728336}, {"shared_object_id": 7}, {"shared_object_id": 139695568728336}'
    assert protocol._number_shared_objects(config) == (
        '{"shared_object_id": 0}, {"shared_object_id": 1}, {"shared_object_id": 0}'
    )


def test_a_saved_model_has_no_optimizer_and_the_same_bytes_every_time(tmp_path, monkeypatch, fit):
    model = small()
    fit(model)
    for name in ("a.keras", "b.keras"):
        protocol.save(model, tmp_path / name)
        monkeypatch.setattr("time.time", lambda: 2e9)  # the second is saved years later
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    assert not keras.saving.load_model(tmp_path / "a.keras").compiled


RESUMED = TRAIN.model_copy(
    update={
        "epochs": 4,
        "fine_tune": FineTune(epochs=3, learning_rate=0.0005),
        "reduce_lr_on_plateau": ReduceLrOnPlateau(factor=0.5, patience=1),
        "early_stopping": EarlyStopping(monitor="val_loss", patience=2),
        "checkpoint": "val_accuracy",
    }
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "augmentation", "unfrozen_layers", "killed"),
    [
        (lambda: small(dropout=0.3), AUGMENT.model_copy(update={"validation": True}), None, (1, 4)),
        (lambda: with_backbone(rate=0.3), None, 0, (3, 5)),
    ],
    ids=["images", "features"],
)
def test_a_killed_run_goes_on_and_ends_in_the_same_weights(fit, build, augmentation, unfrozen_layers, killed):
    """In the first phase of four epochs, at its end, and in the second."""
    whole = build()
    expected = fit(whole, RESUMED, augmentation, unfrozen_layers)

    for epochs in killed:
        fit.path.unlink()
        with pytest.raises(Killed):
            fit(build(), RESUMED, augmentation, unfrozen_layers, KilledLive(epochs))
        assert [path.name for path in fit.path.parent.iterdir()] == ["progress.npz"]
        model, live = build(), SilentLive()
        result = fit(model, RESUMED, augmentation, unfrozen_layers, live)

        assert result.history.equals(expected.history), epochs
        assert live.steps == len(expected.history)
        assert result.kept_epoch == expected.kept_epoch
        for ours, theirs in zip(model.get_weights(), whole.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_killed_run_slows_down_and_stops_when_the_whole_one_does(fit, epochs):
    """The model learns nothing, so the schedules count from the first epoch on."""
    train = RESUMED.model_copy(update={"learning_rate": 1e-12, "fine_tune": None})
    expected = fit(small(), train).history
    assert expected["learning_rate"].tolist() == pytest.approx([1e-12, 1e-12, 0.5e-12], abs=1e-14)
    fit.path.unlink()
    with pytest.raises(Killed):
        fit(small(), train, live=KilledLive(epochs))
    assert fit(small(), train).history.equals(expected)


def test_a_run_killed_after_its_last_epoch_trains_no_more(fit):
    expected = fit(small(), RESUMED)
    model = small()
    assert fit(model, RESUMED).history.equals(expected.history)


def test_epochs_that_are_short_beside_the_saving_are_not_saved(fit, monkeypatch):
    monkeypatch.setattr(callbacks, "SAVE_EVERY", 1e9)
    expected = fit(small(), RESUMED)
    with np.load(fit.path) as file:
        assert len(json.loads(str(file["state"]))["rows"]) == 1
    assert fit(small(), RESUMED).history.equals(expected.history)


def test_another_fingerprint_starts_afresh(fit):
    with pytest.raises(Killed):
        fit(small(), RESUMED, live=KilledLive(2))
    live = SilentLive()
    result = fit(small(), live=live, fingerprint="another")
    assert len(result.history) == live.steps == 2


def test_a_repository_without_a_commit_is_one_line(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RontgenError, match="run `git commit` first"):
        callbacks.open_live(tmp_path / "live")


TWO_PHASES = TRAIN.model_copy(
    update={"epochs": 3, "checkpoint": "val_accuracy", "fine_tune": FineTune(epochs=1, learning_rate=1e-12)}
)


@pytest.mark.parametrize(("start", "epoch"), [("best", 1), ("last", 3)])
def test_the_second_phase_begins_from_the_best_or_the_last_weights_of_the_first(fit, monkeypatch, start, epoch):
    ends, begins = [], []
    scores = iter([0.9, 0.8, 0.7, 0.1])

    class Watch(callbacks.Finite):
        def on_train_begin(self, logs=None):
            begins.append([weight.copy() for weight in self.model.get_weights()])

        def on_epoch_end(self, epoch, logs=None):
            ends.append([weight.copy() for weight in self.model.get_weights()])
            logs["val_accuracy"] = next(scores)

    monkeypatch.setattr(protocol, "Finite", Watch)
    fine_tune = TWO_PHASES.fine_tune.model_copy(update={"start": start})
    fit(small(), TWO_PHASES.model_copy(update={"fine_tune": fine_tune}))
    for received, expected in zip(begins[1], ends[epoch - 1], strict=True):
        np.testing.assert_array_equal(received, expected)


def test_nothing_is_saved_of_an_epoch_whose_loss_is_not_finite(fit, monkeypatch):
    class Poisoned(callbacks.Finite):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, {"loss": float("nan") if self.epoch == 2 else 0.5})

    monkeypatch.setattr(protocol, "Finite", Poisoned)
    with pytest.raises(RontgenError, match=r"^a_run, epoch 2: expected a finite training loss, received nan"):
        fit(small(), TRAIN.model_copy(update={"epochs": 3}))
    with np.load(fit.path) as saved:
        assert len(json.loads(str(saved["state"]))["rows"]) == 1


def test_a_validation_loss_that_is_not_finite_is_refused_too():
    watch = callbacks.Finite("a_run")
    watch.on_epoch_begin(4)
    with pytest.raises(RontgenError, match="a_run, epoch 5: expected a finite validation loss, received nan"):
        watch.on_epoch_end(4, {"val_loss": float("nan")})


LINE = r"a_run: {} of epoch {} of 3, \d+\.\d s an epoch, at most 0:\d\d:\d\d left"


@pytest.mark.parametrize(
    ("seconds", "lines"),
    [
        (60, [LINE.format("100%", 1) + r", validation accuracy \d\.\d\d\d"]),
        (0, [LINE.format(f"{share}%", 1) for share in (20, 40, 60, 80, 100, 100)]),
    ],
)
def test_a_log_has_a_line_after_the_first_epoch_and_then_every_so_often(fit, capsys, monkeypatch, seconds, lines):
    monkeypatch.setattr(progress, "SECONDS", seconds)
    fit(small(), TRAIN.model_copy(update={"epochs": 3}))
    output = capsys.readouterr()
    found = output.err.splitlines()
    assert output.out == "" and len(found) == (1 if seconds else 18), found
    assert all(re.match(expected, line) for expected, line in zip(lines, found, strict=False)), found


def test_a_terminal_has_a_line_after_each_epoch(fit, capsys, monkeypatch):
    monkeypatch.setattr(callbacks.sys.stderr, "isatty", lambda: True)
    fit(small(), TRAIN.model_copy(update={"epochs": 3}))
    lines = capsys.readouterr().err.splitlines()
    assert [bool(re.match(LINE.format("100%", 1 + n), line)) for n, line in enumerate(lines)] == [True] * 3
