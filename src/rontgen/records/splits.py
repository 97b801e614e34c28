"""The exact splits of the records, in results/splits: DATASET.csv.gz has a row for each image, a column for each split.

A column is named by the first digits of its SHA-256, so that one split is there once, however many records used it. Its
values are tr (training), va (validation), te (test) and nothing, for an image that is in no subset. patients.csv.gz has
the patient of each image that has a known one.
"""

from hashlib import sha256
from pathlib import Path

import pandas as pd

from rontgen.core.errors import RontgenError
from rontgen.core.io import write_csv
from rontgen.core.settings import SUBSETS

FOLDER = "splits"
PATIENTS = "patients"
SHORT = {name: name[:2] for name in SUBSETS}


def write(dataset: str, manifest: pd.DataFrame, results: Path) -> str:
    """Add a manifest (columns id, patient and subset) to the splits of a dataset; returns its column."""
    subsets = manifest.set_index("id")["subset"].map(SHORT).sort_index()
    column = sha256(subsets.to_csv(header=False).encode()).hexdigest()[:8]
    table = _read(dataset, results)
    if column not in table:
        table = table.join(subsets.rename(column), how="outer").sort_index()
        write_csv(table.reset_index(), _path(dataset, results))
    known, named = read_patients(results), manifest[manifest["patient"] != ""]
    patients = named.assign(id=image_of(named["id"])).drop_duplicates("id").set_index("id")["patient"]
    patients = patients[~patients.index.isin(known.index)]
    if len(patients):
        write_csv(pd.concat([known, patients]).sort_index().reset_index(), _path(PATIENTS, results))
    return column


def read(dataset: str, column: str, results: Path) -> pd.Series:
    """The subset of each image of a split, by id. Raises RontgenError where it is missing."""
    table = _read(dataset, results)
    if column not in table:
        path = _path(dataset, results)
        raise RontgenError(f"{path}: expected a column {column}, received none: run `git checkout {path}`")
    return table[column].map({short: subset for subset, short in SHORT.items()}).dropna()


def read_patients(results: Path) -> pd.Series:
    """The patient of each image, by id without a copy's number; images of unknown patients are missing."""
    table = _read(PATIENTS, results)
    return table["patient"] if "patient" in table else pd.Series(dtype=str, index=table.index, name="patient")


def image_of(ids: pd.Series) -> pd.Series:
    """Ids of images, those of copies (-2, …) as their original's."""
    return ids.astype(str).str.replace(r"-\d+$", "", regex=True)


def _path(name: str, results: Path) -> Path:
    return results / FOLDER / f"{name}.csv.gz"


def _read(name: str, results: Path) -> pd.DataFrame:
    path = _path(name, results)
    if not path.exists():
        return pd.DataFrame(index=pd.Index([], name="id"))
    return pd.read_csv(path, dtype=str, index_col="id")
