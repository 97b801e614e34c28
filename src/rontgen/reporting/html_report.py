"""All of the evidence on one page: `rontgen report` writes report.html, which needs no other file.

Figures are inlined, so that the page can be mailed or kept. For a missing figure the page names the command that makes
it. The same files at the same commit make the same bytes.
"""

import base64
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from rontgen.core import params, runs
from rontgen.core.errors import RontgenError
from rontgen.core.io import commit, read_json, replacing, require
from rontgen.core.params import Params
from rontgen.core.parts import ACTIVE, Run
from rontgen.reporting import audit_plots, claims_tables
from rontgen.reporting.rendering import environment

COMMAND = "make repro"  # makes all that the page needs
CLAIMS_JSON = Path("metrics/claims.json")

STUDIES = Path("studies")
AUDITS = Path("results/archives")


@dataclass(frozen=True)
class Figure:
    """A PNG of the page. text: alternative text. data: base64; None if the file is missing, which `command` makes."""

    text: str
    data: str | None
    path: Path | None = None
    command: str | None = None

    @classmethod
    def read(cls, path: Path, text: str, command: str) -> "Figure":
        """The PNG in a file, which may be missing."""
        return cls(text, base64.b64encode(path.read_bytes()).decode() if path.exists() else None, path, command)

    @classmethod
    def drawn(cls, draw: Callable[[Path], None], text: str) -> "Figure":
        """The PNG that a function draws."""
        with tempfile.TemporaryDirectory() as folder:
            draw(Path(folder, "figure.png"))
            return cls(text, base64.b64encode(Path(folder, "figure.png").read_bytes()).decode())


def write(output: Path) -> None:
    """Write the page. Raises RontgenError, naming the command that helps, if a file or number is missing."""
    values = gather(params.load())
    try:
        page = _template().render(values)
    except (jinja2.UndefinedError, KeyError) as error:
        raise RontgenError(f"a number of the page is missing, {error}: run `{COMMAND}`") from error
    with replacing(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


def gather(values: Params) -> dict:
    """The content of the page, by the names that its template uses."""
    claims, endpoints = (
        claims_tables.read_table(path, COMMAND) for path in (claims_tables.CLAIMS, claims_tables.ENDPOINTS)
    )
    counts = read_json(CLAIMS_JSON, COMMAND)
    leakage, shortcuts, archives = (
        read_json(AUDITS / f"{name}.json", f"git checkout {AUDITS}") for name in ("leakage", "shortcuts", "provenance")
    )
    gaps = read_json(claims_tables.LEAKAGE_GAP, COMMAND)["records"]
    return {
        "profile": values.profile,
        "commit": commit(),
        "claims": claims,
        "endpoints": claims_tables.shown(endpoints),
        "verdicts": counts["endpoints"],
        "findings": counts["numbers"],
        "headlines": counts["headlines"],
        "contradictions": claims_tables.contradictions(claims),
        "leakage": leakage,
        "gaps": gaps,
        "shortcuts": shortcuts,
        "archives": archives["archives"],
        "studies": [_study(name, values) for name in values.studies],
        "workspace": [_workspace(runs.load_run(name)) for name in [ACTIVE, *values.runs]],
        "figure": {
            "claims": Figure.read(
                Path("plots/claims.png"), "published accuracy of each row, and what real runs gave", "dvc repro compare"
            ),
            "leakage": Figure.drawn(
                lambda path: audit_plots.leaks(leakage["splits"], path), "share of test images that leak"
            ),
            "leakage_gap": Figure.drawn(
                lambda path: audit_plots.leakage_gap({"records": gaps, "workspace": {}}, False, path),
                "leakage gap of accuracy",
            )
            if gaps
            else None,
            "shortcuts": Figure.drawn(lambda path: audit_plots.probe_scores(shortcuts, path), "ROC-AUC of shortcuts"),
        },
    }


def _study(name: str, values: Params) -> dict:
    recorded = [run for run, row in values.runs.items() if row.study == name and Path("results", run).exists()]
    return {
        "name": name,
        "figures": [
            Figure.read(
                Path("plots/records", f"{run}.png"), f"{run}: ROC curve and training of each seed", "dvc repro compare"
            )
            for run in recorded
        ],
        "page": _html(require(STUDIES / name / "README.md", "rontgen docs").read_text(encoding="utf-8")),
    }


def _workspace(run: Run) -> dict:
    return {"run": run, "metrics": read_json(run.metrics, COMMAND), "intervals": read_json(run.intervals, COMMAND)}


def _html(markdown: str) -> Markup:
    """A study's page as HTML, its headings three levels lower and its links plain text, for they lead to other files;
    HTML in it stays text."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{int(token.tag[1]) + 3}"
        if token.children:
            token.children = [child for child in token.children if child.type not in ("link_open", "link_close")]
    html = parser.renderer.render(tokens, parser.options, {})
    html = html.replace("<table>", '<div class="wide" tabindex="0"><table>').replace("</table>", "</table></div>")
    return Markup(html)


def _template() -> jinja2.Template:
    return environment(jinja2.PackageLoader("rontgen.reporting"), autoescape=True).get_template("report.html.j2")
