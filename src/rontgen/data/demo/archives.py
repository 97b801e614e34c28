"""Archives of drawn phantoms, in the layouts of the four Kaggle archives and with their faults."""

import io
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from rontgen.core.errors import RontgenError
from rontgen.core.io import replacing
from rontgen.data.demo import phantom

# Images of each folder and class, duplicates included, nested copies and masks not.
IMAGES: dict[str, dict] = {
    "chest_xray": {
        ("train", "NORMAL"): 210,
        ("train", "PNEUMONIA"): 330,
        ("val", "NORMAL"): 8,
        ("val", "PNEUMONIA"): 8,
        ("test", "NORMAL"): 60,
        ("test", "PNEUMONIA"): 90,
    },
    "covid_radiography": {"COVID": 260, "Lung_Opacity": 20, "Normal": 270, "Viral Pneumonia": 12},
    "tb_radiography": {"Normal": 60, "Tuberculosis": 260},
    "siim_pneumothorax": {
        ("train", "positive"): 200,
        ("train", "negative"): 40,
        ("test", "positive"): 60,
        ("test", "negative"): 12,
    },
}

# What is drawn for a class of an archive.
FINDINGS = {
    "NORMAL": "normal", "Normal": "normal", "negative": "normal", "PNEUMONIA": "pneumonia", "COVID": "covid",
    "Lung_Opacity": "lung_opacity", "Viral Pneumonia": "viral_pneumonia", "Tuberculosis": "tuberculosis",
    "positive": "pneumothorax",
}  # fmt: skip

# chest_xray: (class, folder, position) of an image, and the earlier one of its class that it repeats exactly.
DUPLICATES = {
    ("NORMAL", "train", 205): ("train", 20),
    ("NORMAL", "train", 140): ("train", 139),
    ("PNEUMONIA", "train", 321): ("train", 17),
    ("PNEUMONIA", "train", 250): ("train", 249),
    ("PNEUMONIA", "train", 100): ("train", 60),
    ("PNEUMONIA", "test", 80): ("train", 5),
}
# chest_xray: likewise, but the earlier image is made smaller and compressed again, under another patient's name.
NEAR_DUPLICATES = {
    ("NORMAL", "train", 180): ("train", 40),
    ("NORMAL", "test", 30): ("train", 75),
    ("PNEUMONIA", "train", 290): ("train", 33),
    ("PNEUMONIA", "train", 200): ("train", 150),
    ("PNEUMONIA", "test", 40): ("train", 90),
}
_NEAR_SCALE, _NEAR_QUALITY = 0.75, 60
# covid_radiography: its first Normal images are the first NORMAL images of chest_xray's train folder, as square PNG. Of
# Kaggle's 10,192, 1,341 are: the same share.
COPIES_IN_COVID = 36
# chest_xray: patients of each class with images in train and in test. Kaggle's archive has none (analyses/patients.md).
STRADDLING = 4

# The first bytes of an AppleDouble file: magic number, version 2, "Mac OS X", no entry.
_APPLE_DOUBLE = bytes.fromhex("0005160700020000") + b"Mac OS X        " + bytes(2)
_DESKTOP_STORE = bytes(4) + b"\x01Bud1" + bytes(23)
_MASK_SIDE = 256 / 299  # covid_radiography: masks of 256 pixels beside images of 299


@dataclass(frozen=True)
class _Drawing:
    """All that one image's pixels depend on besides the seed and the size."""

    layout: str
    label: str
    patient: int
    instance: int
    encoding: str = "PNG"  # PNG | JPEG
    mode: str = "L"  # L | RGB
    square: bool = True
    mask: str = ""  # lungs | sign: that region, white on black, and not the image
    copy: str = ""  # smaller | square: the image made again from the one drawn


_Plan = Iterator[tuple[str, _Drawing | bytes]]


