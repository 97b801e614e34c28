import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from conftest import ROOT
from finished_project import recorded
from made_up_studies import OPEN, cell, paper
from rontgen.core import params
from rontgen.core.errors import RontgenError
from rontgen.core.papers import Papers, load_papers
from rontgen.evidence import records, replication, verdicts
from rontgen.evidence.ledger import write
from rontgen.evidence.published_counts import exact_interval

PAPERS = load_papers(ROOT / "studies")
PAPER = params.load(ROOT / "params.yaml").model_copy(update={"profile": "paper"})
DEMO = PAPER.model_copy(update={"profile": "demo"})
RUN = "smatika_vgg16"
CLASSES = ("NORMAL", "PNEUMONIA")


def papers(numbers=(), study="smatika", run=RUN, of_study=(), **more):
    cells = [cell(*number) for number in of_study]
    published = paper({run: [cell(*number) for number in numbers]}, cells=cells, **more)
    return Papers(archives=PAPERS.archives, sources={}, studies={study: published})


def seeds(*right, images=100, run=RUN, treatment="protocol", classes=CLASSES, **changes):
    """Records of seeds 1, 2, … with `right` of `images` test images correct. changes: values of metrics, by path."""
    found = []
    for seed, count in enumerate(right, 1):
        record = recorded(run, treatment, seed, classes, count, images)
        for path, values in changes.items():
            *parents, last = path.split("__")
            section = record.metrics
            for parent in parents:
                section = section.setdefault(parent, {})
            section[last] = values[seed - 1]
        found.append(record)
    return found


def endpoints(published, found, values=PAPER, workspace=()):
    return verdicts.compare(published, values, found, list(workspace)).endpoints


def described(metric, value, found, *more, values=PAPER, **of_study):
    """The row of one number, compared together with further ones."""
    cells = verdicts.compare(papers([(metric, *np.atleast_1d(value)), *more], **of_study), values, found, []).cells
    return cells[cells.metric == metric].iloc[0]


# ---- the verdict on a published row


def test_a_row_is_judged_by_the_seeds_of_its_records():
    found = seeds(88, 90, 93, 91, 89)
    (row,) = endpoints(papers(), found).to_dict("records")
    distinct = len({image for record in found for image in record.predictions["id"]})
    judged = replication.judge((0.895, 0.905), 100, [88, 90, 93, 91, 89], [100] * 5, distinct)
    assert 100 < distinct < 500
    assert (row["verdict"], row["reason"]) == (judged.verdict, judged.reason) == ("reproduced", judged.reason)
    assert (row["seeds"], row["mean"], row["spread"]) == (5, judged.mean, judged.spread)
    assert (row["low"], row["high"]) == (judged.low, judged.high)
    assert (row["paper"], row["paper_low"], row["paper_high"]) == ("0.90", *exact_interval(90, 100))


def test_copies_of_one_picture_are_one_test_image():
    found = seeds(88, 90, 93, 91, 89)
    for record in found:
        ids = [f"{image:03d}" for image in range(50)]
        record.predictions["id"] = [*ids, *(f"{image}-2" for image in ids)]
    (row,) = endpoints(papers(), found).to_dict("records")
    judged = replication.judge((0.895, 0.905), 100, [88, 90, 93, 91, 89], [100] * 5, 50)
    assert (row["low"], row["high"]) == (judged.low, judged.high)


def test_another_accuracy_has_another_verdict():
    assert endpoints(papers(), seeds(60, 62, 58, 61)).verdict.tolist() == ["not reproduced"]
    assert endpoints(papers(), seeds(90)).verdict.tolist() == ["inconclusive"]
    assert endpoints(papers(), seeds(85, 84, 86, 85)).verdict.tolist() == ["reproduced"]
    assert endpoints(papers([("test.test_images", "1000")]), seeds(85, 84, 86, 85)).verdict.tolist() == [
        "not reproduced"
    ]


