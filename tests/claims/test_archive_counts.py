import pytest

from made_up_studies import PAPERS, VALUES, cell, paper
from rontgen.claims import archive_counts
from rontgen.claims.published import Published
from rontgen.core.papers import Papers
from rontgen.core.vocabulary import CONTRADICTORY, UNAVAILABLE

PNEUMONIA, SPLIT = VALUES.datasets["pneumonia"], VALUES.studies["smatika"].split
OFFER = {"chest_xray": {"NORMAL": {"images": 2800, "terms": "under an agreement"}}}


def found(split=SPLIT, tested=100, restricted=None, **numbers):
    """Violations of a study of the pneumonia archive; numbers are named without `data.`, and with `_` for `.`."""
    cells = [cell("data." + name.replace("_", "."), value) for name, value in numbers.items()]
    study = paper({"a_run": [cell("test.test_images", tested)]}, cells=cells)
    papers = Papers(archives=PAPERS.archives, restricted=restricted or {}, sources={}, studies={"a_study": study})
    published = [Published.of("a_study", "a_run", study, PNEUMONIA.classes)]
    return archive_counts.violations(papers, published, PNEUMONIA, split)


def of_study(name):
    study, settings = PAPERS.studies[name], VALUES.studies[name]
    dataset = VALUES.datasets[settings.dataset]
    published = [Published.of(name, run, study, dataset.classes) for run in study.runs]
    return archive_counts.violations(PAPERS, published, dataset, settings.split)


@pytest.mark.parametrize(
    ("images", "verdict", "working"),
    [
        (1584, UNAVAILABLE, "NORMAL images 1584, and the public archives, as params.yaml takes them, hold 1583"),
        (3166, CONTRADICTORY, "2 × 1583:"),
        (3174, CONTRADICTORY, "2 × 1583 + 8 (its part val once more)"),
        (1817, CONTRADICTORY, "1 × 1583 + 234 (its part test once more)"),
        (3175, UNAVAILABLE, "hold 1583"),
    ],
)
def test_more_images_than_there_are_were_counted_twice_or_cannot_be_had(images, verdict, working):
    (violation,) = found(images_NORMAL=images)
    assert (violation.verdict, violation.cells) == (verdict, (("a_study", "data.images.NORMAL"),))
    assert working in violation.reason


def test_a_total_is_held_against_all_of_the_archive():
    assert found(images=5856, images_NORMAL=1583) == []
    (violation,) = found(images=5857)
    assert violation.verdict == UNAVAILABLE
    assert "1583 + 4273 = 5856" in violation.reason


def test_smote_makes_no_class_larger_than_the_largest_it_is_given():
    numbers = {"train_NORMAL": 1341, "train_PNEUMONIA": 3875, "test_NORMAL": 234, "test_PNEUMONIA": 390}
    assert found(**numbers, smote_NORMAL=3875, smote_PNEUMONIA=3875) == []
    assert found(**numbers, smote_NORMAL=4265, smote_PNEUMONIA=4265) == []  # the test images may have been among them
    (violation,) = found(**numbers, smote_NORMAL=4000, smote_PNEUMONIA=4000)
    assert violation.reason.endswith("the largest class (PNEUMONIA) has 3875 training and 390 test images")
    assert set(violation.cells) == {("a_study", "data.smote.NORMAL"), ("a_study", "data.smote.PNEUMONIA")}


@pytest.mark.parametrize(("tested", "violated"), [(555, False), (616, False), (554, True), (617, True)])
def test_a_subset_is_its_share_of_the_archive_but_for_the_cut(tested, violated):
    violations = found(share_test="0.1", tested=tested)
    assert bool(violations) == violated
    for violation in violations:
        assert set(violation.cells) == {("a_study", "data.share.test"), ("a_run", "test.test_images")}
        assert "of 1583 + 4273 = 5856 images 556.32-614.88" in violation.reason


def test_a_share_is_of_the_images_selected_where_they_are_published():
    assert found(share_test="0.1", tested=100, images=2000, selected=1000) == []
    assert found(share_test="0.1", tested=200, images=2000) == []
    (violation,) = found(share_test="0.1", tested=100, images=2000)
    assert "; of 2000 images 190-210, and test images 100" in violation.reason


def test_a_class_too_small_makes_all_that_needs_it_unavailable():
    counts = SPLIT.counts.model_copy(update={"train": 1360})
    (violation,) = found(SPLIT.model_copy(update={"counts": counts}), images_NORMAL=100)
    assert violation.verdict == UNAVAILABLE
    of_the_run = {("a_run", metric) for metric in ("test.accuracy", "test.test_images")}
    assert set(violation.cells) == {("a_study", "data.images.NORMAL"), *of_the_run}
    assert "1360 + 174 + 50 = 1584 distinct images of each class" in violation.reason
    assert violation.reason.endswith("hold 1583 of NORMAL")


@pytest.mark.parametrize("numbers", [{"images_NORMAL": 3166}, {"images": 5857}, {"images_PNEUMONIA": 4274}])
def test_images_under_terms_explain_no_images_counted_twice_no_total_and_no_other_class(numbers):
    (violation,) = found(restricted=OFFER, **numbers)
    assert "offers" not in violation.reason


def test_an_archive_of_no_parts_is_whole():
    whole = {"NORMAL": {"all": 1583}, "PNEUMONIA": {"all": 4273}, None: {"all": 5856}}
    assert archive_counts.of_archives(PNEUMONIA, {}) == whole


# ---- the five papers


def test_the_nested_copies_and_the_missing_images_of_lungcare_are_found():
    reasons = {violation.cells: violation.reason for violation in of_study("lungcare")}
    assert "8546 are 2 × 4273:" in reasons[(("lungcare", "data.images.PNEUMONIA"),)]
    assert "3174 are 2 × 1583 + 8 (its part val once more)" in reasons[(("lungcare", "data.images.NORMAL"),)]
    assert reasons[(("lungcare", "data.images.TUBERCULOSIS"),)] == (
        "TUBERCULOSIS images 2752, and the public archives, as params.yaml takes them, hold 700; the archive's page "
        "offers 2,800 more of TUBERCULOSIS under an agreement with NIAID"
    )


def test_every_result_of_lungcare_needs_images_that_are_not_to_be_had():
    (shortage,) = [violation for violation in of_study("lungcare") if "distinct" in violation.reason]
    assert shortage.verdict == UNAVAILABLE
    assert "700 of TUBERCULOSIS; the archive's page offers 2,800 more of TUBERCULOSIS" in shortage.reason
    results = {(run, one.metric) for run, cells in PAPERS.studies["lungcare"].runs.items() for one in cells}
    assert results < set(shortage.cells)


@pytest.mark.parametrize("study", ["smatika", "jitet", "covid_hybrid", "pirngadi"])
def test_the_archives_contradict_none_of_the_other_studies(study):
    assert of_study(study) == []