def write_archive(layout: str, path: Path, image_size: int, seed: int) -> None:
    """Write a zip of drawn radiographs at `path`, as the Kaggle archive of that layout has its files.

    layout: a key of `IMAGES`, whose numbers of images are written. image_size: pixels, the side of square
    images and the mean side of others. The same layout, image_size and seed give the same bytes. The zip
    appears whole, and a progress bar runs on stderr. Raises RontgenError for another layout.
    """
    if layout not in _PLANS:
        raise RontgenError(f"layout: expected one of {', '.join(_PLANS)}, received {layout!r}")
    plan = list(_PLANS[layout](seed))
    drawings = list(dict.fromkeys(content for _, content in plan if isinstance(content, _Drawing)))
    # One thread: at 128 pixels two were slower (arrays too small), and all four archives take under 10 s.
    progress = tqdm(drawings, layout, unit="image")
    contents = {drawing: _encode(drawing, image_size, seed) for drawing in progress}
    with replacing(Path(path)) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for member, content in plan:
            # A fixed date and fixed rights: else the bytes would depend on when and where they are written.
            info = zipfile.ZipInfo(member, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o100644 << 16
            archive.writestr(info, content if isinstance(content, bytes) else contents[content])


def _stream(seed: int, *key: str | int) -> np.random.Generator:
    """A random stream of its own for each key, so that another class or image changes no other one."""
    words = tuple(zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=words)))


