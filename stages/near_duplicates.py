"""Stage near_duplicates: fingerprint a dataset's images (size, perceptual hash, thumbnail) and find the copies."""

import argparse
from pathlib import Path

from rontgen.audits import near_duplicates
from rontgen.core import errors
from rontgen.core.io import write_json
from rontgen.data import manifests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, help="a key of `datasets` in params.yaml")
    source = near_duplicates.load_source(parser.parse_args().dataset)

    images, counts, left_out = manifests.list_images(source)
    found = near_duplicates.fingerprint(images, source.raw, source.max_unreadable)

    folder = Path("data/near_duplicates", source.dataset_name)
    near_duplicates.write(found, folder)
    write_json({"found": counts, "left_out": left_out}, folder / manifests.LISTING)
    copies = len(found.images) - found.images["near"].nunique()
    print(f"{len(found.images)} images, {copies} of them copies; {len(found.unreadable)} unreadable")


if __name__ == "__main__":
    errors.run(main)
