"""Stage download: the zips of a dataset in data/raw: from data/archives, from Kaggle, or drawn."""

import argparse
import shutil
from pathlib import Path

from rontgen.core import errors, runs
from rontgen.core.io import replacing, write_json
from rontgen.data import archives, by_hand, unpacked

# Where downloads are kept, shared by the datasets
CACHE = Path("data/kaggle")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, help="a key of `datasets` in params.yaml")
    name = parser.parse_args().dataset
    dataset, profile = runs.load_dataset(name)
    listed = by_hand.read("archives", name)
    folder = Path("data/raw", name)

    facts = {}
    if profile.source == "kaggle":
        from rontgen.data import kaggle

        command = f"dvc repro download@{name}"
        # all of them first, so that a dataset is whole or not there
        brought = [kaggle.bring(source, listed, CACHE, command=command) for source in dataset.archives.values()]
        for archive in brought:
            with replacing(folder / archive.name) as temporary:
                shutil.copyfile(archive, temporary)
    else:
        from rontgen.data.demo import archives as synthetic

        for layout, source in dataset.archives.items():
            path = folder / archives.archive_name(source.slug)
            synthetic.write_archive(layout, path, profile.image_size, profile.seed)
    for source in dataset.archives.values():
        path = folder / archives.archive_name(source.slug)
        if unpacked.index_of(path).exists():
            index = unpacked.Index.read(unpacked.index_of(path))
            origin, sha256, size = "by hand, unpacked", index.sha256, index.bytes
        else:
            origin = "by hand" if path.name in listed else profile.source
            sha256, size = archives.sha256(path), path.stat().st_size
        facts[path.name] = {"source": origin, "slug": source.slug, "sha256": sha256, "bytes": size}
    write_json(facts, folder / "SOURCE.json")


if __name__ == "__main__":
    errors.run(main)
