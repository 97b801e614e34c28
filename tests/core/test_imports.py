import ctypes
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
