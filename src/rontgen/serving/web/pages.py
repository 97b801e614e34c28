"""The pages as HTML, in each language of texts.yaml, from templates/ and the pipeline's results."""

import base64
import io
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image
from ruamel.yaml import YAML

from rontgen.claims import studies
from rontgen.core import params
from rontgen.core.papers import load_papers
from rontgen.data.demo import phantom
from rontgen.records import records
from rontgen.reporting import plots
from rontgen.reporting.cards import Card
from rontgen.reporting.rendering import environment
from rontgen.serving.predictor import MAX_BYTES, Predictor
from rontgen.serving.web import overlays

HERE = Path(__file__).parent
TEXTS = YAML(typ="safe").load((HERE / "texts.yaml").read_text(encoding="utf-8"))
LANGUAGES = tuple(TEXTS)
EXAMPLE_SIZE = 220  # pixels


class Pages:
    """The HTML of each page over the predictors of some runs."""

    names = ("home", "examine", "results", "about")

    def __init__(self, predictors: dict[str, Predictor]):
        self._datasets = params.load().datasets
        folders = [jinja2.FileSystemLoader(HERE / "templates"), jinja2.PackageLoader("rontgen.reporting")]
        self._environment = environment(jinja2.ChoiceLoader(folders), autoescape=True)
        self._environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
        self._environment.globals |= {
            "predictors": predictors,
            "languages": LANGUAGES,
            "names": self.names,
            "colors": plots.CLASS_COLORS,
            "megabytes": MAX_BYTES // 1_000_000,
        }

    @cached_property
    def _cards(self) -> list[Card]:
        """What the papers claim and the records say, as it is when first asked for."""
        return [Card.of(study) for study in studies.gather(load_papers(), params.load(), records.read_all())]

    def show(self, language: str, name: str, predictor: Predictor) -> str:
        """One of `names` as HTML, about a predictor's run. Raises RontgenError where a file is missing."""
        extra: dict[str, Any] = {}
        if name == "results":
            extra = {"cards": self._cards}
        if name == "about":
            dataset = self._datasets[predictor.description["dataset"]]
            examples = {label: _example(label.lower()) for label in predictor.classes}
            extra = {"dataset": dataset, "examples": examples}
        return self._render(language, name, predictor, **extra)

    def read(self, language: str, predictor: Predictor, data: bytes) -> str:
        """The page `examine` with a predictor's answer to a file. Raises RontgenError if it cannot be read."""
        prediction, image, heatmap = predictor.show(data)
        overlay = None if heatmap is None else overlays.overlay(image, heatmap)
        saved = {}
        if prediction.in_distribution:
            sheets = overlays.save(prediction, image, overlay, predictor, TEXTS[language])
            saved = {kind: base64.b64encode(sheet).decode() for kind, sheet in sheets.items()}
        return self._render(
            language, "examine", predictor, prediction=prediction, picture=data_url(image), saved=saved,
            overlay=None if overlay is None else data_url(overlay), is_explained=heatmap is not None and heatmap.any(),
        )  # fmt: skip

    def show_error(self, language: str, predictor: Predictor, error: str) -> str:
        """The page `examine` with the error of a file."""
        return self._render(language, "examine", predictor, error=error)

    def _render(self, language: str, name: str, predictor: Predictor, **values: Any) -> str:
        common = {"language": language, "text": TEXTS[language], "page": name, "predictor": predictor}
        return self._environment.get_template(f"{name}.html.j2").render(common, **values)


def data_url(pixels: np.ndarray) -> str:
    """A picture, uint8 (H, W) or (H, W, 3), as a PNG inside the page."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@cache
def _example(finding: str) -> str | None:
    """A drawn phantom with the signs of a class, for no patient's picture is shown here. None for an unknown class."""
    if finding not in phantom.FINDINGS:
        return None
    patient, exposure = np.random.default_rng(1), np.random.default_rng(2)  # of six, where the signs are clearest
    return data_url(phantom.draw(finding, patient, exposure, EXAMPLE_SIZE, EXAMPLE_SIZE).image)
