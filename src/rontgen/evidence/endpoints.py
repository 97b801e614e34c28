"""The verdict on each published row: on its test accuracy, for each reading of its paper, from records alone.

`contradictory` and `data unavailable` come first, since no run can change them; runs on the available data are shown
beside them. Without a record the verdict is `not run`; otherwise rontgen.evidence.replication judges.
"""

import math

from rontgen.core.vocabulary import NOT_RUN, PROTOCOL
from rontgen.evidence import replication
from rontgen.evidence.published_counts import Published, own_interval
from rontgen.evidence.records import Record, reading_of

METRIC = "test.accuracy"


def endpoint(
    published: Published,
    trained: str,
    treatment: str,
    label: str,
    records: list[Record],
    settled: tuple[str, str] | None,
) -> dict:
    """One row of verdicts.Claims.endpoints.

    trained: the run that is trained for this row. records: of this treatment. settled: the verdict and reason from
    arithmetic, if any.
    """
    reading = reading_of(treatment)
    cell, own = published.cells[METRIC], own_interval(published, METRIC) or (math.nan, math.nan)
    row = {
        "study": published.study,
        "run": published.run,
        "trained": trained,
        "reading": reading,
        "treatment": treatment,
        "label": label,
        "paper": cell.text,
        "paper_low": own[0],
        "paper_high": own[1],
        "seeds": 0,
        **dict.fromkeys(("mean", "spread", "low", "high"), math.nan),
        "verdict": NOT_RUN,
        "narrow": False,
        "reason": f"`{command(trained, reading)}`",
    }
    if records:
        tables = [record.predictions for record in records]
        found = replication.judge(
            published=(float(cell.low), float(cell.high)),
            published_images=int(published.cells["test.test_images"].value),
            correct=[int((table["predicted"] == table["class"]).sum()) for table in tables],
            images=[len(table) for table in tables],
            distinct=len(set().union(*(table["id"].str.partition("-")[0] for table in tables))),  # copies end in -2, …
        )
        row |= {"seeds": found.seeds, "mean": found.mean, "spread": found.spread, "low": found.low, "high": found.high}
        row |= {"verdict": found.verdict, "narrow": found.narrow, "reason": found.reason}
    if settled:
        row |= {"verdict": settled[0], "narrow": False, "reason": settled[1]}
    return row


def command(trained: str, reading: str) -> str:
    """The command that records five seeds of a run by a reading."""
    return f"rontgen reproduce {trained} --seeds 1-5" + ("" if reading == PROTOCOL else f" --reading {reading}")
