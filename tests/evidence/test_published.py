import pytest
from rontgen.evidence.published import load_papers
from ruamel.yaml import YAML
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from conftest import ROOT
from rontgen.core import params
from rontgen.core.errors import RontgenError
from rontgen.core.sections import LEAKFREE
from rontgen.evidence.published_counts import Published, headline, own_interval

PAPERS = load_papers(ROOT / "papers.yaml")

ACCURACY = "metric: test.accuracy, value: 0.90, place: Table 1"
IMAGES = "metric: test.test_images, value: 100, place: Table 1"


def write(folder, cells, of_study=(), more=""):
    """Write and load papers.yaml with one run; it states the number of test images unless the cells do."""
    path = folder / "papers.yaml"
    cells = [*cells, *([] if any("test.test_images" in cell for cell in cells) else [IMAGES])]
    lines = ["archives: {}", "studies:", "  a_study:", "    title: A paper", *([more] if more else []), "    cells:"]
    lines[-1] += "" if of_study else " []"
    lines += [f"      - {{{cell}}}" for cell in of_study]
    lines += ["    runs:", "      a_run:", *(f"        - {{{cell}}}" for cell in cells)]
    path.write_text("\n".join(lines) + "\n")
    return load_papers(path)


def published(folder, cells, of_study=(), classes=("NORMAL", "PNEUMONIA")):
    study = write(folder, [ACCURACY, *cells], of_study).studies["a_study"]
    return Published.of("a_study", "a_run", study, list(classes))


def confusion(tn, fp, fn, tp):
    counts = {"NORMAL.NORMAL": tn, "NORMAL.PNEUMONIA": fp, "PNEUMONIA.NORMAL": fn, "PNEUMONIA.PNEUMONIA": tp}
    return [f"metric: test.confusion.{name}, value: {count}, place: x" for name, count in counts.items()]


# ---- papers.yaml


def test_every_reported_run_has_its_published_numbers():
    reported = params.load(ROOT / "params.yaml").reported
    trained = {study.trained(run): name for name, study in PAPERS.studies.items() for run in study.runs}
    assert trained == {name: run.study for name, run in reported.items() if not name.endswith(LEAKFREE)}


def test_two_published_rows_are_one_training():
    study = PAPERS.studies["lungcare"]
    assert study.trained("lungcare_b32_s240") == study.trained("lungcare_cnn4") == "lungcare_cnn4"
    assert study.readings_of("lungcare_b32_s240") == ["as_stated", "copies_on_both_sides"]


@pytest.mark.parametrize("name", [name for name, study in PAPERS.studies.items() if study.readings])
def test_a_reading_sets_keys_of_params_to_values_that_they_can_have(name):
    for reading in PAPERS.studies[name].readings.values():
        values = YAML(typ="safe").load(ROOT / "params.yaml")
        before = params.Params.model_validate(values)
        for key, text in reading.set.items():
            *parents, last = key.split(".")
            section = values
            for parent in parents:
                section = section[parent]
            section[last] = YAML(typ="safe").load(text)
        assert params.Params.model_validate(values) != before
        assert all(key.split(".")[0] in ("studies", "models") for key in reading.set)
        assert all(key.startswith(f"studies.{name}.") for key in reading.set if key.startswith("studies."))


def test_the_parts_of_an_archive_are_all_of_it():
    datasets = params.load(ROOT / "params.yaml").datasets.values()
    counts = {archive: count for dataset in datasets for archive, count in dataset.counts.items()}
    assert PAPERS.archives
    for archive, labels in PAPERS.archives.items():
        assert {label: sum(parts.values()) for label, parts in labels.items()} == counts[archive]


# ---- load_papers


@pytest.mark.parametrize(
    ("cell", "number", "low", "high"),
    [
        ("metric: test.macro.f1, value: 0.90", 0.90, 0.895, 0.905),
        ("metric: test.macro.f1, value: 1.00", 1, 0.995, 1),
        ("metric: test.macro.f1, value: 0.00", 0, 0, 0.005),
        ("metric: test.parameters, value: 2.26e6", 2_260_000, 2_255_000, 2_265_000),
        ("metric: test.log_loss, value: 9", 9, 8.5, 9.5),
        ("metric: test.test_images, value: 592", 592, 592, 592),
        ("metric: setting.train.learning_rate, value: 1e-4", 1e-4, 1e-4, 1e-4),
        ("metric: time.seconds, value: 7:39:20", 27560, 27559.5, 27560.5),
        ("metric: train.epochs, value: 15, relation: at_most", 15, 0, 15),
        ("metric: test.model_megabytes, value: 9, relation: about", 9, 8.1, 9.9),
        ("metric: test.macro.f1, value: 0.95, relation: about", 0.95, 0.855, 1),
    ],
)
def test_a_number_stands_for_all_that_print_as_it(tmp_path, cell, number, low, high):
    cell = write(tmp_path, [ACCURACY, cell + ", place: x"]).studies["a_study"].runs["a_run"][1]
    assert (float(cell.number), float(cell.low), float(cell.high)) == (number, low, high)


