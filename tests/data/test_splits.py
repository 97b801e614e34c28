import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rontgen.core.errors import RontgenError
from rontgen.core.settings import SUBSETS, Counts, Fractions, Split
from rontgen.data import manifests, splits

CLASSES = ["NORMAL", "SICK", "WORSE"]


def split(policy="stratified", *, counts=None, shares=(0.6, 0.2, 0.2), **changes):
    options = {"on_shortage": "error", "group_by": "none", "deduplicate": False, "seed": 7} | changes
    return Split(
        policy=policy,
        fractions=Fractions(**dict(zip(SUBSETS, shares, strict=True))),
        counts=counts and Counts(**dict(zip(SUBSETS, counts, strict=True))),
        **options,
    )


def content(name):
    return hashlib.sha256(str(name).encode()).hexdigest()


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
            "sha256": [content(row[2]) for row in rows],
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


def assigned(frame, chosen, maxima=None):
    return splits.assign(frame, sorted(set(frame["class"])), chosen, maxima)


def counts(manifest):
    """{class: [images in train, validation and test]}."""
    return {
        name: [((manifest["class"] == name) & (manifest["subset"] == subset)).sum() for subset in SUBSETS]
        for name in sorted(set(manifest["class"]))
    }


def counts_of(frame, chosen, maxima=None):
    return counts(assigned(frame, chosen, maxima).manifest)


def subsets_of(manifest, column, value):
    return set(manifest.loc[manifest[column] == value, "subset"])


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


@given(images(), any_split(), MAXIMA, st.booleans())
def test_no_image_patient_or_duplicate_is_in_two_subsets(frame, chosen, maxima, keep_copies):
    if keep_copies:
        chosen = chosen.model_copy(update={"keep_copies": True, "deduplicate": False})
    manifest = assigned(frame, chosen, maxima).manifest
    assert keep_copies or manifest.groupby("sha256")["subset"].nunique().max() == 1
    assert manifest.groupby(["archive", "member"])["subset"].nunique().max() == 1
    if chosen.group_by == "patient":
        known = manifest[manifest["patient"] != ""]
        assert (known.groupby("patient")["subset"].nunique() == 1).all()


@given(images(), any_split(), MAXIMA)
def test_every_image_is_kept_once_or_dropped_for_a_reason(frame, chosen, maxima):
    manifest, dropped = vars(assigned(frame, chosen, maxima)).values()
    once = manifest.drop_duplicates(["archive", "member"])
    assert len(once) + sum(dropped.values()) == len(frame)
    if chosen.on_shortage != "repeat":
        assert len(once) == len(manifest)
    if chosen.deduplicate:
        assert once["sha256"].is_unique
    shared = ["archive", "member", "class", "patient", "sha256"]
    assert once[shared].merge(frame[shared]).shape == once[shared].shape
    assert list(manifest.columns) == splits.MANIFEST_COLUMNS
    assert manifest["id"].is_unique
    assert (manifest["id"].str[:12] == manifest["sha256"].str[:12]).all()


@given(images(), any_split(), MAXIMA, st.randoms(use_true_random=False))
def test_the_order_of_the_images_is_of_no_matter(frame, chosen, maxima, random):
    order = list(range(len(frame)))
    random.shuffle(order)
    first, second = (assigned(rows, chosen, maxima) for rows in (frame, frame.iloc[order]))
    pd.testing.assert_frame_equal(first.manifest, second.manifest)
    assert first.dropped == second.dropped


@given(images(), any_split(), st.booleans())
def test_an_image_under_two_labels_is_dropped_and_counted(frame, chosen, keep_copies):
    assignment = assigned(frame, chosen.model_copy(update={"keep_copies": keep_copies}))
    unclear = frame.groupby("sha256")["class"].nunique().loc[lambda labels: labels > 1].index
    assert not assignment.manifest["sha256"].isin(unclear).any()
    assert assignment.dropped["same image under two labels"] == frame["sha256"].isin(unclear).sum()


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: f"{policy.policy}-{policy.on_shortage}")
def test_the_seed_decides(policy):
    frame = table(
        [(name, "", f"{name}{index}", "train" if index < 90 else "test") for name in CLASSES for index in range(99)]
    )
    first, again, other = (assigned(frame, policy.model_copy(update={"seed": seed})).manifest for seed in (7, 7, 8))
    pd.testing.assert_frame_equal(first, again)
    assert set(zip(first["id"], first["subset"], strict=True)) != set(zip(other["id"], other["subset"], strict=True))


