"""Callbacks: keep the best weights, record the history, save the progress, show the time left, stop at NaN."""

import json
import math
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import keras
import numpy as np
from dvclive import Live
from scmrepo.exceptions import SCMError

from rontgen.core import progress
from rontgen.core.errors import RontgenError
from rontgen.core.io import replacing

# Keras's names of what it measures each epoch, and ours
HISTORY_COLUMNS = {
    "loss": "train_loss",
    "accuracy": "train_accuracy",
    "val_loss": "validation_loss",
    "val_accuracy": "validation_accuracy",
    "learning_rate": "learning_rate",
}

# The state of Keras's ReduceLROnPlateau and EarlyStopping
SCHEDULE_STATE = ("best", "best_epoch", "cooldown_counter", "stopped_epoch", "wait")


def open_live(folder: Path) -> Live:
    """DVCLive, writing to `folder`. It needs a git repository with a commit; raises RontgenError without one."""
    try:
        return Live(str(folder), dvcyaml=None, save_dvc_exp=False)
    except SCMError as error:
        raise RontgenError(f"expected a git repository with a commit: {error}: run `git commit` first") from None


class Finite(keras.callbacks.Callback):
    """Stops the training at the first loss that is not finite, before that epoch is kept or saved."""

    def __init__(self, name: str):
        super().__init__()
        self.name, self.epoch = name, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        self._check(logs["loss"], "training")

    def on_epoch_end(self, epoch, logs=None):
        self._check(logs["val_loss"], "validation")

    def _check(self, loss: float, kind: str) -> None:
        if not math.isfinite(loss):
            raise RontgenError(
                f"{self.name}, epoch {self.epoch}: expected a finite {kind} loss, received {float(loss)}: lower "
                "train.learning_rate, or turn train.mixed_precision off, and run it again"
            )


class TimeLeft(keras.callbacks.Callback):
    """Prints the mean time of an epoch so far, and the time left: after each epoch at a terminal, where Keras shows
    the rest, and elsewhere after the first epoch and once a minute. name: of the run. total: epochs of all phases."""

    def __init__(self, name: str, total: int):
        super().__init__()
        self.name, self.total, self.seconds, self.trained = name, total, 0.0, 0
        self.said = time.perf_counter()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.begun = epoch, time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if not sys.stderr.isatty() and time.perf_counter() - self.said >= progress.SECONDS:
            self._say((batch + 1) / self.params["steps"])

    def on_epoch_end(self, epoch, logs=None):
        if sys.stderr.isatty() or not self.trained or time.perf_counter() - self.said >= progress.SECONDS:
            self._say(1, f", validation accuracy {logs['val_accuracy']:.3f}")
        self.seconds += time.perf_counter() - self.begun
        self.trained += 1

    def _say(self, share: float, more: str = "") -> None:
        """share: of this epoch that is done."""
        self.said = time.perf_counter()
        mean = (self.seconds + self.said - self.begun) / (self.trained + share)
        left = timedelta(seconds=round(mean * (self.total - self.epoch - share)))
        print(
            f"{self.name}: {share:.0%} of epoch {self.epoch + 1} of {self.total}, {mean:.1f} s an epoch, "
            f"at most {left} left{more}",
            file=sys.stderr,
        )


class KeepBest(keras.callbacks.Callback):
    """Keeps the weights of the best epoch over all phases.

    monitor: val_accuracy keeps the highest, and among equals the lowest val_loss (covid_hybrid); val_loss the lowest;
    last the last epoch.
    """

    def __init__(self, kept: keras.Model, monitor: str):
        super().__init__()
        self.kept, self.monitor = kept, monitor
        self.score: list[float] | None = None
        self.epoch, self.weights = 0, list[np.ndarray]()

    def on_epoch_end(self, epoch, logs=None):
        scores = {
            "val_accuracy": [logs["val_accuracy"], -logs["val_loss"]],
            "val_loss": [-logs["val_loss"]],
            "last": [epoch],
        }
        score = scores[self.monitor]
        if self.score is None or score > self.score:
            self.score, self.epoch, self.weights = score, epoch + 1, self.kept.get_weights()

    def restore(self) -> None:
        self.kept.set_weights(self.weights)


