import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rontgen.core.errors import RontgenError
from rontgen.core.sections import SUBSETS, Counts, Fractions, Split
from rontgen.data import splits

CLASSES = ["NORMAL", "SICK", "WORSE"]


def split(policy="stratified", *, counts=None, shares=(0.6, 0.2, 0.2), **changes):
    options = {"on_shortage": "error", "group_by": "none", "deduplicate": False, "seed": 7} | changes
    return Split(
        policy=policy,
        fractions=Fractions(**dict(zip(SUBSETS, shares, strict=True))),
        counts=counts and Counts(**dict(zip(SUBSETS, counts, strict=True))),
        **options,
    )


def table(rows):
    """Images from (class, patient, content) or (class, patient, content, folder), one member each."""
    rows = [(*row, "train")[:4] for row in rows]
    return pd.DataFrame(
        {
            "archive": [f"{'ab'[index % 2]}.zip" for index in range(len(rows))],
            "member": [f"{index:05d}.png" for index in range(len(rows))],
            "class": [row[0] for row in rows],
            "patient": [row[1] for row in rows],
            "folder": [row[3] for row in rows],
            "sha256": [hashlib.sha256(str(row[2]).encode()).hexdigest() for row in rows],
        }
    )


def distinct(**counts):
    """The given number of images of each class, without patients or duplicates."""
    return table([(name, "", f"{name}{index}") for name, count in counts.items() for index in range(count)])


def patients(sizes, classes=("NORMAL", "SICK")):
    """In each class, patients with the given numbers of images."""
    return table(
        [
            (name, f"{name}{patient}", f"{name}{patient}-{image}")
            for name in classes
            for patient, size in enumerate(sizes)
            for image in range(size)
        ]
    )


def counts(manifest, classes=CLASSES):
    """{class: [images in train, validation and test]}."""
    return {
        name: [((manifest["class"] == name) & (manifest["subset"] == subset)).sum() for subset in SUBSETS]
        for name in classes
    }


def subsets_of(manifest, column, value):
    return set(manifest.loc[manifest[column] == value, "subset"])


def content(name):
    return hashlib.sha256(name.encode()).hexdigest()


@st.composite
def images(draw, singles=12):
    """`singles` unrelated images of each class in train and in test, and a tangle: patients with several images, maybe
    of two classes, and images that repeat each other, maybe across patients, classes and folders."""
    rows = [
        (name, "", f"single {name} {folder} {index}", folder)
        for name in CLASSES
        for folder in ("train", "test")
        for index in range(singles)
    ]
    tangle = st.tuples(
        st.sampled_from(CLASSES),
        st.sampled_from(["", "p1", "p2", "p3", "p4", "p5", "p6"]),
        st.integers(0, 25),
        st.sampled_from(["train", "train", "val", "test"]),
    )
    return table(rows + draw(st.lists(tangle, max_size=40)))


POLICIES = [
    split("stratified"),
    split("official", shares=(0.7, 0.3, 0)),
    split("balanced", counts=(8, 3, 2)),
    split("balanced", counts=(90, 11, 9), on_shortage="shrink"),
    split("balanced", counts=(90, 11, 9), on_shortage="repeat"),
]


@st.composite
def any_split(draw):
    changes = {
        "group_by": draw(st.sampled_from(["none", "patient"])),
        "deduplicate": draw(st.booleans()),
        "seed": draw(st.integers(0, 5)),
    }
    return draw(st.sampled_from(POLICIES)).model_copy(update=changes)


MAXIMA = st.sampled_from([None, Counts(train=7, validation=3, test=4)])


# ---------------------------------------------------------------- what holds under every policy


@given(images(), any_split(), MAXIMA)
def test_no_image_patient_or_duplicate_is_in_two_subsets(frame, chosen, maxima):
    manifest = splits.assign(frame, CLASSES, chosen, maxima).manifest
    assert manifest.groupby("sha256")["subset"].nunique().max() == 1
    assert manifest.groupby(["archive", "member"])["subset"].nunique().max() == 1
    if chosen.group_by == "patient":
        known = manifest[manifest["patient"] != ""]
        assert (known.groupby("patient")["subset"].nunique() == 1).all()


