"""Pages that quote the papers and the records: studies/<study>/README.md, docs/real-data.md and README's results.

`rontgen docs` writes them. They follow from results/, the studies' files and params.yaml alone. So every clone of a
commit writes the same bytes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rontgen.core import params
from rontgen.core.errors import RontgenError
from rontgen.core.io import replacing
from rontgen.core.papers import FOLDER, Papers, load_papers
from rontgen.core.params import Params
from rontgen.evidence import origins, published_training, real_data, records, verdicts
from rontgen.evidence.conclusions import conclusions
from rontgen.evidence.real_data import SCORES, StudyEvidence
from rontgen.reporting import rendering

README, REAL_DATA = Path("README.md"), Path("docs/real-data.md")
BEGIN, END = "<!-- results: written by `rontgen docs` -->", "<!-- end of results -->"


@dataclass(frozen=True)
class Headline:
    """What README quotes of a study: the published row of the highest accuracy among those with a record, by each
    treatment with a record, after any row that claims more and has none.

    rows: of verdicts.Claims.endpoints.
    """

    study: str
    rows: list[dict[str, Any]]


def write() -> list[Path]:
    """Write every page and return the paths. Raises RontgenError where README.md lacks the marks BEGIN and END."""
    pages = render()
    for path, text in pages.items():
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return list(pages)


def render() -> dict[Path, str]:
    """The text of every page, by its path."""
    papers, values, found = load_papers(), params.load(), records.read_all()
    claims = verdicts.compare(papers, values, found, [])
    studies = real_data.gather(papers, values, claims, found)
    results = rendering.markdown(
        "readme_results.md.j2",
        headlines=[headline for study in studies if (headline := _headline(study))],
        departures=_departures(studies),
        sources=papers.sources,
    )
    pages = {
        README: _with_results(README.read_text(encoding="utf-8"), results),
        REAL_DATA: rendering.markdown(
            "real_data.md.j2", sources=papers.sources, studies=list(papers.studies), **real_data.read_audits()
        ),
    }
    return pages | {FOLDER / study.name / "README.md": _study(study, papers, values) for study in studies}


def _study(study: StudyEvidence, papers: Papers, values: Params) -> str:
    archives = values.datasets[study.dataset].archives
    return rendering.markdown(
        "study.md.j2",
        study=study,
        paper=study.paper,
        archives={name: (archives[name].slug, papers.sources[name]) for name in archives},
        origins=origins.table(study.paper, study.name, values),
        scores=SCORES,
        training_scores=published_training.SCORES,
        conclusions=conclusions(study),
    )


def _headline(study: StudyEvidence) -> Headline | None:
    accuracy, is_recorded = study.rows["paper"].astype(float), study.rows["seeds"] > 0
    if not is_recorded.any():
        return None
    best = study.rows.loc[accuracy[is_recorded].idxmax()]
    higher = study.rows[accuracy > float(best["paper"])]
    return Headline(
        study.name, pd.concat([higher, study.rows[is_recorded & (study.rows["run"] == best["run"])]]).to_dict("records")
    )


def _departures(studies: list[StudyEvidence]) -> list[str]:
    """What the data behind the records are, where they are not the papers'."""
    trainings = [(study, training) for study in studies for training in study.trainings]
    archives = [source for _, training in trainings for record in training.records for source in record.sources]
    fewer = [
        f"{study.name}: {text}" for study, training in trainings if (text := training.fewer_images(study.train_images))
    ]
    return list(dict.fromkeys([*archives, *fewer]))


def _with_results(text: str, results: str) -> str:
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise RontgenError(f"{README}: expected the lines {BEGIN} and {END}: run `git checkout {README}`")
    return f"{before}{BEGIN}\n\n{results}\n{END}{after}"
