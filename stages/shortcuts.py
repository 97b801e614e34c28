"""Stage shortcuts: how well shortcuts, such as the border, predict the class of a dataset's images."""

import argparse
from pathlib import Path

from rontgen.audits import near_duplicates, shortcuts
from rontgen.core import errors, runs
from rontgen.core.io import write_json
from rontgen.reporting import audit_plots


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, help="a key of `datasets` in params.yaml")
    name = parser.parse_args().dataset
    classes = runs.load_dataset(name)[0].classes
    prints = near_duplicates.read(name)

    found = shortcuts.probe(prints, classes)

    write_json(found, Path("metrics/shortcuts", f"{name}.json"))
    audit_plots.shortcuts(found["probes"], prints.images, name, Path("plots/shortcuts", f"{name}.png"))
    for probe, result in found["probes"].items():
        print(f"{probe}: ROC-AUC {result['roc_auc']:.3f} ({result['low']:.3f} to {result['high']:.3f})")


if __name__ == "__main__":
    errors.run(main)