def test_the_manifest_is_in_the_order_of_subset_class_archive_and_member():
    classes = ["SICK", "NORMAL"]
    manifest = splits.assign(distinct(SICK=9, NORMAL=9), classes, split()).manifest
    columns = (manifest[name] for name in ("subset", "class", "archive", "member"))
    keys = [(SUBSETS.index(subset), classes.index(name), *rest) for subset, name, *rest in zip(*columns, strict=True)]
    assert keys == sorted(keys)


def test_ids_differ_where_only_the_end_of_the_hashes_does():
    frame = distinct(NORMAL=9, SICK=9)
    frame["sha256"] = "0" * 60 + frame["sha256"].str[:4]
    assert assigned(frame, split()).manifest["id"].is_unique


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
    found = counts_of(distinct(NORMAL=10, SICK=10), split(group_by="patient"))
    assert found == {"NORMAL": [6, 2, 2], "SICK": [6, 2, 2]}


@pytest.mark.parametrize("deduplicate", [False, True])
@pytest.mark.parametrize("policy", ["stratified", "balanced"])
def test_copies_and_near_copies_under_two_patients_make_them_one(policy, deduplicate):
    chain = [("a", "one"), ("a", "near copy"), ("b", "near original"), ("b", "same"), ("c", "same"), ("c", "two")]
    rows = [("NORMAL", f"{patient}{i}", f"{image}{i}") for i in range(30) for patient, image in chain]
    frame = table([*rows, *(("SICK", "", f"s{index}") for index in range(180))])
    near = np.arange(len(frame))
    near[2:180:6] = near[1:180:6]
    chosen = split(policy, counts=(80, 30, 30), group_by="patient", deduplicate=deduplicate)
    manifest = assigned(frame.assign(near=near), chosen).manifest
    chains = manifest[manifest["patient"] != ""].groupby(manifest["patient"].str[1:])
    assert len(chains) >= 23
    assert (chains["subset"].nunique() == 1).all()


