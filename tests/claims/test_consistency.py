import itertools
from decimal import ROUND_HALF_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_up_studies import PAPERS, VALUES, cell
from made_up_studies import paper as paper_of
from rontgen.claims import arithmetic, consistency
from rontgen.claims.consistency import AVERAGES, SAME_IMAGES, SCORES
from rontgen.claims.published import Published
from rontgen.core.cells import Cell

CLASSES = ("NORMAL", "PNEUMONIA", "PNEUMOTHORAX", "TUBERCULOSIS")


def paper(numbers, classes=CLASSES[:2]):
    """What a paper prints about one run: {metric: the printed number, or that and its relation}."""
    cells = {}
    for metric, number in numbers.items():
        value, relation = number if isinstance(number, tuple) else (number, "equal")
        cells[metric] = Cell(metric=metric, value=str(value), relation=relation, place="x")
    return Published("a_study", "a_run", tuple(classes), cells)


def reasons(numbers, classes=CLASSES[:2]):
    return [violation.reason for violation in consistency.violations(paper(numbers, classes))]


def blamed(numbers, classes=CLASSES[:2]):
    return {cell for violation in consistency.violations(paper(numbers, classes)) for cell in violation.cells}


def counts(matrix):
    return {f"test.confusion.{true}.{name}": count for true, row in matrix.items() for name, count in row.items()}


def rates(matrix):
    """Every rate of a confusion matrix as an exact fraction, by metric; a rate of no images is 0."""

    def share(part, whole):
        return Fraction(part, whole) if whole else Fraction(0)

    supports = {true: sum(row.values()) for true, row in matrix.items()}
    images = sum(supports.values())
    found = {"test.accuracy": share(sum(matrix[name][name] for name in matrix), images)}
    for name in matrix:
        hits, taken = matrix[name][name], sum(row[name] for row in matrix.values())
        values = share(hits, taken), share(hits, supports[name]), share(2 * hits, supports[name] + taken)
        found |= {f"test.classes.{name}.{score}": value for score, value in zip(SCORES, values, strict=True)}
    for score in SCORES:
        of_classes = {name: found[f"test.classes.{name}.{score}"] for name in matrix}
        found[f"test.macro.{score}"] = sum(of_classes.values()) / len(matrix)
        found[f"test.weighted.{score}"] = sum(supports[name] * value for name, value in of_classes.items()) / images
    return found


def sizes(matrix):
    supports = {f"test.classes.{true}.support": sum(row.values()) for true, row in matrix.items()}
    return supports | {"test.test_images": sum(supports.values())}


def rounded(value, digits, rule):
    unit = Decimal(1).scaleb(-digits)
    floor, rest = divmod(value / Fraction(unit), 1)
    halfway_up = {ROUND_HALF_UP: True, ROUND_HALF_DOWN: False, ROUND_HALF_EVEN: floor % 2 == 1}[rule]
    up = halfway_up if rest == Fraction(1, 2) else rest > Fraction(1, 2)
    return (int(floor) + up) * unit


