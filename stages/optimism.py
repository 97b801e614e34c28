"""Stage optimism: each reported run against its leak-free twin."""

import argparse
from pathlib import Path

import pandas as pd

from rontgen import errors, evaluation, optimism, params, runs
from rontgen.files import write_json


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    values = params.load()

    measured = {name: optimism.measure(_read(name), _read(name + runs.LEAKFREE)) for name in values.reported}

    write_json(measured, Path("metrics/optimism.json"))
    optimism.draw(measured, values.profile == "demo", Path("plots/optimism.png"))


def _read(name: str) -> pd.DataFrame:
    path, command = Path("data/predictions", f"{name}.csv"), runs.stage_command("evaluate", name)
    return evaluation.read_predictions(runs.require(path, command), str(path), command)


if __name__ == "__main__":
    errors.run(main)
