"""Exactly the changed stages: for each key of params.yaml, module and script, the stages that a change makes run again.

What DVC would do is computed from its own index, and that computation is compared with `dvc repro --dry` on a few
changes of every sort. What it should do is written here, by hand: RULES, MODULES and `expected_parents`. "Directly"
means: because of the change itself. Of the stages below those, DVC then runs again what has inputs that differ.

The profile is `demo` as shipped, so nothing of the profile `paper` makes a stage run.
"""

import fnmatch
import json
import shutil
import subprocess
import warnings
from contextlib import chdir, contextmanager
from pathlib import Path

import networkx
import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
PARAMS = YAML(typ="safe").load(ROOT / "params.yaml")
STUDIES, VIEWS, REPORTED = PARAMS["studies"], PARAMS["views"], PARAMS["reported"]


def studies_of(dataset):
    """The studies of a dataset, and `active` where the active run is on it."""
    return [study for study in STUDIES if STUDIES[study]["dataset"] == dataset] + (
        ["active"] if PARAMS["dataset"] == dataset else []
    )


def views_of(*studies):
    views = [view for view in VIEWS if VIEWS[view]["study"] in studies]
    return views + (["active"] if "active" in studies else [])


def runs_of(*studies):
    return [run for run in REPORTED if REPORTED[run]["study"] in studies] + (["active"] if "active" in studies else [])


def runs_with(model):
    return [run for run in REPORTED if REPORTED[run]["model"] == model] + (
        ["active"] if PARAMS["model"] == model else []
    )


TWIN = "leakfree/dvc.yaml:"


def stages(kind, names):
    """The stages of the active run, of reported ones, and of their leak-free twins."""
    reported = [name for name in names if name != "active"]
    own = {kind if name == "active" else f"paper_{kind}@{name}" for name in names}
    return own | {f"{TWIN}{kind}@{name}" for name in reported}


DOWNLOADS = {f"download@{dataset}" for dataset in PARAMS["datasets"]}
WEIGHTS = {f"weights@{model}" for model in PARAMS["models"]}
FINGERPRINTS = {f"fingerprint@{dataset}" for dataset in PARAMS["datasets"]}
SHORTCUTS = {f"shortcuts@{dataset}" for dataset in PARAMS["datasets"]}
SPLITS = stages("split", ["active", *STUDIES])
PREPROCESSES = stages("preprocess", ["active", *VIEWS])
BALANCES = stages("balance", ["active", *VIEWS])
TRAINS = stages("train", ["active", *REPORTED])
EVALUATES = stages("evaluate", ["active", *REPORTED])
EVIDENCE = {"leakage", "leakage_gap", "compare", "cards"}
OF_THE_ACTIVE_RUN = {"split", "preprocess", "balance", "train", "evaluate"}
DATA = {"inputs"} | DOWNLOADS | WEIGHTS | FINGERPRINTS | SHORTCUTS | SPLITS | PREPROCESSES | BALANCES
ALL = DATA | TRAINS | EVALUATES | EVIDENCE
# Stages of a second or two that read something of every entry: they declare whole sections
WHOLE_SECTIONS = {
    "inputs": ("datasets", "models"),
    "leakage": ("dataset", "datasets", "studies"),
    "leakage_gap": ("reported",),
    "compare": ("datasets", "models", "studies", "views", "reported"),
    "cards": tuple(PARAMS),  # the whole file
}


def of_whole_sections(key):
    return {
        stage for stage, sections in WHOLE_SECTIONS.items() if f"{key}.".startswith(tuple(f"{s}." for s in sections))
    }


