import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from statsmodels.stats.weightstats import DescrStatsW

from rontgen.core.errors import RontgenError
from rontgen.evaluation.metrics import compute_metrics, prediction_table
from rontgen.evidence import leakage_gap
from rontgen.evidence.records import Record
from rontgen.reporting import audit_plots

CLASSES = ["NORMAL", "COVID"]


def predictions(right, wrong, start=0):
    """Of each class, `right` images predicted correctly and `wrong` incorrectly, with ids from `start` on."""
    names = np.repeat(CLASSES * 2, [right, right, wrong, wrong])
    sick = np.repeat([0.1, 0.9, 0.8, 0.2], [right, right, wrong, wrong])
    ids = [str(start + index) for index in range(len(names))]
    return prediction_table(ids, ids, names, CLASSES, np.stack([1 - sick, sick], axis=1))


def apart(right, wrong):
    """Like `predictions`, on images that are in no other test."""
    return predictions(right, wrong, start=10_000)


def several(gaps):
    """Compare a run with 50 of 100 images right and leak-free runs with fewer right, by each of `gaps`."""
    return leakage_gap.measure([(predictions(25, 25), apart(25 - gap // 2, 25 + gap // 2)) for gap in gaps])


def test_of_one_seed_each_there_is_a_gap_without_an_interval():
    measured = leakage_gap.measure([(predictions(45, 5), apart(60, 20))])
    assert measured["seeds"] == 1
    assert measured["note"] == "one seed each, which shows nothing about the split; scored on 100 and 160 test images"
    expected = {"run": 0.9, "leakfree": 0.75, "gap": 0.15}
    assert measured["metrics"]["accuracy"] == pytest.approx(expected)
    assert measured["metrics"]["macro_f1"] == pytest.approx(expected)
    assert set(measured["metrics"]) == {"accuracy", "roc_auc", "macro_f1"}


def test_each_metric_is_that_of_the_evaluation():
    random = np.random.default_rng(3)
    sick = random.random((2, 60))
    tables = [
        prediction_table(
            np.arange(60) + 100 * place, [""] * 60, np.repeat(CLASSES, [35, 25]), CLASSES, np.stack([1 - p, p], axis=1)
        )
        for place, p in enumerate(sick)
    ]
    run, leakfree = (compute_metrics(table, CLASSES) for table in tables)
    metrics = leakage_gap.measure([tuple(tables)])["metrics"]
    assert metrics["roc_auc"]["gap"] == pytest.approx(run["roc_auc"] - leakfree["roc_auc"])
    assert metrics["macro_f1"]["gap"] == pytest.approx(run["macro"]["f1"] - leakfree["macro"]["f1"])
    assert len({round(values["gap"], 9) for values in metrics.values()}) == 3


def test_of_several_seeds_there_is_a_mean_with_its_t_interval():
    measured = several([10, 4, 16])
    accuracy = measured["metrics"]["accuracy"]
    low, high = DescrStatsW([0.1, 0.04, 0.16]).tconfint_mean()
    assert accuracy == pytest.approx({"run": 0.5, "leakfree": 0.4, "gap": 0.1, "low": low, "high": high})
    assert measured["seeds"] == 3
    assert measured["note"] == "3 seeds each; scored on 300 and 300 test images in all"


def test_seeds_that_agree_make_no_interval():
    assert "low" not in several([10, 10])["metrics"]["accuracy"]
    # equal but for rounding: 0.4 - 0.3 and 0.3 - 0.2 differ in the last digit
    pairs = [(predictions(20, 30), apart(15, 35)), (predictions(15, 35), apart(10, 40))]
    accuracy = leakage_gap.measure(pairs)["metrics"]["accuracy"]
    assert accuracy["gap"] == pytest.approx(0.1) and "low" not in accuracy


def test_both_are_scored_on_the_images_that_both_tests_share():
    # both have 20 + 20 images right; what the leak-free run has wrong is only in its own test
    run, leakfree = predictions(20, 0), predictions(20, 10)
    for first, second in ((run, leakfree), (leakfree, run), (run, leakfree.sample(frac=1, random_state=1))):
        measured = leakage_gap.measure([(first, second)])
        assert measured["paired"] is True
        assert (measured["images"], measured["leakfree_images"]) == (40, 40)
        assert measured["metrics"]["accuracy"] == {"run": 1, "leakfree": 1, "gap": 0}
        assert measured["note"].endswith("; scored on the same 40 test images")


@pytest.mark.parametrize(("right", "paired"), [(leakage_gap.FEWEST, True), (leakage_gap.FEWEST - 1, False)])
def test_too_few_shared_images_of_a_class_are_not_scored_alone(right, paired):
    shares_all, shares_few = (predictions(20, 5), predictions(20, 5)), (predictions(right, 0), predictions(right, 0))
    shares_few = shares_few[0], pd.concat([shares_few[1], apart(0, 30)])
    for pairs in ([shares_few], [shares_all, shares_few]):
        measured = leakage_gap.measure(pairs)
        assert measured["paired"] is paired
        assert (measured["metrics"]["accuracy"]["gap"] == 0) is paired
        assert (measured["images"] == measured["leakfree_images"]) is paired


def test_other_classes_are_refused():
    leakfree = predictions(20, 5).rename(columns={"COVID": "TUBERCULOSIS"})
    with pytest.raises(
        RontgenError, match="received NORMAL, COVID and NORMAL, TUBERCULOSIS: make both by the same settings"
    ):
        leakage_gap.measure([(predictions(20, 5), leakfree)])


def record(run, seed, treatment="protocol", processor="Zilog Z80"):
    table = predictions(20, 5) if run.endswith("_leakfree") else predictions(22, 3)
    return Record(run, treatment, seed, {}, table, None, {"machine": {"processor": processor}})


def paired(run, *records):
    return [(one.name, other.name) for one, other in leakage_gap.pair(records, run)]


def test_records_are_paired_by_run_and_seed():
    records = [
        record("a_leakfree", 2),
        record("a", 10),
        record("a", 2),
        record("a", 3),  # its leak-free run is not recorded
        record("a_leakfree", 10),
        record("b", 2),
        record("c_leakfree", 2),
    ]
    assert paired("a", *records) == [
        (f"a/protocol/seed-{seed}", f"a_leakfree/protocol/seed-{seed}") for seed in (2, 10)
    ]
    assert paired("b", *records) == paired("c", *records) == []


@pytest.mark.parametrize(
    ("run", "leakfree", "is_a_pair"),
    [
        ("smote", "smote", True),
        ("protocol", "smote", False),
        ("smote", "protocol", False),
        ("protocol+x=1", "protocol", True),  # a split without leaks needs less
        ("protocol+x=1+y=2", "protocol+y=2", True),
        ("protocol", "protocol+x=1", False),
        ("protocol+x=1", "protocol+x=2", False),
        ("smote+x=1", "protocol+x=1", False),
    ],
)
def test_both_runs_of_a_pair_have_one_reading_and_what_was_set_without_leaks(run, leakfree, is_a_pair):
    assert bool(paired("a", record("a", 1, run), record("a_leakfree", 1, leakfree))) is is_a_pair


def test_a_gap_between_machines_says_so():
    def note(*processors):
        pairs = [(record("a", 1), record("a_leakfree", 1, processor=one)) for one in processors]
        return leakage_gap.measure_records(pairs)["note"]

    alike = "2 seeds each; scored on the same 100 test images in all"
    assert note("Zilog Z80", "Zilog Z80") == alike
    assert note("Zilog Z80", "AMD EPYC") == f"{alike}; trained on different machines"


def test_the_gap_of_records_is_that_of_their_predictions():
    pairs = [(record("a", 1), record("a_leakfree", 1))]
    assert leakage_gap.measure_records(pairs) == leakage_gap.measure([(predictions(22, 3), predictions(20, 5))])


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draw, and return the figure."""

    def draw(measured, is_demo=True, name="a.png"):
        figures = []
        monkeypatch.setattr(audit_plots, "Figure", lambda **options: figures.append(Figure(**options)) or figures[0])
        audit_plots.leakage_gap(measured, is_demo, tmp_path / name)
        return figures[0]

    return draw


def one():
    return leakage_gap.measure([(predictions(45, 5), apart(30, 20))])


def signs(axes):
    """Whether the marker of each run is filled, by row."""
    lines = [line for line in axes.lines if line.get_marker() == "o"]
    return {line.get_ydata()[0]: line.get_markerfacecolor() == line.get_color() for line in lines}


def test_it_is_drawn_the_same_every_time(drawn, tmp_path):
    measured = {"records": {"a": several([4, 8])}, "workspace": {"a": one(), "b": one()}}
    for name in ("a.png", "b.png"):
        drawn(measured, name=name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_records_stand_above_the_workspace_on_an_axis_of_their_own(drawn):
    records = {"a": several([4, 8, 6]), "b": one()}
    figure = drawn({"records": records, "workspace": {"a": one(), "b": one(), "c": one()}})
    above, below = figure.axes
    assert [text.get_text() for text in above.get_yticklabels()] == ["a, 3 seeds", "b"]
    assert [text.get_text() for text in below.get_yticklabels()] == ["a", "b", "c"]
    assert signs(above) == {0: True, 1: False}
    assert signs(below) == {0: False, 1: False, 2: False}
    (interval,) = [line for line in above.lines if list(line.get_ydata()) == [0, 0]]
    accuracy = records["a"]["metrics"]["accuracy"]
    assert list(interval.get_xdata()) == [accuracy["low"], accuracy["high"]]
    assert figure.get_suptitle() == "Leakage gap"
    assert "demo" in below.get_title() and "demo" not in above.get_title()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [audit_plots.SEVERAL_SEEDS["label"], audit_plots.ONE_SEED["label"]]


def test_single_seeds_alone_are_said_to_show_nothing(drawn):
    figure = drawn({"records": {}, "workspace": {"a": one(), "b": one()}}, is_demo=False)
    (axes,) = figure.axes
    assert "no run has records" in figure.get_suptitle()
    assert axes.get_title() == "This workspace"
    assert signs(axes) == {0: False, 1: False}
    (label,) = figure.legends[0].get_texts()
    assert label.get_text() == "one seed each: shows nothing about the split"