@given(images(), any_split(), MAXIMA)
def test_every_image_is_kept_once_or_dropped_for_a_reason(frame, chosen, maxima):
    manifest, dropped = vars(splits.assign(frame, CLASSES, chosen, maxima)).values()
    once = manifest.drop_duplicates(["archive", "member"])
    assert len(once) + sum(dropped.values()) == len(frame)
    if chosen.on_shortage != "repeat":
        assert len(once) == len(manifest)
    shared = ["archive", "member", "class", "patient", "sha256"]
    assert once[shared].merge(frame[shared]).shape == once[shared].shape
    assert list(manifest.columns) == splits.MANIFEST_COLUMNS


@given(images(), any_split(), MAXIMA)
def test_ids_are_unique_and_say_the_content(frame, chosen, maxima):
    manifest = splits.assign(frame, CLASSES, chosen, maxima).manifest
    assert manifest["id"].is_unique
    assert (manifest["id"].str[:12] == manifest["sha256"].str[:12]).all()


@given(images(), any_split(), MAXIMA, st.randoms(use_true_random=False))
def test_the_order_of_the_images_is_of_no_matter(frame, chosen, maxima, random):
    order = list(range(len(frame)))
    random.shuffle(order)
    first, second = (splits.assign(rows, CLASSES, chosen, maxima) for rows in (frame, frame.iloc[order]))
    pd.testing.assert_frame_equal(first.manifest, second.manifest)
    assert first.dropped == second.dropped


@given(images(), any_split())
def test_deduplicated_images_are_distinct(frame, chosen):
    chosen = chosen.model_copy(update={"deduplicate": True})
    manifest = splits.assign(frame, CLASSES, chosen).manifest
    assert manifest.drop_duplicates(["archive", "member"])["sha256"].is_unique


@given(images(), any_split())
def test_an_image_under_two_labels_is_dropped_and_counted(frame, chosen):
    assignment = splits.assign(frame, CLASSES, chosen)
    unclear = frame.groupby("sha256")["class"].nunique().loc[lambda labels: labels > 1].index
    assert not assignment.manifest["sha256"].isin(unclear).any()
    assert assignment.dropped["same image under two labels"] == frame["sha256"].isin(unclear).sum()


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: f"{policy.policy}-{policy.on_shortage}")
def test_the_seed_decides(policy):
    frame = table(
        [(name, "", f"{name}{index}", "train" if index < 90 else "test") for name in CLASSES for index in range(99)]
    )
    first, again, other = (
        splits.assign(frame, CLASSES, policy.model_copy(update={"seed": seed})).manifest for seed in (7, 7, 8)
    )
    pd.testing.assert_frame_equal(first, again)
    assert set(zip(first["id"], first["subset"], strict=True)) != set(zip(other["id"], other["subset"], strict=True))


def test_the_manifest_is_in_the_order_of_subset_class_archive_and_member():
    manifest = splits.assign(distinct(SICK=9, NORMAL=9), ["SICK", "NORMAL"], split()).manifest
    keys = [
        (SUBSETS.index(row.subset), ["SICK", "NORMAL"].index(row["class"]), row.archive, row.member)
        for _, row in manifest.iterrows()
    ]
    assert keys == sorted(keys)


def test_ids_differ_where_only_the_end_of_the_hashes_does():
    frame = distinct(NORMAL=9, SICK=9)
    frame["sha256"] = "0" * 60 + frame["sha256"].str[:4]
    assert splits.assign(frame, CLASSES[:2], split()).manifest["id"].is_unique


