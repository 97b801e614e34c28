"""The numbers of the README are those of the files that programs wrote."""

import pandas as pd

from conftest import ROOT


def results_table():
    """A line for each published row and reading that has records, from metrics/endpoints.csv."""
    rows = pd.read_csv(ROOT / "metrics/endpoints.csv", dtype={"paper": str})
    for row in rows[rows["seeds"] > 0].itertuples():
        reading = row.reading.replace("_", " ")
        interval = f" ({row.low:.2f}–{row.high:.2f})" if row.seeds > 1 else ""
        ours = f"{row.mean:.3f}{interval}"
        yield f"| `{row.run}` | {row.paper} | {reading} | {row.seeds:.0f} | {ours} | {row.verdict} |"


def test_the_table_of_results_is_that_of_the_records():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    start = lines.index(
        "| published row | paper | reading | seeds | mean of ours (95% prediction interval) | verdict |"
    )
    end = lines.index("", start)
    assert lines[start + 2 : end] == list(results_table())
