"""Measure our code against named peers, print the table and write it to docs/performance.md: `make bench`.

Each row is measured in a process of its own, ours and the peer's in turn, so that the ratio comes from one machine and
one run; seconds alone say little about another machine.
"""

import argparse
import os
import time
from pathlib import Path

from rontgen.core import environment, errors, project
from rontgen.core.imports import keep_freed_memory
from rontgen.core.io import replacing

from . import fitting, preparing, reading, starting
from .common import Measured, Row, in_process

ROWS = reading.ROWS | fitting.ROWS | starting.ROWS | preparing.ROWS
PAGE = Path("docs/performance.md")
BEGIN, END = "<!-- what `make bench` measured -->", "<!-- until here -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--originals", type=Path, help="a zip of large JPEGs to decode, instead of drawn ones")
    parser.add_argument("--rows", nargs="*", choices=ROWS, help="these alone, and write no page")
    arguments = parser.parse_args()
    project.leave_hook()
    os.environ |= {"TQDM_DISABLE": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    begun = time.perf_counter()
    lines = ["| what | peer | ours | peer's | ratio | target | met |", "|---|---|---:|---:|---:|---:|---|"]
    notes = []
    for name in arguments.rows or ROWS:
        measured = in_process(measure, name, arguments.originals)
        lines.append(line(ROWS[name], measured))
        notes += [f"- {ROWS[name].subject}: {measured.note}."] if measured.note else []
        print(lines[-1], measured.note, flush=True)
    took = f"All of it took {(time.perf_counter() - begun) / 60:.0f} minutes."
    print(took)
    if not arguments.rows:
        write([machine(), "", *lines, "", *notes])


def measure(name: str, originals: Path | None) -> Measured:
    keep_freed_memory()  # as the stages do; but for the row that measures it, the peers gain by it too
    return ROWS[name].measure(originals)


def line(row: Row, measured: Measured) -> str:
    met = measured.ratio >= row.target if row.at_least else measured.ratio <= row.target
    sign = "≥" if row.at_least else "≤"
    ours, peer = (f"{value:,.3g} {row.unit}" if value < 1000 else f"{value:,.0f} {row.unit}" for value in
                  (measured.ours, measured.peer))  # fmt: skip
    cells = (row.subject, row.peer, ours, peer, f"{measured.ratio:.2f}", f"{sign} {row.target:.3g}")
    return f"| {' | '.join(cells)} | {'yes' if met else '**no**'} |"


def machine() -> str:
    python, *versions = (f"{name} {version}" for name, version in environment.packages().items())
    cores = len(os.sched_getaffinity(0))
    return f"{environment.machine()['processor']}, {cores} cores; {python.capitalize()}, {', '.join(versions)}."


def write(lines: list[str]) -> None:
    """Put the lines between the markers on the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    with replacing(PAGE) as path:
        path.write_text("\n".join([before + BEGIN, *lines, END + after]), encoding="utf-8")


if __name__ == "__main__":
    errors.run(main)
