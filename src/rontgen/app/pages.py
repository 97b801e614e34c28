"""The pages as HTML, in every language of texts.yaml, from templates/ and what the pipeline wrote."""

import base64
import io
from functools import cache
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image
from ruamel.yaml import YAML

from rontgen import cards, figures, params, phantom
from rontgen.app import drawing
from rontgen.reader import MAX_BYTES, Reader

HERE = Path(__file__).parent
TEXTS = YAML(typ="safe").load((HERE / "texts.yaml").read_text(encoding="utf-8"))
LANGUAGES = tuple(TEXTS)
EXAMPLE_SIZE = 220  # pixels


class Pages:
    """The HTML of each page over the readers of some runs."""

    names = ("home", "examine", "results", "about")

    def __init__(self, readers: dict[str, Reader]):
        self._readers = readers
        values = params.load()
        self._shared = {
            "readers": readers,
            "languages": LANGUAGES,
            "names": self.names,
            "colors": figures.CLASS_COLORS,
            "profile": values.profile,
            "megabytes": MAX_BYTES // 1_000_000,
        }
        self._datasets = values.datasets
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {"rate": cards.rate, "number": cards.number}
        self._environment.globals["with_interval"] = cards.with_interval

    def show(self, language: str, name: str, reader: Reader) -> str:
        """One of `names` as HTML, about a reader's run. Raises RontgenError where a file that it shows is missing."""
        extra = {}
        if name == "results":
            claims, endpoints = (cards.read_table(path, "make repro") for path in (cards.CLAIMS, cards.ENDPOINTS))
            extra = {"claims": claims, "endpoints": cards.shown(endpoints)}
        if name == "about":
            dataset = self._datasets[reader.description["dataset"]]
            examples = {label: _example(label.lower()) for label in reader.classes}
            extra = {"dataset": dataset, "examples": examples}
        return self._render(language, name, reader, reading=None, error=None, **extra)

    def read(self, language: str, reader: Reader, data: bytes) -> str:
        """The page `examine` with what a reader says of a file. Raises RontgenError where it cannot be read."""
        reading = reader.read(data, for_page=True)
        extra = {"picture": data_url(reading.image)}
        if reading.heatmap is not None:
            extra["overlay"] = data_url(drawing.overlay(reading.image, reading.heatmap))
        if reading.is_xray:
            sheets = drawing.save(reading, reader, TEXTS[language])
            extra["saved"] = {kind: base64.b64encode(data).decode() for kind, data in sheets.items()}
        return self._render(language, "examine", reader, reading=reading, error=None, **extra)

    def show_error(self, language: str, reader: Reader, error: str) -> str:
        """The page `examine` with what was wrong with a file."""
        return self._render(language, "examine", reader, reading=None, error=error)

    def _render(self, language: str, name: str, reader: Reader, **values) -> str:
        template = self._environment.get_template(f"{name}.html.j2")
        return template.render(
            self._shared, language=language, text=TEXTS[language], page=name, reader=reader, **values
        )


def data_url(pixels: np.ndarray) -> str:
    """A picture, uint8 (H, W) or (H, W, 3), as a PNG inside the page."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@cache
def _example(finding: str) -> str | None:
    """A drawn phantom with the signs of a class: no patient's picture has a place here. None where there is none."""
    if finding not in phantom.FINDINGS:
        return None
    patient, exposure = np.random.default_rng(1), np.random.default_rng(2)  # of six, where the signs are clearest
    return data_url(phantom.draw(finding, patient, exposure, EXAMPLE_SIZE, EXAMPLE_SIZE).image)
