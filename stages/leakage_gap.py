"""Stage leakage_gap: each reported run against its leak-free run, in the records and in this workspace."""

import argparse
from pathlib import Path

import pandas as pd

from rontgen.core import errors, params, parts
from rontgen.core.io import require, write_json
from rontgen.core.sections import LEAKFREE
from rontgen.evaluation import metrics
from rontgen.evidence import leakage_gap, records
from rontgen.reporting import audit_plots


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    values = params.load()

    names = [name for name in values.runs if name + LEAKFREE in values.runs]
    everything = records.read_all()
    recorded = {name: leakage_gap.pair(everything, name) for name in names}
    measured = {
        "records": {name: leakage_gap.measure_records(pairs) for name, pairs in recorded.items() if pairs},
        "workspace": {name: leakage_gap.measure([(_read(name), _read(name + LEAKFREE))]) for name in names},
    }

    write_json(measured, Path("metrics/leakage_gap.json"))
    audit_plots.leakage_gap(measured, values.profile == "demo", Path("plots/leakage_gap.png"))


def _read(name: str) -> pd.DataFrame:
    path, command = Path("data/predictions", f"{name}.csv"), parts.stage_command("evaluate", name)
    return metrics.read_predictions(require(path, command), str(path), command)


if __name__ == "__main__":
    errors.run(main)
