import ctypes
import json
import os
import subprocess
import sys

import pytest


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="a setting of glibc")
def test_a_process_with_keras_keeps_the_memory_that_it_frees():
    code = """
from pathlib import Path
from rontgen.core.imports import importing_keras

def resident():
    return next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith("VmRSS"))

with importing_keras():
    pass
before = resident()
block = b"1" * 2**26
del block
print((resident() - before) * 1024 / 2**26)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert float(done.stdout) > 0.9


@pytest.mark.slow
def test_keras_has_its_own_defaults_and_onednn_whatever_the_user_has_configured(tmp_path):
    numbers = {"floatx": "float64", "epsilon": 0.1, "image_data_format": "channels_first", "backend": "jax"}
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras/keras.json").write_text(json.dumps(numbers))
    code = """
from rontgen.core.imports import importing_keras
with importing_keras():
    import keras
from tensorflow.python.util import _pywrap_util_port
c = keras.config
print(c.floatx(), c.epsilon(), c.image_data_format(), c.backend(), c.max_epochs(), c.max_steps_per_epoch())
print(_pywrap_util_port.IsMklEnabled())
"""
    for variables, onednn in (
        ({}, True),
        ({"KERAS_HOME": str(tmp_path / ".keras"), "TF_ENABLE_ONEDNN_OPTS": "0"}, False),
    ):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("KERAS_", "TF_"))}
        environment |= {"HOME": str(tmp_path), "KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "1"} | variables
        done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
        assert done.stdout == f"float32 1e-07 channels_last tensorflow None None\n{onednn}\n"
