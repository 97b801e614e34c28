"""What a stage declares in dvc.yaml is what it uses: each kind of stage is run under an audit (tools/audit.py).

The stages of a foreach group share one template and one script, so a few of each group represent it. DVC itself
resolves the templates. Exceptions are listed in UNDECLARED, UNUSED and SELDOM_READ; beyond them:

- A template lists its keys for every entry of its group, and an entry need not use them all: only the policy `balanced`
  uses `counts`, only SMOTE its seed. So a declared key must be read by some stage of its kind, active or reported.
- The active train declares the whole folder of models, since `-S model=` may name any family; no file in it counts as
  unused.
- The stages of WHOLE_SECTIONS, a few seconds each, read part of every entry and declare whole sections, or files.
- The stages of TWICE run once with the demo's archives and once with files put by hand; both runs count together.
- `patients`, which is frozen, runs on a drawn archive in the place of the real one; `error_rates` simulates less.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from conftest import ROOT, copy_pipeline, leaves
from rontgen.core import params
from rontgen.data import archives

AUDITED = [
    "check",
    "inputs",
    "weights@vgg16",
    "weights@random",
    "download@pneumonia",
    "download@lungs",
    "split",
    "preprocess",
    "balance",
    "initial_weights",
    "train",
    "evaluate",
    "reported_split@smatika",
    "reported_preprocess@smatika_224",
    "reported_balance@smatika_224",
    "reported_train@smatika_vgg16",
    "reported_split@lungcare",
    "reported_preprocess@lungcare_240",
    "reported_balance@lungcare_240",
    "reported_train@lungcare_b8_s240",
    "reported_split@pirngadi",
    "reported_preprocess@pirngadi_150",
    "reported_balance@pirngadi_150",
    "reported_train@pirngadi_simple_rnn",
    "reported_evaluate@pirngadi_simple_rnn",
    "near_duplicates@pneumonia",
    "shortcuts@pneumonia",
    "reported_split@smatika_leakfree",
    "leakage",
    "compare",
    "error_rates",
    "patients",
]
# Files that a stage may open although they are neither dependencies nor outputs
UNDECLARED = [
    (".*", r"params\.yaml|studies/[^/]+/protocol\.yaml"),  # their keys are declared instead
    ("check", r"dvc\.yaml"),  # it looks there for the studies of that folder, on which it depends
    (".*", r".*\.(py|pyc)"),  # imported modules are declared; sys.modules lists them
    (
        "(download|weights)@.*|.*preprocess.*|initial_weights",
        r"data/archives/.*",
    ),  # what a person put there: `inputs` lists it with its SHA-256
    ("patients", r"data/archives/.*"),  # the page that it writes has the SHA-256
    (".*train.*", r"\.git/.*|\.gitignore|\.dvc/.*|\.dvcignore|dvc\.yaml"),  # DVCLive looks where it runs
    (".*train.*", r"models/resume/.*"),  # of a killed training; gone when the stage ends
]
TWICE = {"inputs", "weights", "initial_weights", "download", "preprocess"}
# Not read, but it must exist first, as proof that the settings are valid
UNUSED = {stage: {"data/checked"} for stage in ("inputs", "split")}
# The miniature, which one dataset alone has
UNUSED |= {f"download@{dataset}": {"data/demo"} for dataset in ("covid", "lungs")}
UNUSED |= {stage: {"data/demo"} for stage in AUDITED if "preprocess" in stage}
# Declared for the profile paper: it alone checks counts, and freezes layers of a model with ImageNet weights. And for
# studies that make images from test images, which no split without leaks allows
SELDOM_READ = {
    "split": {"datasets.*.check_counts"},
    # of which archive there are full-size files, chest_xray, is fixed in the code
    "preprocess": {"datasets.*.archives.siim_pneumothorax", "datasets.*.archives.tb_radiography"},
    "balance": {"splits.*.list"},
    "train": {"models.*.unfrozen_layers"},
}
# Read and not declared: the settings hold it to the dataset of the image set, which is declared
SAME = {"preprocess": {"splits.*.dataset", "image_sets.*.split"}}
# Folders that hold the outputs of all stages of a kind
GATHERED = {"data/near_duplicates", "data/split", "data/inputs/archives", "data/inputs/weights"}
WHOLE_SECTIONS = {"check", "inputs", "compare", "initial_weights"}
# leakage reads the names of datasets and splits alone, which its folders have too
WITHOUT_SETTINGS = {"error_rates", "leakage"}
# It makes no difference to a model without a backbone
UNREAD = {"initial_weights": {"profiles.demo.train.pretrained"}}

# No stage declares a package's module that holds only a docstring
ROOMS = {
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "src").rglob("__init__.py")
    if len(ast.parse(path.read_text()).body) == 1
}

# A stage imports the sources beside it
PYTHON = "PYTHONPATH=src python "

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the repository with the smallest possible demo and an active run that uses everything it can."""
    folder = tmp_path_factory.mktemp("declarations") / "rontgen"
    copy_pipeline(folder)
    shutil.copytree(ROOT / "results", folder / "results", ignore=shutil.ignore_patterns("seed-[!1]", "seed-1?"))
    # DVCLive asks git for the last commit
    for command in (["init", "-q"], ["commit", "-qm", "start", "--allow-empty"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    values = params.read_yaml(folder / "params.yaml")
    values |= {"model": "cnn1", "balance": "smote"}
    values["train"] |= {
        "epochs": 1,
        "fine_tune": {"epochs": 1, "learning_rate": 0.001},
        "early_stopping": {"monitor": "val_loss", "patience": 1},
        "reduce_lr_on_plateau": {"factor": 0.5, "patience": 1},
    }
    demo = values["profiles"]["demo"]
    demo["download"]["image_size"] = 32
    demo["split"]["max_per_class"] = {"train": 24, "validation": 12, "test": 8}
    demo["train"]["max_epochs"] = 1
    write_params(folder, values)
    simulation = folder / "analyses/error_rates.py"
    assert "\nRUNS = 20_000\n" in simulation.read_text()
    simulation.write_text(simulation.read_text().replace("\nRUNS = 20_000\n", "\nRUNS = 20\n"))
    return folder


@pytest.fixture(scope="module")
def declared(project):
    """For each stage: its cmd, deps, outs, params by file, resolved; and the keys that its template has as `${…}`."""
    code = """
import json
from dvc.repo import Repo
stages = {}
for stage in Repo(".").index.stages:
    stages[stage.addressing] = {
        "cmd": stage.cmd,
        "deps": [dep.def_path for dep in stage.deps if not hasattr(dep, "params")],
        "params": {dep.def_path: list(dep.params) for dep in stage.deps if hasattr(dep, "params")},
        "outs": [out.def_path for out in stage.outs],
        "interpolated": [key for keys in stage.tracked_vars.values() for key in keys],
    }
print(json.dumps(stages))
"""
    return json.loads(run(project, ["-c", code]).stdout)


@pytest.fixture(scope="module")
def findings(project, declared):
    """What each audited stage opened, imported and read."""
    last = AUDITED.index("leakage")
    found = audit(project, declared, AUDITED[:last])
    for stage in AUDITED[last:]:
        prepare(stage, project, declared)
        found |= audit(project, declared, [stage])
    values = params.read_yaml(project / "params.yaml")
    put_by_hand(project)
    # but of lungcare, whose split is of another archive with the name of pneumonia's
    again = [stage for stage in AUDITED if kind(stage) in TWICE and "lungcare" not in stage]
    for out in [out for stage in again for out in declared[stage]["outs"]]:  # as DVC does before it runs a stage
        shutil.rmtree(project / out) if (project / out).is_dir() else (project / out).unlink()
    for stage, more in audit(project, declared, again).items():
        found[stage] = {what: found[stage][what] + more[what] for what in more}
    write_params(project, values)
    return found


def put_by_hand(project):
    """Put archives and weights in place, and change the settings so that they are used."""
    folder = project / "data/archives"
    for archive in (project / "data/raw").glob("*/*.zip"):
        shutil.copy(archive, folder)
    weights = folder / "vgg16.weights.h5"
    weights.write_text("stands for weights")
    values = params.read_yaml(project / "params.yaml")
    values["profiles"]["demo"]["download"]["source"] = "kaggle"
    values["profiles"]["demo"]["train"]["pretrained"] = True
    values["backbones"]["vgg16"]["sha256"] = archives.sha256(weights)
    write_params(project, values)


def write_params(folder, values):
    (folder / "params.yaml").write_text(json.dumps(values))  # which is YAML too


def prepare(stage, project, declared):
    """Provide the input of a stage at the end of the pipeline."""
    if stage == "leakage":
        for other in declared:
            if re.match(r"download|near_duplicates|(reported_)?split", other) and other not in AUDITED:
                run(project, declared[other]["cmd"].removeprefix(PYTHON).split())
    if stage == "patients":
        path = project / declared[stage]["cmd"].split()[-1]
        shutil.copy(project / "data/raw/pneumonia" / path.name, path)


def audit(folder, declared, stages):
    """What each of the stages opened, imported and read."""
    path = folder.parent / "findings.json"
    run(folder, [ROOT / "tools/audit.py", path, *(declared[stage]["cmd"].removeprefix(PYTHON) for stage in stages)])
    return dict(zip(stages, json.loads(path.read_text()), strict=True))


def run(folder, arguments):
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, *map(str, arguments)]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)
    assert result.returncode == 0, f"{command}\n{result.stderr}"
    return result


