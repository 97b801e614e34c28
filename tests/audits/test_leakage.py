"""The leakage audit: every planted copy is counted, none is made up, and the figures are sound."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from figures import assert_sound, figure_of
from rontgen.audits import leakage, near_duplicates
from rontgen.audits.near_duplicates import Fingerprints
from rontgen.data import layouts
from rontgen.data.archives import Archive
from rontgen.data.demo import archives as synthetic
from rontgen.reporting import audit_plots

SIZE = 96


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Fingerprints of two drawn archives, with the faults that are planted in them."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        counts = {"COVID": 10, "Lung_Opacity": 1, "Normal": 50, "Viral Pneumonia": 1}
        patch.setitem(synthetic.IMAGES, "covid_radiography", counts)
        return {
            "pneumonia": fingerprint("chest_xray", folder, ("NORMAL", "PNEUMONIA")),
            "covid": fingerprint("covid_radiography", folder, ("Normal", "COVID")),
        }


def fingerprint(layout, folder, labels):
    path = folder / f"{layout}.zip"
    synthetic.write_archive(layout, path, SIZE, 7)
    with Archive(path) as archive:
        members = [image for image in layouts.read(layout, archive).images if image.label in labels]
        images = pd.DataFrame(
            {
                "member": [image.member for image in members],
                "class": [image.label.upper() for image in members],
                "patient": [image.patient for image in members],
                "folder": [image.folder for image in members],
                "sha256": [str(archive.read(image.member)) for image in members],
            }
        ).assign(archive=path.name)
    return near_duplicates.fingerprint(images, folder, 0)


@pytest.fixture(scope="module")
def everything(demo):
    return leakage.gather(demo)


@pytest.fixture(scope="module")
def pairs(everything):
    return leakage.find_pairs(everything)


def prints(rows, archive="a.zip"):
    """Fingerprints of (member, sha256, class); with black thumbnails, because no near copies are searched for."""
    images = pd.DataFrame(rows, columns=["member", "sha256", "class"])
    images = images.assign(archive=archive, patient="", folder="", near=0, width=80, height=80)
    return Fingerprints(images, np.zeros((len(rows), 80, 80), np.uint8), images[["archive", "member"]].head(0))


def pair(first, second, kind="near"):
    return {"first": first, "second": second, "distance": 2, "agreement": 0.99, "kind": kind}


def manifest(rows):
    return pd.DataFrame(rows, columns=["subset", "sha256", "patient"])


def counts(images, exact=0, near=0, conflicts=0):
    """What the audit counts of a dataset."""
    duplicates = {"exact_duplicates": exact, "near_duplicates": near}
    return {"images": images, "unreadable": 0, **duplicates, "label_conflicts": conflicts}


def test_copies_and_patients_are_counted_between_an_archives_own_folders():
    rows = [("train", "a", "p1"), ("train", "b", "p2"), ("test", "a", "p3"), ("test", "c", "p2"), ("test", "c", "p2")]
    rows += [("test", "d", ""), ("test", "e", "p4"), ("val", "a", "p1")]
    images = prints([(f"{number}.png", sha256, "NORMAL") for number, (_, sha256, _) in enumerate(rows)]).images
    images = images.assign(folder=[row[0] for row in rows], patient=[row[2] for row in rows])
    pairs = pd.DataFrame([pair(1, 6), pair(5, 6)])  # b and e, then d and e
    found = leakage.audit({}, images, pairs, {})["folders"]["a.zip"]
    images = {"train_images": 2, "test_images": 5, "unknown_patient": 1}
    copies = {"exact_within": 1, "near_within": 1, "exact": 1, "near": 1}
    assert found == images | copies | {"patient": 2, "shared_patients": 1}


def test_every_planted_copy_is_found_and_no_other(demo, everything, pairs):
    found = leakage.audit(demo, everything.images, pairs, {})
    assert found["datasets"] == {
        "pneumonia": counts(706, len(synthetic.DUPLICATES), len(synthetic.NEAR_DUPLICATES)),
        "covid": counts(60),
    }
    # one of the images that the second archive repeats is in the first one twice
    assert found["across"] == {"pneumonia covid": {"exact": 0, "near": synthetic.COPIES_IN_COVID + 1}}


def test_the_table_of_pairs_has_the_copies_in_the_second_archive_beside_their_originals(everything, pairs):
    table = leakage.pair_table(pairs, everything.images)
    across = table[table["archive"] != table["other_archive"]]
    numbers = {int(re.search(r"Normal-(\d+)\.png", member)[1]) for member in across["other_member"]}
    assert numbers == set(range(1, synthetic.COPIES_IN_COVID + 1))
    assert set(across["kind"]) == {"near"} and set(across["archive"]) == {"chest_xray.zip"}


def test_an_archive_that_two_datasets_share_is_taken_once(demo):
    assert len(leakage.gather(demo | {"lungs": demo["pneumonia"]}).images) == 766


def test_of_a_dataset_later_copies_and_pairs_of_two_classes_are_counted():
    images = [("a", "NORMAL"), ("b", "NORMAL"), ("a", "COVID"), ("c", "COVID"), ("d", "NORMAL")]
    data = prints([(str(number), *image) for number, image in enumerate(images)])
    near_a = pd.DataFrame([pair(0, 1), pair(0, 3)])  # b and c
    found = leakage.audit({"x": data}, data.images, near_a, {})
    assert found["datasets"]["x"] == counts(5, exact=1, near=2, conflicts=2)


def test_a_pair_of_another_dataset_is_not_counted():
    sets = {
        "one": prints([("1", "a", "NORMAL"), ("2", "b", "NORMAL")]),
        "other": prints([("1", "c", "COVID")], "b.zip"),
    }
    found = leakage.audit(sets, leakage.gather(sets).images, pd.DataFrame([pair(1, 2)]), {})
    assert found["datasets"]["one"]["near_duplicates"] == found["datasets"]["other"]["near_duplicates"] == 0


def test_across_datasets_only_copies_in_another_archive_count():
    shared = prints([("1", "a", "NORMAL"), ("2", "b", "NORMAL")])
    both = prints([("9", "a", "NORMAL"), ("8", "z", "NORMAL")], "b.zip")
    images = pd.concat([shared.images, both.images], ignore_index=True)
    more = Fingerprints(images, np.zeros((4, 80, 80), np.uint8), shared.unreadable)
    sets = {"shared": shared, "more": more}
    found = leakage.audit(sets, leakage.gather(sets).images, pd.DataFrame([pair(1, 3)]), {})
    assert found["across"]["shared more"] == {"exact": 1, "near": 1}


def test_a_split_counts_each_kind_of_leak_and_each_image_once():
    images = pd.DataFrame({"sha256": list("abcdefgh"), "archive": "a.zip", "folder": ""})
    rows = [
        ("train", "a", "p1"),
        ("train", "b", ""),
        ("validation", "c", "p2"),
        ("validation", "b", "p1"),  # exact and patient
        ("test", "a", "p1"),  # exact and patient
        ("test", "d", ""),  # near b
        ("test", "e", "p2"),  # patient, of validation
        ("test", "f", ""),  # near g, which is in no other subset
        ("test", "g", ""),
        ("test", "h", "p3"),
    ]
    found = leakage.audit({}, images, pd.DataFrame([pair(3, 1), pair(5, 6)]), {"study": manifest(rows)})
    expected = {
        "test": {"images": 6, "exact": 1, "near": 1, "patient": 2, "any": 3, "unknown_patient": 3},
        "validation": {"images": 2, "exact": 1, "near": 0, "patient": 1, "any": 1, "unknown_patient": 0},
    }
    counted = {f"{subset}_{name}": count for subset, leaks in expected.items() for name, count in leaks.items()}
    assert found["splits"]["study"] == counted | {"share": 0.5}


@pytest.mark.parametrize(("trained", "tested", "exact", "near"), [("a", "b", 0, 1), ("b", "a", 0, 1), ("a", "a", 1, 0)])
def test_a_near_copy_is_found_from_either_side_and_an_exact_pair_is_not_near(trained, tested, exact, near):
    images = pd.DataFrame({"sha256": ["a", "b", "a"], "archive": "a.zip", "folder": ""})
    pairs = pd.DataFrame([pair(0, 1), pair(0, 2, "exact")])
    split = manifest([("train", trained, ""), ("test", tested, "")])
    found = leakage.audit({}, images, pairs, {"study": split})["splits"]["study"]
    assert (found["test_exact"], found["test_near"]) == (exact, near)


def split_counts(images, exact, near, patient):
    counts = {"test_exact": exact, "test_near": near, "test_patient": patient}
    return {"test_images": images, **counts, "test_any": max(counts.values()), "test_unknown_patient": 0}


def test_the_figure_of_splits_is_sound_and_shows_the_kinds_that_leak(tmp_path):
    splits = {"smatika": split_counts(100, 0, 50, 0), "smatika_leakfree": split_counts(90, 0, 0, 0)}
    assert_sound(lambda path: audit_plots.leaks(splits, path), tmp_path / "leakage.png")
    (axes,) = figure_of(lambda path: audit_plots.leaks(splits, path)).axes
    shares = {to_hex(bar.get_facecolor()).upper(): bar.get_width() for bar in axes.patches}
    kinds = ("exact", "near", "patient")
    assert [shares[audit_plots.KIND_COLORS[kind]] for kind in kinds] == [0, 50, 0]
    assert "none known" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("shown", [slice(None), slice(0)], ids=["all pairs", "none"])
def test_the_figure_of_examples_is_sound(shown, everything, pairs, tmp_path):
    def draw(path):
        audit_plots.near_pairs(pairs[shown], everything.images, everything.thumbnails, path)

    assert_sound(draw, tmp_path / "leakage_examples.png")
