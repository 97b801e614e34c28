"""The provenance of a record: commit, stages and hashes, settings, packages, machine, data; and the deviations from the
paper that follow from these."""

import hashlib
import io
import json
import os
import platform
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image
from ruamel.yaml import YAML

from rontgen.core.io import read_json
from rontgen.core.papers import Papers
from rontgen.core.parts import LOCK, Run, Study, stage_command
from rontgen.data import by_hand, layouts
from rontgen.data.archives import archive_name
from rontgen.data.unpacked import open_archive

PACKAGES = ("keras", "tensorflow", "numpy", "scikit-learn", "imbalanced-learn", "pillow", "dvc")

# Images of an archive whose size is looked at, evenly spaced
SIZED = 500


def gather(run: Run, planned: Run, papers: Papers) -> dict:
    """The provenance of a finished run, from the workspace, ready for JSON.

    run: with the settings it had. planned: with those of the reading and the profile `paper` alone.
    """
    time = read_json(run.time_metrics, run.train_command)
    archives = describe_archives(run.image_set.study)
    weights = read_json(run.start.folder / "SOURCE.json", run.start.weights_command)
    dataset = run.image_set.study.dataset_name
    files = (run.model_file, run.image_set.study.manifest, run.image_set.preprocessed)
    outs, stages = locked(stage_command("evaluate", run.name).removeprefix("dvc repro "))
    return {
        "settings": run.settings,
        "archives": archives,
        "weights": weights,
        "by_hand": {"archives": by_hand.read("archives", dataset), "weights": by_hand.read("weights", run.start.name)},
        "outs": {str(path): outs[str(path)] for path in files},
        "stages": stages,
        "packages": packages(),
        "machine": machine(),
        "time": time,
        "deviations": [
            *_of_settings(planned.settings, run.settings),
            *archive_deviations(archives),
            *_of_weights(run, weights),
            *_of_test_images(run, papers),
        ],
    }


def locked(target: str) -> tuple[dict[str, str], dict[str, str]]:
    """What dvc.lock has for a stage and all stages it depends on: the MD5 of each output, by path, and of each stage's
    entry (command, dependencies, settings and outputs), by name."""
    entries = YAML(typ="safe").load(LOCK.read_text(encoding="utf-8"))["stages"]
    made = {Path(out["path"]): name for name, entry in entries.items() for out in entry.get("outs", ())}
    outs: dict[str, str] = {}
    stages: dict[str, str] = {}
    waiting = [target]
    while waiting:
        name = waiting.pop()
        if name in stages:
            continue
        entry = entries[name]
        stages[name] = hashlib.md5(json.dumps(entry, sort_keys=True).encode()).hexdigest()
        outs |= {item["path"]: item["md5"] for item in entry.get("outs", ())}
        for path in (Path(item["path"]) for item in entry.get("deps", ())):
            waiting += [name for out, name in made.items() if out in (path, *path.parents) or path in out.parents]
    return outs, dict(sorted(stages.items()))


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
        value = received.get(key)
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
    return [
        f"ImageNet weights of {run.start.name} are not Keras's own file but one put by hand, "
        f"SHA-256 {weights['sha256']}"
    ]


def _of_test_images(run: Run, papers: Papers) -> list[str]:
    images = read_json(run.metrics, stage_command("evaluate", run.name))["test_images"]
    for study in papers.studies.values():
        for cell in study.runs.get(run.name, ()):
            if cell.metric == "test.test_images" and cell.number != images:
                return [f"{images} test images, not the paper's {cell.value}"]
    return []
