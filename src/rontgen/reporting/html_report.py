"""All of the evidence on one page: `rontgen report` writes report.html, which needs no other file.

It is the card of each study, the figure of the verdicts, the pages of the studies, of the architectures and of the
archives. Figures are inlined, so that the page can be mailed or kept. The same files at the same commit make the same
bytes.
"""

import base64
import tempfile
from collections.abc import Callable
from pathlib import Path

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup
from PIL import Image

from rontgen.claims import architectures, studies
from rontgen.core import params
from rontgen.core.io import commit, replacing
from rontgen.core.papers import load_papers
from rontgen.records import records
from rontgen.reporting import architectures_plot, audit_plots, pages, verdicts_plot
from rontgen.reporting.cards import Card
from rontgen.reporting.rendering import environment

COLORS = 64  # of an inlined figure


def write(output: Path) -> None:
    """Write the page. Raises RontgenError where a record, a study's file or an audit is missing or damaged."""
    papers, values = load_papers(), params.load()
    recorded = records.read_all()
    found, table = studies.gather(papers, values, recorded), architectures.gather(recorded)
    audits = studies.read_audits()
    page = (
        environment(jinja2.PackageLoader("rontgen.reporting"), autoescape=True)
        .get_template("report.html.j2")
        .render(
            commit=commit(),
            cards=[Card.of(study) for study in found],
            remembered=pages.remembered(found),
            verdicts=_figure(
                lambda path: verdicts_plot.draw(found, path),
                "each published accuracy, our seeds, and how far apart the two are",
            ),
            studies=[(study.name, html(pages.study_page(study, papers, values))) for study in found],
            archives=html(pages.archives_page(papers)),
            architectures=html(pages.architectures_page(table, values)),
            costs=_figure(lambda path: architectures_plot.draw(table, path), "accuracy against cost") if table else "",
            leaks=_figure(
                lambda path: audit_plots.leaks(audits["leakage"]["splits"], path), "share of test images that leak"
            )
            if audits["leakage"]
            else "",
        )
    )
    with replacing(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _figure(draw: Callable[[Path], None], text: str) -> Markup:
    """The PNG that a function draws, inlined, with its text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "figure.png")
        draw(path)
        with Image.open(path) as image:  # a third of the bytes
            image.convert("RGB").quantize(COLORS).save(path, optimize=True)
        data = base64.b64encode(path.read_bytes()).decode()
    template = '<figure><img src="data:image/png;base64,{data}" alt="{text}"><figcaption>{text}</figcaption></figure>'
    return Markup(template).format(data=data, text=text)


def html(markdown: str) -> Markup:
    """A page as HTML, its headings two levels lower. Links are plain text and images left out, for they lead to other
    files; HTML in it stays text."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{int(token.tag[1]) + 2}"
        if token.children:
            left_out = ("link_open", "link_close", "image")
            token.children = [child for child in token.children if child.type not in left_out]
    text = parser.renderer.render(tokens, parser.options, {})
    text = text.replace("<table>", '<div class="wide" tabindex="0"><table>').replace("</table>", "</table></div>")
    return Markup(text)