@pytest.mark.parametrize(
    ("policy", "names"),
    [
        ({"policy": "balanced", "counts": {"train": 3, "validation": 2, "test": 1}}, {"counts", "on_shortage"}),
        ({"policy": "stratified", "fractions": {"train": 0.8, "validation": 0.1, "test": 0.1}}, {"fractions"}),
        ({"policy": "official", "fractions": {"train": 0.9, "validation": 0.1}}, {"fractions"}),
    ],
)
def test_the_options_of_a_split_are_those_of_its_policy(policy, names):
    of_all = {"policy", "group_by", "deduplicate", "keep_copies", "seed"}
    options = Split.model_validate(policy | {"group_by": "none", "deduplicate": True, "seed": 7}).options
    assert options.keys() == of_all | names
    assert {name: options[name] for name in policy} == policy


# ---------------------------------------------------------------- groups


def test_patients_without_a_name_are_not_one_patient():
    manifest = splits.assign(distinct(NORMAL=10, SICK=10), CLASSES[:2], split(group_by="patient")).manifest
    assert counts(manifest, CLASSES[:2]) == {"NORMAL": [6, 2, 2], "SICK": [6, 2, 2]}


@pytest.mark.parametrize("deduplicate", [False, True])
@pytest.mark.parametrize("policy", ["stratified", "balanced"])
def test_one_image_under_two_patients_makes_them_one(policy, deduplicate):
    pairs = [
        ("NORMAL", f"{side}{pair}", image)
        for pair in range(30)
        for side, image in (("a", f"a{pair}"), ("a", f"same{pair}"), ("b", f"b{pair}"), ("b", f"same{pair}"))
    ]
    frame = table([*pairs, *(("SICK", "", f"s{index}") for index in range(90))])
    chosen = split(policy, counts=(40, 20, 20), group_by="patient", deduplicate=deduplicate)
    manifest = splits.assign(frame, CLASSES[:2], chosen).manifest
    for pair in range(30):
        assert (
            len(
                subsets_of(manifest, "sha256", content(f"a{pair}"))
                | subsets_of(manifest, "sha256", content(f"b{pair}"))
            )
            <= 1
        )


