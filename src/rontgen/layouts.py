"""Readers for the four Kaggle archives: which members are images, of which label, patient and official folder."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from rontgen.archives import Archive
from rontgen.errors import RontgenError


@dataclass(frozen=True)
class Record:
    """One image of an archive: its member, the archive's own label, patient ("" where unknown) and folder."""

    member: str
    label: str
    patient: str = ""
    folder: str = ""  # train | val | test where the archive has a split of its own, else ""


@dataclass(frozen=True)
class Reading:
    """The images of an archive, and how many members were left out, by reason."""

    records: list[Record]
    left_out: dict[str, int]


def read(layout: str, archive: Archive) -> Reading:
    """List the images of an archive in one of the layouts, nested copies not counted.

    Raises RontgenError for an unknown layout, an archive with no image in it, or one whose labels contradict
    each other.
    """
    if layout not in LAYOUTS:
        raise RontgenError(f"layout: expected one of {', '.join(LAYOUTS)}, received {layout!r}")
    reading = LAYOUTS[layout](archive)
    if not reading.records:
        raise RontgenError(f"{archive.path}: expected the layout {layout}, found no image where it has them")
    return reading


def _chest_xray(archive: Archive) -> Reading:
    """`chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}/*.jpeg`, once more under `chest_xray/chest_xray/`."""
    pattern = re.compile(r"(?:chest_xray/)+((train|val|test)/(NORMAL|PNEUMONIA)/([^/]+)\.jpe?g)", re.IGNORECASE)
    seen = {}
    records, left_out = [], Counter()
    # the shallowest path first, so that it is the nested copy that goes
    for member in sorted(archive.members(), key=lambda member: (member.name.count("/"), member.name)):
        match = pattern.fullmatch(member.name)
        if match is None:
            left_out["not an image of a class"] += 1
            continue
        path, folder, label, stem = match.groups()
        if seen.get(path) == (member.crc, member.size):
            left_out["nested copies"] += 1
            continue
        seen.setdefault(path, (member.crc, member.size))
        records.append(Record(member.name, label.upper(), chest_xray_patient(stem), folder.lower()))
    return Reading(records, dict(left_out))


def chest_xray_patient(stem: str) -> str:
    """The patient in a file name of `chest_xray`: personN, IM-N or NORMAL2-IM-N; "" where there is none.

    Kermany, Zhang, Goldbaum (2018) name files by disease, patient and image number.
    """
    match = re.match(r"(person\d+)_|((?:NORMAL2-)?IM-\d+)-", stem)
    return (match[1] or match[2]) if match else ""


def _covid_radiography(archive: Archive) -> Reading:
    """`{COVID,Lung_Opacity,Normal,Viral Pneumonia}/images/*.png`; `images/` is missing in older archives."""
    return _by_folder(archive, r"(?:[^/]+/)*(COVID|Lung_Opacity|Normal|Viral Pneumonia)/(?:images/)?[^/]+\.png")


def _tb_radiography(archive: Archive) -> Reading:
    """`TB_Chest_Radiography_Database/{Normal,Tuberculosis}/*.png`."""
    return _by_folder(archive, r"(?:[^/]+/)*(Normal|Tuberculosis)/[^/]+\.png")


def _by_folder(archive: Archive, pattern: str) -> Reading:
    matches = [(member.name, re.fullmatch(pattern, member.name)) for member in archive.members()]
    records = [Record(name, match[1]) for name, match in matches if match]
    masks = sum("/masks/" in name for name, match in matches if not match)
    left_out = {"masks": masks, "not an image of a class": len(matches) - len(records) - masks}
    return Reading(records, {reason: count for reason, count in left_out.items() if count})


def _siim_pneumothorax(archive: Archive) -> Reading:
    """`png_images/<index>_<train|test>_<0|1>_.png`, whose flag must agree with `stage_1_*_images.csv`."""
    flags = {}
    records, left_out = [], Counter()
    for member in archive.members():
        if re.fullmatch(r"(?:[^/]+/)*stage_1_(?:train|test)_images\.csv", member.name):
            rows = csv.DictReader(io.StringIO(archive.read(member.name).decode("utf-8-sig", errors="replace")))
            missing = {"new_filename", "has_pneumo"} - set(rows.fieldnames or ())
            if missing:
                raise RontgenError(f"{archive.path}: {member.name}: expected a column {sorted(missing)[0]!r}")
            flags.update((row["new_filename"], row["has_pneumo"]) for row in rows)
    if not flags:
        raise RontgenError(f"{archive.path}: expected stage_1_train_images.csv and stage_1_test_images.csv")
    for member in archive.members():
        match = re.fullmatch(r"(?:[^/]+/)*png_images/(\d+_(train|test)_([01])_\.png)", member.name)
        if match is None:
            left_out["masks" if "/png_masks/" in member.name else "not an image of a class"] += 1
            continue
        name, folder, flag = match.groups()
        if flags.get(name) != flag:
            raise RontgenError(
                f"{archive.path}: {name}: its name says has_pneumo {flag}, the CSV says {flags.get(name)}"
            )
        records.append(Record(member.name, "positive" if flag == "1" else "negative", folder=folder))
    return Reading(records, dict(left_out))


LAYOUTS: dict[str, Callable[[Archive], Reading]] = {
    "chest_xray": _chest_xray,
    "covid_radiography": _covid_radiography,
    "siim_pneumothorax": _siim_pneumothorax,
    "tb_radiography": _tb_radiography,
}
