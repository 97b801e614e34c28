"""jitet_mobilenetv2 from a zip of JPEGs, against a plain Keras script: an epoch, and the time to the first one."""

import io
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from rontgen.data.archives import sha256

from .common import Measured, Row, chests, in_process, in_turn, seconds, settings, threads
from .fitting import fit_ours
from .preparing import draw_originals

COPIES, SIZE = 320, 224
SLUG = "paultimothymooney--chest-xray-pneumonia.zip"


def epoch(pictures: list[bytes]) -> Measured:
    """Images per second of the second epoch of the first phase, validation included, for the first compiles."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, SLUG)
        members = write_archive(archive, pictures)
        decoding: list[float] = []

        def ours() -> float:
            took, decoded = in_process(our_epoch, archive, members)
            decoding.append(decoded)
            return len(members) / took

        def peer() -> float:
            first, second = plain_keras(archive, epochs=2)
            return len(members) / (second - first)

        measured = in_turn(ours, peer, repeats=2, warm_up=False)
    note = f"{len(members)} images; ours are decoded before, once for all epochs, in {min(decoding):.1f} s"
    return Measured(measured.ours, measured.peer, measured.ratio, note)


def our_epoch(archive: Path, members: list[str]) -> tuple[float, float]:
    """Seconds of the second epoch, and of decoding all images before."""
    from rontgen.core import determinism
    from rontgen.data import arrays
    from rontgen.data.decoding import decode_all
    from rontgen.models.build import build_model

    determinism.prepare(1, threads())
    study = settings().studies["jitet"]
    train = study.train.model_copy(update={"epochs": 2, "fine_tune": None})
    parts = pd.DataFrame([member.split("/")[1:3] for member in members], columns=["subset", "class"])
    manifest = parts.assign(id=members, archive=archive.name, member=members)
    with tempfile.TemporaryDirectory() as folder:
        decoded = seconds(lambda: decode_all(manifest, archive.parent, SIZE, Path(folder), 0))
        images = np.load(Path(folder, "images.npy"), mmap_mode="r")
        subsets = [arrays.subset(name, manifest, ["NORMAL", "PNEUMONIA"], images) for name in ("train", "test")]
        model = build_model(
            "mobilenetv2", settings().models["mobilenetv2"], images.shape[1:], 2, normalize=study.image.normalize
        )
        _, ends = fit_ours(model, *subsets, train, unfrozen_layers=0, augmentation=study.augment)
    return float(np.diff(ends)[0]), decoded


def first_epoch() -> Measured:
    """Seconds from `rontgen reproduce` to the end of the first epoch, the backbone frozen, with weights of no worth."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        subprocess.run(["git", "clone", "--quiet", ".", str(project)], check=True)
        by_hand = project / "data/archives"
        write_archive(by_hand / SLUG, copies())
        digest = in_process(save_weights, by_hand / "mobilenetv2.weights.h5")
        changes = ["datasets.pneumonia.check_counts=false", f"backbones.mobilenetv2.sha256={digest}"]
        changes += ["profiles.paper.train.max_epochs=1"]
        command = [sys.executable, "-m", "rontgen", "reproduce", "jitet_mobilenetv2", "--seeds", "1-2"]
        command += [word for change in changes for word in ("-S", change)]
        environment = os.environ | {"PYTHONPATH": "src", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        first, second = ours(command, project, environment)
        (peer,) = plain_keras(by_hand / SLUG, epochs=1)
    note = f"{COPIES} images; the second seed's ends {second:.0f} s after the first seed's training"
    return Measured(first, peer, first / peer, note)


def save_weights(path: Path) -> str:
    """Random weights of MobileNetV2, and their SHA-256."""
    import keras

    keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(SIZE, SIZE, 3)).save_weights(path)
    return sha256(path)


def ours(command: list[str], project: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds to the end of the first seed's first epoch, and from the first seed's end to that of the second's."""
    begun, epochs, ends = time.perf_counter(), [], []
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=project, env=environment, stdout=pipe, stderr=subprocess.STDOUT) as process:
        for line in process.stdout or ():
            if b"100% of epoch 1 of" in line:
                epochs.append(time.perf_counter())
            elif re.search(rb"\d of 2 done", line):
                ends.append(time.perf_counter())
    return epochs[0] - begun, epochs[1] - ends[0]


def plain_keras(archive: Path, epochs: int) -> list[float]:
    """Seconds from the script's start to the end of each epoch."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "benchmarks/plain_keras.py", str(archive), folder, str(epochs)]
        said = subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL)
    return [float(line.removeprefix("epoch ")) for line in said.splitlines() if line.startswith("epoch ")]


def copies() -> list[bytes]:
    """JPEGs of drawn chests as small as the copies behind our records."""
    images, _ = chests(COPIES, SIZE, ("normal", "pneumonia"))
    return [_jpeg(image[..., 0]) for image in images]


def originals(given: Path | None) -> list[bytes]:
    """Large JPEGs: of the given zip, or drawn."""
    with tempfile.TemporaryDirectory() as folder:
        if given is None:
            draw_originals(given := Path(folder, "originals.zip"))
        with zipfile.ZipFile(given) as file:
            return [file.read(info) for info in file.infolist() if not info.is_dir()]


def _jpeg(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=75)
    return file.getvalue()


def write_archive(path: Path, pictures: list[bytes]) -> list[str]:
    """A zip in the layout of the pneumonia archive, four of five images in train, the others in test; their members."""
    members = []
    with zipfile.ZipFile(path, "w") as file:
        for number, picture in enumerate(pictures):
            folder = "test" if number % 10 > 7 else "train"
            name = f"PNEUMONIA/person{number}_virus_1" if number % 2 else f"NORMAL/IM-{number:04d}-0001"
            members.append(f"chest_xray/{folder}/{name}.jpeg")
            file.writestr(members[-1], picture + number.to_bytes(4))  # no two are the same
    return members


ROWS = {
    "script_copies": Row(
        f"an epoch of jitet's first phase, JPEGs of {SIZE} px", "a plain Keras script", "images/s", 1.2, True,
        lambda originals: epoch(copies()),
    ),
    "script_originals": Row(
        "the same, large JPEGs", "a plain Keras script", "images/s", 1.5, True,
        lambda given: epoch(originals(given)),
    ),
    "first_epoch": Row(
        "from `rontgen reproduce` to the end of the first epoch", "a plain Keras script", "s", 3, False,
        lambda originals: first_epoch(),
    ),
}  # fmt: skip
