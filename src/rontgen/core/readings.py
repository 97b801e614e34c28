"""A reading of a paper as changes of settings, which paper.yaml sets or a random completion draws."""

import hashlib
from typing import Any

import numpy as np

from rontgen.core.errors import RontgenError
from rontgen.core.papers import Interval, Paper, Value
from rontgen.core.params import Params
from rontgen.core.vocabulary import PROTOCOL, RANDOM_COMPLETION


def changes(paper: Paper, values: Params, run: str, reading: str, seed: int) -> dict[str, str]:
    """The keys of params.yaml and protocol.yaml that a reading of a run sets, with their values as YAML.

    seed: draws a random completion; other readings do without. Raises RontgenError for a reading that the run lacks.
    """
    known = paper.readings_of(run)
    if reading not in known:
        raise RontgenError(f"--reading: expected one of {', '.join(known)} for {run}, received {reading!r}")
    if reading == RANDOM_COMPLETION:
        settings = draw(paper, values.runs[run].study, run, seed)
    else:
        settings = paper.readings[reading].set if reading != PROTOCOL else {}
    return {key_of(values, run, key): text(value) for key, value in settings.items()}


def draw(paper: Paper, study: str, run: str, seed: int) -> dict[str, str]:
    """A random completion: each setting that the paper leaves open, drawn from its range (Bouthillier et al. 2021).

    The generator of a setting is seeded by study, seed and setting, so that a range added later changes no other draw,
    and the runs of a study share what they have in common. Returns values as YAML, by setting.
    """
    found = {}
    for key, origin in paper.open_settings(run).items():
        if origin.range and not key.startswith("fixed."):
            digest = hashlib.sha256(f"{study} {seed} {key}".encode()).digest()
            found[key] = _draw(origin.range, np.random.default_rng(int.from_bytes(digest[:8])))
    return found


def _draw(values: list[Value] | Interval, random: np.random.Generator) -> str:
    if isinstance(values, list):
        return text(values[random.integers(len(values))])
    return f"{np.exp(random.uniform(*np.log([float(values.low), float(values.high)]))):.3g}"


def key_of(values: Params, run: str, setting: str) -> str:
    """The key of params.yaml or protocol.yaml that holds a setting of a run."""
    row = values.runs[run]
    section, _, rest = setting.partition(".")
    match section:
        case "model":
            return f"models.{row.model}.{rest}"
        case "weights":
            return f"runs.{run}.weights"
        case "image" if rest == "size":
            return f"image_sets.{row.image_set}.size"
        case "image" if rest == "normalize":  # of this run alone: another may have no backbone
            return f"runs.{run}.{setting}"
        case "train" if rest in row.train.model_dump(exclude_none=True):
            return f"runs.{run}.{setting}"
    return f"studies.{row.study}.{setting}"


def text(value: Any) -> str:
    """A value of a setting, or of paper.yaml, where scalars are text, in one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(text, value)) + "]"
    if value in ("", None):
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
