"""The provenance of a record: commit, stages and hashes, settings, packages, machine, data; and the deviations from the
paper that follow from these."""

import io
import os
import platform
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image
from pydantic import BaseModel
from ruamel.yaml import YAML

from rontgen.core.io import read_json
from rontgen.core.parts import Run, Study, stage_command
from rontgen.data import by_hand, layouts
from rontgen.data.archives import archive_name
from rontgen.data.unpacked import open_archive
from rontgen.evidence.published import Papers

LOCK = Path("dvc.lock")
PACKAGES = ("keras", "tensorflow", "numpy", "scikit-learn", "imbalanced-learn", "pillow", "dvc")

# Images of an archive whose size is looked at, evenly spaced
SIZED = 500


def gather(run: Run, as_stated: Run, papers: Papers) -> dict:
    """The provenance of a finished run, from the workspace, ready for JSON.

    run: with the settings it had. as_stated: with those of the reading and the profile `paper` alone.
    """
    time = read_json(run.time_metrics, run.train_command)
    archives = describe_archives(run.image_set.study)
    weights = read_json(run.start.folder / "SOURCE.json", run.start.weights_command)
    dataset, model = run.image_set.study.dataset_name, run.start.model
    return {
        "settings": settings(run),
        "archives": archives,
        "weights": weights,
        "by_hand": {"archives": by_hand.read("archives", dataset), "weights": by_hand.read("weights", model)},
        "stages": stages(stage_command("evaluate", run.name).removeprefix("dvc repro ")),
        "packages": packages(),
        "machine": machine(),
        "time": time,
        "deviations": [
            *_of_settings(settings(as_stated), settings(run)),
            *archive_deviations(archives),
            *_of_weights(run, weights),
            *_of_test_images(run, papers),
        ],
    }


def settings(run: Run) -> dict:
    """Every setting of a run, by its key, from dataset to threads; seeds among them."""
    study = run.image_set.study
    parts = {
        "dataset": study.dataset_name,
        "split": study.split,
        "max_per_class": study.max_per_class,
        "image": run.image,
        "size": run.image_set.size,
        "balance": run.image_set.balance,
        "model": run.model_name,
        run.model_name: run.model,
        "pretrained": run.start.pretrained,
        "augment": run.augment,
        "train": run.train,
        "batch_norm_momentum": run.batch_norm_momentum,
        "threads": run.threads,
    }
    return {key: value.model_dump() if isinstance(value, BaseModel) else value for key, value in parts.items()}


def stages(target: str) -> dict[str, dict]:
    """The entries of dvc.lock for a stage and all stages it depends on: cmd, the hashes of deps and outs by path, and
    params."""
    locked = YAML(typ="safe").load(LOCK.read_text(encoding="utf-8"))["stages"]
    made = {Path(out["path"]): name for name, entry in locked.items() for out in entry.get("outs", ())}
    found, waiting = {}, [target]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        entry = locked[name]
        found[name] = {"cmd": entry["cmd"]}
        for part in ("deps", "outs"):
            found[name][part] = {item["path"]: item["md5"] for item in entry.get(part, ())}
        found[name]["params"] = entry.get("params", {}).get("params.yaml", {})
        for path in map(Path, found[name]["deps"]):
            waiting += [made[place] for place in (path, *path.parents) if place in made]
    return dict(sorted(found.items()))


def packages() -> dict[str, str]:
    """The versions of Python and of PACKAGES."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def machine() -> dict[str, str | int]:
    """The computer: system, architecture, processor, cores."""
    cpuinfo = Path("/proc/cpuinfo")
    names = []
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count() or 1,
        "keras_backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
    }


def describe_archives(study: Study) -> dict[str, dict]:
    """For each archive: source, slug, SHA-256, bytes, images by label, and the median width of up to SIZED of them in
    pixels; counts and width with the expected values."""
    sources = read_json(study.raw / "SOURCE.json", f"dvc repro download@{study.dataset_name}")
    images = read_json(study.audit, study.split_command)["found"]
    return {
        layout: sources[archive_name(source.slug)]
        | {
            "images": images[layout],
            "expected_images": study.dataset.counts[layout],
            "median_width": _median_width(study.raw / archive_name(source.slug), layout),
            "expected_median_width": study.dataset.median_widths[layout],
        }
        for layout, source in study.dataset.archives.items()
    }


def _median_width(path: Path, layout: str) -> int:
    widths = []
    with open_archive(path) as archive:
        members = [image.member for image in layouts.read(layout, archive).images]
        for place in np.unique(np.linspace(0, len(members) - 1, SIZED).astype(int)):
            with (
                suppress(OSError),
                Image.open(io.BytesIO(archive.read(members[place]))) as image,
            ):  # some may be allowed
                widths.append(image.width)
    return round(median(widths))


def _of_settings(stated: dict, received: dict, prefix: str = "") -> list[str]:
    """Settings that differ from those of the reading."""
    found = []
    for key, expected in stated.items():
        value = received[key]
        if isinstance(expected, dict) and isinstance(value, dict):
            found += _of_settings(expected, value, f"{prefix}{key}.")
        elif value != expected:
            found.append(f"{prefix}{key} is {value}, not {expected}")
    return found


def archive_deviations(archives: dict[str, dict]) -> list[str]:
    """How archives differ from the public ones, in words. archives: of describe_archives."""
    found = []
    for layout, archive in archives.items():
        for label, expected in archive["expected_images"].items():
            images = archive["images"].get(label, 0)
            if images != expected:
                found.append(f"{layout} has {images:,} of the {expected:,} images of {label}")
        width, expected = archive["median_width"], archive["expected_median_width"]
        if not 0.9 * expected <= width <= 1.1 * expected:
            found.append(f"images of {layout} have a median width of {width} pixels, the public archive's {expected}")
    return found


def _of_weights(run: Run, weights: dict) -> list[str]:
    if weights["source"] != "other file":
        return []
    backbone = run.start.backbone
    return [f"ImageNet weights of {backbone} are not Keras's own file but one put by hand, SHA-256 {weights['sha256']}"]


def _of_test_images(run: Run, papers: Papers) -> list[str]:
    images = read_json(run.metrics, stage_command("evaluate", run.name))["test_images"]
    for study in papers.studies.values():
        for cell in study.runs.get(run.name, ()):
            if cell.metric == "test.test_images" and cell.number != images:
                return [f"{images} test images, not the paper's {cell.value}"]
    return []