@given(images(), any_split(), MAXIMA, st.integers(1, 9))
def test_near_duplicates_are_never_in_two_subsets(frame, chosen, maxima, clusters):
    frame = frame.assign(near=np.arange(len(frame)) % (len(frame) // clusters + 1))
    try:
        manifest = splits.assign(frame, CLASSES, chosen, maxima).manifest
    except RontgenError:
        return  # too few images can be separated
    near = manifest.merge(frame[["archive", "member", "near"]], on=["archive", "member"])
    assert (near.groupby("near")["subset"].nunique() == 1).all()


def test_near_duplicates_join_patients_and_copies_in_one_group():
    frame = table([("SICK", "a", 1), ("SICK", "a", 2), ("SICK", "b", 3), ("SICK", "c", 3), ("SICK", "d", 4)])
    groups = splits._groups(frame.assign(near=[0, 1, 1, 2, 3]), split(group_by="patient"))
    assert groups.tolist() == [0, 0, 0, 0, 1]


def test_a_patient_with_images_of_two_classes_is_kept_together():
    both = [(name, f"p{patient}", f"{name}{patient}") for patient in range(20) for name in CLASSES[:2]]
    manifest = splits.assign(table(both), CLASSES[:2], split(group_by="patient")).manifest
    assert counts(manifest, CLASSES[:2]) == {"NORMAL": [12, 4, 4], "SICK": [12, 4, 4]}
    assert (manifest.groupby("patient")["subset"].nunique() == 1).all()


# ---------------------------------------------------------------- copies on both sides


def copied(number=60):
    """Images of two classes, each of a different patient, and a bit-identical copy of each under another name."""
    return table([(name, f"{name}{i}", f"{name}{i}") for name in CLASSES[:2] for i in range(number) for _ in range(2)])


@pytest.mark.parametrize("policy", ["stratified", "balanced"])
def test_kept_copies_are_parted_by_chance_alone(policy):
    chosen = split(policy, counts=(72, 24, 24), keep_copies=True)
    manifest = splits.assign(copied(), CLASSES[:2], chosen).manifest
    assert counts(manifest, CLASSES[:2]) == {"NORMAL": [72, 24, 24], "SICK": [72, 24, 24]}
    assert manifest["id"].is_unique
    # of 120 pairs, a share of 2 × 0.6 × 0.2 has by chance one copy in train and one in test
    shared = splits.shared(manifest)
    assert 15 <= shared["images"]["train_test"] <= 45
    assert shared["images"] == shared["patients"]
    kept_together = splits.assign(copied(), CLASSES[:2], chosen.model_copy(update={"keep_copies": False}))
    assert set(splits.shared(kept_together.manifest)["images"].values()) == {0}


@given(images(), any_split(), MAXIMA)
def test_kept_copies_stay_with_their_patient_where_patients_are_groups(frame, chosen, maxima):
    chosen = chosen.model_copy(update={"keep_copies": True, "group_by": "patient", "deduplicate": False})
    manifest = splits.assign(frame, CLASSES, chosen, maxima).manifest
    known = manifest[manifest["patient"] != ""]
    assert (known.groupby("patient")["subset"].nunique() <= 1).all()


def test_kept_copies_do_not_make_two_patients_one():
    frame = table([("SICK", "a", 1), ("SICK", "a", 2), ("SICK", "b", 2), ("SICK", "", 2), ("SICK", "", 2)])
    assert splits._groups(frame, split()).tolist() == [0, 1, 1, 1, 1]
    assert splits._groups(frame, split(keep_copies=True)).tolist() == [0, 1, 2, 3, 4]
    assert splits._groups(frame, split(group_by="patient")).tolist() == [0, 0, 0, 0, 0]
    assert splits._groups(frame, split(keep_copies=True, group_by="patient")).tolist() == [0, 0, 1, 2, 3]


def test_a_kept_copy_under_two_labels_is_dropped_all_the_same():
    frame = table([*((name, "", f"{name}{i}") for name in CLASSES[:2] for i in range(20)), ("SICK", "", "NORMAL3")])
    assignment = splits.assign(frame, CLASSES[:2], split(keep_copies=True))
    assert assignment.dropped["same image under two labels"] == 2
    assert subsets_of(assignment.manifest, "sha256", content("NORMAL3")) == set()


# ---------------------------------------------------------------- stratified


@given(st.lists(st.integers(20, 60), min_size=3, max_size=3), st.integers(0, 5))
def test_stratified_is_within_an_image_of_the_fractions(sizes, seed):
    frame = distinct(**dict(zip(CLASSES, sizes, strict=True)))
    found = counts(splits.assign(frame, CLASSES, split(shares=(0.7, 0.2, 0.1), seed=seed)).manifest)
    for name, size in zip(CLASSES, sizes, strict=True):
        assert sum(found[name]) == size
        assert np.abs(np.array(found[name]) - size * np.array([0.7, 0.2, 0.1])).max() < 1


@given(images(), st.sampled_from(POLICIES[:2]), st.sampled_from(["none", "patient"]))
def test_every_image_is_needed_but_for_balanced(frame, policy, group_by):
    policy = policy.model_copy(update={"group_by": group_by})
    assert splits.assign(frame, CLASSES, policy).dropped["not needed"] == 0


def test_single_images_make_up_for_large_patients():
    found = counts(splits.assign(patients([20] * 4 + [1] * 20), CLASSES[:2], split(group_by="patient")).manifest)
    assert found == {"NORMAL": [60, 20, 20], "SICK": [60, 20, 20], "WORSE": [0, 0, 0]}


def test_a_patient_who_fits_nowhere_goes_where_most_is_open():
    found = counts(splits.assign(patients([10] * 4 + [1] * 3), CLASSES[:2], split(group_by="patient")).manifest)
    assert found["NORMAL"] == [23, 10, 10]  # the shares call for 26, 9 and 8


def test_stratified_is_within_a_patient_of_the_fractions():
    found = counts(splits.assign(patients([4] * 25), CLASSES[:2], split(group_by="patient")).manifest, CLASSES[:2])
    for numbers in found.values():
        assert sum(numbers) == 100
        assert np.abs(np.array(numbers) - [60, 20, 20]).max() < 4


def test_stratified_refuses_a_class_too_small_for_its_subsets():
    message = (
        "split.policy stratified: expected images of every class in every subset, received none of SICK in validation: "
    )
    with pytest.raises(RontgenError, match=message):
        splits.assign(distinct(NORMAL=50, SICK=3), CLASSES[:2], split(shares=(0.8, 0.1, 0.1)))


def test_a_class_that_the_archives_lack_is_named():
    with pytest.raises(RontgenError, match="received none of WORSE in train"):
        splits.assign(distinct(NORMAL=50, SICK=50), CLASSES, split())


# ---------------------------------------------------------------- balanced


@given(images(), st.sampled_from(["none", "patient"]), st.booleans(), st.integers(0, 5))
def test_balanced_has_exactly_the_counts(frame, group_by, deduplicate, seed):
    chosen = split("balanced", counts=(13, 5, 2), group_by=group_by, deduplicate=deduplicate, seed=seed)
    assert counts(splits.assign(frame, CLASSES, chosen).manifest) == {name: [13, 5, 2] for name in CLASSES}


@given(images(), st.sampled_from(["none", "patient"]), st.booleans())
def test_shrink_keeps_classes_equal_and_the_ratio_of_subsets(frame, group_by, deduplicate):
    chosen = split("balanced", counts=(140, 40, 20), on_shortage="shrink", group_by=group_by, deduplicate=deduplicate)
    first, *others = counts(splits.assign(frame, CLASSES, chosen).manifest).values()
    assert [first, first] == others
    assert np.abs(np.array(first) - sum(first) * np.array([0.7, 0.2, 0.1])).max() < 1
    assert sum(first) >= 24  # the unrelated images alone


def test_shrink_uses_all_of_the_smallest_class():
    chosen = split("balanced", counts=(2000, 250, 250), on_shortage="shrink")
    manifest = splits.assign(distinct(NORMAL=300, SICK=70, WORSE=200), CLASSES, chosen).manifest
    assert counts(manifest) == {name: [56, 7, 7] for name in CLASSES}


def test_shrink_keeps_classes_equal_where_groups_leave_gaps_in_one():
    # 20 patients with 7 images each cannot be split into 93, 28 and 19 without dropping some images of one patient
    rows = [("NORMAL", f"p{patient}", f"n{patient}-{image}") for patient in range(20) for image in range(7)]
    frame = table([*rows, *(("SICK", "", f"s{index}") for index in range(140))])
    chosen = split("balanced", counts=(200, 60, 40), on_shortage="shrink", group_by="patient")
    found = counts(splits.assign(frame, CLASSES[:2], chosen).manifest, CLASSES[:2])
    assert found["NORMAL"] == found["SICK"]
    assert 130 <= sum(found["SICK"]) < 140
    assert np.abs(np.array(found["SICK"]) * 300 / sum(found["SICK"]) - [200, 60, 40]).max() < 3


def test_shrink_does_not_where_there_is_enough():
    chosen = split("balanced", counts=(20, 5, 5), on_shortage="shrink")
    assert counts(splits.assign(distinct(NORMAL=40, SICK=30), CLASSES[:2], chosen).manifest, CLASSES[:2]) == {
        "NORMAL": [20, 5, 5],
        "SICK": [20, 5, 5],
    }


@given(images(), st.sampled_from(["none", "patient"]), st.booleans())
def test_repeat_reaches_the_counts_with_as_few_copies_as_can_be(frame, group_by, deduplicate):
    chosen = split("balanced", counts=(60, 17, 11), on_shortage="repeat", group_by=group_by, deduplicate=deduplicate)
    manifest = splits.assign(frame, CLASSES, chosen).manifest
    assert counts(manifest) == {name: [60, 17, 11] for name in CLASSES}
    copies = manifest.groupby(["class", "subset", "archive", "member"]).size().groupby(["class", "subset"])
    assert (copies.max() - copies.min() <= 1).all()


def test_repeat_cuts_no_class_that_has_enough():
    frame = table(
        [("NORMAL", "", f"n{index}") for index in range(100)]
        + [("SICK", f"p{patient}", f"s{patient}-{image}") for patient in range(6) for image in range(7)]
    )
    chosen = split("balanced", counts=(70, 20, 10), on_shortage="repeat", group_by="patient")
    manifest = splits.assign(frame, CLASSES[:2], chosen).manifest
    assert manifest.loc[manifest["class"] == "NORMAL", "sha256"].is_unique
    assert counts(manifest, CLASSES[:2])["SICK"] == [70, 20, 10]


def test_error_names_the_class_and_the_numbers():
    message = "split.counts: expected 50 images of each class, received 49 of SICK that can be split this way"
    with pytest.raises(RontgenError, match=message):
        splits.assign(distinct(NORMAL=60, SICK=49, WORSE=55), CLASSES, split("balanced", counts=(40, 5, 5)))


def test_error_says_how_many_images_the_groups_allow():
    # 40, 5 and 5 images from patients with 10 each: one patient can give half of the images to a subset, but no more
    chosen = split("balanced", counts=(40, 5, 5), group_by="patient")
    with pytest.raises(RontgenError, match="expected 50 images of each class, received 45 of NORMAL"):
        splits.assign(patients([10] * 5), CLASSES[:2], chosen)
    assert counts(splits.assign(patients([10] * 6), CLASSES[:2], chosen).manifest, CLASSES[:2]) == {
        "NORMAL": [40, 5, 5],
        "SICK": [40, 5, 5],
    }


@pytest.mark.parametrize("sizes", [[2] * 40, [3] * 30, [7] * 15, [9, 8, 7, 6, 5, 4, 3, 2, 1] * 2])
def test_groups_that_do_not_fit_are_used_in_part(sizes):
    chosen = split("balanced", counts=(33, 11, 7), group_by="patient")
    manifest = splits.assign(patients(sizes), CLASSES[:2], chosen).manifest
    assert counts(manifest, CLASSES[:2]) == {"NORMAL": [33, 11, 7], "SICK": [33, 11, 7]}
    assert (manifest.groupby("patient")["subset"].nunique() == 1).all()


def test_balanced_fills_twice_at_most(monkeypatch):
    calls = []
    fill = splits._fill
    monkeypatch.setattr(splits, "_fill", lambda *rest, **options: calls.append(1) or fill(*rest, **options))
    chosen = split("balanced", counts=(211, 53, 41), on_shortage="shrink", group_by="patient")
    splits.assign(patients([10] * 30), CLASSES[:2], chosen)
    assert len(calls) == 2


# ---------------------------------------------------------------- official


def official(**changes):
    return split("official", shares=(0.9, 0.1, None), **changes)


def test_official_keeps_the_test_folder_whole_and_leaves_out_val():
    frame = table(
        [
            (name, "", f"{name}{folder}{index}", folder)
            for name in CLASSES[:2]
            for folder, count in (("train", 30), ("val", 4), ("test", 11))
            for index in range(count)
        ]
    )
    assignment = splits.assign(frame, CLASSES[:2], official())
    found = assignment.manifest.merge(frame, on=["archive", "member"])
    assert counts(assignment.manifest, CLASSES[:2]) == {"NORMAL": [27, 3, 11], "SICK": [27, 3, 11]}
    assert set(found.loc[found["folder"] == "test", "subset"]) == {"test"}
    assert set(found.loc[found["folder"] == "train", "subset"]) == {"train", "validation"}
    assert assignment.dropped["in the archive's own validation folder"] == 8


@given(images(), st.sampled_from(["none", "patient"]), st.integers(0, 5))
def test_official_never_moves_an_image_between_train_and_test(frame, group_by, seed):
    chosen = official(group_by=group_by, seed=seed)
    found = splits.assign(frame, CLASSES, chosen).manifest.merge(frame, on=["archive", "member"])
    assert ((found["subset"] == "test") == (found["folder"] == "test")).all()
    assert (found["folder"] != "val").all()


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        # the last patient finds train full of NORMAL and validation full of SICK, yet must not go to the closed test
        ([(3, 3), (4, 0), (1, 1)], {"NORMAL": [3, 5, 1], "SICK": [3, 1, 1]}),
        # the second patient fits only in train, though both subsets have room for one of the classes
        ([(3, 1), (1, 3), (2, 2)], {"NORMAL": [4, 2, 1], "SICK": [4, 2, 1]}),
    ],
)
def test_patients_with_both_classes_stay_in_the_train_folder(groups, expected):
    rows = [
        (name, f"p{patient}", f"{name}{patient}-{image}")
        for patient, sizes in enumerate(groups)
        for name, size in zip(CLASSES, sizes, strict=False)
        for image in range(size)
    ]
    frame = table([*rows, *((name, "", f"{name} test", "test") for name in CLASSES[:2])])
    chosen = split("official", shares=(0.6, 0.4, None), group_by="patient", seed=1)
    assert counts(splits.assign(frame, CLASSES[:2], chosen).manifest, CLASSES[:2]) == expected