def kind(stage):
    """`train` for train, reported_train@smatika_vgg16, …"""
    return stage.removeprefix("reported_").partition("@")[0]


def covers(declared, path):
    return path == declared or path.startswith(f"{declared}/")


def below(key, of):
    return key == of or key.startswith(f"{of}.")


def anywhere(key):
    """A key without the name of its entry, and a study's key as the active run has it: `split.seed`."""
    key = re.sub(r"^(profiles|datasets|backbones|models|studies|splits|image_sets|runs)\.[^.]+", r"\1.*", key)
    return key.removeprefix("studies.*.")


def final(path):
    """`path` with the name of the output in place of its temporary one (see rontgen.core.io.replacing)."""
    return re.sub(r"/\.([^/]+)\.\w{8}\.partial/[^/]+", r"/\1", path)


def test_a_stage_of_every_group_is_audited(declared):
    assert {stage.partition("@")[0] for stage in AUDITED} == {stage.partition("@")[0] for stage in declared}


@pytest.mark.parametrize("stage", AUDITED)
def test_what_a_stage_opens_is_declared(stage, declared, findings):
    allowed = declared[stage]["deps"] + declared[stage]["outs"]
    opened = {final(path) for path in findings[stage]["opened"] + findings[stage]["fingerprinted"]}
    undeclared = {path for path in opened if not any(covers(item, path) for item in allowed)}
    patterns = [path for stages, path in UNDECLARED if re.fullmatch(stages, stage)]
    assert {path for path in undeclared if not any(re.fullmatch(pattern, path) for pattern in patterns)} == set()