def _encode(drawing: _Drawing, image_size: int, seed: int) -> bytes:
    key = (drawing.layout, drawing.label, drawing.patient)
    patient, exposure = _stream(seed, *key), _stream(seed, *key, drawing.instance)
    height = width = image_size
    if not drawing.square:  # the wide films of children, every one cut differently
        side, aspect = image_size * exposure.uniform(0.85, 1.15), exposure.uniform(1.1, 1.5)
        height, width = round(side / aspect**0.5), round(side * aspect**0.5)
    drawn = phantom.draw(FINDINGS[drawing.label], patient, exposure, height, width)
    image = Image.fromarray(drawn.image)
    if drawing.mask == "lungs":
        side = round(image_size * _MASK_SIDE)
        image = Image.fromarray(drawn.lungs).convert("L").resize((side, side), Image.Resampling.NEAREST)
    elif drawing.mask == "sign":
        image = Image.fromarray(drawn.sign).convert("L")
    if drawing.copy == "smaller":
        image = image.resize((round(width * _NEAR_SCALE), round(height * _NEAR_SCALE)), Image.Resampling.LANCZOS)
    elif drawing.copy == "square" and not drawing.mask:
        image = image.resize((image_size, image_size), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    quality = _NEAR_QUALITY if drawing.copy else 90
    options = {"quality": quality} if drawing.encoding == "JPEG" else {"compress_level": 6}
    image.convert(drawing.mode).save(file, drawing.encoding, **options)
    return file.getvalue()


# ---------------------------------------------------------------- members of each archive and what they hold


def _chest_xray(seed: int) -> _Plan:
    images = {}
    for label in ("NORMAL", "PNEUMONIA"):
        placed: dict[tuple[str, int] | None, _Drawing] = {}
        for folder, position, name, patient, instance in _chest_xray_names(label, seed):
            drawing = _Drawing("chest_xray", label, patient, instance, "JPEG", square=False)
            if source := placed.get(NEAR_DUPLICATES.get((label, folder, position))):
                drawing = replace(source, copy="smaller")
            placed[folder, position] = placed.get(DUPLICATES.get((label, folder, position)), drawing)
            images[f"{folder}/{label}/{name}"] = placed[folder, position]
    members = sorted(images)
    for member in [".DS_Store", "train/.DS_Store", *members]:
        folder, _, name = member.rpartition("/")
        yield f"chest_xray/__MACOSX/chest_xray/{folder}/._{name}".replace("//", "/"), _APPLE_DOUBLE
    for root in ("chest_xray/chest_xray", "chest_xray"):
        yield f"{root}/.DS_Store", _DESKTOP_STORE
        yield f"{root}/train/.DS_Store", _DESKTOP_STORE
        for member in members:
            yield f"{root}/{member}", images[member]


def _chest_xray_names(label: str, seed: int) -> Iterator[tuple[str, int, str, int, int]]:
    """(folder, position in it, file name, patient, instance) of each image of a class, patient by patient.

    patient: counted through the class; the number in the file name is that of the patient's pathogen.
    """
    numbers = _stream(seed, "chest_xray", label)
    taken: dict[int, int] = {}  # patient: images so far
    serials = Counter[str]()  # pathogen: its last image number
    patient = 0
    for folder in ("train", "val", "test"):
        count, left = IMAGES["chest_xray"][folder, label], 0
        known = list(taken)[:STRADDLING] if folder == "test" else []
        for position in range(count):
            if known:
                current, left = known.pop(), 0
            else:
                if left == 0:
                    patient += int(numbers.integers(1, 4))
                    left = int(numbers.choice((1, 2, 3, 4), p=(0.4, 0.3, 0.2, 0.1)))
                current, left = patient, left - 1
            taken[current] = instance = taken.get(current, 0) + 1
            step = int(numbers.integers(1, 4))
            if label == "PNEUMONIA":
                # Each pathogen numbers its own patients and images, as in the original; three patients of five are
                # bacterial.
                turn, place = divmod(current, 5)
                pathogen, number = ("bacteria", 3 * turn + place) if place < 3 else ("virus", 2 * turn + place - 2)
                serials[pathogen] += step
                name = f"person{number}_{pathogen}_{serials[pathogen]}.jpeg"
            else:
                # The original numbers a patient's further images after a second dash.
                again = f"-{instance:04d}" if instance > 1 else ""
                name = f"{'NORMAL2-' if current % 2 else ''}IM-{current:04d}-0001{again}.jpeg"
            yield folder, position, name, current, instance


def _covid_radiography(seed: int) -> _Plan:
    root = "COVID-19_Radiography_Dataset"
    yield f"{root}/README.md.txt", b"Drawn phantoms in the layout of the COVID-19 Radiography Database.\n"
    copied = list(islice(_chest_xray_names("NORMAL", seed), COPIES_IN_COVID))
    for label, count in IMAGES["covid_radiography"].items():
        for kind, mask in (("images", ""), ("masks", "lungs")):
            for index in range(1, count + 1):
                drawing = _Drawing("covid_radiography", label, index, 1, mask=mask)
                if label == "Normal" and index <= len(copied):
                    *_, patient, instance = copied[index - 1]
                    source = _Drawing("chest_xray", "NORMAL", patient, instance, square=False, mask=mask)
                    drawing = replace(source, copy="square")
                yield f"{root}/{label}/{kind}/{label}-{index}.png", drawing


def _tb_radiography(seed: int) -> _Plan:
    root = "TB_Chest_Radiography_Database"
    yield f"{root}/README.md.txt", b"Drawn phantoms in the layout of the TB Chest X-ray Database.\n"
    for label, count in IMAGES["tb_radiography"].items():
        for index in range(1, count + 1):
            drawing = _Drawing("tb_radiography", label, index, 1, mode="RGB")
            yield f"{root}/{label}/{label}-{index}.png", drawing


def _siim_pneumothorax(seed: int) -> _Plan:
    root = "siim-acr-pneumothorax"
    files: dict[str, list] = {"png_images": [], "png_masks": []}
    # One patient of a class per index, the train ones first and the test ones from 10000 on.
    for subset, first in (("train", 0), ("test", 10000)):
        patients = []
        for label, flag in (("positive", 1), ("negative", 0)):
            count = IMAGES["siim_pneumothorax"][subset, label]
            patients += [(label, flag, first + index) for index in range(count)]
        order = _stream(seed, "siim_pneumothorax", subset).permutation(len(patients))
        rows = ["new_filename,ImageId,has_pneumo"]
        for index, (label, flag, patient) in enumerate(patients[place] for place in order):
            name = f"{index}_{subset}_{flag}_.png"
            rows.append(f"{name},1.2.276.0.7230010.3.1.4.8323329.{first + index}.1517875160,{flag}")
            for folder, mask in (("png_images", ""), ("png_masks", "sign")):
                drawing = _Drawing("siim_pneumothorax", label, patient, 1, mask=mask)
                files[folder].append((f"{root}/{folder}/{name}", drawing))
        yield f"{root}/stage_1_{subset}_images.csv", ("\n".join(rows) + "\n").encode()
    yield from files["png_images"] + files["png_masks"]


_PLANS = {
    "chest_xray": _chest_xray,
    "covid_radiography": _covid_radiography,
    "tb_radiography": _tb_radiography,
    "siim_pneumothorax": _siim_pneumothorax,
}
