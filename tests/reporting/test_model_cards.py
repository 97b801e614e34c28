import json
import re
import shutil
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import finished_project
from conftest import ROOT
from rontgen.core import params
from rontgen.core.errors import RontgenError
from rontgen.reporting import model_cards

TITLES = {name: f"The paper of {name}" for name in params.load(ROOT / "params.yaml").studies}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return finished_project.make(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def project(finished, change_params, tmp_path):
    """The working directory: a finished project in which a test may change any file."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)


def written(name="smatika_vgg16"):
    model_cards.write_cards(TITLES)
    return Path("cards", f"{name}.md").read_text()


def change(path, **values):
    path = Path(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_card_for_each_run_and_a_list_of_them(project):
    names = ["active", *params.load().reported]
    listed = written("README")
    assert {path.stem for path in Path("cards").iterdir()} == {*names, "README"}
    assert all(f"[{name}]({name}.md)" in listed for name in names)


def test_a_card_has_the_headings_of_the_model_card_paper(project):
    assert re.findall(r"^## (.*)", written(), re.MULTILINE) == [
        "Model details",
        "Intended use",
        "Factors",
        "Metrics",
        "Evaluation data",
        "Training data",
        "Quantitative analyses",
        "Ethical considerations",
        "Caveats and recommendations",
    ]


@pytest.mark.parametrize("name", ["active", "smatika_vgg16", "lungcare_cnn4"])
def test_every_interval_is_shown(project, name):
    card = written(name)
    bounds = json.loads(Path("metrics/runs", name, "test/intervals.json").read_text())

    def leaves(values):
        if "low" in values:
            yield values
        else:
            for inner in values.values():
                yield from leaves(inner)

    for bound in leaves({key: value for key, value in bounds.items() if key != "confusion"}):
        assert f"({bound['low']:.4f}–{bound['high']:.4f})" in card
    for bound in leaves(bounds["confusion"]):
        assert f"({bound['low']:.1f}–{bound['high']:.1f})" in card


@pytest.mark.parametrize(
    ("path", "values", "text"),
    [
        ("metrics/runs/smatika_vgg16/test/metrics.json", {"accuracy": 0.123456}, "| accuracy | 0.1235 ("),
        ("metrics/runs/smatika_vgg16/test/metrics.json", {"parameters": 7654321}, "7,654,321 parameters"),
        ("metrics/runs/smatika_vgg16/train/metrics.json", {"best_epoch": 3}, "epoch 3 kept"),
        (
            "metrics/runs/smatika_vgg16/time.json",
            {"device": "NVIDIA H100"},
            "Trained on: NVIDIA H100, with 1 thread",
        ),
        ("metrics/preprocess/smatika_224.json", {"unreadable": 5}, "Unreadable images left out: 5"),
        ("metrics/split/smatika.json", {"dropped": {"duplicates": 77}}, "duplicates: 77 images"),
        ("metrics/shortcuts/pneumonia.json", {"images": 4321}, "on all 4,321 images"),
    ],
)
def test_a_card_says_what_the_files_say(project, path, values, text):
    assert text not in written()
    change(path, **values)
    assert text in written()


def test_leaks_are_those_of_the_files(project):
    card = written()
    assert "Bit-identical copies: 32 of 5,856 images" in card
    assert "datasets pneumonia and covid, in different archives: 0 bit-identical and 1,341 near" in card
    assert "| test | 24 | 0 | 3 | 5 | 7 |" in card
    assert "29.2% of the test images are known to leak" in card


def test_the_leakage_gap_is_that_of_the_records_then_of_the_workspace(project):
    _, recorded, own = re.split(r"^(?:Records, on real X-rays|This workspace): ", written(), flags=re.MULTILINE)
    assert recorded.startswith("3 seeds each, made up.\n")
    assert "| accuracy | 0.9000 | 0.8000 | 0.1000 (0.0200–0.1800) |" in recorded
    assert own.startswith("one seed each, made up.\n")
    assert "| accuracy | 0.9000 | 0.7000 | 0.2000 |" in own
    assert "Over 3 recorded seeds its accuracy was 0.1000 (0.0200–0.1800) above" in own
    assert "| 0.1000 (0.0200–0.1800): 3 seeds each, made up |" in written("README")


@pytest.mark.parametrize("name", ["smatika_resnet50v2", "active"])
def test_without_a_record_there_is_no_recorded_gap(project, name):
    card = written(name)
    assert "Records, on real X-rays" not in card and "recorded seeds" not in card
    assert ("one seed each, made up" in card) is (name != "active")
    (row,) = [line for line in written("README").splitlines() if f"[{name}]" in line]
    assert row.endswith("| no record |")


def test_a_gap_that_may_be_none_is_no_caveat(project):
    found = json.loads(Path("metrics/leakage_gap.json").read_text())
    found["records"]["smatika_vgg16"]["metrics"]["accuracy"]["low"] = -0.01
    Path("metrics/leakage_gap.json").write_text(json.dumps(found))
    assert "recorded seeds" not in written()


def test_verdicts_are_counted_and_contradictions_shown(project):
    card = written("smatika_resnet50v2")
    assert "| contradictory | 1 | 0 |" in card  # the accuracy is in the table above
    assert "| as specified | 0 | 1 |" in card
    assert card.count("precision \\| recall give 0.9703") == 1
    assert "test.classes.PNEUMONIA.f1 0.9705 (Section 4), test.accuracy 0.97 (Section 4)\n  - precision" in card
    assert "0.9703\n  - a sum; with 250 images the two are one\n" in card
    assert "No publication has numbers for this run" in written("active")


def test_a_card_has_each_published_row_of_its_training_and_each_reading_that_was_run(project):
    card = written("smatika_vgg16")
    start = "| smatika_vgg16 | as stated | 0.92 (0.85–0.96) | 5 | 0.5 (0.4–0.6) | not reproduced | outside the 95%"
    assert start in card
    assert (
        "| smatika_vgg16 | own preprocessing | 0.92 (0.85–0.96) | 3 | 0.91 (0.82–0.99) | reproduced | in the 95%"
        in card
    )
    assert "| smatika_resnet50v2 | as stated | 0.97 (0.91–0.99) | 1 | 0.9 | contradictory |" in written(
        "smatika_resnet50v2"
    )
    card = written("lungcare_cnn4")
    assert (
        "| lungcare_cnn4 | as stated | 0.87 (0.84–0.89) | 0 | – | not run | \\`rontgen reproduce lungcare_cnn4\\` |"
        in card
    )
    assert "| lungcare_b32_s240 | as stated | 0.91 (0.88–0.93) | 0 | – | contradictory | the sums below |" in card
    assert "copies on both sides" not in card


def test_settings_are_those_of_the_run_with_the_profile_applied(project):
    card = written("lungcare_b8_s480")
    assert "| train.batch_size | 8 |" in card
    assert "| train.epochs | 3 |" in card
    assert "| image.size | 69 |" in card
    assert "| split.on_shortage | shrink |" in card
    assert "| models.cnn4.layers | 4 |" in card


def test_both_pinned_versions_of_a_package_are_given(project):
    card = written()
    assert "| keras | 3.15.1 |" in card
    assert "| numpy | 2.4.6 where python_full_version < '3.12', 2.5.5 where python_full_version >= '3.12' |" in card


def test_a_card_is_no_licence_to_diagnose(project):
    assert written().count("This is no medical device and must not be used for diagnosis") == 2


def test_a_card_of_the_demo_profile_warns_at_its_top(project, change_params):
    warning = "the images are drawn phantoms, and no number in this card says anything about patients"
    assert written().index(warning) < 150
    change_params({"profile": "paper"})
    assert "phantom" not in written()


def test_a_model_no_better_than_the_largest_class_is_called_so(project):
    assert "not shown to be better" not in written()
    change("metrics/runs/smatika_vgg16/test/metrics.json", majority_accuracy=0.99)
    assert "not shown to be better than naming the largest class" in written()


@pytest.mark.parametrize(
    ("name", "text"), [("smatika_vgg16", "chose the epoch kept"), ("pirngadi_simple_rnn", "chose nothing")]
)
def test_what_the_validation_images_were_for(project, name, text):
    assert text in written(name)


def test_images_made_by_smote_are_counted(project):
    change("metrics/runs/pirngadi_simple_rnn/train/metrics.json", train_images=31)
    assert "saw 31 training\nimages, 7 of them made by SMOTE from training images" in written("pirngadi_simple_rnn")
    assert "made by SMOTE" not in written("smatika_vgg16")


def test_what_time_it_took_changes_nothing(project):
    before = {
        path.name: (model_cards.write_cards(TITLES), path.read_bytes()) for path in sorted(Path("cards").glob("*"))
    }
    change("metrics/runs/smatika_vgg16/time.json", seconds=99.9, images_per_second=0.1)
    assert before == {
        path.name: (model_cards.write_cards(TITLES), path.read_bytes()) for path in sorted(Path("cards").glob("*"))
    }


def test_a_class_name_cannot_break_a_table_or_become_html(project):
    path = Path("params.yaml")
    path.write_text(path.read_text().replace("PNEUMONIA", "P|<b>*x*"))
    finished_project.write_results()
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(written())
    assert "<td>P|&lt;b&gt;*x*</td>" in html
    assert "<b>" not in html and "<em>" not in html


def test_tables_have_as_many_cells_in_each_row(project):
    for name in ("active", "lungcare_cnn4"):
        for table in re.findall(r"(?:^\|.*\n)+", written(name), re.MULTILINE):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
            assert len(widths) == 1, table


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("metrics/runs/smatika_vgg16/test/metrics.json", "dvc repro reported_evaluate@smatika_vgg16"),
        ("metrics/runs/smatika_vgg16/test/intervals.json", "dvc repro reported_evaluate@smatika_vgg16"),
        ("metrics/runs/active/train/metrics.json", "dvc repro train"),
        ("metrics/leakage.json", "dvc repro leakage"),
        ("metrics/claims.csv", "dvc repro compare"),
        ("metrics/endpoints.csv", "dvc repro compare"),
        ("metrics/shortcuts/lungs.json", "dvc repro shortcuts@lungs"),
    ],
)
def test_a_missing_file_is_named_with_its_command(project, path, command):
    Path(path).unlink()
    with pytest.raises(RontgenError, match=f"{path} not found: run `{command}` first"):
        model_cards.write_cards(TITLES)
    assert not Path("cards").exists()


@pytest.mark.parametrize("number", ["brier_score", "parameters"])
def test_a_missing_number_is_named_with_its_run(project, number):
    path = Path("metrics/runs/smatika_vgg16/test/metrics.json")
    values = json.loads(path.read_text())
    del values[number]
    path.write_text(json.dumps(values))
    with pytest.raises(RontgenError, match=rf"smatika_vgg16: .*{number}.*run `dvc repro --force evaluate"):
        model_cards.write_cards(TITLES)


def test_a_damaged_file_is_named(project):
    Path("metrics/leakage_gap.json").write_text("{")
    with pytest.raises(RontgenError, match=r"leakage_gap.json: expected JSON, .* `dvc repro leakage_gap` again"):
        model_cards.write_cards(TITLES)


def test_the_card_of_a_run_that_is_no_more_is_removed(project):
    Path("cards").mkdir()
    Path("cards/smatika_vgg19.md").write_text("old")
    model_cards.write_cards(TITLES)
    assert not Path("cards/smatika_vgg19.md").exists()


def test_a_card_names_the_paper_of_its_study(project):
    assert '- Study: `smatika`, after "The paper of smatika". Where' in written("smatika_vgg16")
    assert "- Study: none." in written("active")


def test_the_card_of_a_run_without_leaks_names_the_paper_too(project):
    values, name = json.loads(Path("params.yaml").read_text()), "smatika_vgg16_leakfree"
    values["reported"][name] = params.load(ROOT / "params.yaml").reported[name].model_dump()
    Path("params.yaml").write_text(json.dumps(values))
    finished_project.write_results()
    leakfree = (
        '- Study: `smatika_leakfree`, after "The paper of smatika", on a split without shared patients and copies.'
    )
    assert leakfree in written(name)
