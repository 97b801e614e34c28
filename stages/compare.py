"""Stage compare: every published number beside ours, as tables and a figure."""

import argparse
from pathlib import Path

from rontgen import compare, errors, params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", action="store_true", help="print the table of runs and write nothing")
    show = parser.parse_args().show
    metrics = Path("metrics")

    frame = compare.compare(compare.load_papers(Path("papers.yaml")), metrics, params.load().profile)

    if show:
        print(compare.headline(frame))
        return
    compare.write_tables(frame, metrics)
    compare.draw(frame, Path("plots/comparison.png"))


if __name__ == "__main__":
    errors.run(main)
