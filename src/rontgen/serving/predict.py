"""Predict X-ray files: a CSV with a row for each."""

import csv
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from tqdm import tqdm

from rontgen.core.errors import RontgenError
from rontgen.core.io import replacing
from rontgen.serving.predictor import MAX_BYTES, Trained, open_predictors

SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")


def find(names: list[str]) -> list[Path]:
    """The files that names refer to: a file, a folder's pictures at any depth (SUFFIXES), or a pattern's matches.

    Sorted within each name. Raises RontgenError for a name without a file.
    """
    found = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            matches = [file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES]
        else:
            found_by_pattern = glob(name, recursive=True)  # noqa: PTH207 - Path.glob raises for `**x`
            matches = [path] if path.exists() else [Path(match) for match in found_by_pattern]
        files = sorted(match for match in matches if not match.is_dir())
        if not files:
            raise RontgenError(
                f"{name}: expected a file, a pattern, or a folder with {', '.join(SUFFIXES)}, received none: "
                "check its name"
            )
        found += files
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Summary:
    """Numbers of files: all, those that could not be read, and those out of distribution."""

    files: int
    failed: int
    refused: int


def write(files: list[Path], trained: Trained, kind: str, output: Path | None) -> Summary:
    """Predict the files and write a CSV with a row for each, to standard output if `output` is None.

    Of a file that cannot be read, or is out of distribution, most columns are empty. Raises RontgenError if `output` is
    a folder, or a file of the model is missing.
    """
    if output and output.is_dir():
        raise RontgenError(f"--output: expected a file to write, received the folder {output}: name a file")
    (predictor,) = open_predictors([trained], kind).values()
    columns = ["file", "in_distribution", "decision", "confidence", *predictor.classes, "error"]
    failed = refused = 0
    with ExitStack() as stack:
        file = sys.stdout
        if output:
            path = stack.enter_context(replacing(output))
            file = stack.enter_context(path.open("w", newline="", encoding="utf-8", errors="surrogateescape"))
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        for picture in tqdm(files, desc="predict", unit="image", disable=None):
            try:
                with picture.open("rb") as opened:
                    prediction = predictor.read(opened.read(MAX_BYTES + 1))
            except (OSError, RontgenError) as error:
                writer.writerow({"file": picture, "error": error})
                failed += 1
                continue
            writer.writerow({"file": picture} | vars(prediction) | (prediction.probabilities or {}))
            refused += not prediction.in_distribution
    return Summary(len(files), failed, refused)
