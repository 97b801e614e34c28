"""Records and studies with given numbers of right answers."""

import pandas as pd

from finished_project import recorded
from rontgen.evidence.real_data import StudyEvidence, Training

CLASSES = ("NORMAL", "PNEUMONIA")


def training(run="jitet_mobilenetv2", reading="as_stated", rights=(90, 92, 94), **provenance):
    """A seed for each number of right answers of 100."""
    records = [recorded(run, reading, seed, CLASSES, right, 100) for seed, right in enumerate(rights, 1)]
    for record in records:
        record.provenance.update({"set": {}, "commit": "0123456789"} | provenance)
    return Training(run, reading, records)


def study(rows=(), **values):
    """rows: (run, reading, seeds, verdict)."""
    table = pd.DataFrame(rows, columns=["run", "reading", "seeds", "verdict"]).assign(
        low=0.59, high=1.0, narrow=False, reason="It lies in."
    )
    empty = {"readings": {}, "trainings": [], "gaps": {}, "leaks": {}, "dataset": "pneumonia", "shortcuts": {}}
    empty |= {"unpublished": [], "train_images": None, "training_scores": []}
    return StudyEvidence(**{"name": "jitet", "rows": table, "between_runs": None} | empty | values)