@st.composite
def matrices(draw):
    classes = CLASSES[: draw(st.integers(2, 4))]
    equal = draw(st.one_of(st.none(), st.integers(1, 60)))
    matrix = {}
    for true in classes:
        size = equal or draw(st.integers(1, 60))
        # often mostly right, like published results
        hits = draw(st.one_of(st.integers(0, size), st.integers(size - size // 5, size)))
        cuts = sorted(draw(st.integers(0, size - hits)) for _ in classes[2:])
        others = (high - low for low, high in itertools.pairwise([0, *cuts, size - hits]))
        matrix[true] = {name: hits if name == true else next(others) for name in classes}
    return matrix


digits = st.integers(2, 4)
rules = st.sampled_from([ROUND_HALF_UP, ROUND_HALF_DOWN, ROUND_HALF_EVEN])


@given(matrices(), digits, rules, st.data())
def test_a_consistent_paper_violates_nothing_whatever_of_it_is_printed(matrix, digits, rule, data):
    numbers = {metric: rounded(value, digits, rule) for metric, value in rates(matrix).items()}
    numbers |= counts(matrix) | sizes(matrix)
    left_out = data.draw(st.sets(st.sampled_from(sorted(numbers))))
    if data.draw(st.booleans()):
        left_out |= set(counts(matrix))
    numbers = {metric: value for metric, value in numbers.items() if metric not in left_out}
    assert reasons(numbers, tuple(matrix)) == []


@given(matrices(), digits, rules, st.data())
def test_a_rate_changed_beyond_rounding_is_found_and_blamed(matrix, digits, rule, data):
    printed = {metric: rounded(value, digits, rule) for metric, value in rates(matrix).items()}
    metric = data.draw(st.sampled_from(sorted(printed)))
    step = 2 * Decimal(1).scaleb(-digits)
    printed[metric] += step if printed[metric] < Decimal("0.5") else -step
    found = blamed(printed | counts(matrix) | sizes(matrix), tuple(matrix))
    assert ("a_run", metric) in found
    assert not found & {("a_run", count) for count in counts(matrix)}


@given(matrices(), st.data())
def test_a_count_changed_by_one_is_found(matrix, data):
    numbers = counts(matrix) | sizes(matrix) | {"test.accuracy": "0.5"}
    metric = data.draw(st.sampled_from(sorted(counts(matrix))))
    numbers[metric] += 1
    assert ("a_run", metric) in blamed(numbers, tuple(matrix))


# ---- one relation each

MATRIX = {"NORMAL": {"NORMAL": 48, "PNEUMONIA": 2}, "PNEUMONIA": {"NORMAL": 1, "PNEUMONIA": 49}}
EQUAL = {f"test.classes.{name}.support": 250 for name in CLASSES} | {"test.test_images": 1000}
UNEQUAL = {"test.classes.NORMAL.support": 10, "test.classes.PNEUMONIA.support": 20}
NO_MEAN = {f"test.classes.NORMAL.{score}": f"0.{tenths}0" for score, tenths in zip(SCORES, (8, 6, 7), strict=True)}
FIFTY = {f"test.classes.{name}.support": 50 for name in CLASSES[:2]}
VALIDATED = {"data.share.validation": "0.1", "data.images": 1000}


def of_classes(score, *values):
    return {f"test.classes.{name}.{score}": value for name, value in zip(CLASSES, values, strict=False)}


F1S, RECALLS = of_classes("f1", "0.60", "0.90"), of_classes("recall", "0.60", "0.90")


@pytest.mark.parametrize(
    ("given", "wrong", "reason"),
    [
        (counts(MATRIX), {"test.classes.PNEUMONIA.f1": "0.9705"}, (
            "the confusion matrix (NORMAL: 48, 2; PNEUMONIA: 1, 49) gives PNEUMONIA f1 0.970297, "
            "and PNEUMONIA f1 0.9705 is 0.97045-0.97055"
        )),
        ({}, counts(MATRIX) | {"test.test_images": 101}, "gives test images 100, and test images 101"),
        ({}, NO_MEAN, "their harmonic mean is 0.680612-0.690816, and NORMAL f1 0.70 is 0.695-0.705"),
        (UNEQUAL, F1S | {"test.macro.f1": "0.80"}, "with the same weight their mean is 0.745-0.755, and macro f1 0.80"),
        (UNEQUAL, F1S | {"test.weighted.f1": "0.75"}, (
            "with weights 10, 20 their mean is 0.795-0.805, and weighted f1 0.75"
        )),
        (UNEQUAL, RECALLS | {"test.accuracy": "0.75"}, "their mean is 0.795-0.805, and accuracy 0.75"),
        (UNEQUAL, {"test.accuracy": "0.90", "test.weighted.recall": "0.80"}, "; the two are one number"),
        ({"test.test_images": 592}, {"test.accuracy": "0.9741"}, (
            "but of 592 images 576 are 0.972973 and 577 are 0.974662"
        )),
        (VALIDATED, {"train.kept.validation_accuracy": "0.8650"}, "but of 100 images 86 are 0.86 and 87 are 0.87"),
        (FIFTY, of_classes("recall", "0.9", "0.9") | of_classes("precision", "0.7", "0.7"), (
            "the number of predictions, is 113.3-146.2 over all classes, and there are 100 images"
        )),
        (FIFTY, of_classes("recall", "0.90", "0.90") | of_classes("precision", "1.00", "1.00"), (
            "the number of predictions, is 89.5-91.0 over all classes, and there are 100 images"
        )),
        ({}, {"train.kept_epoch": 21, "train.epochs": (20, "at_most")}, "kept epoch 21 of epochs at most 20"),
        ({}, {"train.best_accuracy_epoch": 21, "train.epochs": 20}, "best accuracy epoch 21 of epochs 20"),
        ({}, {"train.best_loss_epoch": 21, "train.epochs": 20}, "best loss epoch 21 of epochs 20"),
        ({}, {"data.images.NORMAL": 3, "data.images.PNEUMONIA": 4, "data.images": 8}, "make 3 + 4 = 7, and images 8"),
        ({}, {"data.smote.NORMAL": 3, "data.smote.PNEUMONIA": 4, "data.smote": 6}, "= 7, and images after SMOTE 6"),
        ({}, {"data.test": 7, "test.test_images": 8}, "make 8, and test images 7"),
        ({}, {"data.test.NORMAL": 3, "test.classes.NORMAL.support": 4}, "make 4, and NORMAL test images 3"),
        ({}, of_classes("support", 4, 4) | {"test.test_images": 9}, "make 4 + 4 = 8, and test images 9"),
        ({}, {"data.train": 8, "data.validation": 1, "data.test": 1, "data.images": 9}, "make 8 + 1 + 1, more than"),
    ],
)  # fmt: skip
def test_numbers_that_cannot_all_be_true_are_found_and_blamed(given, wrong, reason):
    (violation,) = consistency.violations(paper(given | wrong))
    assert reason in violation.reason
    owner = {True: "a_study", False: "a_run"}
    assert set(violation.cells) == {(owner[metric.startswith("data.")], metric) for metric in wrong}


@pytest.mark.parametrize(
    "numbers",
    [
        NO_MEAN | {"test.classes.NORMAL.f1": "0.69"},
        UNEQUAL | F1S | {"test.macro.f1": "0.75", "test.weighted.f1": "0.80"},
        UNEQUAL | RECALLS | {"test.accuracy": "0.80"},
        {"test.accuracy": "0.90", "test.weighted.recall": ("0.85", "about")},
        {"test.test_images": 592, "test.accuracy": "0.9747"},
        VALIDATED | {"train.kept.validation_accuracy": "0.8600"},
        {"data.train.NORMAL": 8, "data.validation.NORMAL": 1, "data.test.NORMAL": 1, "data.images.NORMAL": 10},
    ],
)
def test_numbers_that_can_all_be_true_are_left_alone(numbers):
    assert reasons(numbers) == []


@pytest.mark.parametrize(
    ("recall", "expected"),
    # 0.89 and 0.91: computed in two ways, 0.895 or 0.905 may print up once and down once
    [("0.90", 0), ("0.89", 0), ("0.91", 0), ("0.88", 1), ("0.92", 1)],
)
def test_with_equal_classes_accuracy_and_macro_recall_are_one_number(recall, expected):
    found = reasons(EQUAL | {"test.accuracy": "0.90", "test.macro.recall": recall}, CLASSES)
    assert len(found) == expected
    for reason in found:
        assert reason.startswith("accuracy 0.90 is 0.895-0.905, macro recall 0.")
        assert reason.endswith("; with 250 images of each class the two are one number")


def test_with_other_classes_macro_recall_may_differ():
    numbers = EQUAL | {"test.classes.NORMAL.support": 251, "test.test_images": 1001, "test.accuracy": "0.90"}
    assert reasons(numbers | {"test.macro.recall": "0.80"}, CLASSES) == []


@pytest.mark.parametrize("score", ["precision", "f1"])
@pytest.mark.parametrize(("value", "expected"), [("0.89", 1), ("0.90", 0)])
def test_many_right_answers_leave_no_room_for_a_low_average(score, value, expected):
    found = reasons(EQUAL | {"test.accuracy": "0.91", f"test.macro.{score}": value}, CLASSES)
    assert len(found) == expected
    for reason in found:
        assert f"macro {score} is then at least (3·√250 + √155)²/(4·1000) = 0.8965" in reason


def test_the_bound_is_below_every_matrix_there_is():
    """All matrices of three classes with three images each."""
    rows = [row for row in itertools.product(range(4), repeat=3) if sum(row) == 3]
    least = {}
    for matrix in itertools.product(rows, repeat=3):
        right = sum(matrix[index][index] for index in range(3))
        taken = [sum(row[index] for row in matrix) for index in range(3)]
        precision = sum(matrix[i][i] / taken[i] for i in range(3) if taken[i]) / 3
        f1 = sum(2 * matrix[i][i] / (3 + taken[i]) for i in range(3)) / 3
        worst = least.setdefault(right, [1.0, 1.0])
        least[right] = [min(worst[0], precision), min(worst[1], f1)]
    for right, worst in least.items():
        numbers = {f"test.classes.{name}.support": 3 for name in CLASSES[:3]} | {"test.test_images": 9}
        numbers |= {"test.accuracy": f"{right / 9:.6f}", "test.macro.precision": f"{worst[0]:.6f}"}
        assert reasons(numbers | {"test.macro.f1": f"{worst[1]:.6f}"}, CLASSES[:3]) == []


@pytest.mark.parametrize(("made", "relation", "expected"), [
    (2690, "equal", 0), (2689, "equal", 1), (2690, "at_least", 0), (2691, "at_least", 1),
])  # fmt: skip
def test_synthetic_images_are_what_a_class_has_more_after_smote(made, relation, expected):
    numbers = {"data.images.NORMAL": 1575, "data.smote.NORMAL": 4265, "data.synthetic.NORMAL": (made, relation)}
    found = consistency.violations(paper(numbers | {"data.images.PNEUMONIA": 4265}))
    assert len(found) == expected
    for violation in found:
        assert ": SMOTE made 2690, and NORMAL synthetic images" in violation.reason
        assert violation.cells == tuple(("a_study", metric) for metric in numbers)


@pytest.mark.parametrize(("total", "relation", "normal", "is_found"), [
    (1000, "about", 500, False), (1000, "about", 700, True),
    (1000, "at_most", 500, True), (1030, "at_most", 500, False),
])  # fmt: skip
def test_a_total_that_is_about_or_at_most_so_many_leaves_room(total, relation, normal, is_found):
    numbers = {"data.images": (total, relation), "data.images.NORMAL": normal, "data.images.PNEUMONIA": 520}
    assert bool(reasons(numbers)) is is_found


# ---- what numbers must mean to contradict each other


def conditions(numbers, classes=CLASSES):
    """What the numbers must mean for each contradiction."""
    return [violation.condition for violation in consistency.violations(paper(numbers, classes))]


def averages(**scores):
    return {f"test.macro.{score}": value for score, value in scores.items()}


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({"test.accuracy": "0.90"} | averages(recall="0.80"), [AVERAGES]),
        ({"test.accuracy": "0.91", "test.macro.precision": "0.80"}, [AVERAGES]),
        ({"test.accuracy": "0.91", "test.weighted.f1": "0.80"}, [AVERAGES]),
        # F1 0.85 is the harmonic mean of the others: they may be of one class, and so may two of them
        (averages(precision="0.80", recall="0.91", f1="0.85"), [AVERAGES] * 2),
        (averages(precision="0.80", recall="0.91"), [AVERAGES]),
        # these are of no class, but the accuracy may be of other images
        ({"test.accuracy": "0.91"} | averages(precision="0.80", recall="0.80", f1="0.85"), [AVERAGES] * 3),
    ],
)
def test_with_equal_classes_scores_contradict_each_other_if_they_are_averages(numbers, expected):
    assert conditions(EQUAL | numbers) == expected


def test_scores_that_are_neither_averages_nor_of_one_class_contradict_each_other_whatever_they_are():
    numbers = EQUAL | averages(precision="0.80", recall="0.91", f1="0.80")
    assert conditions(numbers) == ["", ""]
    for reason in reasons(numbers, CLASSES):
        assert "; as scores of one class, macro precision 0.80 is 0.795-0.805, macro recall 0.91" in reason
        assert reason.endswith("their harmonic mean is 0.846441-0.856483, and macro f1 0.80 is 0.795-0.805")


@pytest.mark.parametrize(
    ("numbers", "condition"),
    [
        (NO_MEAN, ""),
        ({"test.accuracy": "0.90", "test.weighted.recall": "0.80"}, SAME_IMAGES),
        (UNEQUAL | RECALLS | {"test.accuracy": "0.50"}, SAME_IMAGES),
        (UNEQUAL | RECALLS | {"test.weighted.recall": "0.50"}, ""),
        (UNEQUAL | RECALLS | {"test.macro.recall": "0.50"}, ""),
    ],
)
def test_only_the_accuracy_may_be_of_other_images(numbers, condition):
    assert conditions(numbers, CLASSES[:2]) == [condition]


# ---- whether scores can be averages on the images of the accuracies


def row(accuracy, recall, size=250, **more):
    """A row with an accuracy and a macro recall, and as many images of each class."""
    images = {f"test.classes.{name}.support": size for name in CLASSES} | {"test.test_images": 4 * size}
    return paper(images | {"test.accuracy": accuracy, "test.macro.recall": recall} | more, CLASSES)


NEIGHBOURS, ALIKE, APART = row("0.90", "0.91"), row("0.90", "0.90"), row("0.90", "0.80")


@pytest.mark.parametrize("neighbours", [NEIGHBOURS, row("0.91", "0.90")])
def test_neighbours_in_many_rows_are_doubtful(neighbours):
    """Of 1,000 images every tenth share lies halfway."""
    said = arithmetic.doubt([neighbours, ALIKE, neighbours])
    assert said.startswith("In 2 of 3 rows ") and "(p = 0.03)" in said


FEW = row("0.90", "0.91", size=50)  # of 200 images every second share lies halfway
UNLIKE = row("0.90", "0.91", **{"test.classes.NORMAL.support": 251, "test.test_images": 1001})
WEIGHTED = row("0.90", "0.91", **{"test.weighted.recall": "0.90"})


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([], id="no rows"),
        pytest.param([APART] * 9, id="further apart"),
        pytest.param([NEIGHBOURS, *[ALIKE] * 8], id="one of many"),
        pytest.param([FEW, FEW], id="few images"),
        pytest.param([FEW, NEIGHBOURS], id="few images in one of the rows"),
        pytest.param([UNLIKE, UNLIKE], id="classes of other sizes"),
        pytest.param([WEIGHTED, WEIGHTED], id="a weighted recall too, so that the macro recall is an average"),
    ],
)
def test_neighbours_that_are_few_or_easily_explained_are_not_doubtful(rows):
    assert arithmetic.doubt(rows) == ""


