"""Stage compare: what each recorded row reaches, as a metric; the figures of the verdicts and of the architectures."""

import argparse
import math
from pathlib import Path

from rontgen.claims import architectures, studies
from rontgen.claims.studies import Study
from rontgen.core import errors, params
from rontgen.core.io import write_json
from rontgen.core.papers import load_papers
from rontgen.records import records
from rontgen.reporting import architectures_plot, terminal, verdicts_plot


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    help_ = "print the verdicts, or which runs of the demo learn; write no file"
    parser.add_argument("--show", choices=["verdicts", "demo"], help=help_)
    show = parser.parse_args().show

    values = params.load()
    if show == "demo":
        print(terminal.demo(values) if values.profile == "demo" else "The profile is paper: there is no demo to show.")
        return
    recorded = records.read_all()
    found = studies.gather(load_papers(), values, recorded)

    if show == "verdicts":
        print(terminal.show(found))
        return
    write_json(reported(found), Path("metrics/reported.json"))
    verdicts_plot.draw(found, Path("plots/claims.png"))
    architectures_plot.draw(architectures.gather(recorded), Path("plots/architectures.png"))


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
