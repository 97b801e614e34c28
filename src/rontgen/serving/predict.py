"""Predict X-ray files: a CSV with a row for each."""

import csv
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from glob import glob
from pathlib import Path

from tqdm import tqdm

from rontgen.core.errors import RontgenError
from rontgen.core.io import replacing
from rontgen.data.archives import CLUTTER
from rontgen.serving import dicom
from rontgen.serving.predictor import MAX_BYTES, Trained, open_predictors

# What names a picture, as its first bytes do: DICOM files often have no suffix, or another
SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


def find(names: list[str]) -> tuple[list[Path], list[Path]]:
    """The files that names refer to, and what was skipped in folders.

    A name is a file, a folder, which stands for its pictures at any depth, or a pattern of these. A linked folder is
    skipped. Sorted within each name. Raises RontgenError for a name without a file, and OSError for a folder that
    cannot be read.
    """
    found: dict[Path, None] = {}
    skipped: dict[Path, None] = {}
    for name in names:
        path, files = Path(name), []
        matches = [path] if path.exists() else map(Path, glob(name, recursive=True))  # noqa: PTH207 - Path's raises for `**x`
        for match in matches:
            inside = {file: _is_picture(file, match) for file in _files_in(match)} if match.is_dir() else {match: True}
            files += [file for file, is_picture in inside.items() if is_picture]
            skipped |= dict.fromkeys(sorted(inside.keys() - set(files)))
        if not files:
            raise RontgenError(
                f"{name}: expected a file, a pattern, or a folder with JPEG, PNG or DICOM files, received none: check "
                "its name"
            )
        found |= dict.fromkeys(sorted(files))
    return list(found), [file for file in skipped if file not in found]


def _files_in(folder: Path) -> Iterator[Path]:
    """All that lies in a folder at any depth but folders; linked ones too."""

    def refuse(error: OSError) -> None:
        raise error

    for where, folders, files in os.walk(folder, onerror=refuse):
        for entry in (Path(where, name) for name in files + folders):
            if entry.is_symlink() or not entry.is_dir():
                yield entry


def _is_picture(file: Path, folder: Path) -> bool:
    """By its name or its first bytes. One that cannot be read counts, for its row to say why."""
    if not file.is_file() or CLUTTER.search(file.relative_to(folder).as_posix()) or file.name == "DICOMDIR":
        return False
    try:
        with file.open("rb") as opened:
            begin = opened.read(132)
    except OSError:
        return True
    return file.suffix.lower() in SUFFIXES or begin.startswith(SIGNATURES) or dicom.is_dicom(begin)


def write(names: list[str], trained: Trained, kind: str, output: Path | None) -> bool:
    """Predict the files that names refer to, and write a CSV with a row for each, to standard output if `output` is
    None; on standard error, how many were skipped, are out of distribution, or could not be read.

    Of a file that cannot be read, or is out of distribution, most columns are empty. Returns whether all could be read.
    Raises RontgenError if `output` is a folder, or a file of the model is missing, and as `find` does.
    """
    files, skipped = find(names)
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
    for count, note in (
        (len(skipped), f"skipped as no JPEG, PNG or DICOM: {', '.join(map(str, skipped[:3]))}"),
        (refused, f"of {len(files)} files are unlike {trained.xrays}: no decision"),
        (failed, f"of {len(files)} files could not be read: see the column error"),
    ):
        if count:
            print(count, note, file=sys.stderr)
    return not failed
