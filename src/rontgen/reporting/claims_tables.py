"""Read the tables of the claims ledger, for the report and the page."""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from rontgen.core.io import require

CLAIMS = Path("metrics/claims.csv")
ENDPOINTS = Path("metrics/endpoints.csv")
LEAKAGE_GAP = Path("metrics/leakage_gap.json")


def read_table(path: Path, command: str) -> pd.DataFrame:
    """A table of the ledger, CLAIMS or ENDPOINTS, every cell as text.

    Raises RontgenError, naming the command that makes it, if it is missing.
    """
    return pd.read_csv(require(path, command), dtype=str, keep_default_na=False)


def shown(endpoints: pd.DataFrame) -> list[dict[str, str]]:
    """The rows of ENDPOINTS that a page shows: each published row by the protocol, the first, and treatments that were
    run."""
    return endpoints[~endpoints.duplicated("run") | (endpoints["seeds"] != "0")].to_dict("records")


def contradictions(claims: pd.DataFrame) -> list[dict[str, Any]]:
    """For each run, or whole study, that contradicts itself: run, rows (its contradictory claims) and sums (why)."""
    found = claims[claims["finding"] == "contradictory"]
    result = []
    for run, rows in found.groupby("run", sort=False):
        # a claim gives all its sums with a semicolon between them, and one kind of sum goes on after one
        sums = [part for reason in rows["reason"] for part in re.split(r"; (?!with )", reason)]
        result.append({"run": run, "rows": rows.to_dict("records"), "sums": list(dict.fromkeys(sums))})
    return result
