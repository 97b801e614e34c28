"""The same bytes from the same commit: the seeds, threads and operations of the backend are fixed here.

Elsewhere, archives sort their members, splits and batches take their order from the seeds in params.yaml, and nothing
iterates over a set, so Python's hash seed does not matter.
"""

import os

import keras


def prepare(seed: int, threads: int) -> None:
    """Seed Python, NumPy and the backend, make its operations deterministic, and fix its threads.

    threads: of one operation. A sum split into other parts rounds differently, so the weights of a CNN depend on the
    number of threads. There may be more threads than cores. Call this before any tensor is made.
    """
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    if keras.backend.backend() == "jax":
        # XLA reads both when the first tensor is made; NPROC is its number of cores, and so of threads
        os.environ["NPROC"] = str(threads)
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true"


def mix_precision() -> None:
    """Use mixed precision for models built from now on: float16 on a GPU, bfloat16 on a CPU."""
    has_gpu = keras.distribution.list_devices()[0].startswith("gpu")
    keras.mixed_precision.set_global_policy("mixed_float16" if has_gpu else "mixed_bfloat16")
