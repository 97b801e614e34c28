"""Where each setting of a study comes from, beside our value: rows of its page."""

from dataclasses import dataclass
from typing import Any

from rontgen.core import readings, runs
from rontgen.core.papers import Origin, Paper
from rontgen.core.params import Params


@dataclass(frozen=True)
class Row:
    """One setting, or section of settings, in the profile `paper`. runs: those that share it; empty for all of them."""

    setting: str
    value: str
    origin: Origin
    runs: list[str]

    @property
    def others(self) -> str:
        """What a random completion may draw instead of our value."""
        found = self.origin.range
        if found is None or not self.origin.is_open:
            return ""
        if not isinstance(found, list):
            return f"{found.low} to {found.high}"
        return ", ".join(text for one in found if (text := readings.text(one)) != self.value)


def table(paper: Paper, study: str, values: Params) -> list[Row]:
    """The rows of a study, in the order of its origins; a row for each group of runs that share value and origin."""
    real = values.model_copy(update={"profile": "paper"})
    settings = {run: runs.load_run(paper.trained(run), real).settings for run in paper.runs}
    keys = [*paper.origins, *(key for some in paper.origins_of.values() for key in some)]
    rows = []
    for key in dict.fromkeys(keys):
        groups: dict[tuple[str, str], tuple[Origin, list[str]]] = {}
        for run in paper.runs:
            origin = paper.origins_for(run).get(key)
            if origin is not None and (key.startswith("fixed.") or _has(settings[run], key)):
                value = _value(settings[run], key, origin)
                groups.setdefault((value, repr(origin)), (origin, []))[1].append(run)
        for (value, _), (origin, some) in groups.items():
            rows.append(Row(key, value, origin, [] if len(groups) == 1 and len(some) == len(paper.runs) else some))
    return rows


def _has(settings: Any, key: str) -> bool:
    for name in key.split("."):
        if not isinstance(settings, dict) or name not in settings:
            return False
        settings = settings[name]
    return True


def _value(settings: Any, key: str, origin: Origin) -> str:
    """Our value as YAML; of a choice that is fixed in code, the first of its range."""
    if key.startswith("fixed."):
        return readings.text(origin.range[0]) if isinstance(origin.range, list) else ""
    for name in key.split("."):
        settings = settings[name]
    return _text(settings)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