# ---- sentences that put numbers in order


def ordered(order, first, second, metric="test.accuracy"):
    """The reasons why a sentence about two runs is not borne out; the first of them is said to come first."""
    ordering = {"says": "x is better.", "place": "Section 2", "metric": metric, "order": order, "pairs": [["a", "b"]]}
    cells = {"a": [cell(metric, first)], "b": [cell(metric, second)]}
    return arithmetic.orderings("a_study", paper_of(cells, orderings=[ordering]))


@pytest.mark.parametrize(
    ("order", "first", "second", "is_borne_out"),
    [
        ("falling", "0.90", "0.92", False),
        ("rising", "0.90", "0.92", True),
        ("rising", "0.92", "0.90", False),
        ("falling", "0.90", "0.91", False),  # 0.905 and 0.905 at best, which is no order
        ("falling", "0.9", "0.94", True),  # 0.95 and 0.935
    ],
)
def test_an_order_is_not_borne_out_where_no_rounding_gives_it(order, first, second, is_borne_out):
    found = ordered(order, first, second)
    assert bool(found) is not is_borne_out
    for violation in found:
        assert violation.verdict == "contradictory"
        assert violation.cells == (("a_study", "Section 2"),)
        assert violation.reason == f"“x is better.” (Section 2), and accuracy is {first} in a, {second} in b"


