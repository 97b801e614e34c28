"""The card of a study: its claim, how close our runs come as a picture, the verdict, one sentence."""

from dataclasses import dataclass

from markupsafe import Markup, escape

from rontgen.claims.findings import in_brief, points
from rontgen.claims.replication import MARGIN
from rontgen.claims.studies import Study
from rontgen.claims.verdicts import Row
from rontgen.reporting.rendering import bound

# Of the picture: units, and the points of difference at its ends
WIDTH, HEIGHT, ENDS = 320, 46, 0.45


@dataclass(frozen=True)
class Card:
    """What a page shows of a study. picture: an SVG. kind: the verdict without its condition."""

    study: str
    claim: str
    kind: str
    verdict: str
    bound: str
    picture: Markup
    sentence: str

    @classmethod
    def of(cls, study: Study) -> "Card":
        row = study.main
        return cls(study.name, study.paper.about, row.verdict, row.words, bound(row), picture(row), in_brief(study))


def picture(row: Row) -> Markup:
    """The 90% interval of the difference, the paper's accuracy less ours, over the margin: an SVG; none without one."""
    found = row.replication
    if found is None or found.bound != found.bound:
        return Markup("")
    least, greatest = (min(max(value, -ENDS), ENDS) for value in (found.least, found.greatest))
    middle, y = float(row.paper.number) - found.mean, 14
    text = (
        f"The paper's accuracy less ours: {points(found.least, True)} to {points(found.greatest, True)} points; the "
        f"margin is {points(MARGIN)} points either way"
    )
    labels = "".join(
        f'<text x="{_x(value):.1f}" y="42" text-anchor="middle" font-size="11">{100 * value:+.0f}</text>'
        for value in (-0.4, -MARGIN, MARGIN, 0.4)
    )
    return Markup(
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{escape(text)}">'
        f'<rect x="{_x(-MARGIN):.1f}" y="2" width="{_x(MARGIN) - _x(-MARGIN):.1f}" height="26" fill="#d5e8f3"/>'
        f'<line x1="{_x(0):.1f}" y1="2" x2="{_x(0):.1f}" y2="28" stroke="#595959" stroke-dasharray="3 2"/>'
        f'<line x1="{_x(least):.1f}" y1="{y}" x2="{_x(greatest):.1f}" y2="{y}" stroke="#0072b2" stroke-width="3"/>'
        f'<circle cx="{_x(middle):.1f}" cy="{y}" r="4.5" fill="#0072b2"/>{labels}</svg>'
    )


def _x(value: float) -> float:
    """The place of a difference."""
    return WIDTH * (value + ENDS) / (2 * ENDS)
