"""Stage compare: a verdict on every published row and a description of every other number, as tables and a figure."""

import argparse
from pathlib import Path

from rontgen import claims, claims_figure, claims_shown, compare, errors, papers, params, records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", action="store_true", help="print paper, real evidence and verdict, and write nothing")
    show = parser.parse_args().show

    published, values = papers.load_papers(Path("papers.yaml")), params.load()
    ledger = compare.compare(published, values, records.read_all(), compare.workspace(values))

    if show:
        print(claims_shown.show(ledger))
        return
    claims.write(ledger, published, Path("metrics"))
    claims_figure.draw(ledger.endpoints, Path("plots/claims.png"))


if __name__ == "__main__":
    errors.run(main)
