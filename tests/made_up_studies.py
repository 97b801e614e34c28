"""Records, papers and studies with given numbers."""

import pandas as pd

from finished_project import recorded
from rontgen.core.papers import Paper
from rontgen.evidence.real_data import StudyEvidence, Training

CLASSES = ("NORMAL", "PNEUMONIA")
CITATION = {"title": "A paper", "english": "A paper", "authors": [], "venue": "", "year": "", "text_sha256": "0" * 64}
OPEN = {"ours": "It is not given.", "range": ["16", "32"]}


def cell(metric, value, relation="equal", **more):
    return {"metric": metric, "value": str(value), "relation": relation, "place": "Table 1"} | more


def paper(runs=("jitet_mobilenetv2",), **values):
    """A paper that leaves nothing open. runs: names, or cells by name; an accuracy and a test size are added."""
    needed = [cell("test.accuracy", "0.90"), cell("test.test_images", 100)]
    given = dict.fromkeys(runs, ()) if not isinstance(runs, dict) else runs
    cells = {
        run: [*some, *(one for one in needed if one["metric"] not in {each["metric"] for each in some})]
        for run, some in given.items()
    }
    return Paper.model_validate({"citation": CITATION, "about": "?", "origins": {}, "runs": cells} | values)


def training(run="jitet_mobilenetv2", treatment="protocol", rights=(90, 92, 94), label="as stated", **provenance):
    """A seed for each number of right answers of 100."""
    records = [recorded(run, treatment, seed, CLASSES, right, 100) for seed, right in enumerate(rights, 1)]
    for record in records:
        record.provenance.update({"commit": "0123456789"} | provenance)
    return Training(run, treatment, label, records)


def study(rows=(), published=None, **values):
    """rows: (run, treatment, seeds, verdict). published: the paper; one that leaves nothing open if there is none."""
    published = published or paper()
    table = pd.DataFrame(rows, columns=["run", "treatment", "seeds", "verdict"]).assign(
        low=0.59, high=1.0, narrow=False, reason="It lies in.", paper="0.90"
    )
    table["trained"] = table["run"].map(published.trained)
    table["reading"] = table["treatment"].map(lambda treatment: treatment.partition("+")[0])
    table["label"] = [published.label(run, one) for run, one in zip(table["trained"], table["treatment"], strict=True)]
    empty = {"trainings": [], "completions": {}, "training_scores": [], "gaps": {}, "leaks": {}, "shortcuts": {}}
    empty |= {"dataset": "pneumonia", "between_runs": None}
    return StudyEvidence(**{"name": "jitet", "paper": published, "rows": table} | empty | values)
