"""Records, papers and studies with given numbers."""

import re
from dataclasses import replace

import pytest
from pydantic import ValidationError

from conftest import ROOT
from finished_project import recorded
from rontgen.claims import studies
from rontgen.core import nested, params
from rontgen.core.papers import Paper, Papers, load_papers

CLASSES = ("NORMAL", "PNEUMONIA")
CITATION = {"title": "A paper", "english": "A paper", "authors": [], "venue": "", "year": "", "text_sha256": "0" * 64}
OPEN = {"ours": "It is not given.", "range": ["16", "32"]}
RUN = "smatika_vgg16"
PAPERS = load_papers(ROOT / "studies")
VALUES = params.load(ROOT / "params.yaml").model_copy(update={"profile": "paper"})


def cell(metric, value, relation="equal", **more):
    return {"metric": metric, "value": str(value), "relation": relation, "place": "Table 1"} | more


def paper(runs=(RUN,), **values):
    """A paper that leaves nothing open. runs: names, or cells by name; an accuracy and a test size are added."""
    needed = [cell("test.accuracy", "0.90"), cell("test.test_images", 100)]
    given = dict.fromkeys(runs, ()) if not isinstance(runs, dict) else runs
    cells = {
        run: [*some, *(one for one in needed if one["metric"] not in {each["metric"] for each in some})]
        for run, some in given.items()
    }
    return Paper.model_validate({"citation": CITATION, "about": "?", "origins": {}, "runs": cells} | values)


def assert_refused(message, runs=(RUN,), **values):
    """Check that a paper with a mistake is refused, and how."""
    with pytest.raises(ValidationError) as caught:
        paper(runs, **values)
    assert re.search(message, params.one_line(caught.value))


def papers(published, study="smatika"):
    """Papers of one study, with the archives of the real ones."""
    return Papers(archives=PAPERS.archives, restricted=PAPERS.restricted, sources={}, studies={study: published})


def seeds(*right, images=100, run=RUN, treatment="protocol", classes=CLASSES, **changes):
    """Records of seeds 1, 2, … with `right` of `images` test images correct. changes: values of metrics, by path."""
    found = []
    for seed, count in enumerate(right, 1):
        record = recorded(run, treatment, seed, classes, count, images)
        record.provenance["commit"] = "0123456789"
        for path, values in changes.items():
            nested.put(record.metrics, path.replace("__", "."), values[seed - 1])
        found.append(record)
    return found


def on_images(records, ids):
    """The same records, all tested on images of these ids."""
    return [replace(record, predictions=record.predictions.assign(id=list(ids))) for record in records]


def study(published, records, name="smatika", **values):
    """What is known of one study, without audits of its archives. values: to have instead, of studies.Study."""
    (found,) = studies.gather(papers(published, name), VALUES, records)
    return replace(found, **{"leaks": {}, "shortcuts": {}} | values)


def training(run=RUN, treatment="protocol", rights=(90, 92, 94), label="as stated", **provenance):
    """A seed for each number of right answers of 100."""
    records = seeds(*rights, run=run, treatment=treatment)
    for record in records:
        record.provenance.update(provenance)
    return studies.Training(run, treatment, label, records)
