"""The import of Keras: quiet, quick, and with memory that is kept between steps."""

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

# The parameters M_TRIM_THRESHOLD, M_MMAP_MAX and M_ARENA_MAX of glibc's mallopt(3)
KEEP_FREED_MEMORY = {-1: -1, -4: 0, -8: 1}


@contextmanager
def importing_keras() -> Iterator[None]:
    """Import Keras in this block: without TensorFlow's start-up lines, and in 3.8 seconds instead of 4.9.

    Native code prints those lines whatever TF_CPP_MIN_LOG_LEVEL says, so stderr goes to /dev/null meanwhile. Garbage
    collection is off during the import, and later skips what was imported. The process then keeps freed memory.
    TensorFlow computes with oneDNN on every processor, where that is not set otherwise: by itself it does so only with
    AVX-512's instructions for neural networks, and trains a ResNet50V2 five times more slowly without (AVX2).
    The user's keras.json is not read, and of Keras's variables only KERAS_BACKEND: the same commit would give another
    model.
    """
    keep_freed_memory()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    for name in [name for name in os.environ if name.startswith("KERAS_") and name != "KERAS_BACKEND"]:
        del os.environ[name]
    os.environ["KERAS_HOME"] = os.devnull  # where Keras finds and writes no keras.json
    stderr = os.dup(2)
    gc.disable()
    try:
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        gc.freeze()
        gc.enable()


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, instead of returning it to the kernel.

    By default, glibc returns the tensors of each training step, and the kernel clears every page again for the next
    step, where a network is trained whole (docs/performance.md); elsewhere it makes no difference. Other C libraries
    are left as they are. Call this before threads are started: each would get its own memory.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for parameter, value in KEEP_FREED_MEMORY.items():
            mallopt(parameter, value)
