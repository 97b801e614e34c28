"""A few kills of the pipeline; `make chaos` makes more."""

import pytest
from tools import chaos

pytestmark = pytest.mark.slow

KILLS = [
    chaos.Kill("download", "both", 0.6),
    chaos.Kill("preprocess", "stage", 0.6),
    chaos.Kill("balance", "dvc", 0.3),
    chaos.Kill("train", "both", 0.4, trained=True),
]


def test_a_killed_run_ends_as_an_uninterrupted_one(tmp_path):
    pipeline, report = chaos.Pipeline(tmp_path), chaos.Report()
    for kill in KILLS:
        pipeline.kill(kill, report)
    assert report.differences == []
    assert report.kills.total() == len(KILLS)
    assert report.resumed == 1
    assert any(name.endswith("active.keras") for name in pipeline.expected)


def test_every_stage_is_killed_in_every_way():
    kills = chaos.plan(30, seed=0)
    assert len(kills) == 30
    assert {(kill.stage, kill.kind) for kill in kills} == {(s, k) for s in chaos.STAGES for k in chaos.KINDS}
    assert kills == chaos.plan(30, seed=0) != chaos.plan(30, seed=1)
    assert any(kill.trained for kill in kills)
