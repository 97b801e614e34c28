"""Stage external: films of other archives, and for the active run its test images perturbed, at the model's size."""

import argparse

import numpy as np
import pandas as pd

from rontgen.core import errors, params, runs
from rontgen.core.errors import RontgenError
from rontgen.data import arrays, external
from rontgen.serving import ood


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image-set", required=True, help="active, or a key of `image_sets` in a protocol.yaml")
    image_set = runs.load_image_set(parser.parse_args().image_set)
    values = params.load()
    rows = [external.films(image_set.study.dataset, values.profiles[values.profile].download.source)]
    if image_set.name == runs.ACTIVE:
        rows.append(external.perturbed(arrays.read_manifest(image_set), image_set.study.raw))

    table, images = external.decode(pd.concat(rows, ignore_index=True), image_set.size)
    subsets = arrays.read_subsets(image_set)
    external.write(table.assign(unfamiliar=unfamiliar(images, subsets)), images, image_set.external)
    counts = table[table["perturbation"] == ""].groupby("source").size()
    print(f"{image_set.name}: {', '.join(f'{n} films of {name}' for name, n in counts.items()) or 'no film at hand'}")


def unfamiliar(images: np.ndarray, subsets: dict[str, np.ndarray]) -> np.ndarray:
    """Which images the out-of-distribution check refuses, 0 or 1; none where it has too few to learn from."""
    if len(images) == 0:
        return np.zeros(0, int)
    try:
        return ood.fit(subsets["train"], subsets["validation"]).flags(images).astype(int)
    except RontgenError:
        return np.zeros(len(images), int)


if __name__ == "__main__":
    errors.run(main)