@given(images(), any_split(), MAXIMA, st.integers(1, 9))
def test_near_duplicates_are_never_in_two_subsets(frame, chosen, maxima, clusters):
    frame = frame.assign(near=np.arange(len(frame)) % (len(frame) // clusters + 1))
    try:
        manifest = assigned(frame, chosen, maxima).manifest
    except RontgenError:
        return  # too few images can be separated
    near = manifest.merge(frame[["archive", "member", "near"]], on=["archive", "member"])
    assert (near.groupby("near")["subset"].nunique() == 1).all()


# ---------------------------------------------------------------- copies on both sides


@pytest.mark.parametrize("policy", ["stratified", "balanced"])
@pytest.mark.parametrize(("group_by", "patient"), [("none", "{image}"), ("patient", "{image}-{copy}"), ("patient", "")])
def test_kept_copies_are_parted_by_chance_alone(policy, group_by, patient):
    frame = table(
        [
            (name, patient.format(image=f"{name}{image}", copy=copy), f"{name}{image}")
            for name in CLASSES[:2]
            for image in range(60)
            for copy in range(2)
        ]
    )
    chosen = split(policy, counts=(72, 24, 24), group_by=group_by, keep_copies=True)
    manifest = assigned(frame, chosen).manifest
    assert counts(manifest) == {"NORMAL": [72, 24, 24], "SICK": [72, 24, 24]}
    assert manifest["id"].is_unique
    # of 120 pairs, a share of 2 × 0.6 × 0.2 has by chance one copy in train and one in test
    shared = manifests.shared(manifest)
    assert 15 <= shared["images"]["train_test"] <= 45
    assert shared["patients"] == (shared["images"] if group_by == "none" else dict.fromkeys(shared["images"], 0))
    kept_together = assigned(frame, chosen.model_copy(update={"keep_copies": False}))
    assert set(manifests.shared(kept_together.manifest)["images"].values()) == {0}


# ---------------------------------------------------------------- stratified


@given(st.lists(st.integers(20, 60), min_size=3, max_size=3), st.integers(0, 5))
def test_stratified_is_within_an_image_of_the_fractions(sizes, seed):
    frame = distinct(**dict(zip(CLASSES, sizes, strict=True)))
    found = counts_of(frame, split(shares=(0.7, 0.2, 0.1), seed=seed))
    for name, size in zip(CLASSES, sizes, strict=True):
        assert sum(found[name]) == size
        assert np.abs(np.array(found[name]) - size * np.array([0.7, 0.2, 0.1])).max() < 1


@given(images(), st.sampled_from(POLICIES[:2]), st.sampled_from(["none", "patient"]))
def test_every_image_is_needed_but_for_balanced(frame, policy, group_by):
    policy = policy.model_copy(update={"group_by": group_by})
    assert assigned(frame, policy).dropped["not needed"] == 0


def test_single_images_make_up_for_large_patients():
    found = counts_of(patients([20] * 4 + [1] * 20), split(group_by="patient"))
    assert found == {"NORMAL": [60, 20, 20], "SICK": [60, 20, 20]}


def test_a_patient_who_fits_nowhere_goes_where_most_is_open():
    found = counts_of(patients([10] * 4 + [1] * 3), split(group_by="patient"))
    assert found["NORMAL"] == [23, 10, 10]  # the shares call for 26, 9 and 8


def official(**changes):
    return split("official", shares=(0.9, 0.1, None), **changes)


@pytest.mark.parametrize(
    ("sizes", "chosen", "missing"),
    [
        ({"NORMAL": 50, "SICK": 3}, split(shares=(0.8, 0.1, 0.1)), "SICK in validation"),
        ({"NORMAL": 50, "SICK": 50, "WORSE": 0}, split(), "WORSE in train"),
        ({"NORMAL": 20, "SICK": 20}, official(), "NORMAL in test"),
    ],
)
def test_a_class_that_a_subset_lacks_is_named(sizes, chosen, missing):
    message = f"expected images of every class in every subset, received none of {missing}: "
    with pytest.raises(RontgenError, match=rf"split\.policy {chosen.policy}: {message}"):
        splits.assign(distinct(**sizes), [*sizes], chosen)


# ---------------------------------------------------------------- balanced


@given(images(), st.sampled_from(["none", "patient"]), st.booleans(), st.integers(0, 5))
def test_balanced_has_exactly_the_counts(frame, group_by, deduplicate, seed):
    chosen = split("balanced", counts=(13, 5, 2), group_by=group_by, deduplicate=deduplicate, seed=seed)
    assert counts_of(frame, chosen) == {name: [13, 5, 2] for name in CLASSES}


@given(images(), st.sampled_from(["none", "patient"]), st.booleans())
def test_shrink_keeps_classes_equal_and_the_ratio_of_subsets(frame, group_by, deduplicate):
    chosen = split("balanced", counts=(140, 40, 20), on_shortage="shrink", group_by=group_by, deduplicate=deduplicate)
    first, *others = counts_of(frame, chosen).values()
    assert [first, first] == others
    assert np.abs(np.array(first) - sum(first) * np.array([0.7, 0.2, 0.1])).max() < 1
    assert sum(first) >= 24  # the unrelated images alone


@pytest.mark.parametrize(
    ("wanted", "sizes", "expected"),
    [
        ((2000, 250, 250), {"NORMAL": 300, "SICK": 70, "WORSE": 200}, [56, 7, 7]),
        ((20, 5, 5), {"NORMAL": 40, "SICK": 30}, [20, 5, 5]),
    ],
)
def test_shrink_uses_all_of_the_smallest_class_but_no_more_than_is_wanted(wanted, sizes, expected):
    chosen = split("balanced", counts=wanted, on_shortage="shrink")
    assert counts_of(distinct(**sizes), chosen) == dict.fromkeys(sizes, expected)


def test_shrink_keeps_classes_equal_where_groups_leave_gaps_in_one():
    # 20 patients with 7 images each cannot be split into 93, 28 and 19 without dropping some images of one patient
    rows = [("NORMAL", f"p{patient}", f"n{patient}-{image}") for patient in range(20) for image in range(7)]
    frame = table([*rows, *(("SICK", "", f"s{index}") for index in range(140))])
    chosen = split("balanced", counts=(200, 60, 40), on_shortage="shrink", group_by="patient")
    found = counts_of(frame, chosen)
    assert found["NORMAL"] == found["SICK"]
    assert 130 <= sum(found["SICK"]) < 140
    assert np.abs(np.array(found["SICK"]) * 300 / sum(found["SICK"]) - [200, 60, 40]).max() < 3


@given(images(), st.sampled_from(["none", "patient"]), st.booleans())
def test_repeat_reaches_the_counts_with_as_few_copies_as_can_be(frame, group_by, deduplicate):
    chosen = split("balanced", counts=(60, 17, 11), on_shortage="repeat", group_by=group_by, deduplicate=deduplicate)
    manifest = assigned(frame, chosen).manifest
    assert counts(manifest) == {name: [60, 17, 11] for name in CLASSES}
    copies = manifest.groupby(["class", "subset", "archive", "member"]).size().groupby(["class", "subset"])
    assert (copies.max() - copies.min() <= 1).all()


def test_repeat_cuts_no_class_that_has_enough():
    frame = table(
        [("NORMAL", "", f"n{index}") for index in range(100)]
        + [("SICK", f"p{patient}", f"s{patient}-{image}") for patient in range(6) for image in range(7)]
    )
    chosen = split("balanced", counts=(70, 20, 10), on_shortage="repeat", group_by="patient")
    manifest = assigned(frame, chosen).manifest
    assert manifest.loc[manifest["class"] == "NORMAL", "sha256"].is_unique
    assert counts(manifest)["SICK"] == [70, 20, 10]


def test_error_names_the_class_and_the_numbers():
    message = "split.counts: expected 50 images of each class, received 49 of SICK that can be split this way"
    with pytest.raises(RontgenError, match=message):
        assigned(distinct(NORMAL=60, SICK=49, WORSE=55), split("balanced", counts=(40, 5, 5)))


def test_error_says_how_many_images_the_groups_allow():
    # 40, 5 and 5 images from patients with 10 each: one patient can give half of the images to a subset, but no more
    chosen = split("balanced", counts=(40, 5, 5), group_by="patient")
    with pytest.raises(RontgenError, match="expected 50 images of each class, received 45 of NORMAL"):
        assigned(patients([10] * 5), chosen)
    assert counts_of(patients([10] * 6), chosen) == {"NORMAL": [40, 5, 5], "SICK": [40, 5, 5]}


@pytest.mark.parametrize("sizes", [[7] * 15, [9, 8, 7, 6, 5, 4, 3, 2, 1] * 2])
def test_groups_that_do_not_fit_are_used_in_part(sizes):
    chosen = split("balanced", counts=(33, 11, 7), group_by="patient")
    manifest = assigned(patients(sizes), chosen).manifest
    assert counts(manifest) == {"NORMAL": [33, 11, 7], "SICK": [33, 11, 7]}
    assert (manifest.groupby("patient")["subset"].nunique() == 1).all()


# ---------------------------------------------------------------- official


def test_official_keeps_the_test_folder_whole_and_leaves_out_val():
    frame = table(
        [
            (name, "", f"{name}{folder}{index}", folder)
            for name in CLASSES[:2]
            for folder, count in (("train", 30), ("val", 4), ("test", 11))
            for index in range(count)
        ]
    )
    assignment = assigned(frame, official())
    assert counts(assignment.manifest) == {"NORMAL": [27, 3, 11], "SICK": [27, 3, 11]}
    assert assignment.dropped["in the archive's own validation folder"] == 8


@given(images(), st.sampled_from(["none", "patient"]), st.integers(0, 5))
def test_official_never_moves_an_image_between_train_and_test(frame, group_by, seed):
    found = assigned(frame, official(group_by=group_by, seed=seed)).manifest.merge(frame, on=["archive", "member"])
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
    assert counts_of(frame, chosen) == expected


def folders(rows):
    """Enough images of two classes in train and test, plus `rows`."""
    enough = [(name, "", f"{name}{i}", "train" if i < 20 else "test") for name in CLASSES[:2] for i in range(40)]
    return table([*enough, *rows])


@pytest.mark.parametrize(("keep_copies", "in_test"), [(False, [True]), (True, [False, False, True])])
def test_official_drops_the_train_copies_of_test_images_but_where_copies_are_kept(keep_copies, in_test):
    frame = folders([("SICK", "", "same", folder) for folder in ("train", "test", "train")])
    assignment = assigned(frame, official(keep_copies=keep_copies))
    assert assignment.dropped["in the test folder too"] == 3 - len(in_test)
    rows = assignment.manifest[assignment.manifest["sha256"] == content("same")]
    assert (rows["subset"] == "test").tolist() == in_test
    assert rows["id"].is_unique


PATIENTS = [("SICK", "p1", "first", "train"), ("SICK", "p1", "second", "test"), ("SICK", "p2", "other", "train")]


@pytest.mark.parametrize(("group_by", "dropped"), [("none", 0), ("patient", 1)])
def test_official_drops_the_train_images_of_test_patients_where_patients_are_groups(group_by, dropped):
    assignment = assigned(folders(PATIENTS), official(group_by=group_by))
    assert assignment.dropped["in the test folder too"] == dropped
    assert len(subsets_of(assignment.manifest, "sha256", content("first"))) == 1 - dropped


@pytest.mark.parametrize("deduplicate", [False, True])
def test_official_sees_a_test_patient_under_another_name(deduplicate):
    linked = [("SICK", "p1", "third", "train"), ("SICK", "p2", "third", "train")]
    assignment = assigned(folders(PATIENTS + linked), official(group_by="patient", deduplicate=deduplicate))
    assert assignment.dropped["in the test folder too"] == 4
    assert subsets_of(assignment.manifest, "patient", "p2") == set()


@pytest.mark.parametrize(("with_folders", "named"), [([], "a"), (["a.zip"], "b")])
def test_official_refuses_an_archive_without_folders(with_folders, named):
    frame = distinct(NORMAL=20, SICK=20).assign(folder="")
    frame.loc[frame["archive"].isin(with_folders), "folder"] = "train"
    message = rf"^split\.policy official: expected train and test folders, {named}\.zip has none: set split"
    with pytest.raises(RontgenError, match=message):
        assigned(frame, official())


# ---------------------------------------------------------------- max_per_class


@given(images(), st.sampled_from(POLICIES[:2]), st.integers(0, 5))
def test_the_largest_class_is_thinned_to_the_maximum_and_the_others_with_it(frame, policy, seed):
    policy = policy.model_copy(update={"seed": seed})
    before = counts_of(frame, policy)
    after = counts_of(frame, policy, Counts(train=7, validation=3, test=100))
    for column, maximum in enumerate((7, 3, 100)):
        largest = max(before[name][column] for name in CLASSES)
        share = min(1, maximum / largest)
        assert max(after[name][column] for name in CLASSES) == min(maximum, largest)
        for name in CLASSES:
            assert abs(after[name][column] - before[name][column] * share) <= 0.5


def test_what_is_thinned_is_left_to_chance():
    frame = table([(name, "", f"{name}{i}", "train" if i < 50 else "test") for name in CLASSES[:2] for i in range(100)])
    maxima = Counts(train=40, validation=5, test=10)
    first, other = (assigned(frame, official(seed=seed), maxima).manifest for seed in (7, 8))
    assert counts(first) == {"NORMAL": [40, 5, 10], "SICK": [40, 5, 10]}
    assert set(first.loc[first["subset"] == "test", "id"]) != set(other.loc[other["subset"] == "test", "id"])


def test_no_class_is_thinned_to_nothing():
    found = counts_of(distinct(NORMAL=500, SICK=10), split(), Counts(train=5, validation=5, test=5))
    assert found == {"NORMAL": [5, 5, 5], "SICK": [1, 1, 1]}


def test_balanced_counts_are_capped_too():
    chosen, maxima = split("balanced", counts=(20, 6, 4)), Counts(train=8, validation=9, test=3)
    assert counts_of(distinct(NORMAL=40, SICK=40), chosen, maxima) == {"NORMAL": [8, 6, 3], "SICK": [8, 6, 3]}


# ---------------------------------------------------------------- helpers


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
