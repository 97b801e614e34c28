"""Stage leakage: which images are copies of others, within a dataset, across datasets, and across a split."""

import argparse
from pathlib import Path

from rontgen import datasets, errors, fingerprints, leakage, params, runs
from rontgen.files import replacing, write_json


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    values = params.load()
    names = [runs.ACTIVE, *(name + twin for name in values.studies for twin in ("", runs.LEAKFREE))]
    prints = {name: fingerprints.read(name) for name in values.datasets}
    splits = {name: datasets.read_split(runs.load_study(name)) for name in names}

    everything = leakage.gather(prints)
    pairs = leakage.find_pairs(everything)
    found = leakage.audit(prints, everything.images, pairs, splits)

    write_json(found, Path("metrics/leakage.json"))
    with replacing(Path("data/leakage/pairs.csv")) as path:
        leakage.pair_table(pairs, everything.images).to_csv(path, index=False)
    leakage.draw_splits(found["splits"], Path("plots/leakage.png"))
    leakage.draw_examples(pairs, everything, Path("plots/leakage_examples.png"))
    for name, counts in found["splits"].items():
        print(f"{name}: {counts['test_any']} of {counts['test_images']} test images leak")


if __name__ == "__main__":
    errors.run(main)
