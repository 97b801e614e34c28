"""Stage compare: a verdict on every published row and a description of every other number, as tables and figures."""

import argparse
from pathlib import Path

from rontgen.core import errors, params
from rontgen.core.papers import load_papers
from rontgen.evidence import records, verdict_table, verdicts
from rontgen.evidence.ledger import write
from rontgen.reporting import record_plot, verdict_plot


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", action="store_true", help="print paper, real evidence and verdict, and write nothing")
    show = parser.parse_args().show

    values, found = params.load(), records.read_all()
    ledger = verdicts.compare(load_papers(), values, found, verdicts.workspace(values))

    if show:
        print(verdict_table.show(ledger))
        return
    write(ledger, Path("metrics"))
    verdict_plot.draw(ledger.endpoints, Path("plots/claims.png"))
    for run, readings in records.by_run(found).items():
        seeds = {name: [(one.roc, one.history) for one in group] for name, group in readings.items()}
        record_plot.draw(run, seeds, Path("plots/records", f"{run}.png"))


if __name__ == "__main__":
    errors.run(main)
