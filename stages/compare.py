"""Stage compare: a verdict on every published row, as a metric and a figure."""

import argparse
import math
from pathlib import Path

from rontgen.claims import studies
from rontgen.claims.studies import Study
from rontgen.core import errors, params
from rontgen.core.io import write_json
from rontgen.core.papers import load_papers
from rontgen.records import records
from rontgen.reporting import terminal, verdicts_plot


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--show", action="store_true", help="print the verdicts and, in the demo, what it learnt; no file"
    )
    show = parser.parse_args().show

    values = params.load()
    found = studies.gather(load_papers(), values, records.read_all())

    if show:
        print(terminal.show(found))
        if values.profile == "demo":
            print("", terminal.demo(values), sep="\n")
        return
    write_json(reported(found), Path("metrics/reported.json"))
    verdicts_plot.draw(found, Path("plots/claims.png"))


def reported(found: list[Study]) -> dict[str, dict[str, dict[str, float]]]:
    """By published row and treatment, of those that are recorded: mean accuracy, seeds, and bound if there is one."""
    values: dict[str, dict[str, dict[str, float]]] = {}
    for study in found:
        for row in study.rows:
            if row.replication:
                entry = {"accuracy": row.replication.mean, "seeds": len(row.records), "bound": row.replication.bound}
                values.setdefault(row.run, {})[row.treatment] = {
                    name: round(value, 6) for name, value in entry.items() if not math.isnan(value)
                }
        for drawn in study.completions:
            mean = float(drawn.scores("accuracy").mean())
            values.setdefault(drawn.run, {})["random_completion"] = {
                "accuracy": round(mean, 6), "seeds": len(drawn.records)
            }  # fmt: skip
    return values


if __name__ == "__main__":
    errors.run(main)
