"""What computes: the versions of packages, and the machine."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("keras", "tensorflow", "numpy", "scikit-learn", "imbalanced-learn", "pillow", "dvc")


def packages() -> dict[str, str]:
    """The versions of Python and of PACKAGES."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def machine() -> dict[str, str | int]:
    """The computer: system, architecture, processor, cores."""
    cpuinfo = Path("/proc/cpuinfo")
    names = []
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count() or 1,
        "keras_backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
    }
