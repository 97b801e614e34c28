"""The card of a study."""

import html
import re

from made_up_studies import OPEN, paper, seeds, study
from rontgen.claims.findings import in_brief
from rontgen.reporting.cards import Card, picture
from rontgen.reporting.rendering import bound


def test_a_card_has_claim_verdict_bound_and_a_sentence():
    found = study(paper(origins={"balance": OPEN}, about="It is right."), seeds(89, 90, 91))
    card = Card.of(found)
    assert (card.study, card.claim, card.kind) == ("smatika", "It is right.", "reproduced")
    assert (card.verdict, card.bound) == ("reproduced by our completion", bound(found.main))
    assert card.sentence == in_brief(found)


def place(svg, tag, name):
    return [float(value) for value in re.findall(rf'<{tag} [^>]*\b{name}="([\d.]+)"', svg)]


def test_the_picture_is_the_interval_of_the_difference_over_the_margin():
    svg = picture(study(paper(), seeds(89, 90, 91)).main)
    margin, width = place(svg, "rect", "x"), place(svg, "rect", "width")
    line = place(svg, "line", "x1")[1], place(svg, "line", "x2")[1]
    assert margin[0] < line[0] < place(svg, "circle", "cx")[0] < line[1] < margin[0] + width[0]
    assert "The paper's accuracy less ours: -" in html.unescape(str(svg))


def test_what_is_far_outside_ends_at_the_edge():
    svg = picture(study(paper(), seeds(10, 11, 12)).main)
    assert place(svg, "line", "x2")[1] == 320.0


def test_there_is_no_picture_without_an_interval():
    for records in ([], seeds(90)):
        assert picture(study(paper(), records).main) == ""
        assert bound(study(paper(), records).main) == "–"
