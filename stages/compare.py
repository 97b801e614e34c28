"""Stage compare: a verdict on every published row and a description of every other number, as tables and a figure."""

import argparse
from pathlib import Path

from rontgen.core import errors, params
from rontgen.evidence import records, verdict_table, verdicts
from rontgen.evidence.ledger import write
from rontgen.evidence.published import load_papers
from rontgen.reporting import verdict_plot


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", action="store_true", help="print paper, real evidence and verdict, and write nothing")
    show = parser.parse_args().show

    published, values = load_papers(Path("papers.yaml")), params.load()
    ledger = verdicts.compare(published, values, records.read_all(), verdicts.workspace(values))

    if show:
        print(verdict_table.show(ledger))
        return
    write(ledger, published, Path("metrics"))
    verdict_plot.draw(ledger.endpoints, Path("plots/claims.png"))


if __name__ == "__main__":
    errors.run(main)
