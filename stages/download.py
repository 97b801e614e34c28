"""Stage download: the archives of a dataset, as the zips they are, in data/raw: from Kaggle, or drawn."""

import argparse
import shutil
from pathlib import Path

from rontgen import archives, errors, runs
from rontgen.files import replacing, write_json

# Where downloads are kept, shared by the datasets; a zip put here by hand is used instead of a download
CACHE = Path("data/archives")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, help="a key of `datasets` in params.yaml")
    name = parser.parse_args().dataset
    dataset, profile = runs.load_dataset(name)
    folder = Path("data/raw", name)

    source = {}
    if profile.source == "kaggle":
        from rontgen import kaggle_source  # only here: the demo needs no Kaggle client

        command = f"dvc repro download@{name}"
        # all of them first, so that a dataset is whole or not there
        fetched = [kaggle_source.fetch(slug, CACHE, command=command) for slug in dataset.archives.values()]
        for archive in fetched:
            with replacing(folder / archive.path.name) as temporary:
                shutil.copyfile(archive.path, temporary)
    else:
        from rontgen import synthetic

        for layout, slug in dataset.archives.items():
            synthetic.write_archive(layout, folder / archives.archive_name(slug), profile.image_size, profile.seed)
    for slug in dataset.archives.values():
        path = folder / archives.archive_name(slug)
        facts = {"sha256": archives.sha256(path), "bytes": path.stat().st_size}
        source[path.name] = {"source": profile.source, "slug": slug, **facts}
    write_json(source, folder / "SOURCE.json")


if __name__ == "__main__":
    errors.run(main)
