"""The out-of-distribution check on real X-rays it has not seen: of its own archive, of others, and no X-rays."""

import numpy as np
from PIL import Image

from rontgen.core import runs
from rontgen.core.runs import ImageSet
from rontgen.data import arrays
from rontgen.serving import ood, ood_probes


def measure(image_sets: list[str]) -> dict[str, dict]:
    """How often the check flags a picture, by the image set it was fitted on, ready for JSON.

    Of each image set: dataset, size (pixels), what ood_probes.measure gives (false_alarm, no_xray and caught), and
    others: of each class of every other dataset its test images, resized, as {value, low, high, images} with the exact
    95% interval; not of a class from an archive that the image set has too. Raises RontgenError where images are
    missing.
    """
    sets = [runs.load_image_set(name) for name in image_sets]
    tests: dict[str, tuple[ImageSet, dict[str, np.ndarray]]] = {}
    for image_set in sets:
        tests.setdefault(image_set.split.dataset_name, (image_set, _test_images(image_set)))
    found = {}
    for name, image_set in zip(image_sets, sets, strict=True):
        subsets = arrays.read_subsets(image_set)
        reference = ood.fit(subsets["train"], subsets["validation"])
        others = {
            dataset: {
                label: ood_probes.proportion(reference.flags(_resized(images, image_set.size)))
                for label, images in classes.items()
                if not _archives(other, label) & set(image_set.split.dataset.archives)
            }
            for dataset, (other, classes) in tests.items()
        }
        found[name] = (
            {"dataset": image_set.split.dataset_name, "size": image_set.size}
            | ood_probes.measure(reference, subsets["test"], image_set.size)
            | {"others": {dataset: classes for dataset, classes in others.items() if classes}}
        )
    return found


def _archives(image_set: ImageSet, label: str) -> set[str]:
    """The archives that a class comes from."""
    return {archive for archive, labels in image_set.split.dataset.labels.items() if label in labels.values()}


def _test_images(image_set: ImageSet) -> dict[str, np.ndarray]:
    """The test images of each class: uint8 (N, H, W, 1)."""
    manifest, images = arrays.read_manifest(image_set), arrays.read_images(image_set)
    test = manifest[manifest["subset"] == "test"]
    return {label: images[test.index[test["class"] == label]] for label in image_set.split.dataset.classes}


def _resized(images: np.ndarray, size: int) -> np.ndarray:
    """uint8 (N, size, size, 1)."""
    made = [Image.fromarray(image[..., 0]).resize((size, size), Image.Resampling.BOX) for image in images]
    return np.stack([np.asarray(image) for image in made])[..., None]