@pytest.mark.parametrize("stage", AUDITED)
def test_what_a_stage_imports_is_declared(stage, declared, findings):
    modules = set(findings[stage]["modules"]) - ROOMS
    assert {path for path in modules if not any(covers(item, path) for item in declared[stage]["deps"])} == set()


@pytest.mark.parametrize("stage", AUDITED)
def test_what_a_stage_depends_on_is_used(stage, declared, findings):
    data = {path for path in findings[stage]["opened"] if not (path.startswith("src/") and path.endswith(".py"))}
    used = data | set(findings[stage]["modules"])
    unused = {item for item in declared[stage]["deps"] if not any(covers(item, path) for path in used)}
    assert unused == UNUSED.get(stage, set())


def test_a_folder_that_a_stage_depends_on_is_one_output(project, declared, findings):
    folders = {item for stage in AUDITED for item in declared[stage]["deps"] if (project / item).is_dir()}
    folders -= {out for stage in declared.values() for out in stage["outs"]}
    packages = {folder for folder in folders if folder.startswith("src/rontgen/")}
    assert folders - packages == {"data/archives", "data/demo", "results", "studies"} | GATHERED
    trained = {dep for stage in declared if kind(stage) == "train" for dep in declared[stage]["deps"]}
    assert trained & packages == {"src/rontgen/core", "src/rontgen/models", "src/rontgen/training"}
    assert [stage for stage in declared if "src/rontgen/models" in declared[stage]["deps"]] == ["train"]


@pytest.mark.parametrize("stage", AUDITED)
def test_the_params_that_a_stage_reads_are_declared(stage, project, declared, findings):
    assert findings[stage]["params"] or stage in WHOLE_SECTIONS | WITHOUT_SETTINGS, "the audit saw nothing"
    undeclared = set()
    for key in findings[stage]["params"]:
        file = params.file_of(key, project).as_posix()
        of_file = declared[stage]["params"].get(file, ())
        whole = any(covers(item, file) for item in declared[stage]["deps"])  # which declares all of its keys
        same = of_file and anywhere(key) in SAME.get(kind(stage), ())
        if not (whole or same or key in declared[stage]["interpolated"] or any(below(key, item) for item in of_file)):
            undeclared.add(f"{file}:{key}")
    assert undeclared == set()


@pytest.mark.parametrize("stage", [stage for stage in AUDITED if stage not in WHOLE_SECTIONS])
def test_the_params_that_a_stage_declares_are_read(stage, project, declared, findings):
    alike = [other for other in AUDITED if kind(other) == kind(stage)]
    read = {anywhere(key) for other in alike for key in findings[other]["params"]}
    interpolated = {anywhere(key) for key in declared[stage]["interpolated"]}
    keys = []
    for file, declarations in declared[stage]["params"].items():
        of_file = leaves(params.read_yaml(project / file))
        for declaration in declarations:
            found = [key for key in of_file if below(key, declaration)]
            assert found, f"{file} has no {declaration}"
            keys += found
    # a null or empty section counts as everything that it could contain
    unread = {key for key in map(anywhere, keys) if not any(below(key, r) or below(r, key) for r in read)}
    assert unread - interpolated <= SELDOM_READ.get(kind(stage), set())


@pytest.mark.parametrize("stage", sorted(WHOLE_SECTIONS))
def test_of_a_section_that_a_stage_declares_whole_it_reads_some(stage, declared, findings):
    sections = {section for declarations in declared[stage]["params"].values() for section in declarations}
    read = findings[stage]["params"]
    unread = {section for section in sections if not any(below(key, section) for key in read)}
    assert unread == UNREAD.get(stage, set())
