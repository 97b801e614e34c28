"""One training on several devices: the same model on each, a part of every batch for each, their gradients averaged.

Keras's own DataParallel does it, with JAX alone. The devices are those of this process or, once processes have found
each other, those of all: then each process reads its own part of a batch, and the first alone writes.
"""

import os
from dataclasses import dataclass

import keras
import numpy as np

from rontgen.core.errors import RontgenError

# Where Keras looks for them: where the first process listens (host:port), how many there are, and which this one is
PROCESSES = ("KERAS_DISTRIBUTION_JOB_ADDRESSES", "KERAS_DISTRIBUTION_NUM_PROCESSES", "KERAS_DISTRIBUTION_PROCESS_ID")


@dataclass(frozen=True)
class Share:
    """What this process has to do with a batch. process: its number, from 0. devices: of all processes together."""

    process: int = 0
    processes: int = 1
    devices: int = 1

    def of(self, batch: np.ndarray, batch_size: int) -> np.ndarray:
        """The images of a batch that this process reads. batch: int (N,), N at most batch_size.

        A batch that the devices cannot share evenly, as the last of an epoch, is padded with its own images beyond
        batch_size: a length that no other batch has, by which `without_padding` knows it.
        """
        if len(batch) % self.devices:
            batch = np.resize(batch, batch_size + self.devices)
        return np.split(batch, self.processes)[self.process]


ALONE = Share()


def prepare(distribute: str, batch_size: int) -> None:
    """Spread what is built from now on over all devices, of all processes, where `distribute` is data_parallel.

    Call it after reproducibility.prepare and before any tensor is made. Raises RontgenError for another backend than
    JAX, processes that are described by halves or do not find each other, and devices that cannot share a batch.
    """
    if distribute == "none":
        return
    if keras.backend.backend() != "jax":
        raise RontgenError(
            f"train.distribute: data_parallel needs the Keras backend jax, received {keras.backend.backend()}: "
            "set KERAS_BACKEND=jax (`make setup` installs JAX)"
        )
    given = [name for name in PROCESSES if name in os.environ]
    if given and len(given) < len(PROCESSES):
        raise RontgenError(f"several processes: expected {', '.join(PROCESSES)}, received {', '.join(given)} alone")
    if given:
        try:
            keras.distribution.initialize()
        except (ValueError, RuntimeError) as error:
            values = ", ".join(f"{name}={os.environ[name]}" for name in PROCESSES)
            raise RontgenError(f"several processes: {error}: check {values}, and start all within minutes") from None
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    processes, devices = share().processes, share().devices
    own = len(keras.distribution.distribution().device_mesh.backend_mesh.local_devices)
    if own * processes != devices:
        raise RontgenError(f"several processes: expected the {devices} devices in equal parts, received {own} here")
    if batch_size % devices:
        raise RontgenError(f"train.batch_size: expected a multiple of the {devices} devices, received {batch_size}")


def share() -> Share:
    """The part of this process, as `prepare` has set it up; all of it where nothing is distributed."""
    current = keras.distribution.distribution()
    if current is None:
        return ALONE
    return Share(current.data_shard_id, current.num_processes, current.num_model_replicas)


def is_first() -> bool:
    """Whether this process is the one that writes and prints."""
    return share().process == 0


def agree(value: str) -> None:
    """Raises RontgenError in every process where they do not all have the same `value`, of one length in all."""
    if share().processes == 1:
        return
    from jax.experimental import multihost_utils

    # as bytes, for it gathers numbers
    values = multihost_utils.process_allgather(np.frombuffer(value.encode(), np.uint8))
    if (values != values[0]).any():
        raise RontgenError(
            "several processes: expected the same settings, inputs, code and saved progress in each, received "
            "others: let all work in one shared folder, or in copies of it without models/resume"
        )


def without_padding(trainer: keras.Model, batch_size: int, train_images: int, validation_images: int) -> None:
    """Let a compiled model's steps drop what Share.of padded: every device then takes the whole of such a batch.

    So nothing counts twice, not even in batch statistics, and the step is what one device would do.
    """
    devices = share().devices
    if devices == 1:
        return

    def whole(data, images):
        def cut(array):
            if len(array) != batch_size + devices:
                return array
            mesh = keras.distribution.distribution().device_mesh
            layout = keras.distribution.TensorLayout([None] * array.ndim, mesh)
            return keras.distribution.distribute_tensor(array, layout)[: images % batch_size]

        return keras.tree.map_structure(cut, data)

    train_step, test_step = trainer.train_step, trainer.test_step
    trainer.train_step = lambda state, data: train_step(state, whole(data, train_images))
    trainer.test_step = lambda state, data: test_step(state, whole(data, validation_images))
