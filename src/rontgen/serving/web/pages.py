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
        self._predictors = predictors
        values = params.load()
        self._shared = {
            "predictors": predictors,
            "languages": LANGUAGES,
            "names": self.names,
            "colors": plots.CLASS_COLORS,
            "megabytes": MAX_BYTES // 1_000_000,
        }
        self._datasets = values.datasets
        self._environment = environment(
            jinja2.ChoiceLoader(
                [jinja2.FileSystemLoader(HERE / "templates"), jinja2.PackageLoader("rontgen.reporting")]
            ),
            autoescape=True,
        )

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
        return self._render(language, name, predictor, prediction=None, error=None, **extra)

    def read(self, language: str, predictor: Predictor, data: bytes) -> str:
        """The page `examine` with a predictor's answer to a file. Raises RontgenError if it cannot be read."""
        prediction = predictor.read(data, for_page=True)
        assert prediction.image is not None  # as it is for a page
        extra: dict[str, Any] = {"picture": data_url(prediction.image)}
        if prediction.heatmap is not None:
            extra["overlay"] = data_url(overlays.overlay(prediction.image, prediction.heatmap))
        if prediction.in_distribution:
            sheets = overlays.save(prediction, predictor, TEXTS[language])
            extra["saved"] = {kind: base64.b64encode(data).decode() for kind, data in sheets.items()}
        return self._render(language, "examine", predictor, prediction=prediction, error=None, **extra)

    def show_error(self, language: str, predictor: Predictor, error: str) -> str:
        """The page `examine` with the error of a file."""
        return self._render(language, "examine", predictor, prediction=None, error=error)

    def _render(self, language: str, name: str, predictor: Predictor, **values: Any) -> str:
        template = self._environment.get_template(f"{name}.html.j2")
        return template.render(
            self._shared, language=language, text=TEXTS[language], page=name, predictor=predictor, **values
        )


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
