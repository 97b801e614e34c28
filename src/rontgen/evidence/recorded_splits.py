"""The exact splits of the records, in results/splits/<split>.csv: a row for each image, a column for each split.

A column is named by the first digits of its SHA-256, so that one split is there once, however many records used it. Its
values are tr (training), va (validation), te (test) and nothing, for an image that is in no subset.
"""

from hashlib import sha256
from pathlib import Path

import pandas as pd

from rontgen.core.errors import RontgenError
from rontgen.core.io import write_csv
from rontgen.core.sections import SUBSETS

FOLDER = "splits"
SHORT = {name: name[:2] for name in SUBSETS}


def write(name: str, manifest: pd.DataFrame, results: Path) -> str:
    """Add a manifest (columns id and subset) to the splits of that name; returns its column."""
    subsets = manifest.set_index("id")["subset"].map(SHORT).sort_index()
    column = sha256(subsets.to_csv(header=False).encode()).hexdigest()[:8]
    path = results / FOLDER / f"{name}.csv"
    table = _read(path) if path.exists() else pd.DataFrame(index=pd.Index([], name="id"))
    if column not in table:
        table = table.join(subsets.rename(column), how="outer").sort_index()
        write_csv(table.reset_index(), path)
    return column


def read(name: str, column: str, results: Path) -> pd.Series:
    """The subset of each image of a split, by id. Raises RontgenError where it is missing."""
    path = results / FOLDER / f"{name}.csv"
    if not path.exists() or column not in (table := _read(path)):
        raise RontgenError(f"{path}: expected a column {column}, received none: run `git checkout {path}`")
    return table[column].map({short: subset for subset, short in SHORT.items()}).dropna()


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, index_col="id")
