"""Stage balance: synthetic images for the smaller classes of the training subset, with their parents."""

import argparse

from rontgen import balance, datasets, errors, runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--view", required=True, help="active, or a key of `views` in params.yaml")
    view = runs.load_view(parser.parse_args().view)

    manifest, pixels = datasets.read_manifest(view), datasets.read_images(view)
    if view.balance == "smote":
        train = manifest[manifest["subset"] == "train"]
        classes, ids = train["class"].to_numpy(), train["id"].to_numpy()
        synthetic = balance.smote(pixels[train.index], classes, ids, view.study.split.seed)
    else:
        synthetic = balance.no_balance(pixels)
    balance.write(synthetic, view.balanced)
    print(f"{len(synthetic.rows)} synthetic images")


if __name__ == "__main__":
    errors.run(main)
