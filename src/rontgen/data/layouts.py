"""Readers for the four Kaggle archives: which members are images, of which label, patient and official folder."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rontgen.core.errors import RontgenError
from rontgen.data.archives import Readable


@dataclass(frozen=True)
class ArchiveImage:
    """One image of an archive: its member, the archive's own label, patient ("" where unknown) and folder."""

    member: str
    label: str
    patient: str = ""
    folder: str = ""  # train | val | test where the archive has a split of its own, else ""
    nested: bool = False  # a bit-identical copy in a folder within the archive that repeats all of it


@dataclass(frozen=True)
class Listing:
    """The images of an archive, and how many members were left out, by reason."""

    images: list[ArchiveImage]
    left_out: dict[str, int]


def read(layout: str, archive: Readable, keep_copies: bool = False) -> Listing:
    """List the images of an archive in one of the layouts, without its nested copies unless keep_copies is true.

    Raises RontgenError for an unknown layout, an archive without images, or contradictory labels.
    """
    if layout not in LAYOUTS:
        raise RontgenError(f"layout: expected one of {', '.join(LAYOUTS)}, received {layout!r}")
    listing = LAYOUTS[layout](archive)
    if not listing.images:
        names = [member.name for member in archive.members()]
        zips = [name for name in names if name.lower().endswith(".zip")]
        raise _error(
            archive,
            f"expected images at {(LAYOUTS[layout].__doc__ or layout).rstrip('.')}, received none "
            f"(files: {len(names)}{', such as ' + names[0] if names else ''})"
            + (f": the archive may be {zips[0]} within it" if zips else ""),
        )
    nested = sum(image.nested for image in listing.images)
    if keep_copies or not nested:
        return listing
    images = [image for image in listing.images if not image.nested]
    return Listing(images, listing.left_out | {"nested copies": nested})


def _error(archive: Readable, fault: str) -> RontgenError:
    by_hand = f"put the whole archive, as Kaggle has it, at data/archives/{archive.path.name}"
    return RontgenError(
        f"{archive.place}: {fault}; {by_hand}, or name the folder that holds all of it: `rontgen index`"
    )


def _chest_xray(archive: Readable) -> Listing:
    """`chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}/*.jpeg`, and again under `chest_xray/chest_xray/`."""
    pattern = re.compile(
        r"(?:[^/]+/)?(?:chest_xray/)+((train|val|test)/(NORMAL|PNEUMONIA)/([^/]+)\.jpe?g)", re.IGNORECASE
    )
    seen: dict[str, tuple[int, int]] = {}
    images, left_out = [], Counter[str]()
    # the shallowest path first, so that it is the deeper one that is the copy
    for member in sorted(archive.members(), key=lambda member: (member.name.count("/"), member.name)):
        match = pattern.fullmatch(member.name)
        if match is None:
            left_out["not an image of a class"] += 1
            continue
        path, folder, label, stem = match.groups()
        nested = seen.get(path) == (member.crc, member.size)
        seen.setdefault(path, (member.crc, member.size))
        images.append(ArchiveImage(member.name, label.upper(), chest_xray_patient(stem), folder.lower(), nested))
    return Listing(images, dict(left_out))


def chest_xray_patient(stem: str) -> str:
    """The patient in a file name of `chest_xray`: personN_bacteria, personN_virus, IM-N or NORMAL2-IM-N; else "".

    Kermany, Zhang, Goldbaum (2018) name files by disease, patient and image number. Patients with bacterial and with
    viral pneumonia are numbered separately, so the same number is two children: analyses/patients.md.
    """
    match = re.match(r"(person\d+_(?:bacteria|virus))_|((?:NORMAL2-)?IM-\d+)-", stem)
    return (match[1] or match[2]) if match else ""


def _covid_radiography(archive: Readable) -> Listing:
    """`{COVID,Lung_Opacity,Normal,Viral Pneumonia}/images/*.png`; `images/` is missing in older archives."""
    return _by_folder(archive, r"(?:[^/]+/)*(COVID|Lung_Opacity|Normal|Viral Pneumonia)/(?:images/)?[^/]+\.png")


def _tb_radiography(archive: Readable) -> Listing:
    """`TB_Chest_Radiography_Database/{Normal,Tuberculosis}/*.png`."""
    return _by_folder(archive, r"(?:[^/]+/)*(Normal|Tuberculosis)/[^/]+\.png")


def _by_folder(archive: Readable, pattern: str) -> Listing:
    images, left_out = [], Counter[str]()
    for member in archive.members():
        match = re.fullmatch(pattern, member.name)
        if _is_mask(member.name):
            left_out["masks"] += 1
        elif match is None:
            left_out["not an image of a class"] += 1
        else:
            images.append(ArchiveImage(member.name, match[1]))
    return Listing(images, dict(left_out))


def _is_mask(name: str) -> bool:
    """Whether any folder of a member is a folder of masks, which may have subfolders named after the classes."""
    return re.search(r"(^|/)(png_)?masks?/", name, re.IGNORECASE) is not None


def _siim_pneumothorax(archive: Readable) -> Listing:
    """`png_images/<index>_<train|test>_<0|1>_.png`, whose flag must agree with `stage_1_*_images.csv`."""
    pattern = re.compile(r"(?:[^/]+/)*png_images/(\d+_(train|test)_([01])_\.png)")
    images, left_out, flags = [], Counter[str](), {}
    for member in archive.members():
        match = None if _is_mask(member.name) else pattern.fullmatch(member.name)
        if match is None:
            left_out["masks" if _is_mask(member.name) else "not an image of a class"] += 1
            continue
        name, folder, flag = match.groups()
        flags[name] = flag
        images.append(ArchiveImage(member.name, "positive" if flag == "1" else "negative", folder=folder))
    tables = [
        member.name
        for member in archive.members()
        if re.fullmatch(r"(?:[^/]+/)*stage_1_(?:train|test)_images\.csv", member.name)
    ]
    if images and not tables:
        raise _error(archive, "expected stage_1_train_images.csv and stage_1_test_images.csv, received neither")
    listed = set()  # of the images alone: a table may have any number of rows
    for table in tables:
        for name, flag in _siim_rows(archive, table):
            if name in flags:
                _check_flag(archive, name, flags[name], flag)
                listed.add(name)
    for name in sorted(flags.keys() - listed):
        _check_flag(archive, name, flags[name], None)
    return Listing(images, dict(left_out))


def _siim_rows(archive: Readable, table: str) -> Iterator[tuple[str, str]]:
    """new_filename and has_pneumo of each row of a table."""
    text = archive.read(table).decode("utf-8-sig", errors="replace")
    rows = csv.DictReader(io.StringIO(text, newline=""))
    try:
        missing = {"new_filename", "has_pneumo"} - set(rows.fieldnames or ())
        if missing:
            raise _error(archive, f"{table}: expected a column {sorted(missing)[0]!r}")
        for row in rows:
            yield row["new_filename"], row["has_pneumo"]
    except csv.Error as error:
        raise _error(archive, f"{table}: expected a CSV table, {error}") from None


def _check_flag(archive: Readable, name: str, flag: str, listed: str | None) -> None:
    if listed != flag:
        raise _error(archive, f"{name}: its name says has_pneumo {flag}, the CSV says {listed}")


LAYOUTS: dict[str, Callable[[Readable], Listing]] = {
    "chest_xray": _chest_xray,
    "covid_radiography": _covid_radiography,
    "siim_pneumothorax": _siim_pneumothorax,
    "tb_radiography": _tb_radiography,
}