@pytest.mark.parametrize(("printed", "verdict"), [("0.90", "reproduced"), ("0.900", "not reproduced")])
def test_an_accuracy_stands_for_all_that_print_as_it(printed, verdict):
    published = papers([("test.accuracy", printed), ("test.test_images", "1000")])
    rows = endpoints(published, seeds(86, 85, 87, 86))
    assert rows[["high", "verdict"]].to_numpy().tolist() == [[0.897, verdict]]


def test_without_a_record_the_command_that_makes_one_is_named():
    (row,) = endpoints(papers(), []).to_dict("records")
    assert (row["verdict"], row["seeds"]) == ("not run", 0)
    assert row["reason"] == f"`rontgen reproduce {RUN} --seeds 1-5`"
    assert math.isnan(row["mean"]) and math.isnan(row["low"])


READINGS = {name: {"why": "x", "runs": [RUN], "set": {"balance": "smote"}} for name in ("one_way", "another")}


def test_each_reading_has_a_verdict_of_its_own():
    found = seeds(60, 62, 58) + seeds(89, 90, 91, 90, treatment="another")
    rows = endpoints(papers(readings=READINGS), found)
    assert rows.reading.tolist() == rows.treatment.tolist() == ["protocol", "one_way", "another"]
    assert rows.label.tolist() == ["as stated", "one way", "another"]
    assert rows.verdict.tolist() == ["not reproduced", "not run", "reproduced"]
    assert rows.reason[1] == f"`rontgen reproduce {RUN} --seeds 1-5 --reading one_way`"


def test_each_treatment_has_a_row_and_the_one_with_the_most_seeds_is_first():
    found = seeds(60, treatment="protocol") + seeds(90, 90, treatment="protocol+b=1")
    found += seeds(70, 70, treatment="protocol+a=1") + seeds(80, treatment="another+a=1")
    rows = endpoints(papers(readings=READINGS), found)
    assert rows.treatment.tolist() == ["protocol+a=1", "protocol+b=1", "protocol", "one_way", "another+a=1"]
    assert rows.reading.tolist() == ["protocol", "protocol", "protocol", "one_way", "another"]
    assert rows.label.tolist() == ["as stated, a 1", "as stated, b 1", "as stated", "one way", "another, a 1"]
    assert rows.seeds.tolist() == [2, 2, 1, 0, 1]


def test_by_the_protocol_a_row_is_judged_once_by_the_most_seeds():
    found = seeds(60) + seeds(90, 90, treatment="protocol+b=1") + seeds(60, 61, 62, treatment="another")
    ledger = verdicts.compare(papers(readings=READINGS), PAPER, found, [])
    assert ledger.by_protocol[["run", "treatment", "seeds"]].to_numpy().tolist() == [[RUN, "protocol+b=1", 2]]
    assert verdicts.compare(papers(), PAPER, [], []).by_protocol.verdict.tolist() == ["not run"]


def test_the_protocol_is_our_completion_where_the_paper_leaves_something_open():
    rows = endpoints(papers(origins={"balance": OPEN}, readings=READINGS), seeds(90, treatment="protocol+a=1"))
    assert rows.label.tolist() == ["our completion, a 1", "one way", "another"]


def test_random_completions_are_kept_and_get_no_verdict():
    found = seeds(90, 91, 92, treatment="random_completion")
    ledger = verdicts.compare(papers(), PAPER, found, [])
    assert ledger.endpoints[["treatment", "verdict"]].to_numpy().tolist() == [["protocol", "not run"]]
    assert [len(some) for some in ledger.records.values()] == [3]
    assert list(ledger.records) == [(RUN, "random_completion")]


def test_a_row_that_is_trained_as_another_has_its_records():
    found = seeds(85, 86, 84, run="lungcare_cnn4", images=280, classes=PAPER.datasets["lungs"].classes)
    ledger = verdicts.compare(PAPERS, PAPER, found, [])
    rows = ledger.endpoints[ledger.endpoints.reading == "protocol"].set_index("run")
    assert rows.loc["lungcare_b32_s240", ["trained", "seeds"]].tolist() == ["lungcare_cnn4", 3]
    assert rows.loc["lungcare_b32_s240", "mean"] == rows.loc["lungcare_cnn4", "mean"] == pytest.approx(85 / 280)
    assert rows.loc["lungcare_b32_s480", "seeds"] == 0


