"""Write the claims ledger: counts of verdicts, and tables for programs and for people."""

import math
from pathlib import Path

import pandas as pd

from rontgen.core.cells import COUNT
from rontgen.core.io import replacing, write_json
from rontgen.core.vocabulary import CONTRADICTORY, PROTOCOL, UNAVAILABLE, VERDICTS
from rontgen.evidence.descriptions import FINDINGS
from rontgen.evidence.endpoints import METRIC
from rontgen.evidence.verdicts import Claims

COLUMNS = ["run", "metric", "place", "paper", "paper_low", "paper_high"]
COLUMNS += ["ours", "low", "high", "difference", "finding", "reason"]
# Before the contradictions
ASSUMED = [
    "Assumed, for no paper says otherwise: the numbers of one row are of the same model and the same test images, as",
    "many of each class as stated, and averages over classes are unweighted. An accuracy on validation images beside a",
    "precision on test images, for one, would be no contradiction.",
]
KINDS = {"counts of the data": "data.", "results": ("test.", "train.", "time.")}


def write(claims: Claims, folder: Path) -> None:
    """Write claims.json, endpoints.csv, claims.csv, claims.md and, of durations alone, claims_time.csv.

    Counts are written whole, other numbers with four decimals, a published number in the paper's own digits. In
    claims.json: endpoints, the number of published rows of each verdict by the protocol, in all and by study;
    other_readings, the same of every row and other reading that was run; numbers, what the other published numbers are;
    headlines (published_counts.headline); and in the demo profile demo, how many of its runs learn.
    """
    cells, rows = claims.cells, claims.endpoints
    endpoints = {"all": counts(claims.by_protocol.verdict, VERDICTS)}
    grouped = claims.by_protocol.groupby("study", sort=False)
    endpoints |= {study: counts(some.verdict, VERDICTS) for study, some in grouped}
    values = {
        "endpoints": endpoints,
        "other_readings": counts(rows[(rows.reading != PROTOCOL) & (rows.seeds > 0)].verdict, VERDICTS),
        "numbers": counts(others(cells).finding, FINDINGS),
        "headlines": claims.headlines,
    }
    if len(claims.demo):
        values["demo"] = {"runs": len(claims.demo), "learn": int(claims.demo.learns.sum())}
    write_json(values, folder / "claims.json")
    _write_csv(_printed_endpoints(rows), folder / "endpoints.csv")
    is_time = cells.metric.str.startswith("time.")
    _write_csv(_printed(cells[~is_time])[COLUMNS], folder / "claims.csv")
    _write_csv(_printed(cells[is_time])[COLUMNS], folder / "claims_time.csv")
    _write(folder / "claims.md", _markdown(claims))


