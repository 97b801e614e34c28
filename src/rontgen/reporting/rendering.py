"""Templates, and the format of numbers, for pages, the report and the web page."""

import math
import re
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from rontgen.claims.comparisons import Difference
from rontgen.claims.findings import apart_in_words, of_completions, points
from rontgen.claims.verdicts import Number, Row
from rontgen.core.cells import COUNT
from rontgen.records.records import ranges


def environment(loader: jinja2.BaseLoader, **options: Any) -> jinja2.Environment:
    """A Jinja environment that refuses undefined names, with filters for numbers.

    options: of jinja2.Environment.
    """
    shared: dict[str, Any] = {"undefined": jinja2.StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    made = jinja2.Environment(loader=loader, **shared | options)
    made.filters |= {"rate": rate, "number": number, "bound": bound, "points": points, "difference": difference}
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
    made.filters |= {"markdown": Markup, "ranges": ranges, "share": share, "ours": ours, "completions": of_completions}
    made.filters |= {"interval": interval}
    return made


def _escaped(value: object) -> str:
    """Any value on one line, with Markdown and HTML in it escaped; Markup is left as it is."""
    if isinstance(value, Markup):
        return str(value)
    return re.sub(r"([\\`*\[|]|<(?=[A-Za-z/!?]))", r"\\\1", str(value).replace("\n", " "))


def bound(row: Row) -> str:
    """How far apart the paper and our runs are: `at most 5.1`, `27.7 to 39.8`; a dash where that is not known."""
    found = row.replication
    return "–" if found is None or math.isnan(found.bound) else apart_in_words(found)


def difference(found: Difference) -> str:
    """A paired difference in points, with its interval."""
    return f"{points(found.mean, True)} ({points(found.low, True)} to {points(found.high, True)})"


def interval(found: Difference) -> str:
    """A mean of scores with its 95% interval: `0.951 (0.942–0.960)`."""
    return f"{found.mean:.3f} ({found.low:z.3f}–{found.high:z.3f})"


def ours(published: Number) -> str:
    """Our number beside a published one, with its interval: whole for a count, with three decimals else."""
    found, metric = published.description, published.cell.metric
    if math.isnan(found.ours):
        return "–"
    digits = "g" if COUNT.fullmatch(metric) or metric.startswith(("data.", "test.parameters")) else "z.3f"
    text = f"{found.ours:,.10{digits}}" if digits == "g" else f"{found.ours:{digits}}"
    return text if math.isnan(found.low) else f"{text} ({found.low:z.3f}–{found.high:z.3f})"


def share(found: dict[str, float]) -> str:
    """A share with its 95% interval, in percent: `4.0% (1.1–9.9)`. found: value, low, high."""
    return f"{100 * found['value']:.1f}% ({100 * found['low']:.1f}–{100 * found['high']:.1f})"


def rate(value: float) -> str:
    """A share or a score, with four decimals."""
    return f"{float(value):z.4f}"  # of a number that is missing, float tells its name


def number(value: int) -> str:
    """A count, with commas between its thousands."""
    return f"{int(value):,}"


def with_interval(metrics: dict, intervals: dict, name: str) -> str:
    """A metric with its 95% interval if there is one: `0.9700 (0.9151–0.9938)`."""
    text, interval = rate(metrics[name]), intervals.get(name)
    return f"{text} ({interval['low']:.4f}–{interval['high']:.4f})" if interval else text