def test_a_run_of_what_contradicts_itself_stands_beside_the_contradiction():
    recall = [("test.macro.recall", "0.80"), ("test.weighted.recall", "0.80")]
    (without,) = endpoints(papers(recall), []).to_dict("records")
    (row,) = endpoints(papers(recall), seeds(88, 90, 93)).to_dict("records")
    assert without["verdict"] == row["verdict"] == "contradictory"
    assert without["reason"] == row["reason"]
    assert "the two are one number" in row["reason"]
    assert (row["seeds"], row["mean"]) == (3, pytest.approx(271 / 300))
    assert row["low"] < row["mean"] < row["high"]


def test_missing_data_stay_missing_whatever_was_run():
    found = seeds(80, 82, 81, run="lungcare_cnn5")
    rows = endpoints(papers(study="lungcare", run="lungcare_cnn5"), found)
    assert rows[["verdict", "seeds"]].to_numpy().tolist() == [["data unavailable", 3]]


def test_the_demo_is_no_evidence():
    own = seeds(90)
    assert endpoints(papers(), [], DEMO, own).verdict.tolist() == ["not run"]
    assert endpoints(papers(), seeds(88, 90), DEMO, own).seeds.tolist() == [2]


def test_in_the_paper_profile_the_workspace_is_one_more_seed():
    own = [replace(seeds(94)[0], seed=7)]
    assert endpoints(papers(), seeds(88, 90), PAPER, own)[["seeds", "mean"]].to_numpy().tolist() == [[3, 272 / 300]]
    assert endpoints(papers(), [], PAPER, own).seeds.tolist() == [1]


def test_a_seed_of_the_workspace_that_is_recorded_counts_once():
    own = seeds(94)
    assert endpoints(papers(), seeds(88, 90), PAPER, own)[["seeds", "mean"]].to_numpy().tolist() == [[2, 178 / 200]]


@pytest.mark.parametrize(("run", "treatment"), [("smatika_vgg19", "protocol"), (RUN, "my_own"), (RUN, "my_own+a=1")])
def test_a_record_of_what_no_paper_has_is_named(run, treatment):
    command = re.escape(f"`git rm -r results/{run}/{treatment}`")
    message = f"^results/{run}/{re.escape(treatment)}: expected a run and reading of a paper.yaml, .* {command}$"
    with pytest.raises(RontgenError, match=message):
        verdicts.compare(papers(), PAPER, seeds(90, run=run, treatment=treatment), [])


def test_a_record_of_a_leakfree_run_is_for_the_leakage_gap():
    found = seeds(88, 90) + seeds(50, 52, run=f"{RUN}_leakfree")
    ledger = verdicts.compare(papers(), PAPER, found, [])
    assert ledger.endpoints.seeds.tolist() == [2]
    assert list(ledger.records) == [(RUN, "protocol")]
    with pytest.raises(RontgenError, match="expected a run and reading"):
        verdicts.compare(papers(), PAPER, seeds(90, run="vgg19_leakfree"), [])


# ---- the demo, and the workspace


@pytest.mark.parametrize(("right", "learns"), [(64, True), (60, False), (50, False), (36, False)])
def test_a_run_learns_where_chance_alone_would_hardly_be_as_right(right, learns):
    (own,) = seeds(right)
    demo = verdicts.compare(papers(), DEMO, [], [own]).demo
    assert (exact_interval(right, 100)[0] > 0.5) is learns
    assert demo.to_dict("records") == [
        {"run": RUN, "images": 100, "accuracy": right / 100, "majority_accuracy": 0.5, "learns": learns}
    ]
    assert verdicts.compare(papers(), PAPER, [], [own]).demo.empty


TEST, TRAIN = f"metrics/runs/{RUN}/test/metrics.json", f"metrics/runs/{RUN}/train/metrics.json"


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A working directory with the stages' outputs for RUN only; returns the matching parameters."""
    monkeypatch.chdir(tmp_path)
    (own,) = seeds(90)
    for path, values in ((TEST, "test"), (TRAIN, "train")):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(own.metrics[values]))
    Path("data/predictions").mkdir(parents=True)
    own.predictions.to_csv(f"data/predictions/{RUN}.csv", index=False)
    return PAPER.model_copy(update={"runs": {name: PAPER.runs[name] for name in (RUN, f"{RUN}_leakfree")}})