def others(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells other than endpoints."""
    return cells[cells.metric != METRIC]


def counts(words: pd.Series, known: tuple[str, ...]) -> dict[str, int]:
    """How often each of the known verdicts or findings is among `words`."""
    return {word: int((words == word).sum()) for word in known}


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    _write(path, table.to_csv(index=False, lineterminator="\n"))


def _rates(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """With four decimals, and nothing where there is no number."""
    return table.assign(**{c: ["" if math.isnan(value) else f"{value:z.4f}" for value in table[c]] for c in columns})


def _printed_endpoints(rows: pd.DataFrame) -> pd.DataFrame:
    return _rates(rows, "paper_low", "paper_high", "mean", "spread", "low", "high")


def _printed(cells: pd.DataFrame) -> pd.DataFrame:
    printed = _rates(cells, "paper_low", "paper_high", "low", "high")
    for column in ("ours", "difference"):
        printed[column] = [_number(*pair) for pair in zip(cells.metric, cells[column], strict=True)]
    return printed


def _number(metric: str, value: float) -> str:
    if math.isnan(value):
        return ""
    is_whole = COUNT.fullmatch(metric) or metric == "test.parameters"
    if is_whole and value == int(value):
        return f"{value:z.0f}"
    return f"{value:zg}" if metric.startswith("data.") else f"{value:z.4f}"


def _markdown(claims: Claims) -> str:
    cited = _numbers_of_violations(claims)
    sections = {
        "The verdicts: test accuracy of each published row": _verdicts(claims, cited),
        "What was run, and where it deviates from the paper": _runs(claims),
        "The other numbers": _other_numbers(claims.cells),
        "The best accuracy of each study against its others": _headlines(claims.headlines),
        "Contradictions": [*ASSUMED, "", *_violations(claims, CONTRADICTORY)],
        "Data missing from the public archives": _violations(claims, UNAVAILABLE),
        "All numbers": _all_numbers(claims.cells, cited),
    }
    lines = ["# Every published number, and what became of it"]
    for title, section in sections.items():
        lines += ["", f"## {title}", "", *section]
    return "\n".join(lines) + "\n"


def _verdicts(claims: Claims, cited: dict[tuple[str, str, str], str]) -> list[str]:
    endpoints = claims.endpoints
    groups = [("all", claims.by_protocol), *claims.by_protocol.groupby("study", sort=False)]
    counted = [(name, *counts(some.verdict, VERDICTS).values(), len(some)) for name, some in groups]
    header = ["run", "reading", "paper", "its interval", "seeds", "ours, mean", "our interval", "verdict", "reason"]
    table = []
    shown = (endpoints.reading == PROTOCOL) | (endpoints.seeds > 0)
    for row in _printed_endpoints(endpoints)[shown].itertuples():
        start = row.run, row.label, row.paper, _interval(row.paper_low, row.paper_high)
        ours = row.seeds or "", row.mean, _interval(row.low, row.high)
        table.append((*start, *ours, row.verdict, cited.get((row.run, METRIC, row.verdict), row.reason)))
    return [
        "From records of real runs alone (`results/`), by the protocol:",
        "",
        *_table(["", *VERDICTS, "rows"], counted),
        "",
        "Our interval: what one run by this protocol, tested on as many images as the paper's, would report in 95 of",
        "100 cases ([how](../docs/evidence.md)). Other readings have a line where they were run. Numbers in brackets",
        "are those of the sums below that do not hold.",
        "",
        *_table(header, table),
    ]


def _other_numbers(cells: pd.DataFrame) -> list[str]:
    cells = others(cells)
    kinds = [(f"of all: {kind}", cells[cells.metric.str.startswith(prefix)]) for kind, prefix in KINDS.items()]
    groups = [("all", cells), *cells.groupby("study", sort=False), *kinds]
    counted = [(name, *counts(some.finding, FINDINGS).values(), len(some)) for name, some in groups]
    return [
        (
            "Described, not judged. Ours are means over the seeds by the protocol, "
            "but of counts of the data those of the whole"
        ),
        "public archive. A result is consistent where it lies in what one more seed would give in 95 of 100 cases.",
        "",
        *_table(["", *FINDINGS, "numbers"], counted),
    ]


def _headlines(headlines: dict[str, dict]) -> list[str]:
    tests = []
    for study, tested in headlines.items():
        for run, other in tested["against"].items():
            best = study, tested["best"], f"{tested['correct']} of {tested['test_images']}"
            tests.append((*best, run, other["correct"], f"{other['fisher_p']:.3g}", f"{other['least_mcnemar_p']:.3g}"))
    return [
        "From the published counts alone, as printed. Fisher: exact, as if on different images. McNemar: exact, at the",
        "pairing most favourable to the claim, since no paper publishes its pairing: where this p is 0.05 or more, no",
        "pairing would make the difference significant.",
        "",
        *_table(["study", "best", "right", "against", "right", "Fisher p", "least McNemar p"], tests),
    ]


def _violations(claims: Claims, verdict: str) -> list[str]:
    lines = []
    for number, violation in enumerate(claims.violations, 1):
        if violation.verdict == verdict:
            owners = ", ".join(dict.fromkeys(owner for owner, _ in violation.cells))
            subject = owners if len(owners) <= 60 else f"{len(violation.cells)} numbers"
            lines.append(f"- ({number}) {subject}: {violation.reason}")
    return lines


def _all_numbers(cells: pd.DataFrame, cited: dict[tuple[str, str, str], str]) -> list[str]:
    lines = [
        "Numbers in brackets are those of the lists above. Of `data.`, *ours* is the public archive's number, not that",
        "of the images at hand. Durations: claims_time.csv.",
    ]
    header = ["metric", "place", "paper", "its interval", "ours", "our interval", "difference", "finding", "reason"]
    shown = _printed(cells[~cells.metric.str.startswith("time.")])
    for run, some in shown.groupby("run", sort=False):
        table = []
        for row in some.itertuples():
            why = "; ".join(filter(None, [cited.get((row.run, row.metric, row.finding), row.reason), row.note]))
            intervals = _interval(row.paper_low, row.paper_high), _interval(row.low, row.high)
            start = row.metric, row.place, row.paper, intervals[0], row.ours, intervals[1]
            table.append((*start, row.difference, row.finding, why))
        lines += ["", f"### {run}", "", *_table(header, table)]
    return lines


def _runs(claims: Claims) -> list[str]:
    """A line for each run and reading with its seeds, and one for each way in which it deviates from the paper."""
    lines = []
    for (run, treatment), records in claims.records.items():
        seeds = ", ".join(str(record.seed) for record in records)
        lines.append(f"- {run}, {treatment.replace('_', ' ')}, seed{'s' if len(records) > 1 else ''} {seeds}")
        deviations = dict.fromkeys(text for record in records for text in record.deviations)
        lines += [f"  - {text}" for text in deviations]
    return lines or ["Nothing yet: `rontgen reproduce RUN --seeds 1-5`."]


def _numbers_of_violations(claims: Claims) -> dict[tuple[str, str, str], str]:
    """For each cell and verdict, the numbers of the violations that settle it: `(3), (4)`."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for number, violation in enumerate(claims.violations, 1):
        for owner, metric in violation.cells:
            found.setdefault((owner, metric, violation.verdict), []).append(f"({number})")
    return {key: ", ".join(numbers) for key, numbers in found.items()}


def _interval(low: str, high: str) -> str:
    return f"{low}-{high}" if low else ""


def _table(header: list[str], rows: list[tuple]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]
