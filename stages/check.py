"""Stage check: the settings as a whole are valid, and each has an origin, before anything else runs."""

import argparse
from pathlib import Path

from rontgen.core import checks, errors, papers, params
from rontgen.core.errors import RontgenError
from rontgen.core.io import replacing

PIPELINE = Path("dvc.yaml")


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    values = params.load()
    checks.check_runs(values)
    checks.check_origins(papers.load_papers(), values)
    check_pipeline()
    with replacing(Path("data/checked")) as path:
        path.write_text("the settings are valid\n", encoding="utf-8")


def check_pipeline() -> None:
    """Check that DVC reads every study's protocol.yaml. Raises RontgenError for the first that it does not."""
    named = params.read_yaml(PIPELINE).get("vars") or []
    for path in params.protocols():
        if path.as_posix() not in named:
            raise RontgenError(f"{path} is not in {PIPELINE}: add it under vars")


if __name__ == "__main__":
    errors.run(main)
