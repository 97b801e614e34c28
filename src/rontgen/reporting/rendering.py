"""Templates and the numbers in them, as cards, the report and the page show them."""

from typing import Any

import jinja2


def environment(loader: jinja2.BaseLoader, **options: Any) -> jinja2.Environment:
    """An environment that refuses names which are not there, and knows how numbers are shown.

    options: of jinja2.Environment.
    """
    shared: dict[str, Any] = {"undefined": jinja2.StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    made = jinja2.Environment(loader=loader, **shared | options)
    made.filters |= {"rate": rate, "number": number}
    made.globals["with_interval"] = with_interval
    return made


def rate(value: float) -> str:
    """A share or a score, with four decimals."""
    return f"{float(value):z.4f}"  # of a number that is missing, float tells its name


def number(value: int) -> str:
    """A count, with commas between its thousands."""
    return f"{int(value):,}"


def with_interval(metrics: dict, intervals: dict, *keys: str) -> str:
    """A metric by its path of keys and its 95% interval, as `0.9700 (0.9151–0.9938)`; without one, where none is."""
    value: Any = metrics
    interval = intervals
    for key in keys:
        value, interval = value[key], interval.get(key, {})
    text = number(value) if isinstance(value, int) else rate(value)
    if "low" not in interval:
        return text
    digits = 1 if isinstance(value, int) else 4
    return f"{text} ({interval['low']:.{digits}f}–{interval['high']:.{digits}f})"
