"""Read X-rays from the command line: `python -m rontgen.predict FILE…` writes a CSV with a row for each file."""

import argparse
import csv
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from rontgen import errors
from rontgen.errors import RontgenError
from rontgen.files import replacing
from rontgen.reader import KINDS, MAX_BYTES, Reader, open_readers
from rontgen.runs import ACTIVE

SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")


def find(names: list[str]) -> list[Path]:
    """The files that names stand for: themselves, a folder's pictures at any depth (SUFFIXES), or a pattern's matches.

    Sorted within each name. Raises RontgenError for a name that stands for none.
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


def rows(reader: Reader, files: list[Path]) -> Iterator[dict]:
    """A row for each file, by the columns of `columns`; where one cannot be read, with the error alone."""
    for file in tqdm(files, desc="predict", unit="image", disable=None):
        try:
            with file.open("rb") as opened:
                reading = reader.read(opened.read(MAX_BYTES + 1))
        except (OSError, RontgenError) as error:
            yield {"file": file, "error": str(error)}
            continue
        yield {
            "file": file,
            "is_xray": reading.is_xray,
            "decision": reading.decision,
            "confidence": reading.confidence,
            **(reading.probabilities or {}),
            "error": "",
        }


def columns(reader: Reader) -> list[str]:
    """The columns of the CSV; a picture that is not read, or not diagnosed, leaves those it has nothing for empty."""
    return ["file", "is_xray", "decision", "confidence", *reader.classes, "error"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m rontgen.predict", description=__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE", help="JPEG, PNG or DICOM; a folder; or a pattern in quotes")
    parser.add_argument("--run", default=ACTIVE, help="active (the default), or a key of `reported` in params.yaml")
    parser.add_argument("--kind", choices=KINDS, default="keras", help="which of the run's model files (keras)")
    parser.add_argument("--output", type=Path, help="the CSV (default: standard output)")
    arguments = parser.parse_args()

    files = find(arguments.files)
    if arguments.output and arguments.output.is_dir():
        raise RontgenError(f"--output: expected a file to write, received the folder {arguments.output}: name a file")
    reader = open_readers([arguments.run], arguments.kind)[arguments.run]
    failed = 0
    with ExitStack() as stack:
        file = sys.stdout
        if arguments.output:
            path = stack.enter_context(replacing(arguments.output))
            file = stack.enter_context(path.open("w", newline="", encoding="utf-8", errors="surrogateescape"))
        writer = csv.DictWriter(file, columns(reader))
        writer.writeheader()
        for row in rows(reader, files):
            writer.writerow(row)
            failed += bool(row["error"])
    if failed:
        print(f"{failed} of {len(files)} files could not be read: see the column error", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    errors.run(main)