class LiveHistory(keras.callbacks.Callback):
    """Collects the history, and logs each epoch to DVCLive, so that a run can be watched."""

    def __init__(self, live: Live):
        super().__init__()
        self.live, self.rows = live, list[dict]()

    def on_epoch_end(self, epoch, logs=None):
        values = {ours: float(logs[name]) for name, ours in HISTORY_COLUMNS.items() if name in logs}
        values.setdefault("learning_rate", float(np.asarray(self.model.optimizer.learning_rate)))
        self.add({"epoch": epoch + 1, **values})

    def add(self, row: dict) -> None:
        self.rows.append(row)
        for name, value in row.items():
            if name != "epoch":
                self.live.log_metric(name, value)
        self.live.next_step()


# Minimum training time between saves, in multiples of the save time: 280 MB, as of a ResNet50, take a second
SAVE_EVERY = 20


class Progress(keras.callbacks.Callback):
    """Saves all that the next epoch depends on in one file, from which a killed run resumes.

    That is the phase, weights, optimizer and random state, schedules, history, and the best weights so far. Saving
    takes at most a twentieth of the time: after short epochs it is skipped. A file with another fingerprint is ignored.
    This must be the last callback of the list.
    """

    def __init__(self, path: Path, fingerprint: str, keep: KeepBest, history: LiveHistory):
        super().__init__()
        self.path, self.fingerprint, self.keep, self.history = path, fingerprint, keep, history
        self.phase, self.begin, self.seconds = 0, 0, 0.0
        self.schedules: list[keras.callbacks.Callback] = []
        self.next_save = 0.0
        self.saved = self._load()

    def start_phase(self, phase: int, schedules: list[keras.callbacks.Callback]) -> int | None:
        """The epoch at which this phase began; None if a saved run had already finished it."""
        if self.saved is not None and phase < self.saved["phase"]:
            return None
        self.phase, self.schedules, self.begin = phase, schedules, len(self.history.rows)
        if self.saved is not None and phase == self.saved["phase"]:
            self.begin = self.saved["begin"]
        return self.begin

    @property
    def is_stopped(self) -> bool:
        """Whether early stopping ended the saved phase."""
        return self.saved is not None and self.saved["stopped"]

    def on_train_begin(self, logs=None):
        self.clock = time.perf_counter() - self.seconds
        if self.saved is None:
            return
        for variable, value in zip(self._variables(), self.saved["variables"], strict=True):
            variable.assign(value)
        for schedule, state in zip(self.schedules, self.saved["schedules"], strict=True):
            vars(schedule).update(state)
        self.saved = None

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.perf_counter() - self.clock
        if self.seconds >= self.next_save:
            self._save()
            took = time.perf_counter() - self.clock - self.seconds
            self.next_save = self.seconds + (1 + SAVE_EVERY) * took

    def _variables(self) -> list:
        optimizer = self.model.optimizer
        if not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        return [*self.model.variables, *optimizer.variables]

    def _save(self) -> None:
        state = {
            "fingerprint": self.fingerprint,
            "phase": self.phase,
            "begin": self.begin,
            "seconds": self.seconds,
            "stopped": bool(self.model.stop_training),
            "rows": self.history.rows,
            "score": [float(value) for value in self.keep.score or ()],
            "best_epoch": self.keep.epoch,
            "schedules": [_state(schedule) for schedule in self.schedules],
        }
        arrays: dict[str, Any] = {f"variable_{n:05}": np.asarray(v.value) for n, v in enumerate(self._variables())}
        arrays |= {f"kept_{n:05}": value for n, value in enumerate(self.keep.weights)}
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, state=json.dumps(state), **arrays)

    def _load(self) -> dict | None:
        if not self.path.exists():
            return None
        with np.load(self.path, allow_pickle=False) as file:
            state = json.loads(str(file["state"]))
            if state["fingerprint"] != self.fingerprint:
                return None
            state["variables"] = [file[name] for name in file.files if name.startswith("variable_")]
            self.keep.weights = [file[name] for name in file.files if name.startswith("kept_")]
        self.keep.score, self.keep.epoch = state["score"], state["best_epoch"]
        self.seconds = state["seconds"]
        for row in state["rows"]:
            self.history.add(row)
        print(f"resuming after epoch {len(self.history.rows)}")
        return state


def _state(schedule: keras.callbacks.Callback) -> dict:
    """What a schedule remembers, ready for JSON, which also has numbers like infinity as Python writes them."""
    values = {name: vars(schedule)[name] for name in SCHEDULE_STATE if name in vars(schedule)}
    return {name: value if value is None else float(value) for name, value in values.items()}
