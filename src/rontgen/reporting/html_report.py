"""All of the evidence on one page: `rontgen report` writes report.html, which needs no other file.

Figures are inlined, so that the page can be mailed or kept; a figure that is not there is named on the page with the
command that makes it. The same files at the same commit make the same bytes.
"""

import base64
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd
from markdown_it import MarkdownIt
from markupsafe import Markup

from rontgen.core import params, parts, runs
from rontgen.core.errors import RontgenError
from rontgen.core.io import commit, read_json, replacing, require
from rontgen.core.params import Params
from rontgen.core.parts import ACTIVE, ImageSet, Run
from rontgen.core.sections import SUBSETS
from rontgen.reporting import model_cards
from rontgen.reporting.rendering import environment

COMMAND = "make repro"  # makes all that the page needs
CLAIMS_JSON = Path("metrics/claims.json")

# What is drawn of each run and image set: the file's name, and what a reader who cannot see it is told
RUN_FIGURES = {
    "confusion_matrix": "confusion matrix, images by true and predicted class",
    "roc": "ROC curve with its 95% band",
    "precision_recall": "precision-recall curve with its 95% band",
    "calibration": "reliability diagram, accuracy by confidence",
    "history": "loss and accuracy by epoch",
}
IMAGE_SET_FIGURES = {
    "class_counts": "images by class and subset, real and synthetic",
    "contact_sheet": "some images of each class and subset",
    "smote": "synthetic images between their two parents",
}


@dataclass(frozen=True)
class Figure:
    """A PNG of the page: its text for who cannot see it, and the command that makes it."""

    path: Path
    text: str
    command: str

    @property
    def data(self) -> str | None:
        """The PNG as base64; None where it is not there."""
        return base64.b64encode(self.path.read_bytes()).decode() if self.path.exists() else None


def write(output: Path) -> None:
    """Write the page. Raises RontgenError, naming `make repro`, where a file or number that it needs is missing."""
    values = gather(params.load())
    try:
        page = _template().render(values)
    except (jinja2.UndefinedError, KeyError) as error:
        raise RontgenError(f"a number of the page is missing, {error}: run `{COMMAND}`") from error
    with replacing(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


def gather(values: Params) -> dict:
    """All that the page says, by the names that its template uses."""
    claims, endpoints = (model_cards.read_table(path, COMMAND) for path in (model_cards.CLAIMS, model_cards.ENDPOINTS))
    counts, names = read_json(CLAIMS_JSON, COMMAND), [ACTIVE, *values.reported]
    return {
        "profile": values.profile,
        "commit": commit(),
        "claims": claims,
        "endpoints": model_cards.shown(endpoints),
        "verdicts": counts["endpoints"],
        "findings": counts["numbers"],
        "headlines": counts["headlines"],
        "contradictions": model_cards.contradictions(claims),
        "leakage": read_json(model_cards.LEAKAGE, COMMAND),
        "leakage_gap": read_json(model_cards.LEAKAGE_GAP, COMMAND),
        "shortcuts": {name: read_json(Path("metrics/shortcuts", f"{name}.json"), COMMAND) for name in values.datasets},
        "image_sets": [_image_set(runs.load_image_set(name)) for name in [ACTIVE, *values.image_sets]],
        "runs": [_run(runs.load_run(name), endpoints) for name in names],
        "subsets": SUBSETS,
        "figure": {
            "claims": Figure(
                Path("plots/claims.png"), "published accuracy of each row, and what real runs gave", "dvc repro compare"
            ),
            "leakage": Figure(Path("plots/leakage.png"), "share of test images that leak", "dvc repro leakage"),
            "examples": Figure(Path("plots/leakage_examples.png"), "pairs of near duplicates", "dvc repro leakage"),
            "leakage_gap": Figure(Path("plots/leakage_gap.png"), "leakage gap of accuracy", "dvc repro leakage_gap"),
            "shortcuts": {
                name: Figure(
                    Path("plots/shortcuts", f"{name}.png"),
                    f"{name}: image sizes by class, and ROC-AUC without the lungs",
                    f"dvc repro shortcuts@{name}",
                )
                for name in values.datasets
            },
        },
    }


def _image_set(image_set: ImageSet) -> dict:
    drawn = [name for name in IMAGE_SET_FIGURES if name != "smote" or image_set.balance != "none"]
    return {
        "image_set": image_set,
        "audit": read_json(image_set.study.audit, COMMAND),
        "figures": [
            Figure(
                image_set.balance_plots / f"{name}.png",
                f"{image_set.name}: {IMAGE_SET_FIGURES[name]}",
                image_set.balance_command,
            )
            for name in drawn
        ],
    }


def _run(run: Run, endpoints: pd.DataFrame) -> dict:
    evaluate = parts.stage_command("evaluate", run.name)
    card = require(model_cards.FOLDER / f"{run.name}.md", COMMAND).read_text(encoding="utf-8")
    published = endpoints[endpoints["trained"] == run.name].drop_duplicates("run")  # the first of a row is as stated
    return {
        "run": run,
        "metrics": read_json(run.metrics, COMMAND),
        "intervals": read_json(run.intervals, COMMAND),
        "published": published.to_dict("records"),
        "figures": [
            Figure(run.plots / f"{name}.png", f"{run.name}: {text}", evaluate) for name, text in RUN_FIGURES.items()
        ],
        "heatmaps": Figure(
            run.gradcam, f"{run.name}: where it looks, in its surest answers, right and wrong", evaluate
        ),
        "card": _html(card),
    }


def _html(markdown: str) -> Markup:
    """A card as HTML, its headings three levels lower, for the page has three above them; HTML in it stays text."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{int(token.tag[1]) + 3}"
    html = parser.renderer.render(tokens, parser.options, {})
    html = html.replace("<table>", '<div class="wide" tabindex="0"><table>').replace("</table>", "</table></div>")
    return Markup(html)


def _template() -> jinja2.Template:
    return environment(jinja2.PackageLoader("rontgen.reporting"), autoescape=True).get_template("report.html.j2")