def rules():
    """Pattern of keys, and the stages that a change of one runs again directly. The first pattern that fits counts.
    Those of WHOLE_SECTIONS come on top."""
    yield "profile", ALL - BALANCES - SHORTCUTS - {"leakage"}
    # the active run
    yield "dataset", {"split", "preprocess", "train", "evaluate"}
    yield "split.seed", {"split", "balance"}  # SMOTE's too
    yield "split.*", {"split"}
    yield "image.size", {"preprocess"}
    yield "image.*", {"train"}
    yield "balance", {"balance"}
    yield "model", {"train"}
    yield "augment.*", {"train"}
    yield "train.*", {"train"}
    # profiles
    yield "profiles.demo.threads", TRAINS | EVALUATES
    yield "profiles.demo.download.source", DOWNLOADS | {"inputs"}
    yield "profiles.demo.download.*", DOWNLOADS
    yield "profiles.demo.split.*", SPLITS
    yield "profiles.demo.preprocess.max_unreadable", PREPROCESSES | FINGERPRINTS
    yield "profiles.demo.preprocess.*", PREPROCESSES
    yield "profiles.demo.train.pretrained", WEIGHTS | {"inputs"}
    yield "profiles.demo.train.*", TRAINS
    yield "profiles.paper.*", set()
    for dataset in PARAMS["datasets"]:
        studies = studies_of(dataset)
        splits, fingerprint = stages("split", studies), {f"fingerprint@{dataset}"}
        yield f"datasets.{dataset}.archives.*", splits | fingerprint | {f"download@{dataset}"}
        runs = runs_of(*studies)
        users = stages("train", runs) | stages("evaluate", runs)
        yield f"datasets.{dataset}.classes", splits | users | {f"shortcuts@{dataset}"}
        yield f"datasets.{dataset}.median_widths.*", set()  # `rontgen reproduce` compares with them
        # counts: acted on in the paper profile alone, but the templates cannot tell
        yield f"datasets.{dataset}.*", splits | fingerprint
    yield "backbones.*", WEIGHTS
    for model in PARAMS["models"]:
        trains = stages("train", runs_with(model))
        yield f"models.{model}.backbone", trains | {f"weights@{model}"}
        yield f"models.{model}.weights", trains | {f"weights@{model}"}
        yield f"models.{model}.*", trains
    for study in STUDIES:
        views, runs = views_of(study), runs_of(study)
        split, trains = stages("split", [study]), stages("train", runs)
        where = split | stages("preprocess", views) | trains | stages("evaluate", runs)
        yield f"studies.{study}.dataset", where
        yield f"studies.{study}.split.seed", split | stages("balance", views)
        yield f"studies.{study}.split.*", split
        yield f"studies.{study}.balance", stages("balance", views)
        yield f"studies.{study}.image.*", trains
        yield f"studies.{study}.augment*", trains
        yield f"studies.{study}.train.*", trains
    for view in VIEWS:
        runs = [run for run in REPORTED if REPORTED[run]["view"] == view]
        preprocess = stages("preprocess", [view])
        users = stages("train", runs) | stages("evaluate", runs)
        yield f"views.{view}.study", preprocess | stages("balance", [view]) | users
        yield f"views.{view}.*", preprocess
    for run in REPORTED:
        train, evaluate = stages("train", [run]), stages("evaluate", [run])
        yield f"reported.{run}.study", train | evaluate
        yield f"reported.{run}.view", train | evaluate
        yield f"reported.{run}.dataset", train | evaluate
        yield f"reported.{run}.*", train


