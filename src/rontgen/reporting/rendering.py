"""Templates, and the format of numbers, for pages, the report and the web page."""

import re
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup


def environment(loader: jinja2.BaseLoader, **options: Any) -> jinja2.Environment:
    """A Jinja environment that refuses undefined names, with filters for numbers.

    options: of jinja2.Environment.
    """
    shared: dict[str, Any] = {"undefined": jinja2.StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    made = jinja2.Environment(loader=loader, **shared | options)
    made.filters |= {"rate": rate, "number": number}
    made.globals["with_interval"] = with_interval
    return made


def markdown(template: str, **values: Any) -> str:
    """A Markdown template of reporting/templates, filled in. Values are escaped, except by the filter `markdown`."""
    return _markdown_environment().get_template(template).render(values)


@cache
def _markdown_environment() -> jinja2.Environment:
    # Markdown has its own escapes, see _escaped
    loader = jinja2.PackageLoader("rontgen.reporting")
    made = environment(loader, autoescape=False, finalize=_escaped, keep_trailing_newline=True)
    made.filters |= {"markdown": Markup, "ranges": ranges, "share": share}
    return made


def _escaped(value: object) -> str:
    """Any value on one line, with Markdown and HTML in it escaped; Markup is left as it is."""
    if isinstance(value, Markup):
        return str(value)
    return re.sub(r"([\\`*\[|]|<(?=[A-Za-z/!?]))", r"\\\1", str(value).replace("\n", " "))


def ranges(numbers: list[int]) -> str:
    """Sorted numbers as `--seeds` takes them: 1-3,5."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ",".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in found)


def share(found: dict[str, float]) -> str:
    """A share with its 95% interval, in percent: `4.0% (1.1–9.9)`. found: value, low, high."""
    return f"{100 * found['value']:.1f}% ({100 * found['low']:.1f}–{100 * found['high']:.1f})"


def rate(value: float) -> str:
    """A share or a score, with four decimals."""
    return f"{float(value):z.4f}"  # of a number that is missing, float tells its name


def number(value: int) -> str:
    """A count, with commas between its thousands."""
    return f"{int(value):,}"


def with_interval(metrics: dict, intervals: dict, *keys: str) -> str:
    """A metric, by its path of keys, with its 95% interval if there is one: `0.9700 (0.9151–0.9938)`."""
    value: Any = metrics
    interval = intervals
    for key in keys:
        value, interval = value[key], interval.get(key, {})
    text = number(value) if isinstance(value, int) else rate(value)
    if "low" not in interval:
        return text
    digits = 1 if isinstance(value, int) else 4
    return f"{text} ({interval['low']:.{digits}f}–{interval['high']:.{digits}f})"
