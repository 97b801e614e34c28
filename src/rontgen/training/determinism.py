"""The same bytes from the same commit: every source of chance in training and evaluation is fixed here.

The order of files is fixed where they are listed (archives sort their members), the order of images by splits and
batches from the seeds in params.yaml; nothing iterates over a set, so Python's hash seed has no say.
"""

import os

import keras


def prepare(seed: int, threads: int) -> None:
    """Seed Python, NumPy and the backend, make its operations deterministic, and fix its threads.

    threads: of one operation. A sum in another number of parts is another float, so that the weights of a CNN trained
    with one thread and with two differ; more threads than cores are allowed. Call it before any tensor is made.
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
    """Compute in half precision what is built from now on: float16 on a GPU, bfloat16 on a CPU."""
    has_gpu = keras.distribution.list_devices()[0].startswith("gpu")
    keras.mixed_precision.set_global_policy("mixed_float16" if has_gpu else "mixed_bfloat16")