@pytest.mark.parametrize(
    ("relation", "text"), [("", "15"), (", relation: at_most", "at most 15"), (", relation: about", "about 15")]
)
def test_a_number_says_how_it_was_meant(tmp_path, relation, text):
    cell = f"metric: train.epochs, value: 15{relation}, place: x"
    assert write(tmp_path, [ACCURACY, cell]).studies["a_study"].runs["a_run"][1].text == text


@pytest.mark.parametrize(
    ("cells", "of_study", "message"),
    [
        (["metric: test.acuracy, value: 1, place: x"], [], "a_study: .*received 'test.acuracy'"),
        (["metric: my.test.accuracy, value: 1, place: x"], [], "received 'my.test.accuracy'"),
        (["metric: train.middle.train_loss, value: 1, place: x"], [], "received 'train.middle.train_loss'"),
        (["metric: data.images, value: 1, place: x"], [], "received 'data.images'"),
        ([ACCURACY], ["metric: test.accuracy, value: 1, place: x"], "received 'test.accuracy'"),
        (["metric: test.accuracy, value: high, place: x"], [], "a_run.0: expected a number.*received 'high'"),
        (["metric: test.accuracy, value: nan, place: x"], [], "received 'nan'"),
        (["metric: test.accuracy, value: 97, place: x"], [], "expected a share of 1.*received '97'"),
        (["metric: train.epochs, value: 2.5, place: x"], [], "expected a whole number.*received '2.5'"),
        (["metric: test.accuracy, value: 1"], [], "a_run.0.place: Field required"),
        ([ACCURACY + ", remark: x"], [], "a_run.0.remark: Extra inputs .*received 'x'"),
        ([ACCURACY, ACCURACY], [], "one cell per metric, test.accuracy has more"),
        (["metric: test.log_loss, value: 1, place: x"], [], "expected a cell test.accuracy in a_run"),
        (["metric: test.log_loss, value: -1, place: x"], [], "no number below zero.*received '-1'"),
        ([ACCURACY + ", relation: more"], [], "a_run.0.relation: Input should be .*received 'more'"),
        (["metric: [, value: 1"], [], "not valid YAML"),
    ],
)
def test_a_mistake_is_named_in_one_line(tmp_path, cells, of_study, message):
    with pytest.raises(RontgenError, match=message) as caught:
        write(tmp_path, cells, of_study)
    assert "papers.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_that_is_none_is_named(tmp_path):
    with pytest.raises(RontgenError, match=r"a_study\.author: Extra inputs"):
        write(tmp_path, [ACCURACY], more="    author: x")


def test_an_accuracy_says_of_how_many_images_it_is(tmp_path):
    write(tmp_path, [ACCURACY])
    path = tmp_path / "papers.yaml"
    path.write_text(path.read_text().replace(f"        - {{{IMAGES}}}\n", ""))
    with pytest.raises(RontgenError, match=r"expected a cell test\.test_images in a_run"):
        load_papers(path)


READING = "why: x, runs: [a_run], set: {studies.a_study.balance: none}"


def test_a_reading_keeps_the_values_that_it_sets_as_text(tmp_path):
    more = "    readings:\n      a_reading: {" + READING.replace("none", "1e-5, models.a.b: [1, 2]") + "}"
    with pytest.raises(RontgenError, match=r"a_reading\.set\.models\.a\.b: Input should be a valid string"):
        write(tmp_path, [ACCURACY], more=more)
    study = write(tmp_path, [ACCURACY], more=more.replace("[1, 2]", "true")).studies["a_study"]
    assert study.readings["a_reading"].set == {"studies.a_study.balance": "1e-5", "models.a.b": "true"}
    assert study.readings_of("a_run") == ["as_stated", "a_reading"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (f"readings: {{as_stated: {{{READING}}}}}", "expected names such as own_preprocessing, received 'as_stated'"),
        (f"readings: {{Own-way: {{{READING}}}}}", "received 'Own-way'"),
        ("readings: {a: {" + READING.replace("a_run", "b_run") + "}}", "readings.a: expected runs of a_run, .*'b_run'"),
        ("readings: {a: {" + READING.replace("[a_run]", "[]") + "}}", "readings.a.runs: List should have at least 1"),
        ("readings: {a: {" + READING.replace("why: x", "why: ''") + "}}", "readings.a.why: .*at least 1 character"),
        ("readings: {a: {why: x, runs: [a_run], set: {}}}", "readings.a.set: Dictionary should have at least 1"),
        ("readings: {a: {why: x, runs: [a_run], set: {balance: none}}}", "expected keys of params.yaml .*'balance'"),
        ("trained_as: {a_run: b_run}", "trained_as: expected two of the runs a_run, received a_run: b_run"),
        ("trained_as: {a_run: a_run}", "trained_as: expected two of the runs a_run, received a_run: a_run"),
        ("trained_as: {b_run: a_run}", "received b_run: a_run"),
    ],
)
def test_a_mistake_in_how_a_study_is_read_is_named(tmp_path, more, message):
    with pytest.raises(RontgenError, match=message) as caught:
        write(tmp_path, [ACCURACY], more=f"    {more}")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(RontgenError, match=r"papers\.yaml not found"):
        load_papers(tmp_path / "papers.yaml")