def folders(rows):
    """Enough images of two classes in train and test, plus `rows`."""
    return table(
        [
            *(
                (name, "", f"{name}{folder}{i}", folder)
                for name in CLASSES[:2]
                for folder in ("train", "test")
                for i in range(20)
            ),
            *rows,
        ]
    )


def test_official_drops_the_train_copies_of_test_images():
    frame = folders([("SICK", "", "same", "train"), ("SICK", "", "same", "test"), ("SICK", "", "same", "train")])
    assignment = splits.assign(frame, CLASSES[:2], official())
    assert subsets_of(assignment.manifest, "sha256", content("same")) == {"test"}
    assert assignment.dropped["in the test folder too"] == 2


PATIENTS = [("SICK", "p1", "first", "train"), ("SICK", "p1", "second", "test"), ("SICK", "p2", "other", "train")]


@pytest.mark.parametrize(("group_by", "dropped"), [("none", 0), ("patient", 1)])
def test_official_drops_the_train_images_of_test_patients_where_patients_are_groups(group_by, dropped):
    assignment = splits.assign(folders(PATIENTS), CLASSES[:2], official(group_by=group_by))
    assert assignment.dropped["in the test folder too"] == dropped
    assert len(subsets_of(assignment.manifest, "sha256", content("first"))) == 1 - dropped


