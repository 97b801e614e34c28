"""Pages that quote records: docs/real-data.md, docs/cards/ and the results in README.md.

`rontgen docs` writes them. They follow from results/, papers.yaml and params.yaml alone, so that every clone
of a commit writes the same bytes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rontgen.core import params, runs
from rontgen.core.errors import RontgenError
from rontgen.core.io import replacing
from rontgen.evidence import published_training, real_data, records, verdicts
from rontgen.evidence.conclusions import conclusions
from rontgen.evidence.published import load_papers
from rontgen.evidence.real_data import SCORES, StudyEvidence
from rontgen.reporting import model_cards, rendering

README, REAL_DATA, CARDS = Path("README.md"), Path("docs/real-data.md"), Path("docs/cards")
BEGIN, END = "<!-- results: written by `rontgen docs` -->", "<!-- end of results -->"


@dataclass(frozen=True)
class Headline:
    """What README quotes of a study: the published row of the highest accuracy among those with a record, by each
    reading with a record, after any row that claims more and has none.

    rows: of verdicts.Claims.endpoints.
    """

    study: str
    rows: list[dict[str, Any]]


def write() -> list[Path]:
    """Write every page, and remove cards of runs that have no record any more; returns the paths written.

    Raises RontgenError where README.md lacks the marks BEGIN and END.
    """
    pages = render()
    for path, text in pages.items():
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    for path in set(CARDS.glob("*.md")) - set(pages):
        path.unlink()
    return list(pages)


def render() -> dict[Path, str]:
    """The text of every page, by its path."""
    papers, values, found = load_papers(Path("papers.yaml")), params.load(), records.read_all()
    claims = verdicts.compare(papers, values, found, [])
    studies = real_data.gather(papers, values, claims, found)
    titles = {name: study.title for name, study in papers.studies.items()}
    headlines = [headline for study in studies if (headline := _headline(study))]
    results = rendering.markdown("readme_results.md.j2", headlines=headlines, departures=_departures(studies))
    pages = {
        README: _with_results(README.read_text(encoding="utf-8"), results),
        REAL_DATA: rendering.markdown(
            "real_data.md.j2",
            studies=studies,
            titles=titles,
            scores=SCORES,
            training_scores=published_training.SCORES,
            conclusions=conclusions,
            **real_data.read_audits(),
        ),
    }
    return pages | {
        CARDS / f"{run}.md": _card(run, study, titles[study.name]) for study in studies for run in study.runs
    }


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


def _card(name: str, study: StudyEvidence, title: str) -> str:
    run, trainings = runs.load_run(name), [training for training in study.trainings if training.run == name]
    record = trainings[0].records[0]
    return rendering.markdown(
        "record_card.md.j2",
        run=run,
        study=run.image_set.study,
        title=title,
        record=record,
        settings=[pair for setting in record.provenance["settings"].items() for pair in model_cards.flat(*setting)],
        trainings=trainings,
        commits=list(dict.fromkeys(commit for training in trainings for commit in training.commits)),
        machines=list(dict.fromkeys(machine for training in trainings for machine in training.machines)),
        deviations=[text for text, names in study.deviations.items() if name in names],
        rows=study.rows[study.rows["trained"] == name].to_dict("records"),
        gap=study.gaps.get(name),
        gap_note=study.gap_note(name) if name in study.gaps else "",
        leaks=study.leaks if not run.image_set.study.is_leakfree else {},
        shortcuts=study.shortcuts,
        scores=SCORES,
    )


def _with_results(text: str, results: str) -> str:
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise RontgenError(f"{README}: expected the lines {BEGIN} and {END}: run `git checkout {README}`")
    return f"{before}{BEGIN}\n\n{results}\n{END}{after}"
