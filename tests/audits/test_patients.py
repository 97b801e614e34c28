"""What is measured about the patients of chest_xray, on small tables with known answers and on a drawn archive."""

import sys

import numpy as np
import pandas as pd
import pytest
from analyses import patients

from rontgen.data.demo import archives as synthetic
from rontgen.data.layouts import chest_xray_patient

NAMES = [
    ("train", "PNEUMONIA", "person1_bacteria_1"),
    ("train", "PNEUMONIA", "person1_bacteria_2"),
    ("test", "PNEUMONIA", "person2_bacteria_4"),
    ("train", "PNEUMONIA", "person4_bacteria_9"),
    ("test", "PNEUMONIA", "person1_virus_3"),
    ("train", "PNEUMONIA", "person2_virus_4"),
    ("train", "PNEUMONIA", "person2_virus_4_1"),
    ("train", "PNEUMONIA", "person4_virus_7"),
    ("train", "NORMAL", "IM-0115-0001"),
    ("test", "NORMAL", "NORMAL2-IM-0115-0001-0002"),
    ("val", "NORMAL", "another"),
]


@pytest.fixture
def images(write_zip):
    members = {f"chest_xray/{folder}/{label}/{stem}.jpeg": stem.encode() for folder, label, stem in NAMES}
    table = patients.list_images(write_zip(members))
    order = {stem: place for place, (_, _, stem) in enumerate(NAMES)}
    return table.sort_values("member", key=lambda m: m.str.extract(r"/([^/]+)\.")[0].map(order), ignore_index=True)


def test_a_file_name_has_a_series_a_number_and_a_serial(images):
    assert images["series"].tolist() == [*["bacteria"] * 4, *["virus"] * 4, "IM", "NORMAL2-IM", ""]
    assert images["number"].tolist() == [1, 1, 2, 4, 1, 2, 2, 4, 115, 115, -1]
    assert images["serial"].tolist() == [1, 2, 4, 9, 3, 4, 4, 7, -1, -1, -1]
    assert images["patient"].tolist() == [chest_xray_patient(stem) for _, _, stem in NAMES]


def test_a_series_is_cut_where_the_folder_changes(images):
    rows = [(row["series"], row["folder"], row["numbers"], row["images"]) for row in patients.blocks(images)]
    assert rows == [
        ("bacteria", "train", "1", "2"),
        ("bacteria", "test", "2", "1"),
        ("bacteria", "train", "4", "1"),
        ("virus", "test", "1", "1"),
        ("virus", "train", "2–4", "3"),
        ("IM", "train", "115", "1"),
        ("NORMAL2-IM", "test", "115", "1"),
    ]


def test_numbers_that_fall_are_counted_in_each_series_and_in_both(images):
    falls = [row["to a lower person number"] for row in patients.orders(images)]
    assert falls == ["0", "0", "0"]
    images.loc[[1, 3], "serial"] = [9, 2]  # bacterial images 1, 2, 4 and 9 are now of persons 1, 4, 2 and 1
    falls = [row["to a lower person number"] for row in patients.orders(images)]
    assert falls == ["2", "0", "2"]
    twice = [row["image numbers that occur twice"] for row in patients.orders(images)]
    assert twice == ["0", "1", "2"]


def test_what_both_folders_have_is_counted_by_either_key(images):
    found = [row["how many"] for row in patients.in_both(images)]
    assert found == ["0", "0", "2", "1", "3"]
    images.loc[9, "patient"] = "IM-0115"
    images.loc[4, ["patient", "series"]] = ["person1_bacteria", "bacteria"]
    assert [row["how many"] for row in patients.in_both(images)] == ["1", "1", "2", "1", "2"]


def test_copies_are_counted_by_whose_they_are(images):
    images["sha256"] = list("aabcadefxxy")
    assert [row["copies"] for row in patients.copy_rows(images)] == ["1", "1", "0", "0", "1"]


@pytest.fixture(scope="module")
def cases():
    """Images of 60 numbers, two of each pathogen: alike within a number and pathogen, and otherwise not at all."""
    random = np.random.default_rng(0)
    rows = [(series, number) for number in range(60) for series in patients.PATHOGENS for _ in range(2)]
    table = pd.DataFrame(rows, columns=["series", "number"])
    base = random.normal(128, 30, (120, 16, 16))
    pixels = np.clip(np.repeat(base, 2, axis=0) + random.normal(0, 10, (240, 16, 16)), 0, 255).astype(np.uint8)
    return table, patients.correlations(pixels), pixels


def test_pairs_are_of_one_number_and_of_two(cases):
    table, agreement, pixels = cases
    np.testing.assert_allclose(agreement, np.corrcoef(pixels.reshape(240, -1).astype(float)), atol=1e-5)
    own, other = patients.draw_pairs(table, agreement, "virus", "virus")
    assert len(own) == len(other) == 60
    assert own.min() > 0.7 and np.abs(other).max() < 0.4
    two = np.array(patients.draw_pairs(table, agreement, "bacteria", "virus"))
    assert two.shape == (2, 60) and np.abs(two).max() < 0.4
    # a number with one image of a pathogen has no pair within that pathogen, but still one across both
    keep = ~((table["number"] < 5) & (table["series"] == "virus") & (table.index % 2 == 1)).to_numpy()
    fewer, less = table[keep].reset_index(drop=True), agreement[np.ix_(keep, keep)]
    for first, count in (("virus", 55), ("bacteria", 60)):
        assert len(patients.draw_pairs(fewer, less, first, "virus")[0]) == count


def test_the_nearest_image_is_of_the_number_where_images_of_it_are_alike(cases):
    table, agreement, _ = cases
    assert patients.nearest(table, agreement, "virus", "virus") == (120, 120, pytest.approx(1 / 119))
    own, tried, chance = patients.nearest(table, agreement, "bacteria", "virus")
    assert (tried, chance) == (120, pytest.approx(2 / 120))
    assert own < 10
    # each image's copy goes to the next number: the nearest is never the image itself
    moved = table.assign(number=(table["number"] + table.index % 2) % 60)
    assert patients.nearest(moved, agreement, "virus", "virus")[:2] == (0, 120)


@pytest.mark.slow
def test_the_page_is_written_from_a_drawn_archive(change_params, tmp_path, monkeypatch):
    change_params({})
    path = tmp_path / "chest.zip"
    synthetic.write_archive("chest_xray", path, 48, 7)
    monkeypatch.setattr(sys, "argv", ["patients", str(path)])
    patients.main()
    page = (tmp_path / "analyses/patients.md").read_text(encoding="utf-8")

    images = patients.list_images(path)
    test, rest = images[images["folder"] == "test"], images[images["folder"] != "test"]
    shared = test["patient"].isin(rest["patient"]).sum()
    assert shared >= 2 * synthetic.STRADDLING
    line = next(line for line in page.splitlines() if "Kaggle's own folders" in line)
    assert line.startswith(f"| Kaggle's own folders | 150 | {shared} (")
    alone = int(line.split("|")[4].split()[0])
    assert alone > shared
    # in a drawn archive, two pathogens of one number are two children, and images of one child are alike
    rows = {line.split(" | ")[0]: line.split(" | ") for line in page.splitlines() if line.startswith("| ")}
    shares = {kind: float(rows[f"| {kind}"][4].split("%")[0]) for kind in ("two pathogens", "bacteria both")}
    assert shares["two pathogens"] < 65 < shares["bacteria both"]
    assert "{" not in page
