"""What the papers say: studies/<study>/paper.yaml as validated, frozen objects.

A citation, where each setting of protocol.yaml comes from, the published numbers, what is concluded in words, and the
readings. studies/common.yaml has what concerns all studies.
"""

import itertools
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from rontgen.core.cells import CellsOfARun, CellsOfAStudy, Entry
from rontgen.core.errors import RontgenError
from rontgen.core.nested import flatten
from rontgen.core.params import one_line, read_yaml
from rontgen.core.settings import LEAKFREE, Sha256, check_choice
from rontgen.core.vocabulary import AS_STATED, OUR_COMPLETION, PROTOCOL, RANDOM_COMPLETION

FOLDER = Path("studies")
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
PLACE = re.compile(r"(Abstract|Chapter|Section|Table|Figure).*, lines? \d+.*")

# Settings that are no choice of a paper: seeds, what belongs to an architecture or its weights, and the profile's
NO_ORIGIN = re.compile(
    r"(split|train)\.seed|model\.(name|family|preprocessing)|max_per_class(\.\w+)?|batch_norm_momentum|threads"
)

Text = Annotated[str, Field(min_length=1)]
Value = Any  # of a setting: text, as it is written in YAML, or a list or mapping of these


class Interval(Entry):
    """Numbers from low to high, evenly on a logarithmic scale."""

    low: str
    high: str
    log: Literal["true"]


class Origin(Entry):
    """Where a setting comes from: `stated` by the paper (where), `ours` (why), or it `departs` from the paper (why).

    says: the paper's words. place: where it says what we depart from. range: what a random completion may draw; where
    we depart, only if another careful reader could choose too.
    """

    stated: str = ""
    ours: str = ""
    departs: str = ""
    says: str = ""
    place: str = ""
    range: list[Value] | Interval | None = None

    @model_validator(mode="after")
    def _is_of_one_kind(self):
        kinds = [kind for kind in ("stated", "ours", "departs") if getattr(self, kind)]
        if len(kinds) != 1:
            raise ValueError(f"expected one of stated, ours and departs, received {' and '.join(kinds) or 'none'}")
        place = self.stated or self.place
        if not self.ours and not PLACE.fullmatch(place):
            raise ValueError(f"expected a section and a line, such as 'Section 3.1, line 97', received {place!r}")
        if self.departs and not self.says:
            raise ValueError("expected what the paper says beside why we depart from it, as says")
        if (self.ours and not self.range) or (self.stated and self.range):
            raise ValueError("expected a range where the setting is ours, and none where it is stated")
        return self

    @property
    def is_open(self) -> bool:
        """Whether another careful reader could have chosen another value."""
        return isinstance(self.range, Interval) or len(self.range or ()) > 1


class Citation(Entry):
    """The paper as printed. text_sha256: of the plain text whose lines are counted. year: "" where it is not given."""

    title: Text
    english: Text
    authors: list[str]
    venue: str
    year: str
    text_sha256: Sha256

    @property
    def text(self) -> str:
        """In one line: authors, year, title, venue."""
        authors, year = ", ".join(self.authors) or "No author given", self.year.replace("null", "") or "no year given"
        return f"{authors} ({year}). {self.title}. {self.venue}".rstrip(". ") + "."


class Reading(Entry):
    """Another way to read a paper where it is silent or contradicts itself.

    why: what the paper says, and where. runs: those that are read so. set: settings and their values.
    """

    why: Text
    runs: Annotated[list[str], Field(min_length=1)]
    set: Annotated[dict[str, Value], Field(min_length=1)]


class Claim(Entry):
    """What a paper concludes in words, where, and what became of it."""

    says: Text
    place: Text
    examined: Text


class Ordering(Entry):
    """A sentence of a paper that puts the numbers of its runs in order. condition: "if …", what it must mean for that.
    pairs: of runs, the first above the second if `falling`, below it if `rising`."""

    says: Text
    place: Text
    condition: Annotated[str, Field(pattern="^(if .+)?$")] = ""
    metric: Text
    order: Literal["falling", "rising"]
    pairs: Annotated[list[tuple[str, str]], Field(min_length=1)]


class SameImages(Entry):
    """Why the test images of some runs are the very ones of the paper, and where it says so."""

    why: Text
    place: Annotated[str, Field(pattern=PLACE.pattern)]
    runs: Annotated[list[str], Field(min_length=1)]


class Restricted(Entry):
    """Images that an archive offers under terms, beside those that anyone can download."""

    images: int
    terms: Text


class Excluded(Entry):
    """Numbers of a paper that are not entered."""

    what: Text
    place: Text
    why: Text


