"""Stage leakage_gap: each reported run against its leak-free run, in the records and in this workspace."""

import argparse
from pathlib import Path

import pandas as pd

from rontgen import errors, evaluation, leakage_gap, params, records, runs
from rontgen.files import write_json


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    values = params.load()

    workspace = {name: [(_read(name), _read(name + runs.LEAKFREE))] for name in values.reported}
    everything = records.read_all()
    recorded = {name: leakage_gap.pair(everything, name) for name in values.reported}
    measured = {
        source: {name: leakage_gap.measure(pairs) for name, pairs in found.items() if pairs}
        for source, found in (("records", recorded), ("workspace", workspace))
    }

    write_json(measured, Path("metrics/leakage_gap.json"))
    leakage_gap.draw(measured, values.profile == "demo", Path("plots/leakage_gap.png"))


def _read(name: str) -> pd.DataFrame:
    path, command = Path("data/predictions", f"{name}.csv"), runs.stage_command("evaluate", name)
    return evaluation.read_predictions(runs.require(path, command), str(path), command)


if __name__ == "__main__":
    errors.run(main)