def test_the_workspace_is_a_record_by_the_protocol_with_its_seed(workspace):
    (expected,), (found,) = seeds(90), verdicts.workspace(workspace)
    assert (found.run, found.treatment, found.seed) == (RUN, "protocol", PAPER.studies["smatika"].train.seed)
    assert found.metrics == {part: expected.metrics[part] for part in ("test", "train")}
    pd.testing.assert_frame_equal(found.predictions, expected.predictions)


@pytest.mark.parametrize("file", [TEST, TRAIN, f"data/predictions/{RUN}.csv"])
def test_a_missing_file_of_the_workspace_is_named_with_the_command(workspace, file):
    Path(file).unlink()
    with pytest.raises(RontgenError, match=f"^{file} not found: run `dvc repro reported_evaluate@{RUN}` first$"):
        verdicts.workspace(workspace)


def test_a_damaged_file_of_the_workspace_is_named(workspace):
    Path(TEST).write_text("{")
    with pytest.raises(RontgenError, match=f"^{TEST}: expected JSON"):
        verdicts.workspace(workspace)


# ---- the other numbers: results


def test_a_result_is_what_the_seeds_have_and_one_more_would_give():
    losses = [0.30, 0.32, 0.35, 0.31]
    mean, spread = np.mean(losses), np.std(losses, ddof=1)
    expected = stats.t.interval(0.95, 3, loc=mean, scale=spread * math.sqrt(1.25))
    for value, finding in (
        ("0.32", "consistent"),
        (f"{expected[1] + 0.0004:.3f}", "consistent"),
        ("0.43", "not consistent"),
    ):
        found = described("test.log_loss", value, seeds(90, 90, 90, 90, test__log_loss=losses))
        assert (found.ours, found.low, found.high) == (pytest.approx(mean), *map(pytest.approx, expected))
        assert found.finding == finding
        assert found.difference == pytest.approx(mean - float(value))


def test_the_interval_of_a_rate_ends_at_one():
    found = described("test.roc_auc", "0.99", seeds(90, 90, 90, test__roc_auc=[0.9, 0.99, 1.0]))
    assert (found.high, found.finding) == (1, "consistent")
    assert described("test.log_loss", "0.1", seeds(90, 90, test__log_loss=[0.1, 0.9])).low == 0


def test_one_seed_shows_no_spread():
    found = described("test.log_loss", "0.3", seeds(90, test__log_loss=[0.3]))
    assert (found.ours, found.finding, found.reason) == (
        0.3,
        "not comparable",
        "one seed, so that its spread is not known",
    )


@pytest.mark.parametrize(
    ("metric", "value", "ours_", "finding"),
    [
        ("test.test_images", ["100"], 100, "consistent"),
        ("test.test_images", ["101"], 100, "not consistent"),
        ("test.classes.NORMAL.support", ["50"], 50, "consistent"),
        ("test.classes.NORMAL.support", ["51"], 50, "not consistent"),
        ("test.parameters", ["2260546"], 2_260_546, "consistent"),
        ("test.parameters", ["2260545"], 2_260_546, "not consistent"),
        ("test.parameters", ["2.27e6"], 2_260_546, "not consistent"),
        ("test.parameters", ["2.27e6", "about"], 2_260_546, "consistent"),
        ("test.model_megabytes", ["9"], 9.042, "consistent"),
        ("test.model_megabytes", ["9.3"], 9.042, "not consistent"),
        ("test.model_megabytes", ["9.3", "about"], 9.042, "consistent"),
        ("train.epochs", ["15"], 12, "not consistent"),
        ("train.epochs", ["15", "at_most"], 12, "consistent"),
        ("train.epochs", ["11", "at_most"], 12, "not consistent"),
    ],
)
def test_what_no_seed_changes_fits_or_does_not(metric, value, ours_, finding):
    size = {"test__parameters": [2_260_546] * 2, "test__model_megabytes": [9.042] * 2, "train__epochs": [12] * 2}
    found = described(metric, value, seeds(90, 91, **size))
    assert (found.ours, found.finding) == (ours_, finding)
    assert math.isnan(found.low)


