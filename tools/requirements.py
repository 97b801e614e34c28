"""Compile the pinned and hashed requirements of pyproject.toml and of each extra: `python tools/requirements.py`.

It needs uv. Versions that a file has already are kept; options such as `--upgrade-package NAME` go to uv. An extra's
file begins with `-r requirements.txt` and has what that lacks; that of uv, which installs them, stands alone.
"""

import re
import subprocess
import sys
from pathlib import Path

BASE = Path("requirements.txt")
EXTRAS = ("app", "dev", "gpu", "uv")
COMPILE = ["uv", "pip", "compile", "pyproject.toml", "--universal", "--python-version", "3.11", "--generate-hashes"]
COMPILE += ["--no-annotate", "--quiet", "--custom-compile-command", "python tools/requirements.py"]


def main() -> None:
    options = sys.argv[1:]
    subprocess.run([*COMPILE, "--extra", "build", "-o", BASE, *options], check=True)
    known = set(_entries(BASE))
    for extra in EXTRAS:
        path = Path(f"requirements-{extra}.txt")
        if path.exists():  # whole, so that uv sees the versions it has
            path.write_text(BASE.read_text() + "".join(_entries(path).values()))
        subprocess.run([*COMPILE, "--extra", "build", "--extra", extra, "-c", BASE, "-o", path, *options], check=True)
        entries = {name: entry for name, entry in _entries(path).items() if name not in known}
        head = "".join(line for line in path.read_text().splitlines(keepends=True) if line.startswith("#"))
        path.write_text(head + ("-r requirements.txt\n" if extra != "uv" else "") + "".join(entries.values()))


def _entries(path: Path) -> dict[str, str]:
    """The pinned packages of a file, each with its hashes, by name."""
    blocks = re.split(r"(?m)^(?=[A-Za-z0-9])", path.read_text())
    return {block.partition("==")[0]: block for block in blocks if "==" in block}


if __name__ == "__main__":
    main()