def modules():
    """Each file of code and of published numbers, and the stages that a change of it runs again directly."""
    for name, group in {
        "inputs": {"inputs"},
        "download": DOWNLOADS,
        "weights": WEIGHTS,
        "fingerprint": FINGERPRINTS,
        "shortcuts": SHORTCUTS,
        "split": SPLITS,
        "preprocess": PREPROCESSES,
        "balance": BALANCES,
        "train": TRAINS,
        "evaluate": EVALUATES,
        "leakage": {"leakage"},
        "leakage_gap": {"leakage_gap"},
        "compare": {"compare"},
        "cards": {"cards"},
    }.items():
        yield f"stages/{name}.py", group
    prints = FINGERPRINTS | SHORTCUTS | {"leakage"}
    drawn = {stage for stage in BALANCES | EVALUATES if not stage.startswith(TWIN)}
    verdicts = "arithmetic claims claims_figure claims_shown compare descriptions endpoints holdings papers replication"
    for names, group in {
        "__init__": set(),  # holds a docstring alone
        "__main__ cli clones diff provenance report reproduce scale": set(),
        "dicom export familiarity other_pictures predict reader runtimes": set(),
        "app/__init__ app/__main__ app/drawing app/gate app/pages app/server": set(),
        "archives": {"inputs"} | DOWNLOADS | WEIGHTS | SPLITS | PREPROCESSES | prints,
        "augment batches callbacks distribution training": TRAINS,
        "balance": BALANCES,
        "by_hand": {"inputs"} | DOWNLOADS | WEIGHTS,
        "cards": {"cards"},
        verdicts: {"compare"},
        "data_figures": drawn & BALANCES,
        "datasets": PREPROCESSES | BALANCES | TRAINS | EVALUATES | {"leakage"},
        "errors files params": ALL,
        "evaluation proportions": EVALUATES | SHORTCUTS | {"leakage_gap", "compare"},
        "figures": drawn | SHORTCUTS | {"leakage", "leakage_gap"},
        "fingerprints": prints,
        "gradcam": drawn & EVALUATES,
        "images": PREPROCESSES | prints,
        "intervals resampling": EVALUATES | SHORTCUTS,
        "kaggle_source phantom synthetic": DOWNLOADS,
        "layouts manifests splits": SPLITS | FINGERPRINTS,
        "leakage": {"leakage"},
        "leakage_gap": {"leakage_gap"},
        "model_files": EVALUATES,
        "models/__init__ models/blocks": TRAINS | WEIGHTS,
        "pretrained": WEIGHTS,
        "records": {"compare", "leakage_gap"},
        "reproducibility": TRAINS | EVALUATES,
        "runs": ALL - {"inputs"},
        "shortcuts": SHORTCUTS,
    }.items():
        yield from ((f"src/rontgen/{name}.py", group) for name in names.split())
    for family in ("cnn", "recurrent", "transfer"):
        # and the active run, whatever its model: `-S model=` may name any family
        runs = ["active"] + [run for run in REPORTED if REPORTED[run]["family"] == family]
        yield f"src/rontgen/models/{family}.py", stages("train", runs)
    yield "papers.yaml", {"compare"}
    yield "requirements.txt", {"cards"}


def expected_parents(stage):
    """The stages whose outputs a stage reads, as the head of dvc.yaml draws them."""
    reported = stages("evaluate", REPORTED)
    papers = {evaluate for evaluate in reported if evaluate.startswith("paper_")}
    ends = {
        "inputs": set(),
        "leakage": FINGERPRINTS | SPLITS,
        "leakage_gap": reported,
        "compare": papers | {f"paper_train@{run}" for run in REPORTED},
        "cards": SHORTCUTS
        | EVIDENCE - {"cards"}
        | {s for s in ALL for kind in CARDS_READ if s in (kind, f"paper_{kind}") or s.startswith(f"paper_{kind}@")},
    }
    if stage in ends:
        return ends[stage]
    group, _, name = stage.partition("@")
    twin, kind = group.startswith(TWIN), group.removeprefix("paper_").removeprefix(TWIN)
    name = name or "active"

    def alike(kind, name):
        """The stage of this kind that belongs to the same pipeline."""
        return {f"{TWIN}{kind}@{name}"} if twin else stages(kind, [name]) - {f"{TWIN}{kind}@{name}"}

    if kind in ("download", "weights"):
        return {"inputs"}
    if kind == "fingerprint":
        return {f"download@{name}"}
    if kind == "shortcuts":
        return {f"fingerprint@{name}"}
    if kind == "split":
        datasets = [dataset for dataset in PARAMS["datasets"] if name in studies_of(dataset)]
        return {f"{parent}@{dataset}" for dataset in datasets for parent in ["download", "fingerprint"][: 1 + twin]}
    view = name if kind in ("preprocess", "balance") or name == "active" else REPORTED[name]["view"]
    study = "active" if view == "active" else VIEWS[view]["study"]
    model = PARAMS["model"] if name == "active" else REPORTED.get(name, {}).get("model")
    split, preprocess = alike("split", study), alike("preprocess", view)
    return {
        "preprocess": split | {f"download@{dataset}" for dataset in PARAMS["datasets"] if study in studies_of(dataset)},
        "balance": split | preprocess,
        "train": split | preprocess | alike("balance", view) | {f"weights@{model}"},
        "evaluate": split | preprocess | alike("train", name),
    }[kind]