@pytest.mark.parametrize("deduplicate", [False, True])
def test_official_sees_a_test_patient_under_another_name(deduplicate):
    linked = [("SICK", "p1", "third", "train"), ("SICK", "p2", "third", "train")]
    chosen = official(group_by="patient", deduplicate=deduplicate)
    assignment = splits.assign(folders(PATIENTS + linked), CLASSES[:2], chosen)
    assert assignment.dropped["in the test folder too"] == 4
    assert subsets_of(assignment.manifest, "patient", "p2") == set()


def test_official_keeps_the_train_copies_of_test_images_where_copies_are_kept():
    frame = folders([("SICK", "", "same", "train"), ("SICK", "", "same", "test"), ("SICK", "", "same", "train")])
    assignment = splits.assign(frame, CLASSES[:2], official(keep_copies=True))
    assert assignment.dropped["in the test folder too"] == 0
    rows = assignment.manifest[assignment.manifest["sha256"] == content("same")]
    assert (rows["subset"] == "test").tolist() == [False, False, True]
    assert rows["id"].is_unique


def test_official_refuses_an_archive_without_folders():
    frame = distinct(NORMAL=20, SICK=20).assign(folder="")
    with pytest.raises(RontgenError, match=r"split\.policy official: expected an archive with train and test folders"):
        splits.assign(frame, CLASSES[:2], official())
    frame.loc[frame["archive"] == "a.zip", "folder"] = "train"
    with pytest.raises(RontgenError, match=r"split\.policy official: b\.zip has no train and test folders: set split"):
        splits.assign(frame, CLASSES[:2], official())


