"""Predict X-ray files: a CSV with a row for each."""

import csv
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from rontgen.core.errors import RontgenError
from rontgen.core.io import replacing
from rontgen.serving.predictor import MAX_BYTES, Predictor, Trained, open_predictors

SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")


def find(names: list[str]) -> list[Path]:
    """The files that names refer to: a file, a folder's pictures at any depth (SUFFIXES), or a pattern's matches.

    Sorted within each name. Raises RontgenError for a name without a file.
    """
    found = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            matches = [file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file()]
        elif path.exists():
            matches = [path]
        else:
            try:
                matches = [match for match in Path(path.anchor).glob(name.removeprefix(path.anchor)) if match.is_file()]
            except ValueError as error:
                raise RontgenError(f"{name}: expected a pattern, received one where {str(error).lower()}") from None
        if not matches:
            raise RontgenError(
                f"{name}: expected a file, a pattern, or a folder with {', '.join(SUFFIXES)}, received none: "
                "check its name"
            )
        found += sorted(matches)
    return list(dict.fromkeys(found))


def rows(predictor: Predictor, files: list[Path]) -> Iterator[dict]:
    """A row for each file, with the columns of `columns`; one that cannot be read has only the error."""
    for file in tqdm(files, desc="predict", unit="image", disable=None):
        try:
            with file.open("rb") as opened:
                prediction = predictor.read(opened.read(MAX_BYTES + 1))
        except (OSError, RontgenError) as error:
            yield {"file": file, "error": str(error)}
            continue
        yield {
            "file": file,
            "in_distribution": prediction.in_distribution,
            "decision": prediction.decision,
            "confidence": prediction.confidence,
            **(prediction.probabilities or {}),
            "error": "",
        }


def columns(predictor: Predictor) -> list[str]:
    """The columns of the CSV. A file that cannot be read, or is out of distribution, leaves most of them empty."""
    return ["file", "in_distribution", "decision", "confidence", *predictor.classes, "error"]


@dataclass(frozen=True)
class Summary:
    """Numbers of files: all, those that could not be read, and those out of distribution."""

    files: int
    failed: int
    refused: int


def write(files: list[Path], trained: Trained, kind: str, output: Path | None) -> Summary:
    """Predict the files and write the CSV, to standard output if `output` is None.

    Raises RontgenError if `output` is a folder, or a file of the model is missing.
    """
    if output and output.is_dir():
        raise RontgenError(f"--output: expected a file to write, received the folder {output}: name a file")
    (predictor,) = open_predictors([trained], kind).values()
    failed = refused = 0
    with ExitStack() as stack:
        file = sys.stdout
        if output:
            path = stack.enter_context(replacing(output))
            file = stack.enter_context(path.open("w", newline="", encoding="utf-8", errors="surrogateescape"))
        writer = csv.DictWriter(file, columns(predictor))
        writer.writeheader()
        for row in rows(predictor, files):
            writer.writerow(row)
            failed += bool(row["error"])
            refused += row.get("in_distribution") is False
    return Summary(len(files), failed, refused)
