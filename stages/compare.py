"""Stage compare: every published number beside ours, as tables and a figure."""

import argparse
from pathlib import Path

from rontgen import compare, errors, params


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    metrics = Path("metrics")

    frame = compare.compare(compare.load_papers(Path("papers.yaml")), metrics, params.load().profile)

    compare.write_tables(frame, metrics)
    compare.draw(frame, Path("plots/comparison.png"))
    print(compare.headline(frame))


if __name__ == "__main__":
    errors.run(main)