def test_official_refuses_an_empty_test_folder():
    with pytest.raises(RontgenError, match="received none of NORMAL in test"):
        splits.assign(distinct(NORMAL=20, SICK=20), CLASSES[:2], official())


# ---------------------------------------------------------------- max_per_class


@given(images(), st.sampled_from(POLICIES[:2]), st.integers(0, 5))
def test_the_largest_class_is_thinned_to_the_maximum_and_the_others_with_it(frame, policy, seed):
    policy = policy.model_copy(update={"seed": seed})
    before = counts(splits.assign(frame, CLASSES, policy).manifest)
    after = counts(splits.assign(frame, CLASSES, policy, Counts(train=7, validation=3, test=100)).manifest)
    for column, maximum in enumerate((7, 3, 100)):
        largest = max(before[name][column] for name in CLASSES)
        share = min(1, maximum / largest)
        assert max(after[name][column] for name in CLASSES) == min(maximum, largest)
        for name in CLASSES:
            assert abs(after[name][column] - before[name][column] * share) <= 0.5


def test_what_is_thinned_is_left_to_chance():
    frame = table([(name, "", f"{name}{i}", "train" if i < 50 else "test") for name in CLASSES[:2] for i in range(100)])
    maxima = Counts(train=40, validation=5, test=10)
    first, other = (splits.assign(frame, CLASSES[:2], official(seed=seed), maxima).manifest for seed in (7, 8))
    assert counts(first, CLASSES[:2]) == {"NORMAL": [40, 5, 10], "SICK": [40, 5, 10]}
    assert set(first.loc[first["subset"] == "test", "id"]) != set(other.loc[other["subset"] == "test", "id"])