def test_a_limit_holds_for_every_seed():
    found = described("train.epochs", ["15", "at_most"], seeds(90, 91, train__epochs=[12, 16]))
    assert (found.ours, found.low, found.high, found.finding) == (14, 12, 16, "not consistent")


@pytest.mark.parametrize(("images", "finding"), [(100, "consistent"), (90, "not comparable")])
def test_counts_are_compared_where_both_tests_have_as_many_images_of_the_class(images, finding):
    matrix = [("NORMAL.NORMAL", 45), ("NORMAL.PNEUMONIA", 5), ("PNEUMONIA.NORMAL", 5)]
    more = [(f"test.confusion.{name}", count) for name, count in matrix]
    found = described("test.confusion.PNEUMONIA.PNEUMONIA", 45, seeds(80, 84, 78, images=images), *more)
    assert found.finding == finding
    if finding == "not comparable":
        assert found.reason == "other test size: our test has 45 images of PNEUMONIA, the paper's 50"
        assert found.low < found.ours < found.high


def test_a_duration_is_shown_and_not_compared():
    found = described("time.seconds", "0:01:40", seeds(90, 91, time__seconds=[100.0, 110.0]))
    assert (found.ours, found.finding) == (105, "not comparable")
    (own,) = seeds(94)
    del own.metrics["time"]  # as in a record of the workspace
    assert described("time.seconds", "0:01:40", [own]).finding == "not run"


def test_without_a_record_nothing_is_described():
    found = described("test.log_loss", "0.3", [])
    assert (found.finding, found.reason) == ("not run", "no record")
    assert math.isnan(found.ours)


def test_other_readings_describe_no_number():
    found = seeds(90, 91, treatment="another", test__log_loss=[0.3, 0.4])
    assert described("test.log_loss", "0.3", found, readings=READINGS).finding == "not run"


def test_random_completions_describe_no_number():
    found = seeds(90, 91, treatment="random_completion", test__log_loss=[0.3, 0.4])
    assert described("test.log_loss", "0.3", found).finding == "not run"


def test_the_treatment_of_the_protocol_with_the_most_seeds_describes_the_numbers():
    found = seeds(90, test__log_loss=[0.9]) + seeds(90, 91, treatment="protocol+a=1", test__log_loss=[0.3, 0.4])
    assert described("test.log_loss", "0.3", found).ours == pytest.approx(0.35)


def test_the_accuracy_has_the_verdict_by_the_protocol():
    found = seeds(88, 90, 93, 91, 89) + seeds(60, 62, 58, treatment="another")
    ledger = verdicts.compare(papers(readings=READINGS), PAPER, found, [])
    row = ledger.endpoints.to_dict("records")[0]
    found = ledger.cells[ledger.cells.metric == "test.accuracy"].iloc[0]
    assert found.finding == row["verdict"] == "reproduced"
    assert (found.ours, found.low, found.high) == (row["mean"], row["low"], row["high"])


def test_a_contradiction_comes_before_everything():
    found = described("train.kept_epoch", "21", [], ("train.epochs", "20"))
    assert (found.finding, found.reason) == ("contradictory", "kept epoch 21 of epochs 20")


def test_missing_data_come_after_contradictions_and_before_the_rest():
    numbers = [("train.kept_epoch", "21"), ("train.epochs", "20"), ("time.seconds", "0:00:12")]
    study = papers(numbers, "lungcare", "lungcare_cnn5")
    findings = verdicts.compare(study, PAPER, [], []).cells.set_index("metric").finding
    assert findings.to_dict() == {
        "train.kept_epoch": "contradictory",
        "train.epochs": "contradictory",
        "time.seconds": "data unavailable",
        "test.accuracy": "data unavailable",
        "test.test_images": "data unavailable",
    }


