"""Stage preprocess: decode once, to grayscale arrays of one size, a study's images and X-rays from elsewhere."""

import argparse

import numpy as np
import pandas as pd

from rontgen.core import errors, params, runs
from rontgen.core.errors import RontgenError
from rontgen.data import arrays, decoding, external
from rontgen.serving import ood


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image-set", required=True, help="active, or a key of `image_sets` in a protocol.yaml")
    image_set = runs.load_image_set(parser.parse_args().image_set)
    split, manifest, values = image_set.split, arrays.read_split(image_set.split), params.load()
    films = external.films(split.dataset, values.profiles[values.profile].download.source)

    decoding.decode_all(manifest, split.raw, image_set.size, image_set.preprocessed, image_set.max_unreadable)
    if image_set.name == runs.ACTIVE:  # its test images too, as a hospital may alter them
        films = pd.concat([films, external.perturbed(arrays.read_manifest(image_set), split.raw)], ignore_index=True)
    rows, images = external.decode(films, image_set.size)
    unfamiliar = out_of_distribution(images, arrays.read_subsets(image_set))
    external.write(rows.assign(unfamiliar=unfamiliar), images, image_set.external)


def out_of_distribution(images: np.ndarray, subsets: dict[str, np.ndarray]) -> np.ndarray:
    """Which images the out-of-distribution check refuses, 0 or 1; none where it has too few to learn from."""
    if len(images) == 0:
        return np.zeros(0, int)
    try:
        return ood.fit(subsets["train"], subsets["validation"]).flags(images).astype(int)
    except RontgenError:
        return np.zeros(len(images), int)


if __name__ == "__main__":
    errors.run(main)
