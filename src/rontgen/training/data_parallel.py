"""One training on several devices: each has the same model and a part of every batch; gradients are averaged.

Keras's DataParallel does this, with the JAX backend only. The devices are those of this process, or of several
processes: then each process reads its own part of a batch, and only the first writes.
"""

import os
from dataclasses import dataclass

import keras
import numpy as np

from rontgen.core.errors import RontgenError

# Environment variables that Keras reads: address of the first process (host:port), number of processes, own number
PROCESSES = ("KERAS_DISTRIBUTION_JOB_ADDRESSES", "KERAS_DISTRIBUTION_NUM_PROCESSES", "KERAS_DISTRIBUTION_PROCESS_ID")


@dataclass(frozen=True)
class Share:
    """This process's part of a batch. process: its number, from 0. devices: of all processes together."""

    process: int = 0
    processes: int = 1
    devices: int = 1

    def of(self, batch: np.ndarray, batch_size: int) -> np.ndarray:
        """The images of a batch that this process reads. batch: int (N,), N at most batch_size.

        A batch that the devices cannot share evenly, such as the last of an epoch, is padded with its own images to
        more than batch_size. `without_padding` recognises it by that length.
        """
        if len(batch) % self.devices:
            batch = np.resize(batch, batch_size + self.devices)
        return np.split(batch, self.processes)[self.process]


ALONE = Share()


def prepare(distribute: str, batch_size: int) -> None:
    """Distribute models built from now on over the devices of all processes, if `distribute` is data_parallel.

    Call this after determinism.prepare and before any tensor is made. Raises RontgenError if the backend is not JAX, if
    the variables PROCESSES are incomplete or the processes do not connect, or if the devices cannot share a batch.
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
    """The part of this process, as `prepare` set it up; the whole batch if nothing is distributed."""
    current = keras.distribution.distribution()
    if current is None:
        return ALONE
    return Share(current.data_shard_id, current.num_processes, current.num_model_replicas)


def is_first() -> bool:
    """Whether this process is the one that writes and prints."""
    return share().process == 0


def agree(value: str) -> None:
    """Raise RontgenError in every process unless all have the same `value`. It must have one length everywhere."""
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
    """Make a compiled model's steps drop the padding of Share.of: each device then takes the whole of such a batch.

    So no image counts twice, not even in batch statistics: the step is that of one device.
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
