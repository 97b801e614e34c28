"""Stage split: the manifest of a split, one row per image, and the audit of its subsets."""

import argparse

from rontgen.core import errors, runs
from rontgen.core.io import write_csv, write_json
from rontgen.data import manifests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", required=True, help="active, or a key of `splits` in a protocol.yaml")
    split = runs.load_split(parser.parse_args().split)

    manifest, audit = manifests.build(split)

    write_csv(manifest, split.manifest)
    write_json(audit, split.audit)
    print(manifest.groupby(["subset", "class"]).size().unstack().to_string())


if __name__ == "__main__":
    errors.run(main)