# ---- the counts behind the numbers


def test_supports_are_those_of_the_counts_then_of_the_report_then_of_the_data(tmp_path):
    report = [f"metric: test.classes.{name}.support, value: 60, place: x" for name in ("NORMAL", "PNEUMONIA")]
    data = [f"metric: data.test.{name}, value: 70, place: x" for name in ("NORMAL", "PNEUMONIA")]
    assert published(tmp_path, [*confusion(45, 5, 1, 49), *report], data).supports == {"NORMAL": 50, "PNEUMONIA": 50}
    assert published(tmp_path, report, data).equal_support == 60
    assert published(tmp_path, [], data).equal_support == 70
    assert published(tmp_path, [], data[:1]).supports is None


def test_validation_images_are_a_share_of_the_images_where_that_is_whole(tmp_path):
    share = "metric: data.share.validation, value: 0.1, place: x"
    images = "metric: data.images, value: {}, place: x"
    assert published(tmp_path, [], [share, images.format(1000)]).validation_images == 100
    assert published(tmp_path, [], [share, images.format(1001)]).validation_images is None
    assert published(tmp_path, [], ["metric: data.validation, value: 7, place: x"]).validation_images == 7


@pytest.mark.parametrize(
    ("metric", "value", "successes", "trials"),
    [
        ("test.accuracy", "0.90", (90, 90), 100),
        ("test.macro.recall", "0.94", (94, 94), 100),
        ("test.classes.PNEUMONIA.recall", "0.98", (49, 49), 50),
        ("test.classes.PNEUMONIA.precision", "0.907", (49, 49), 54),
        ("test.classes.PNEUMONIA.precision", "0.9", (46, 51), 54),
    ],
)
def test_a_rate_is_so_many_of_its_images(tmp_path, metric, value, successes, trials):
    cells = confusion(45, 5, 1, 49)
    if metric != "test.accuracy":
        cells.append(f"metric: {metric}, value: {value}, place: x")
    run = published(tmp_path, cells)
    assert (run.successes(metric), run.trials(metric)) == (successes, trials)


def test_the_papers_own_interval_is_exact(tmp_path):
    run = PAPERS.studies["smatika"]
    run = Published.of("smatika", "smatika_resnet50v2", run, ["NORMAL", "PNEUMONIA"])
    expected = proportion_confint(97, 100, method="beta")
    assert own_interval(run, "test.accuracy") == pytest.approx(expected)
    assert [round(bound, 3) for bound in expected] == [0.915, 0.994]


def test_the_papers_own_interval_spans_all_counts_that_print_alike(tmp_path):
    run = published(tmp_path, ["metric: test.test_images, value: 1000, place: x"])
    low, high = proportion_confint(895, 1000, method="beta")[0], proportion_confint(905, 1000, method="beta")[1]
    assert own_interval(run, "test.accuracy") == pytest.approx((low, high))


def test_a_rate_of_unpublished_images_has_no_interval(tmp_path):
    recall = "metric: test.classes.NORMAL.recall, value: 0.9, place: x"
    assert own_interval(published(tmp_path, [recall]), "test.classes.NORMAL.recall") is None


# ---- headline


def runs_of(study):
    classes = (
        params.load(ROOT / "params.yaml").datasets[params.load(ROOT / "params.yaml").studies[study].dataset].classes
    )
    return [Published.of(study, run, PAPERS.studies[study], classes) for run in PAPERS.studies[study].runs]


def test_no_pairing_makes_the_headline_of_smatika_significant():
    tested = headline(runs_of("smatika"))
    assert (tested["best"], tested["correct"], tested["test_images"]) == ("smatika_resnet50v2", 97, 100)
    against = tested["against"]["smatika_vgg16"]
    assert against["correct"] == 92
    assert against["fisher_p"] == pytest.approx(0.21341, abs=1e-5)
    assert against["least_mcnemar_p"] == 0.0625
    every = [mcnemar([[0, 5 + c], [c, 0]], exact=True).pvalue for c in range(4)]  # the best has at most 3 wrong answers
    assert min(every) == every[0] == 0.0625


def test_the_best_of_covid_hybrid_is_tested_against_both_others():
    against = headline(runs_of("covid_hybrid"))["against"]
    assert {run: other["least_mcnemar_p"] for run, other in against.items()} == {
        "covid_hybrid_resnet50": 0.5,
        "covid_hybrid_lstm": pytest.approx(mcnemar([[0, 11], [0, 0]], exact=True).pvalue, abs=1e-8),
    }


def test_equal_accuracies_have_a_p_of_one(tmp_path):
    run = published(tmp_path, [])
    other = Published("a_study", "another", run.classes, run.cells)
    assert headline([run, other])["against"]["another"]["least_mcnemar_p"] == 1.0


def test_a_study_of_one_run_has_nothing_to_test():
    assert headline(runs_of("jitet")) is None
