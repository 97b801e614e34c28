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
    for layout, slug in dataset.archives.items():
        path = folder / archives.archive_name(slug)
        if profile.source == "kaggle":
            from rontgen import kaggle_source  # only here: the demo needs no Kaggle client

            fetched = kaggle_source.fetch(slug, CACHE, command=f"dvc repro download@{name}")
            with replacing(path) as temporary:
                shutil.copyfile(fetched.path, temporary)
            sha256 = fetched.sha256
        else:
            from rontgen import synthetic

            synthetic.write_archive(layout, path, profile.image_size, profile.seed)
            sha256 = archives.sha256(path)
        source[path.name] = {
            "source": profile.source,
            "slug": slug,
            "sha256": sha256,
            "bytes": path.stat().st_size,
        }
    write_json(source, folder / "SOURCE.json")


if __name__ == "__main__":
    errors.run(main)
