"""Stage weights: what a model begins with, in data/weights: its backbone's ImageNet weights, or nothing."""

import argparse

from rontgen import by_hand, errors, pretrained, runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="a key of `models` in params.yaml")
    start = runs.load_start(parser.parse_args().model)
    listed = by_hand.read("weights", start.model)

    if start.pretrained:
        facts = pretrained.write(start.backbone, listed, start.sha256, start.folder, start.command)
        print(f"{start.backbone}: {facts.file}, SHA-256 {facts.sha256}")
    else:
        pretrained.write_none(start.folder)
        print(f"{start.model}: random weights")


if __name__ == "__main__":
    errors.run(main)
