import json
import os
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_keras_has_its_own_defaults_whatever_the_user_has_configured(tmp_path):
    numbers = {"floatx": "float64", "epsilon": 0.1, "image_data_format": "channels_first", "backend": "jax"}
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras/keras.json").write_text(json.dumps(numbers))
    code = """
from rontgen.core.imports import importing_keras
with importing_keras():
    import keras
c = keras.config
print(c.floatx(), c.epsilon(), c.image_data_format(), c.backend(), c.max_epochs(), c.max_steps_per_epoch())
"""
    for variables in ({}, {"KERAS_HOME": str(tmp_path / ".keras")}):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KERAS_")}
        environment |= {"HOME": str(tmp_path), "KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "1"} | variables
        done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
        assert done.stdout == "float32 1e-07 channels_last tensorflow None None\n"
