"""Stage check: params.yaml as a whole is valid, before anything else runs."""

import argparse
from pathlib import Path

from rontgen.core import errors, params, runs
from rontgen.core.io import replacing


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    runs.check(params.load())
    with replacing(Path("data/checked")) as path:
        path.write_text("params.yaml is valid\n", encoding="utf-8")


if __name__ == "__main__":
    errors.run(main)