CARDS_READ = ("split", "preprocess", "train", "evaluate")


def leaves(value, key=""):
    if not isinstance(value, dict) or not value:
        return [key]
    return [leaf for name, child in value.items() for leaf in leaves(child, f"{key}.{name}" if key else name)]


KEYS = leaves(PARAMS)


class Index:
    """What DVC makes of dvc.yaml: the stages with what they declare, and their graph."""

    def __init__(self, repo):
        # the exports, which `make repro` does not run, have no stage below them; tests/test_declarations.py audits them
        self.stages = [stage for stage in repo.index.stages if not stage.addressing.startswith("exports/")]
        self.graph = repo.index.graph.subgraph(self.stages)  # from a stage to those that it reads from

    def parents(self, stage):
        return {parent.addressing for parent in self.graph.successors(stage)}

    def stale_by_key(self, key):
        """A key is declared, or above or below one that is; or it stands as `${…}` in what is declared."""
        return {
            stage.addressing
            for stage in self.stages
            if any(key in keys for keys in stage.tracked_vars.values())
            or any(
                f"{key}.".startswith(f"{declared}.") or f"{declared}.".startswith(f"{key}.")
                for dep in stage.deps
                if dep.def_path == "params.yaml"
                for declared in getattr(dep, "params", None) or [key]  # without a list it is the whole file
            )
        }

    def stale_by_file(self, path):
        return {
            stage.addressing
            for stage in self.stages
            if any(path == dep.def_path or path.startswith(f"{dep.def_path}/") for dep in stage.deps)
        }

    def with_all_below(self, names):
        chosen = [stage for stage in self.stages if stage.addressing in names]
        below = {stage for start in chosen for stage in networkx.ancestors(self.graph, start)}
        return {stage.addressing for stage in below} | set(names)


@pytest.fixture(scope="module")
def index():
    with opened(ROOT) as repo:
        return Index(repo)


@contextmanager
def opened(folder):
    with chdir(folder), warnings.catch_warnings(), Repo() as repo:
        warnings.simplefilter("ignore", DeprecationWarning)  # DVC's own, of pygtrie
        yield repo


def test_every_key_of_params_has_its_stages(index):
    table = list(rules())
    wrong = {}
    for key in KEYS:
        expected = next((group for pattern, group in table if fnmatch.fnmatchcase(key, pattern)), None)
        assert expected is not None, f"no rule for {key}"
        expected = expected | of_whole_sections(key)
        found = index.stale_by_key(key)
        if found != expected:
            wrong[key] = {"should, do not": sorted(expected - found), "do, should not": sorted(found - expected)}
    assert wrong == {}


def test_every_rule_is_of_a_key():
    assert [pattern for pattern, _ in rules() if not fnmatch.filter(KEYS, pattern)] == []


def test_every_module_and_script_has_its_stages(index):
    code = [path.relative_to(ROOT).as_posix() for folder in ("src", "stages") for path in (ROOT / folder).rglob("*.py")]
    expected = dict(modules())
    assert sorted(expected) == sorted([*code, "papers.yaml", "requirements.txt"])
    assert {path: index.stale_by_file(path) for path in expected} == expected


def test_stages_read_from_the_stages_that_they_should(index):
    assert {stage.addressing for stage in index.stages} == ALL
    parents = {stage.addressing: index.parents(stage) for stage in index.stages}
    assert parents == {stage: expected_parents(stage) for stage in ALL}


def test_a_corrected_published_number_trains_nothing(index):
    assert index.with_all_below(index.stale_by_file("papers.yaml")) == {"compare", "cards"}


@pytest.mark.parametrize("run", REPORTED)
def test_a_model_s_entry_retrains_only_the_runs_that_use_it(index, run):
    model = REPORTED[run]["model"]
    users = runs_with(model)
    expected = stages("train", users) | stages("evaluate", users) | {f"weights@{model}"} | EVIDENCE - {"leakage"}
    stale = index.stale_by_key(f"models.{model}")
    # of another model no list of `inputs` differs, and so nothing of its below runs
    assert index.with_all_below(stale - {"inputs"}) == expected


