"""Records of a run and of its run without leaks in pairs, and the gap between them."""

import pytest

from finished_project import recorded
from rontgen.audits import leakage_gap
from rontgen.claims.studies import measure_gap, pair

CLASSES = ("NORMAL", "COVID")


def record(run, seed, treatment="protocol", processor="Zilog Z80"):
    made = recorded(run, treatment, seed, CLASSES, 80 if run.endswith("_leakfree") else 88, 100)
    made.provenance["machine"]["processor"] = processor
    return made


def paired(run, *records):
    return [(one.name, other.name) for one, other in pair(records, run)]


def test_records_are_paired_by_run_and_seed():
    # the leak-free runs of seed 3 and of b are not recorded, nor is c
    recorded_seeds = {"a": (10, 2, 3), "a_leakfree": (2, 10), "b": (2,), "c_leakfree": (2,)}
    records = [record(run, seed) for run, some in recorded_seeds.items() for seed in some]
    expected = [(f"a/protocol/seed-{seed}", f"a_leakfree/protocol/seed-{seed}") for seed in (2, 10)]
    assert paired("a", *records) == expected
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


def test_the_treatment_with_most_pairs_counts():
    records = [record(run, seed, "smote") for seed in (1, 2) for run in ("a", "a_leakfree")]
    others = [record(run, 3) for run in ("a", "a_leakfree")]
    expected = [(f"a/smote/seed-{seed}", f"a_leakfree/smote/seed-{seed}") for seed in (1, 2)]
    assert paired("a", *others, *records) == expected


def test_a_gap_between_machines_says_so():
    def note(*processors):
        seeds = enumerate(processors)
        return measure_gap([(record("a", n), record("a_leakfree", n, processor=one)) for n, one in seeds])["note"]

    alike = "2 seeds each; scored on the same 200 test images in all"
    assert note("Zilog Z80", "Zilog Z80") == alike
    assert note("Zilog Z80", "AMD EPYC") == f"{alike}; trained on different machines"


def test_the_gap_of_records_is_that_of_their_predictions():
    one, other = record("a", 1), record("a_leakfree", 1)
    assert measure_gap([(one, other)]) == leakage_gap.measure([(one.predictions, other.predictions)])
