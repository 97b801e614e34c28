"""Stage download: the zips of a dataset in data/raw: from data/archives, from Kaggle, or the demo's."""

import argparse
from pathlib import Path

from rontgen.core import errors, runs
from rontgen.core.io import link_or_copy, replacing, write_json
from rontgen.data import by_hand
from rontgen.data.archives import archive_name
from rontgen.data.unpacked import open_archive

# Where downloads are kept, shared by the datasets
CACHE = Path("data/kaggle")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, help="a key of `datasets` in params.yaml")
    name = parser.parse_args().dataset
    dataset, profile = runs.load_dataset(name)
    listed = by_hand.read("archives", name)
    folder, made, verified = Path("data/raw", name), {}, dict[str, str]()

    if profile.source == "kaggle":
        from rontgen.data import kaggle

        command = f"dvc repro download@{name}"
        # all of them first, so that a dataset is whole or not there
        found = [kaggle.get_archive(source, listed, CACHE, command=command) for source in dataset.archives.values()]
        for path, sha256 in found:
            with replacing(folder / path.name) as temporary:
                link_or_copy(path, temporary)
            verified[path.name] = sha256
    else:
        from rontgen.data import demo

        for layout, source in dataset.archives.items():
            path = folder / archive_name(source.slug)
            made[path.name] = demo.write_archive(name, layout, path, profile.image_size, profile.seed)
    facts = {}
    for source in dataset.archives.values():
        path = folder / archive_name(source.slug)
        origin = made.get(path.name, "kaggle") if path.exists() else "by hand, unpacked"
        origin = "by hand" if path.name in listed else origin
        with open_archive(path) as archive:
            facts[path.name] = {
                "source": origin,
                "slug": source.slug,
                "sha256": verified.get(path.name) or archive.sha256(),
                "bytes": archive.size,
            }
    write_json(facts, folder / "SOURCE.json")


if __name__ == "__main__":
    errors.run(main)
