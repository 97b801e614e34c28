"""Stage preprocess: decode a study's images once, to grayscale arrays of one size."""

import argparse

from rontgen.core import errors, runs
from rontgen.core.io import write_json
from rontgen.data import arrays, decoding


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--view", required=True, help="active, or a key of `views` in params.yaml")
    view = runs.load_view(parser.parse_args().view)
    manifest = arrays.read_split(view.study)

    unreadable = decoding.decode_all(manifest, view.study.raw, view.size, view.preprocessed, view.max_unreadable)
    write_json({"images": len(manifest), "size": view.size, "unreadable": len(unreadable)}, view.preprocess_metrics)


if __name__ == "__main__":
    errors.run(main)