def test_durations_are_put_in_order_by_their_seconds():
    assert ordered("rising", "9:59:59", "10:00:00", "time.seconds") == []
    assert len(ordered("rising", "10:27:03", "9:21:38", "time.seconds")) == 1


# ---- the five papers


def rows_of(study):
    classes = VALUES.datasets[VALUES.studies[study].dataset].classes
    return [Published.of(study, run, PAPERS.studies[study], classes) for run in PAPERS.studies[study].runs]


def test_these_runs_contradict_themselves_and_no_others():
    found = {}
    for study in PAPERS.studies:
        for published in rows_of(study):
            for violation in consistency.violations(published):
                for owner, metric in violation.cells:
                    found.setdefault((owner, violation.condition), set()).add(metric)
    scores = {f"test.macro.{score}" for score in SCORES}
    assert found == {
        ("lungcare_b8_s240", AVERAGES): {"test.accuracy", *scores},
        ("lungcare_b8_s480", AVERAGES): {"test.accuracy", *scores} - {"test.macro.recall"},
        ("lungcare_b8_s640", AVERAGES): {"test.accuracy", *scores},
        ("lungcare_b32_s240", AVERAGES): {"test.accuracy", *scores} - {"test.macro.recall"},
        ("lungcare_b32_s240", ""): scores,
        # which is as large after SMOTE as before, and has synthetic images
        ("pirngadi", ""): {f"data.{part}.PNEUMONIA" for part in ("images", "smote", "synthetic")},
    }


def test_the_scores_of_lungcare_alone_are_hardly_averages_on_the_images_of_its_accuracies():
    assert [name for name in PAPERS.studies if arithmetic.doubt(rows_of(name))] == ["lungcare"]
    said = arithmetic.doubt(rows_of("lungcare"))
    assert said.startswith("In 5 of 9 rows the printed accuracy and recall are neighbours.") and "(p = 0.0009)" in said


def test_larger_batches_are_neither_always_faster_nor_always_less_accurate():
    found = [violation for name, study in PAPERS.studies.items() for violation in arithmetic.orderings(name, study)]
    assert [violation.reason.partition("), and ")[2] for violation in found] == [
        "accuracy is 0.90 in lungcare_b8_s240, 0.91 in lungcare_b32_s240",
        "seconds is 10:27:03 in lungcare_b8_s480, 11:21:38 in lungcare_b32_s480",
    ]
    assert {violation.condition for violation in found} == {
        "if it is meant of all three image sizes, of which the text names none"
    }
