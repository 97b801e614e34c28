"""What arithmetic alone finds in a study's published numbers: of each run, against the archives, between its runs."""

from collections.abc import Sequence
from dataclasses import replace

from scipy.stats import binom

from rontgen.claims import archive_counts, consistency
from rontgen.claims.published import Published
from rontgen.claims.violations import Violation, in_words
from rontgen.core.papers import Paper, Papers
from rontgen.core.params import Params
from rontgen.core.vocabulary import CONTRADICTORY

RARE = 0.05


def violations(papers: Papers, name: str, values: Params, published: Sequence[Published]) -> list[Violation]:
    """The relations of a study's numbers that do not hold, each once. published: of each of its runs."""
    settings = values.studies[name]
    found = [violation for run in published for violation in consistency.violations(run)]
    found += archive_counts.violations(papers, published, values.datasets[settings.dataset], settings.split)
    # what concerns the whole study is found again in each of its runs
    found = [*dict.fromkeys(found), *orderings(name, papers.studies[name])]
    if doubt(published):
        doubtful = f"{consistency.AVERAGES}, which is doubtful"
        found = [replace(one, condition=doubtful) if one.condition == consistency.AVERAGES else one for one in found]
    return found


def doubt(rows: Sequence[Published]) -> str:
    """Why the scores of a study's rows can hardly be averages on the images of their accuracies; "" if they can.

    Then accuracy and recall are one number, printed as two only where it lies halfway, so that the last bit of two
    computations decides: as rare as an exact half is among all shares of as many images.
    """
    pairs = [
        (row.accuracy, row.cells["test.macro.recall"], min(1.0, 1 / (2 * float(row.accuracy.rounding) * row.images)))
        for row in rows
        if row.equal_support and "test.weighted.recall" not in row.cells and "test.macro.recall" in row.cells
    ]
    apart = sum(accuracy.high == recall.low or recall.high == accuracy.low for accuracy, recall, _ in pairs)
    if not apart or (p := float(binom.sf(apart - 1, len(pairs), max(half for *_, half in pairs)))) >= RARE:
        return ""
    return (
        f"In {apart} of {len(pairs)} rows the printed accuracy and recall are neighbours. As averages on the same "
        f"images they are one number, which would have to lie exactly halfway each time (p = {p:.1g}): so the accuracy "
        "is probably of other images than the scores, and what rests on their being of the same is doubtful."
    )


def orderings(study: str, paper: Paper) -> list[Violation]:
    """The sentences about the order of a paper's numbers that the numbers do not bear out, whatever their rounding."""
    found = []
    for ordering in paper.orderings:
        cells = {run: cell for run in paper.runs for cell in paper.runs[run] if cell.metric == ordering.metric}
        for one, other in ordering.pairs:
            first, second = cells[one], cells[other]
            low, high = (first.low, second.high) if ordering.order == "rising" else (second.low, first.high)
            if high <= low:
                printed_numbers = f"{first.text} in {one}, {second.text} in {other}"
                reason = f"“{ordering.says}” ({ordering.place}), and {in_words(ordering.metric)} is {printed_numbers}"
                found.append(Violation(CONTRADICTORY, ((study, ordering.place),), reason, ordering.condition))
    return found