class Paper(Entry):
    """What one paper says.

    about: what it claims, in a sentence or two. origins: by setting, or by the section above several; origins_of: of
    single runs. cells: numbers about the whole study; runs: about each published row. trained_as: published rows that
    one training stands for, each with the run that is trained.
    """

    citation: Citation
    about: Text
    origins: dict[str, Origin]
    origins_of: dict[str, dict[str, Origin]] = Field(default_factory=dict)
    cells: CellsOfAStudy = Field(default_factory=list)
    trained_as: dict[str, str] = Field(default_factory=dict)
    runs: Annotated[dict[str, CellsOfARun], Field(min_length=1)]
    claims: list[Claim] = Field(default_factory=list)
    orderings: list[Ordering] = Field(default_factory=list)
    excluded: list[Excluded] = Field(default_factory=list)
    same_test_images: SameImages | None = None
    readings: dict[str, Reading] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _runs_exist(self):
        trained = [run for run in self.runs if run not in self.trained_as]
        for run, other in self.trained_as.items():
            check_choice("trained_as", run, self.runs)
            check_choice(f"trained_as.{run}", other, trained)
        for run in self.origins_of:
            check_choice("origins_of", run, self.runs)
        for run in self.same_test_images.runs if self.same_test_images else ():
            check_choice("same_test_images", run, self.runs)
        for name, reading in self.readings.items():
            if not NAME.fullmatch(name) or name in (PROTOCOL, RANDOM_COMPLETION):
                raise ValueError(f"readings: expected names such as own_preprocessing, received {name!r}")
            for run in reading.runs:
                check_choice(f"readings.{name}", run.removesuffix(LEAKFREE), trained)
        for ordering in self.orderings:
            having = [run for run, cells in self.runs.items() if ordering.metric in {cell.metric for cell in cells}]
            for run in itertools.chain(*ordering.pairs):
                check_choice(f"orderings: {ordering.metric}", run, having)
        return self

    def trained(self, run: str) -> str:
        """The run that is trained for a published row."""
        return self.trained_as.get(run, run)

    def readings_of(self, run: str) -> list[str]:
        """The readings of a published row: the protocol, those of the paper, random completions."""
        named = [name for name, reading in self.readings.items() if self.trained(run) in reading.runs]
        return [PROTOCOL, *named, RANDOM_COMPLETION]

    def label(self, run: str, treatment: str) -> str:
        """A reading in words, with what else was set. The protocol is `as stated` where the text leaves nothing open,
        else `our completion`."""
        reading, *extra = treatment.split("+")
        name = reading.replace("_", " ")
        if reading == PROTOCOL:
            name = OUR_COMPLETION if self.open_settings(run) else AS_STATED
        return ", ".join([name, *(setting.replace("=", " ") for setting in extra)])

    def origins_for(self, run: str) -> dict[str, Origin]:
        """Where the settings of a run come from, by setting or section; a run without leaks has its original's."""
        return self.origins | self.origins_of.get(run.removesuffix(LEAKFREE), {})

    def origin(self, run: str, key: str) -> Origin | None:
        """Where one setting of a run comes from: the longest key that is the setting or a section above it."""
        origins = self.origins_for(run)
        above = [name for name in origins if key == name or key.startswith(f"{name}.")]
        return origins[max(above, key=len)] if above else None

    def open_settings(self, run: str) -> dict[str, Origin]:
        """The settings of a run that the paper leaves open, so that its verdict is of our completion."""
        return {key: origin for key, origin in self.origins_for(run).items() if origin.is_open}

    def departures(self, run: str) -> list[str]:
        """Where the settings of a run depart from what the paper says, in words."""
        return [
            f"{key}: the paper says {origin.says} ({origin.place}). {origin.departs}"
            for key, origin in self.origins_for(run).items()
            if origin.departs
        ]


class Papers(Entry):
    """All papers. archives: images by archive, label and part of the archive. restricted: further ones, by archive and
    label. sources: whose X-rays an archive holds."""

    archives: dict[str, dict[str, dict[str, int]]]
    restricted: dict[str, dict[str, Restricted]] = Field(default_factory=dict)
    sources: dict[str, str]
    studies: dict[str, Paper]


def load_papers(folder: Path = FOLDER) -> Papers:
    """Read and validate the paper.yaml of every study, and common.yaml, whose origins each study has too.

    Raises RontgenError, one line, naming the first wrong key, what was expected and what was received.
    """
    # as written: as a float, 0.90 would lose a digit, and with it its precision
    common = read_yaml(folder / "common.yaml", "base")
    studies = {}
    for path in sorted(folder.glob("*/paper.yaml")):
        values = read_yaml(path, "base")
        values["origins"] = common["origins"] | (values.get("origins") or {})
        try:
            studies[path.parent.name] = Paper.model_validate(values)
        except ValidationError as error:
            raise RontgenError(f"{path}: {one_line(error)}") from None
    return Papers(**{key: common.get(key) or {} for key in ("archives", "restricted", "sources")}, studies=studies)


def leaves(settings: dict) -> dict[str, Any]:
    """The single settings of a run (runs.Run.settings) that need an origin, by dotted key."""
    return {key: value for key, value in flatten(settings).items() if not NO_ORIGIN.fullmatch(key)}
