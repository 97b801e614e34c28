"""Stage weights: what a backbone begins with, in data/weights: its ImageNet weights, or nothing."""

import argparse

from rontgen.core import errors, runs
from rontgen.data import by_hand, pretrained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", required=True, help="active, or a key of `backbones` in params.yaml")
    start = runs.load_start(parser.parse_args().backbone)
    facts = pretrained.write(start, by_hand.read("weights", start.name))
    print(f"{start.name}: {facts.file}, SHA-256 {facts.sha256}" if facts.file else f"{start.name}: random weights")


if __name__ == "__main__":
    errors.run(main)
