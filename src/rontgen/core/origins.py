"""Where each setting of a study comes from, beside our value: rows of its page."""

from dataclasses import dataclass, replace

from rontgen.core import nested, readings, runs
from rontgen.core.papers import Origin, Paper
from rontgen.core.params import Params

ABSENT = object()


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


def table(paper: Paper, values: Params) -> list[Row]:
    """The rows of a study, in the order of its origins; a row for each group of runs that share value and origin."""
    real = values.model_copy(update={"profile": "paper"})
    settings = {run: runs.load_run(paper.trained(run), real).settings for run in paper.runs}
    keys = [*paper.origins, *(key for some in paper.origins_of.values() for key in some)]
    rows: list[Row] = []
    for key in dict.fromkeys(keys):
        groups: dict[str, Row] = {}
        for run in paper.runs:
            origin = paper.origins_for(run).get(key)
            value = _value(settings[run], key, origin) if origin else None
            if origin and value is not None:
                groups.setdefault(f"{value} {origin!r}", Row(key, value, origin, [])).runs.append(run)
        shared = [row.runs for row in groups.values()] == [list(paper.runs)]
        rows += [replace(row, runs=[]) for row in groups.values()] if shared else groups.values()
    return rows


def _value(settings: dict, key: str, origin: Origin) -> str | None:
    """Our value as YAML; of a choice that is fixed in code, the first of its range; None where the run has none."""
    if key.startswith("fixed."):
        return readings.text(origin.range[0]) if isinstance(origin.range, list) else ""
    value = nested.find(settings, key, ABSENT)
    return None if value is ABSENT else readings.text(value)
