"""The provenance of a record: commit, stages and hashes, settings, packages, machine, data; and the deviations from the
paper that follow from these."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from rontgen.core import environment
from rontgen.core.io import read_json
from rontgen.core.papers import Papers, leaves
from rontgen.core.runs import LOCK, Run, stage_command, stage_name
from rontgen.data import archive_facts, by_hand


def gather(run: Run, planned: Run, papers: Papers) -> dict:
    """The provenance of a finished run, from the workspace, ready for JSON.

    run: with the settings it had. planned: with those of the reading and the profile `paper` alone.
    """
    time = read_json(run.time_metrics, run.train_command)
    archives = archive_facts.describe(run.image_set.split)
    weights = read_json(run.start.folder / "SOURCE.json", run.start.weights_command)
    dataset = run.image_set.split.dataset_name
    files = (run.model_file, run.image_set.split.manifest, run.image_set.preprocessed)
    outs, stages = locked(stage_name("evaluate", run.name))
    return {
        "settings": run.settings,
        "archives": archives,
        "weights": weights,
        "by_hand": {"archives": by_hand.read("archives", dataset), "weights": by_hand.read("weights", run.start.name)},
        "outs": {str(path): outs[str(path)] for path in files},
        "stages": stages,
        "packages": environment.packages(),
        "machine": environment.machine(),
        "time": time,
        "deviations": [
            *_of_settings(planned.settings, run.settings),
            *archive_facts.deviations(archives),
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


def first_difference(recorded: dict, other: dict) -> tuple[str, Any, Any] | None:
    """The first single setting by which settings of a run (runs.Run.settings) differ: key, recorded value, other."""
    one, two = leaves(recorded), leaves(other)
    return next(((key, one.get(key), two.get(key)) for key in one | two if one.get(key) != two.get(key)), None)


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
