"""Slow and noisy imports."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing_keras() -> Iterator[None]:
    """Import Keras in this block: without TensorFlow's start-up lines, and in 3.8 seconds instead of 4.9.

    Native code prints those lines whatever TF_CPP_MIN_LOG_LEVEL says, so stderr goes to /dev/null meanwhile. Garbage
    collection is off during the import, and later skips what was imported.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
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
