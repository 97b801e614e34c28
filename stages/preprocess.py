"""Stage preprocess: decode a study's images once, to grayscale arrays of one size."""

import argparse

from rontgen.core import errors, runs
from rontgen.core.io import write_json
from rontgen.data import arrays, decoding


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image-set", required=True, help="active, or a key of `image_sets` in a protocol.yaml")
    image_set = runs.load_image_set(parser.parse_args().image_set)
    manifest = arrays.read_split(image_set.study)

    unreadable = decoding.decode_all(
        manifest, image_set.study.raw, image_set.size, image_set.preprocessed, image_set.max_unreadable
    )
    write_json(
        {"images": len(manifest), "size": image_set.size, "unreadable": len(unreadable)}, image_set.preprocess_metrics
    )


if __name__ == "__main__":
    errors.run(main)
