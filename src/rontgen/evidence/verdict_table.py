"""The claims ledger as `make repro` shows it in the terminal."""

import textwrap

import pandas as pd

from rontgen.core.vocabulary import NOT_RUN, PROTOCOL, VERDICTS
from rontgen.evidence.descriptions import FINDINGS
from rontgen.evidence.ledger import counts, others
from rontgen.evidence.verdicts import Claims

WIDTH = 110


def show(claims: Claims) -> str:
    """What `make repro` ends with, at most 110 columns wide: paper, real evidence and verdict, and apart the demo."""
    rows = claims.endpoints
    run = set(rows[rows.seeds > 0].run)
    lines = ["Paper against real runs: test accuracy, verdicts from records alone", ""]
    if run:
        table = [
            ("published row by the protocol, and its readings", "paper", "seeds", "mean", "95% interval", "verdict")
        ]
        for row in rows[rows.run.isin(run)].itertuples():
            if row.seeds or row.reading == PROTOCOL:
                label, _, more = row.label.partition(", ")
                name = (row.run if row.reading == PROTOCOL else f"  {label}") + (" …" if more else "")
                mean = f"{row.mean:.4f}" if row.seeds else ""
                interval = f"{row.low:.4f}-{row.high:.4f}" if row.seeds > 1 else ""
                table.append((name, row.paper, str(row.seeds or ""), mean, interval, row.verdict))
        lines += [*_aligned(table, 5), "…: with further settings, see the study's page", ""]
    rest = rows[(rows.reading == PROTOCOL) & ~rows.run.isin(run)]
    if len(rest):
        lines.append("Without a record; `rontgen reproduce RUN --seeds 1-5` makes them, from the real archives:")
        for verdict, some in rest.groupby("verdict", sort=False):
            said = verdict if verdict == NOT_RUN else f"{verdict}, {NOT_RUN}"
            lines += textwrap.wrap(
                f"{said} ({len(some)}): {', '.join(some.run)}", WIDTH, initial_indent="  ", subsequent_indent="    "
            )
        lines.append("")
    by_protocol, described = claims.by_protocol, others(claims.cells)
    lines += _wrapped(f"{len(by_protocol)} published rows, by the protocol: {_in_words(by_protocol.verdict, VERDICTS)}")
    lines += _wrapped(f"{len(described)} other published numbers: {_in_words(described.finding, FINDINGS)}")
    return "\n".join([*lines, *_demo(claims.demo)])


def _demo(demo: pd.DataFrame) -> list[str]:
    if demo.empty:
        return []
    table = [("run", "images", "accuracy", "largest class", "")]
    for row in demo.itertuples():
        numbers = str(row.images), f"{row.accuracy:.4f}", f"{row.majority_accuracy:.4f}"
        table.append((row.run, *numbers, "learns" if row.learns else ""))
    above = int((demo.accuracy > demo.majority_accuracy).sum())
    return [
        "",
        "The demo: proof that everything runs. Its images are drawn, so it is no evidence on any paper",
        "",
        *_aligned(table, 4),
        "",
        *_wrapped(
            f"{above} of {len(demo)} runs are right more often than naming the largest class would be; "
            f"{int(demo.learns.sum())} learn: the exact 95% interval of their accuracy lies above it"
        ),
    ]


def _aligned(table: list[tuple], numbers: int) -> list[str]:
    """Lines of a table whose first column is to the left, the next up to `numbers` to the right; the first is ruled."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for name, *rest in table:
        rights = map(str.rjust, rest[: numbers - 1], widths[1:numbers])
        lines.append("  ".join([name.ljust(widths[0]), *rights, *rest[numbers - 1 :]]).rstrip())
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ")


def _in_words(words: pd.Series, known: tuple[str, ...]) -> str:
    return ", ".join(f"{count} {word}" for word, count in counts(words, known).items() if count)
