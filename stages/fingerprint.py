"""Stage fingerprint: one decode of every image of a dataset: size, perceptual hash, thumbnail, and copies."""

import argparse
from pathlib import Path

from rontgen import errors, fingerprints, manifests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, help="a key of `datasets` in params.yaml")
    source = fingerprints.load_source(parser.parse_args().dataset)

    images, _, _ = manifests.list_images(source)
    found = fingerprints.take(images, source.raw, source.max_unreadable)

    fingerprints.write(found, Path("data/fingerprints", source.dataset_name))
    copies = len(found.images) - found.images["near"].nunique()
    print(f"{len(found.images)} images, {copies} of them copies; {len(found.unreadable)} unreadable")


if __name__ == "__main__":
    errors.run(main)
