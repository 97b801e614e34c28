"""Stage leakage: which images are copies of others, within a dataset, across datasets, and across a split."""

import argparse
from pathlib import Path

from rontgen.audits import leakage, near_duplicates
from rontgen.core import errors, params, runs
from rontgen.core.io import write_csv, write_json
from rontgen.data import arrays
from rontgen.reporting import audit_plots


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    values = params.load()
    names = [runs.ACTIVE, *values.splits]
    prints = {name: near_duplicates.read(name) for name in values.datasets}
    splits = {name: arrays.read_split(runs.load_split(name)) for name in names}

    everything = leakage.gather(prints)
    pairs = leakage.find_pairs(everything)
    found = leakage.audit(prints, everything.images, pairs, splits)

    write_json(found, Path("metrics/leakage.json"))
    write_csv(leakage.pair_table(pairs, everything.images), Path("data/leakage/pairs.csv"))
    audit_plots.leaks(found["splits"], Path("plots/leakage.png"))
    audit_plots.near_pairs(pairs, everything.images, everything.thumbnails, Path("plots/leakage_examples.png"))
    for name, counts in found["splits"].items():
        print(f"{name}: {counts['test_any']} of {counts['test_images']} test images leak")


if __name__ == "__main__":
    errors.run(main)
