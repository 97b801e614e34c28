"""Decoding, SMOTE, and how long DVC takes to find that there is nothing to do."""

import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from .common import Measured, Row, in_process, in_turn, memory, seconds

# The width and height of every tenth of 120 originals of the pneumonia archive, in order of their number of pixels
ORIGINAL_SIZES = [
    (1000, 464), (1048, 552), (992, 712), (1032, 744), (1144, 736), (1234, 778), (1248, 848), (1288, 888),
    (1334, 1102), (1422, 1186), (1782, 1460), (2008, 2096),
]  # fmt: skip


def decoded(originals: Path | None) -> Measured:
    """Seconds to decode originals to 224 px on all cores, and one after the other by Pillow alone."""
    from rontgen.data.decoding import decode_all

    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "originals.zip")
        if originals is None:
            draw_originals(archive)
        else:
            shutil.copy(originals, archive)
        with zipfile.ZipFile(archive) as file:
            members = [info.filename for info in file.infolist() if not info.is_dir()]
        manifest = pd.DataFrame({"id": members, "archive": archive.name, "member": members})
        wholly = []

        def peer() -> float:
            wholly.clear()
            return seconds(lambda: wholly.extend(decode_wholly(archive, members)))

        def ours() -> float:
            return seconds(lambda: decode_all(manifest, Path(folder), 224, Path(folder, "image_set"), 0))

        measured = in_turn(ours, peer, repeats=7)
        images = np.load(Path(folder, "image_set", "images.npy"))[..., 0].astype(float)
        difference = np.abs(images - np.stack(wholly)).mean(axis=(1, 2))
    which = "drawn JPEGs of the originals' sizes" if originals is None else originals.name
    return Measured(
        measured.ours, measured.peer, 1 / measured.ratio,
        f"{len(members)} images, {which}; mean absolute difference {difference.mean():.2f} grey levels, of the worst "
        f"image {difference.max():.2f} (target at most 1)",
    )  # fmt: skip


def decode_wholly(archive: Path, members: list[str]) -> list[np.ndarray]:
    with zipfile.ZipFile(archive) as file:
        return [
            np.asarray(
                Image.open(io.BytesIO(file.read(name))).convert("L").resize((224, 224), Image.Resampling.BILINEAR)
            )
            for name in members
        ]


def draw_originals(path: Path) -> None:
    """An archive of 120 JPEGs of ORIGINAL_SIZES."""
    from rontgen.data.demo import phantom

    with zipfile.ZipFile(path, "w") as file:
        for number, (width, height) in enumerate(ORIGINAL_SIZES):
            randoms = np.random.default_rng(number).spawn(2)
            picture = io.BytesIO()
            Image.fromarray(phantom.draw("pneumonia", *randoms, height, width).image).save(picture, "JPEG", quality=95)
            for copy in range(10):
                file.writestr(f"{number}-{copy}.jpeg", picture.getvalue())


SMOTE_IMAGES, SMOTE_SIZE, SMOTE_SMALLER = 4000, 150, 1038


def smote() -> Measured:
    """MiB that SMOTE needs beyond its input. The share of the smaller class is that of the pneumonia archive."""
    ours, our_rows = in_process(smote_memory, "ours")
    peer, peer_rows = in_process(smote_memory, "peer")
    return Measured(ours, peer, ours / peer, "the same rows" if our_rows == peer_rows else "OTHER ROWS")


def smote_memory(whose: str) -> tuple[float, str]:
    """The peak memory of SMOTE, in MiB above what the process used with its input; a hash of the new images."""
    from imblearn.over_sampling import SMOTE

    from rontgen.data.smote import smote

    random = np.random.default_rng(7)
    images = random.integers(0, 256, (SMOTE_IMAGES, SMOTE_SIZE, SMOTE_SIZE, 1), dtype=np.uint8)
    classes = np.repeat(np.array(["NORMAL", "PNEUMONIA"], dtype=object), [SMOTE_SMALLER, SMOTE_IMAGES - SMOTE_SMALLER])
    if whose == "peer":
        images = images.reshape(SMOTE_IMAGES, -1).astype(np.float32)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak memory
    before = memory("VmRSS")
    if whose == "ours":
        new = smote(images, classes, np.arange(SMOTE_IMAGES).astype(str), seed=7).images
        peak = memory("VmHWM")
    else:
        resampled, _ = SMOTE(random_state=7).fit_resample(images, classes.astype(str))
        peak = memory("VmHWM")
        new = np.rint(resampled[SMOTE_IMAGES:]).astype(np.uint8)
    return peak - before, hashlib.sha256(new.tobytes()).hexdigest()


def nothing_to_do() -> Measured:
    """Seconds of `dvc repro` where every stage is up to date, and in a repository without a stage."""
    with tempfile.TemporaryDirectory() as folder:
        project, empty = Path(folder, "project"), Path(folder, "empty")
        stages = finish(project)
        empty.mkdir()
        Path(empty, "dvc.yaml").write_text("stages: {}\n")
        for path in (project, empty):
            subprocess.run(["git", "init", "-q"], cwd=path, check=True)
        subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=empty, check=True)

        def repro(path: Path) -> float:
            command = [sys.executable, "-m", "dvc", "repro"]
            said = []
            took = seconds(lambda: said.append(subprocess.check_output(command, cwd=path, text=True)))
            assert "Running stage" not in said[0]
            return took

        measured = in_turn(lambda: repro(project), lambda: repro(empty), repeats=5)
    note = f"{stages} stages"
    return Measured(measured.ours, measured.peer, measured.ratio, note)


def finish(folder: Path) -> int:
    """Copy this repository, with stand-ins that DVC accepts for all outputs; returns the number of stages."""
    from dvc.repo import Repo

    for name in subprocess.check_output(["git", "ls-files"], text=True).splitlines():
        target = Path(folder, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, target)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    with chdir(folder), warnings.catch_warnings(), Repo() as repo:
        warnings.simplefilter("ignore")  # from DVC's own use of pygtrie
        stages = list(repo.index.stages)
        for out in (out for stage in stages for out in stage.outs):
            path = Path(out.fs_path)
            if not path.exists():
                path = path if path.suffix else path / "file"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(out.def_path)
        for dep in (dep for stage in stages for dep in stage.deps):
            path = Path(dep.fs_path)
            if not path.exists():  # a file in a folder that is an output
                path.parent.mkdir(exist_ok=True)
                path.write_text(dep.def_path)
        repo.commit(force=True)
    return len(stages)


ROWS = {
    "decoded": Row(
        "decoding 120 large JPEGs to 224 px, all cores", "one core: Pillow, decoded whole", "s", 2.5, True, decoded
    ),
    "smote": Row(
        f"memory of SMOTE above its input, {SMOTE_IMAGES:,} images of {SMOTE_SIZE} px",
        "imbalanced-learn on the same as float32", "MiB", 0.6, False, lambda originals: smote(),
    ),
    "nothing": Row(
        "`dvc repro` with nothing to do", "`dvc repro` without a stage", "s", 5, False,
        lambda originals: nothing_to_do(),
    ),
}  # fmt: skip
