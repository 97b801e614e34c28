"""Model cards for the workspace's runs, written from the output of the other stages.

The headings are those of Mitchell et al. (2019), "Model Cards for Model Reporting", Section 4; the text is in
templates/model_card.md.j2. Two runs of one commit on one machine give the same card.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from pydantic import BaseModel

from rontgen.core import params, parts, runs
from rontgen.core.errors import RontgenError
from rontgen.core.io import read_json, replacing, require
from rontgen.core.params import Params
from rontgen.core.parts import ACTIVE, Run, Study
from rontgen.core.sections import SUBSETS
from rontgen.reporting import rendering

FOLDER = Path("cards")
CLAIMS = Path("metrics/claims.csv")
ENDPOINTS = Path("metrics/endpoints.csv")
LEAKAGE = Path("metrics/leakage.json")
LEAKAGE_GAP = Path("metrics/leakage_gap.json")
REQUIREMENTS = Path("requirements.txt")

PACKAGES = ("keras", "tensorflow", "numpy", "scikit-learn", "imbalanced-learn", "pillow", "dvc")


@dataclass(frozen=True)
class Shared:
    """What all cards share: the outputs of the stages of these names.

    claims, endpoints: tables of text, see read_table. versions: the pinned version of each of PACKAGES.
    """

    leakage: dict[str, Any]
    leakage_gap: dict[str, Any]
    claims: pd.DataFrame
    endpoints: pd.DataFrame
    versions: dict[str, str]


@dataclass(frozen=True)
class Card:
    """The content of a run's card, by the names that its template uses.

    settings: key in params.yaml and value, as text.
    metrics, intervals, train, time, audit, preprocess, shortcuts: the JSON files of the run, its split, its images
    and its dataset. endpoints: rows of the published accuracies, see shown. findings: how many other numbers have each
    finding, of this run and of its whole study. contradictions: see contradictions.
    """

    run: Run
    study: Study
    is_demo: bool
    settings: list[tuple[str, str]]
    metrics: dict[str, Any]
    intervals: dict[str, Any]
    train: dict[str, Any]
    time: dict[str, Any]
    audit: dict[str, Any]
    preprocess: dict[str, Any]
    shortcuts: dict[str, Any]
    endpoints: list[dict[str, str]]
    findings: tuple[dict[str, int], dict[str, int]]
    contradictions: list[dict[str, Any]]


def write_cards(titles: Mapping[str, str], folder: Path = FOLDER) -> None:
    """Write a card for the active run and each reported one, and a README.md that lists them; remove other cards.

    titles: of the papers, by study. Raises RontgenError, before anything is written, naming the command that makes a
    missing file.
    """
    values, shared = params.load(), read_shared()
    cards = [gather(name, values, shared) for name in [ACTIVE, *values.reported]]
    for_all = {
        "leakage": shared.leakage,
        "leakage_gap": shared.leakage_gap,
        "versions": shared.versions,
        "subsets": SUBSETS,
        "titles": titles,
    }
    texts = {f"{card.run.name}.md": _render("model_card.md.j2", **for_all | vars(card)) for card in cards}
    texts["README.md"] = _render("cards_readme.md.j2", cards=cards, is_demo=values.profile == "demo", **for_all)

    for name, text in texts.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    for path in folder.glob("*.md"):
        if path.name not in texts:
            path.unlink()


def read_shared() -> Shared:
    """Read what the cards share. Raises RontgenError, naming the command that makes it, for a missing file."""
    return Shared(
        leakage=read_json(LEAKAGE, "dvc repro leakage"),
        leakage_gap=read_json(LEAKAGE_GAP, "dvc repro leakage_gap"),
        claims=read_table(CLAIMS, "dvc repro compare"),
        endpoints=read_table(ENDPOINTS, "dvc repro compare"),
        versions=_versions(REQUIREMENTS),
    )


def gather(name: str, values: Params, shared: Shared) -> Card:
    """Gather the card of the run `name`.

    Raises RontgenError, naming the command that makes it, for a missing file.
    """
    run = runs.load_run(name)
    study, evaluate = run.image_set.study, parts.stage_command("evaluate", name)
    claims, dataset = shared.claims, study.dataset_name
    endpoints = shared.endpoints[shared.endpoints["trained"] == name]
    others, rows = claims[claims["metric"] != "test.accuracy"], list(endpoints["run"].unique())
    own, of_study = (_counts(others[others["run"].isin(part)]["finding"]) for part in (rows, [study.name]))
    return Card(
        run=run,
        study=study,
        is_demo=values.profile == "demo",
        settings=list(_settings(run, values)),
        metrics=read_json(run.metrics, evaluate),
        intervals=read_json(run.intervals, evaluate),
        train=read_json(run.train_metrics, run.train_command),
        time=read_json(run.time_metrics, run.train_command),
        audit=read_json(study.audit, study.split_command),
        preprocess=read_json(run.image_set.preprocess_metrics, run.image_set.preprocess_command),
        shortcuts=read_json(Path("metrics/shortcuts", f"{dataset}.json"), f"dvc repro shortcuts@{dataset}"),
        endpoints=shown(endpoints),
        findings=(own, of_study),
        contradictions=contradictions(claims[claims["run"].isin([*rows, study.name])]),
    )


def read_table(path: Path, command: str) -> pd.DataFrame:
    """A table of the ledger, CLAIMS or ENDPOINTS, every cell as text.

    Raises RontgenError, naming the command that makes it, if it is missing.
    """
    return pd.read_csv(require(path, command), dtype=str, keep_default_na=False)


def shown(endpoints: pd.DataFrame) -> list[dict[str, str]]:
    """The rows of ENDPOINTS that a page shows: each published row as stated, the first, and readings that were run."""
    return endpoints[~endpoints.duplicated("run") | (endpoints["seeds"] != "0")].to_dict("records")


def contradictions(claims: pd.DataFrame) -> list[dict[str, Any]]:
    """For each run, or whole study, that contradicts itself: run, rows (its contradictory claims) and sums (why)."""
    found = claims[claims["finding"] == "contradictory"]
    result = []
    for run, rows in found.groupby("run", sort=False):
        # a claim gives all its sums with a semicolon between them, and one kind of sum goes on after one
        sums = [part for reason in rows["reason"] for part in re.split(r"; (?!with )", reason)]
        result.append({"run": run, "rows": rows.to_dict("records"), "sums": list(dict.fromkeys(sums))})
    return result


def _counts(findings: pd.Series) -> dict[str, int]:
    return findings.value_counts(sort=False).to_dict()


def _settings(run: Run, values: Params) -> Iterator[tuple[str, str]]:
    """The settings of the run, with the profile applied, by their keys in params.yaml."""
    study, profile = run.image_set.study, f"profiles.{values.profile}"
    sections = {
        "dataset": study.dataset_name,
        "split": study.split,
        f"{profile}.split.max_per_class": study.max_per_class,
        "image.size": run.image_set.size,
        "image": run.image,
        "balance": run.image_set.balance,
        "model": run.model_name,
        f"models.{run.model_name}": run.model,
        f"{profile}.train.pretrained": run.start.pretrained,
        f"{profile}.train.batch_norm_momentum": run.batch_norm_momentum,
        "augment": run.augment,
        "train": run.train,
        f"{profile}.threads": run.threads,
    }
    yield "profile", values.profile
    for key, value in sections.items():
        yield from flat(key, value)


def flat(key: str, value: object) -> Iterator[tuple[str, str]]:
    """A setting, or all those of a section, by their keys in params.yaml, as text."""
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_unset=True)
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from flat(f"{key}.{name}", inner)
    elif isinstance(value, bool):
        yield key, "yes" if value else "no"
    else:
        yield key, "none" if value is None else str(value)


def _versions(path: Path) -> dict[str, str]:
    """The pinned version of each of PACKAGES; of several, each with the condition it is for."""
    text = require(path, "git checkout requirements.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^([\w.-]+)==(\S+)(?: ; ([^\\\n]*?))? *\\?$", text, re.MULTILINE)
    versions = {}
    for package in PACKAGES:
        found = [(version, marker) for name, version, marker in pins if name == package]
        if not found:
            raise RontgenError(f"{path}: expected a version of {package}, received none: see docs/environment.md")
        versions[package] = ", ".join(version + (f" where {marker}" if marker else "") for version, marker in found)
    return versions


def _render(template: str, **values: Any) -> str:
    try:
        return rendering.markdown(template, **values)
    except (jinja2.UndefinedError, KeyError) as error:
        subject = values["run"].name if "run" in values else template
        raise RontgenError(
            f"{subject}: expected every number of its model card, {error}: run `dvc repro --force evaluate compare`"
        ) from error
