"""The verdicts, and whether the demo's runs learn, in the terminal."""

import json
from pathlib import Path

import pytest

from made_up_studies import OPEN, RUN, VALUES, cell, paper, seeds, study
from rontgen.core.errors import RontgenError
from rontgen.evaluation.proportions import exact_interval
from rontgen.reporting import terminal

OTHER = "smatika_resnet50v2"
TEST, TRAIN = (f"metrics/runs/{RUN}/{part}/metrics.json" for part in ("test", "train"))
HAD = "3 epochs of 256 images for 1.5 million random weights"


def test_each_row_and_treatment_has_a_line():
    readings = {"another": {"why": "x", "runs": [RUN], "set": {"balance": "smote"}}}
    records = seeds(89, 90, 91, treatment="protocol+a=1") + seeds(60, 61, 62, treatment="another")
    text = terminal.show([study(paper(readings=readings, origins={"balance": OPEN}), records)])
    lines = [line.split() for line in text.splitlines()]
    first = next(line for line in lines if line[:1] == [RUN])
    assert first[:5] == [RUN, "…", "0.90", "3", "0.900"] and first[-1] == "reproduced"
    second = next(line for line in lines if line[:1] == ["another"])
    assert second[1:4] == ["0.90", "3", "0.610"] and second[-2:] == ["not", "reproduced"]
    assert max(map(len, text.splitlines())) <= terminal.WIDTH


def test_rows_without_a_record_are_listed_by_their_verdict():
    published = paper({RUN: [], OTHER: [cell("test.weighted.recall", "0.70")]})
    text = terminal.show([study(published, [])])
    assert f"  not run (1): {RUN}" in text.splitlines()
    assert f"  contradictory * (1): {OTHER}" in text.splitlines()


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A working directory with the outputs of RUN; returns the settings."""
    monkeypatch.chdir(tmp_path)
    Path("data/predictions").mkdir(parents=True)
    for path in (TEST, TRAIN):
        Path(path).parent.mkdir(parents=True)
    return VALUES.model_copy(update={"runs": {name: VALUES.runs[name] for name in (RUN, f"{RUN}_leakfree")}})


def write(right):
    (own,) = seeds(right)
    Path(TEST).write_text(json.dumps(own.metrics["test"] | {"parameters": 1_500_000}))
    Path(TRAIN).write_text(json.dumps({"epochs": 3, "train_images": 256}))
    own.predictions.to_csv(f"data/predictions/{RUN}.csv", index=False)


@pytest.mark.parametrize(("right", "learns"), [(64, True), (60, False)])
def test_a_run_learns_where_chance_alone_would_hardly_be_as_right(workspace, right, learns):
    write(right)
    text = terminal.demo(workspace)
    assert (exact_interval(right, 100)[0] > 0.5) is learns
    (line,) = [line.split() for line in text.splitlines() if line.startswith(RUN)]
    assert line == [RUN, "100", f"{right / 100:.3f}", "0.500", *("learns" if learns else HAD).split()]
    assert text.splitlines()[-1].startswith(f"{int(learns)} of 1 runs learn")


def test_a_missing_file_is_named_with_the_command(workspace):
    with pytest.raises(RontgenError, match=f"^data/predictions/{RUN}.csv not found: run `dvc repro reported_evaluate@"):
        terminal.demo(workspace)
