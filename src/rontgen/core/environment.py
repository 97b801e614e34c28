"""What computes: the versions of packages, and the machine."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("keras", "tensorflow", "numpy", "scikit-learn", "imbalanced-learn", "pillow", "dvc")


def packages() -> dict[str, str]:
    """The versions of Python and of PACKAGES."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def machine() -> dict[str, str | int]:
    """The computer: system, architecture, processor, cores."""
    cpuinfo = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*:\s*(.*\S)", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else None
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": named[1] if named else platform.processor(),
        "cores": os.cpu_count() or 1,
        "keras_backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
    }
