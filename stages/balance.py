"""Stage balance: synthetic training images for the smaller classes, with their parents."""

import argparse

import numpy as np
import pandas as pd

from rontgen.core import errors, runs
from rontgen.core.runs import ImageSet
from rontgen.data import arrays, smote


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image-set", required=True, help="active, or a key of `image_sets` in a protocol.yaml")
    image_set = runs.load_image_set(parser.parse_args().image_set)

    manifest, pixels = arrays.read_manifest(image_set), arrays.read_images(image_set)
    if image_set.balance == "none":
        synthetic = smote.no_balance(pixels)
    else:
        parents = manifest[manifest["subset"].isin(smote.PARENTS[image_set.balance])]
        classes, ids = parents["class"].to_numpy(), parents["id"].to_numpy()
        synthetic = smote.smote(pixels[parents.index], classes, ids, image_set.split.rule.seed)
    smote.write(synthetic, image_set.balanced)
    draw(image_set, manifest, pixels, synthetic)
    test = manifest.loc[manifest["subset"] == "test", "id"]
    from_test = synthetic.rows[["first", "second"]].isin(test.tolist()).any(axis=1).sum()
    print(f"{len(synthetic.rows)} synthetic images, {from_test} of them with a parent in the test subset")


def draw(image_set: ImageSet, manifest: pd.DataFrame, pixels: np.ndarray, synthetic: smote.Synthetic) -> None:
    """What the images are: their numbers, some of each class and subset, and some of SMOTE's with their parents."""
    from rontgen.reporting import data_plots

    groups = manifest.groupby(["subset", "class"], sort=False)  # the manifest is in order of both
    counts = groups.size().rename("real").reset_index()
    made = synthetic.rows["class"].value_counts()
    counts["synthetic"] = counts["class"].map(made).fillna(0).astype(int).where(counts["subset"] == "train", 0)
    data_plots.class_counts(counts, image_set.name, image_set.balance_plots / "class_counts.png")

    sheet = {key: pixels[rows.index[: data_plots.SHEET_COLUMNS], :, :, 0] for key, rows in groups}
    data_plots.contact_sheet(sheet, image_set.name, image_set.balance_plots / "contact_sheet.png")

    place = pd.Series(manifest.index, manifest["id"])
    chosen = np.unique(np.linspace(0, len(synthetic.rows) - 1, min(4, len(synthetic.rows))).astype(int))
    examples = [
        (
            pixels[place[row["first"]], :, :, 0],
            image[:, :, 0],
            pixels[place[row["second"]], :, :, 0],
            row["step"],
            row["class"],
        )
        for image, (_, row) in zip(synthetic.images[chosen], synthetic.rows.iloc[chosen].iterrows(), strict=True)
    ]
    if examples:
        data_plots.smote_examples(examples, image_set.name, image_set.balance_plots / "smote.png")


if __name__ == "__main__":
    errors.run(main)
