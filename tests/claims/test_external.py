"""How many people without a finding a model calls sick."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from made_up_studies import training
from rontgen.claims import external
from rontgen.claims.findings import of_external
from rontgen.evaluation.proportions import exact_interval


def films(sick, images=20, source="covid_radiography", unfamiliar=0):
    """Answers to normal films, the first `sick` of them wrong; the first `unfamiliar` are refused."""
    rows = {"source": source, "id": [str(n) for n in range(images)], "class": "NORMAL"}
    predicted = np.where(np.arange(images) < sick, "PNEUMONIA", "NORMAL")
    return pd.DataFrame(rows | {"predicted": predicted, "unfamiliar": (np.arange(images) < unfamiliar).astype(int)})


def asked(*tables):
    one = training(rights=[90] * len(tables))
    records = [replace(record, external=table) for record, table in zip(one.records, tables, strict=True)]
    return external.of(replace(one, records=records))


def test_the_share_is_the_mean_over_the_seeds_and_no_narrower_than_the_films_make_it():
    found = asked(films(4), films(4), films(7))
    low, high = exact_interval(5, 20)
    reach = stats.t.ppf(0.975, 2) * stats.sem([0.2, 0.2, 0.35])
    assert found.all_sick.mean == pytest.approx(0.25)
    assert (found.all_sick.low, found.all_sick.high) == (min(low, 0.25 - reach), max(high, 0.25 + reach))
    assert (found.seeds, found.films) == ([1, 2, 3], {"covid_radiography": 20})


def test_each_archive_has_its_share():
    found = asked(pd.concat([films(4), films(1, 10, "tb_radiography")]))
    assert found.sick == {"covid_radiography": 0.2, "tb_radiography": 0.1}
    assert found.all_sick.mean == pytest.approx(5 / 30)


def test_what_the_check_refuses_is_counted_among_all_and_among_those_called_sick():
    found = asked(films(4, unfamiliar=3))
    assert (found.refused, found.refused_sick) == (3 / 20, 3 / 4)
    assert asked(films(0)).refused_sick == 0


@pytest.mark.parametrize(("sources", "people"), [(["chest_xray"], "children"), (["tb_radiography"], "adults")])
def test_kermanys_films_are_of_children(sources, people):
    found = asked(pd.concat([films(1, source=source) for source in sources]))
    assert found.people == people
    said = of_external(found)
    assert f"calls 5% (0 to 25) of 20 normal films of {people} sick, from archives that gave it no normal film." in said
    assert said.startswith("smatika_vgg16 (as stated, seed 1), right on 90.0% of its own test images")


def test_full_size_files_are_compared_with_their_copies_and_are_no_other_archive():
    sizes = [films(2, 4, "originals"), films(1, 4, "copies")]
    found = asked(pd.concat([films(4), *sizes]))
    assert found.all_sick.mean == 0.2
    assert found.sizes == external.Sizes(files=4, originals=0.5, copies=0.75, same=0.75)
    assert "Of 4 files of chest_xray, full-size ones get the answer of their small copies in 75.0%" in of_external(
        found
    )
    assert asked(films(4)).sizes is None


def test_records_that_were_not_asked_say_nothing():
    assert asked(None) is None and asked(films(0, 0)) is None
