"""Stage weights: what a model begins with, in data/weights: its backbone's ImageNet weights, or nothing."""

import argparse

from rontgen.core import errors, runs
from rontgen.data import by_hand, pretrained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="a key of `models` in params.yaml")
    start = runs.load_start(parser.parse_args().model)
    facts = pretrained.write(start, by_hand.read("weights", start.model))
    print(f"{start.model}: {facts.file}, SHA-256 {facts.sha256}" if facts.file else f"{start.model}: random weights")


if __name__ == "__main__":
    errors.run(main)
