"""Pages that quote the papers and the records: of studies, architectures and archives, and README's results.

`rontgen docs` writes them. They follow from results/, the studies' files and params.yaml alone. So every clone of a
commit writes the same bytes.
"""

from pathlib import Path

from rontgen.claims import architectures, descriptions, external, findings, studies
from rontgen.claims.architectures import COSTS, SPECIFICITY, Table
from rontgen.claims.findings import in_brief, of_external, points
from rontgen.claims.studies import Study
from rontgen.claims.trainings import SCORES, Training
from rontgen.claims.verdicts import FEWEST, Row
from rontgen.core import architectures as protocol
from rontgen.core import origins, params
from rontgen.core.errors import RontgenError
from rontgen.core.io import read_json, replacing
from rontgen.core.papers import FOLDER, Papers, load_papers
from rontgen.core.params import Params
from rontgen.core.runs import ACTIVE
from rontgen.core.vocabulary import PROTOCOL, VERDICTS
from rontgen.records import records
from rontgen.reporting import rendering

README, ARCHITECTURES = Path("README.md"), Path("studies/architectures.md")
REAL_DATA = records.FOLDER / "archives/README.md"
BEGIN, END = "<!-- results: written by `rontgen docs` -->", "<!-- end of results -->"


def write() -> list[Path]:
    """Write every page and return the paths. Raises RontgenError where README.md lacks the marks BEGIN and END."""
    pages = render()
    for path, text in pages.items():
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return list(pages)


def render() -> dict[Path, str]:
    """The text of every page, by its path."""
    before, after = _around_results(README.read_text(encoding="utf-8"))
    papers, values, recorded = load_papers(), params.load(), records.read_all()
    found, table = studies.gather(papers, values, recorded), architectures.gather(recorded)
    results = rendering.markdown(
        "readme_results.md.j2",
        studies={study.name: shown(study) for study in found},
        brief=in_brief,
        lines=remembered(found),
        departures=_departures(found),
        elsewhere=elsewhere(found),
        table=table,
        conclusion=architectures.conclusion(table) if table else "",
    )
    pages = {
        README: f"{before}{BEGIN}\n\n{results}\n{END}{after}",
        REAL_DATA: archives_page(papers),
        ARCHITECTURES: architectures_page(table, values),
    }
    return pages | {FOLDER / study.name / "README.md": study_page(study, papers, values) for study in found}


def study_page(study: Study, papers: Papers, values: Params) -> str:
    """The page of a study, in Markdown."""
    archives = values.datasets[study.dataset].archives
    return rendering.markdown(
        "study.md.j2",
        study=study,
        paper=study.paper,
        archives={name: (archives[name].slug, papers.sources[name]) for name in archives},
        origins=origins.table(study.paper, values),
        scores=SCORES,
        training_scores=descriptions.SCORES,
        findings=findings.findings(study),
        brief=in_brief(study),
        rows_before=lambda row: any(one.run == row.run and one.training for one in study.rows[: study.rows.index(row)]),
    )


def archives_page(papers: Papers) -> str:
    """results/archives/README.md."""
    return rendering.markdown("archives.md.j2", sources=papers.sources, **studies.read_audits())


def architectures_page(table: Table | None, values: Params) -> str:
    """studies/architectures.md."""
    settings = params.read_yaml(protocol.FILE)
    found = table.architectures if table else []
    trainings = [Training(ACTIVE, one.name, one.name, one.records) for one in found]
    return rendering.markdown(
        "architectures.md.j2",
        table=table,
        conclusion=architectures.conclusion(table) if table else "",
        size=settings["image"]["size"],
        epochs=settings["train"]["epochs"],
        specificity=SPECIFICITY,
        scores=[name for name in architectures.SCORES if name != "accuracy"],
        missing=[name for name in values.models if name not in {one.name for one in found}],
        external=[asked for training in trainings if (asked := external.of(training))],
        machine=read_json(COSTS, f"git checkout {COSTS}")["machine"] if COSTS.exists() else "",
    )


def elsewhere(found: list[Study]) -> list[str]:
    """Of the most accurate training of each study that was asked, how many people without a finding it calls sick."""
    best = [max(study.external, key=lambda one: one.accuracy) for study in found if study.external]
    return [of_external(one) for one in best]


def shown(study: Study) -> list[Row]:
    """The rows of a study that README shows, at most three: the highest published row, where it is not recorded; of the
    one that stands for the study the first treatment, and the nearest one of each other verdict."""
    main = study.main
    best = max(study.rows, key=lambda row: row.paper.number)
    rows = [best] if best.paper.number > main.paper.number else []
    rows.append(main)
    others = [row for row in study.rows if row.run == main.run and row.records and row.verdict != main.verdict]
    for row in sorted(others, key=lambda row: row.replication.bound if row.replication else 1):
        if row.verdict not in {other.verdict for other in rows}:
            rows.append(row)
    return rows[:3]


def remembered(found: list[Study]) -> list[str]:
    """Three sentences that a reader takes home."""
    rows = [row for study in found for row in study.rows]
    published = {row.run for row in rows}
    judged = {
        row.run: row.verdict
        for row in rows
        if row.reading == PROTOCOL and row.replication and row.verdict == row.replication.verdict
        if len(row.records) >= FEWEST
    }
    counted = {verdict: list(judged.values()).count(verdict) for verdict in VERDICTS}
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counted.items() if count)
    lines = [
        f"Of {len(published)} published test accuracies, {len(judged)} could be judged by our completion of what the "
        f"paper states: {verdicts}. For {len(published) - len(judged)} others the data are not openly available, the "
        f"paper's numbers contradict each other, or fewer than {FEWEST} trainings by our completion are recorded."
    ]
    swings = [one for study in found for one in study.comparisons if one.is_of_readings and one.is_shown]
    if swings:
        widest = max(swings, key=lambda one: abs(one.accuracy.mean))
        lines.append(
            f"What a paper leaves open, or we change, can decide: on the same test images, {widest.first.trained} is "
            f"{points(abs(widest.accuracy.mean))} points {'more' if widest.accuracy.mean > 0 else 'less'} accurate by "
            f"“{widest.first.label}” than by “{widest.second.label}”."
        )
    leaky = max((study for study in found if study.leaks), key=lambda study: study.leaks["share"], default=None)
    if leaky:
        effects = [effect.conclusion.partition(":")[0] for study in found for effect in study.leak_effects]
        worth = "seen" if any(effect.startswith("seen") for effect in effects) else "undecided"
        lines.append(
            f"Splitting by image lets patients leak: in {leaky.name}, {leaky.leaks['share']:.0%} of our test images "
            "have a copy or another image of the same patient in training or validation. What that is worth is "
            f"{worth}."
        )
    return lines


def _departures(found: list[Study]) -> list[str]:
    """What the data behind the records are, where they are not the papers'."""
    trainings = [(study, training) for study in found for training in study.trainings]
    archives = [source for _, training in trainings for record in training.records for source in record.sources]
    fewer = [
        f"{study.name}: {text}" for study, training in trainings if (text := training.fewer_images(study.train_images))
    ]
    return list(dict.fromkeys([*archives, *fewer]))


def _around_results(text: str) -> tuple[str, str]:
    """What README has before and after its results."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise RontgenError(f"{README}: expected the lines {BEGIN} and {END}: run `git checkout {README}`")
    return before, after
