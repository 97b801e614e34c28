"""Stage compare: a verdict on every published number, with its evidence, as tables and a figure."""

import argparse
from pathlib import Path

from rontgen import claims, compare, errors, papers, params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", action="store_true", help="print the table of runs and write nothing")
    show = parser.parse_args().show
    metrics = Path("metrics")

    ledger = compare.compare(papers.load_papers(Path("papers.yaml")), params.load(), metrics)

    if show:
        print(claims.show(ledger))
        return
    claims.write(ledger, metrics)
    claims.draw(ledger, Path("plots/claims.png"))


if __name__ == "__main__":
    errors.run(main)