@pytest.mark.parametrize("key", ["dataset", "split", "image", "balance", "model", "augment", "train"])
def test_a_key_of_the_active_run_touches_no_reported_run(index, key):
    assert index.with_all_below(index.stale_by_key(key)) <= OF_THE_ACTIVE_RUN | {"leakage", "cards"}


# ---- the computation above against DVC itself

# Each is asked of DVC at once, which takes seconds to answer
CHANGES = [
    {"profile": "paper"},
    {"dataset": "covid", "profiles.paper.train.pretrained": False},
    {"train.fine_tune": {"epochs": 1, "learning_rate": 0.1}},
    {"model": "cnn1", "profiles.demo.preprocess.scale": 0.2},
    {"datasets.covid.classes": ["COVID", "NORMAL"], "studies.pirngadi.split.seed": 8},
    {"views.lungcare_480.study": "jitet", "reported.smatika_vgg16.family": "recurrent"},
    {"reported.lungcare_b8_s640.view": "lungcare_480"},
]


@pytest.fixture(scope="module")
def project(tmp_path_factory, index):
    """A repository where every stage is up to date: its outputs are stand-ins, and DVC was told that they are right."""
    folder = tmp_path_factory.mktemp("stale") / "rontgen"
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copytree(ROOT / "stages", folder / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    settings = (".dvc/config", ".dvcignore", "dvc.yaml", "params.yaml", "papers.yaml", "requirements.txt")
    for name in (*settings, "data/archives/.gitignore", "results/README.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "leakfree", folder / "leakfree", ignore=shutil.ignore_patterns("dvc.lock"))
    for stage in index.stages:
        listed = [dep.def_path for dep in stage.deps if dep.def_path.startswith("data/inputs/")]
        for name in [*(out.def_path for out in stage.outs), *listed]:
            path = folder / name
            path = path if path.suffix else path / "file"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    with opened(folder) as repo:
        repo.commit(force=True)
    assert would_run(folder) == set()
    return folder


def would_run(folder, **options):
    """What `dvc repro --dry --no-run-cache` names."""
    with opened(folder) as repo:
        return {stage.addressing for stage in repo.reproduce(dry=True, run_cache=False, **options)}


@pytest.fixture
def changed(project):
    """Replace a file of the project; afterwards it is as before."""
    before = {}

    def change(name, text):
        before[name] = (project / name).read_text()
        (project / name).write_text(text)

    yield change
    for name, text in before.items():
        (project / name).write_text(text)


@pytest.mark.slow
@pytest.mark.parametrize("changes", CHANGES, ids=" ".join)
def test_dvc_runs_what_the_index_says_for_keys(project, changed, index, changes):
    values = YAML(typ="safe").load(ROOT / "params.yaml")
    for key, value in changes.items():
        *parents, last = key.split(".")
        section = values
        for parent in parents:
            section = section[parent]
        assert section.get(last) != value
        section[last] = value
    changed("params.yaml", json.dumps(values))  # which is YAML too
    assert would_run(project) == set.union(*map(index.stale_by_key, changes))


@pytest.mark.slow
def test_dvc_runs_what_the_index_says_for_published_numbers(project, changed, index):
    changed("papers.yaml", (project / "papers.yaml").read_text() + "\n# changed\n")
    assert would_run(project) == index.stale_by_file("papers.yaml") == {"compare"}


@pytest.mark.slow
def test_dvc_runs_what_the_index_says_for_a_module(project, changed, index):
    path = "src/rontgen/models/cnn.py"
    changed(path, (project / path).read_text() + "\n# changed\n")
    stale = index.stale_by_file(path)
    assert would_run(project) == stale
    # dry, nothing is written, and so nothing below is seen to differ unless it is forced
    assert would_run(project, force_downstream=True) == index.with_all_below(stale)


def test_what_python_compiles_makes_no_stage_run():
    """`train` depends on the folder of the models."""
    with chdir(ROOT), Repo() as repo:
        assert repo.dvcignore.is_ignored_dir(str(ROOT / "src/rontgen/models/__pycache__"))
        assert not repo.dvcignore.is_ignored_dir(str(ROOT / "src/rontgen/models"))