def test_no_class_is_thinned_to_nothing():
    frame = distinct(NORMAL=500, SICK=10)
    manifest = splits.assign(frame, CLASSES[:2], split(), Counts(train=5, validation=5, test=5)).manifest
    assert counts(manifest, CLASSES[:2]) == {"NORMAL": [5, 5, 5], "SICK": [1, 1, 1]}


def test_balanced_counts_are_capped_too():
    chosen = split("balanced", counts=(20, 6, 4))
    manifest = splits.assign(
        distinct(NORMAL=40, SICK=40), CLASSES[:2], chosen, Counts(train=8, validation=9, test=3)
    ).manifest
    assert counts(manifest, CLASSES[:2]) == {"NORMAL": [8, 6, 3], "SICK": [8, 6, 3]}


# ---------------------------------------------------------------- helpers


@given(st.integers(0, 20_000), st.lists(st.floats(0.01, 1000), min_size=1, max_size=6))
def test_apportion_sums_and_is_proportional(total, weights):
    parts = splits.apportion(total, weights)
    assert parts.sum() == total
    assert (parts >= 0).all()
    assert np.abs(parts - total * np.array(weights) / sum(weights)).max() < 1 + 1e-6


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (10, [0.8, 0.1, 0.1], [8, 1, 1]),
        (100, [0.7, 0.2, 0.1], [70, 20, 10]),
        (5, [1, 1, 1], [2, 2, 1]),
        (3, [1, 0], [3, 0]),
    ],
)
def test_apportion(total, weights, parts):
    assert splits.apportion(total, weights).tolist() == parts


def test_shared_counts_images_and_patients_of_each_pair():
    manifest = pd.DataFrame(
        [
            ("train", "one", "p1"),
            ("train", "one", "p1"),
            ("train", "two", ""),
            ("train", "three", "p2"),
            ("validation", "four", "p1"),
            ("validation", "five", ""),
            ("test", "one", "p2"),
            ("test", "two", "p3"),
        ],
        columns=["subset", "sha256", "patient"],
    )
    assert splits.shared(manifest) == {
        "images": {"train_validation": 0, "train_test": 2, "validation_test": 0},
        "patients": {"train_validation": 1, "train_test": 1, "validation_test": 0},
    }