def test_several_contradictions_are_all_given():
    supports = [(f"test.classes.{name}.support", "50") for name in CLASSES]
    wrong = [("test.macro.f1", "0.10"), ("test.accuracy", "0.99")]
    found = described("test.macro.recall", "0.80", [], *supports, *wrong)
    assert found.finding == "contradictory"
    assert found.reason.count("; ") == 2  # one of them within the first reason


@pytest.mark.parametrize("metric", ["test.classes.PNEUMONIA.f1", "test.roc_auc", "train.best.train_loss"])
def test_a_number_that_a_record_lacks_is_named(metric):
    found = seeds(90)
    *parents, last = metric.split(".")
    section = found[0].metrics
    for parent in parents:
        section = section[parent]
    del section[last]
    message = f"^{RUN}/protocol/seed-1: expected a number for {metric}, received None"
    message += f".*paper.yaml, .*`rontgen reproduce {RUN} --seeds 1 --again`$"
    with pytest.raises(RontgenError, match=message):
        described(metric, "0.9", found)


# ---- counts of the data


@pytest.mark.parametrize(
    ("metric", "value", "finding", "ours_"),
    [
        ("data.images.PNEUMONIA", 4273, "consistent", 4273),
        ("data.images.PNEUMONIA", 4265, "consistent", 4265),
        ("data.images.PNEUMONIA", 4264, "not comparable", 4273),
        ("data.images", 5840, "consistent", 5840),
        ("data.train.NORMAL", 1341, "consistent", 1341),
        ("data.train.NORMAL", 1340, "not consistent", 1341),
        ("data.smote.NORMAL", 10, "not comparable", None),
        ("data.share.train", 0.9, "not consistent", 0.8585),
    ],
)
def test_counts_of_the_data_are_those_of_the_archive(metric, value, finding, ours_):
    found = verdicts.compare(papers(of_study=[(metric, value)]), DEMO, [], []).cells.iloc[0]
    assert found.finding == finding
    assert found.ours == pytest.approx(ours_, abs=1e-4) if ours_ else found.ours != found.ours


def test_a_sentence_that_the_numbers_do_not_bear_out_is_a_contradiction_of_no_number():
    better = {"says": "A is better.", "place": "Section 4", "metric": "test.accuracy", "order": "falling"}
    cells = {RUN: [cell("test.accuracy", "0.80")], "smatika_resnet50v2": [cell("test.accuracy", "0.90")]}
    study = paper(cells, orderings=[better | {"pairs": [(RUN, "smatika_resnet50v2")]}])
    ledger = verdicts.compare(Papers(archives={}, sources={}, studies={"smatika": study}), PAPER, [], [])
    (violation,) = ledger.violations
    assert violation.cells == (("smatika", "Section 4"),) and "“A is better.”" in violation.reason
    assert ledger.endpoints.verdict.unique().tolist() == ledger.cells.finding.unique().tolist() == ["not run"]


# ---- what no protocol.yaml has


def test_a_run_that_its_study_lacks_is_named():
    message = r"^studies/smatika/paper.yaml: expected runs of smatika_resnet50v2, smatika_vgg16, .*, received 'a_run'$"
    with pytest.raises(RontgenError, match=message):
        verdicts.compare(papers(run="a_run"), PAPER, [], [])


def test_a_study_without_a_protocol_is_named():
    with pytest.raises(RontgenError, match=r"^studies/a_study: expected a protocol.yaml with studies.a_study: see "):
        verdicts.compare(papers(study="a_study"), PAPER, [], [])


def test_the_records_that_are_committed_are_judged(tmp_path):
    ledger = verdicts.compare(PAPERS, DEMO, records.read_all(ROOT / "results"), [])
    write(ledger, tmp_path)
    committed = (ROOT / "metrics/endpoints.csv").read_text()
    assert (tmp_path / "endpoints.csv").read_text() == committed, "run `dvc repro compare`"
    assert list(ledger.by_protocol.run) == [run for study in PAPERS.studies.values() for run in study.runs]
    assert set(ledger.records) == {
        path.parts[-3:-1] for path in (ROOT / "results").glob("*/*/seed-*") if not path.parts[-3].endswith("free")
    }
