"""The tables of the claims ledger, as the report and the page read them."""

from pathlib import Path

import pandas as pd
import pytest

from rontgen.core.errors import RontgenError
from rontgen.reporting import claims_tables


def claims(*rows):
    return pd.DataFrame(rows, columns=["run", "metric", "finding", "reason"])


def test_every_cell_is_text(tmp_path):
    path = tmp_path / "claims.csv"
    path.write_text("run,paper,ours\na,0.90,\nb,NA,1\n")
    expected = [{"run": "a", "paper": "0.90", "ours": ""}, {"run": "b", "paper": "NA", "ours": "1"}]
    assert claims_tables.read_table(path, "").to_dict("records") == expected


def test_a_missing_table_is_named_with_its_command():
    with pytest.raises(RontgenError, match=r"no.csv not found: run `make repro` first"):
        claims_tables.read_table(Path("no.csv"), "make repro")


def test_a_row_is_shown_by_the_protocol_and_by_each_treatment_that_was_run():
    rows = [("a", "protocol", "0"), ("a", "plain", "3"), ("a", "other", "0"), ("b", "protocol", "5")]
    table = pd.DataFrame(rows, columns=["run", "treatment", "seeds"])
    found = [(row["run"], row["treatment"]) for row in claims_tables.shown(table)]
    assert found == [("a", "protocol"), ("a", "plain"), ("b", "protocol")]


def test_each_sum_that_contradicts_is_given_once():
    table = claims(
        ("a", "accuracy", "contradictory", "one sum; another; with 250 images the two are one"),
        ("a", "f1", "contradictory", "one sum"),
        ("a", "recall", "consistent", "no sum"),
        ("b", "accuracy", "contradictory", "one sum"),
    )
    first, second = claims_tables.contradictions(table)
    assert first["sums"] == ["one sum", "another; with 250 images the two are one"]
    assert [row["metric"] for row in first["rows"]] == ["accuracy", "f1"]
    assert (second["run"], second["sums"]) == ("b", ["one sum"])


def test_without_a_contradiction_there_is_none():
    assert claims_tables.contradictions(claims(("a", "accuracy", "consistent", ""))) == []
