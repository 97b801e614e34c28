"""A change makes the stages that depend on it run again, and no training that does not.

What DVC would do is computed from its own index, and that computation is compared with `dvc repro --dry` on a few
changes of every kind. "Stale" means: because of the change itself. Of the stages downstream, DVC then runs again those
whose inputs differ. The profile is `demo` as shipped.
"""

import json
import subprocess
import warnings
from contextlib import chdir, contextmanager
from functools import cache
from pathlib import Path

import networkx
import pytest
from dvc.repo import Repo

from conftest import ROOT, copy_pipeline, leaves
from rontgen.core import params

PARAMS = params.read(ROOT / "params.yaml")
MODELS, BACKBONES, STUDIES, RUNS = (PARAMS[name] for name in ("models", "backbones", "studies", "runs"))

# They read all of the settings, or whole sections of them; each takes a second or two
GATHER = {"check", "inputs", "leakage", "compare"}
# They depend on the folder of the studies
OF_ALL_STUDIES = {"check", "compare"}
ACTIVE = {"split", "preprocess", "balance", "initial_weights", "train", "evaluate"}
TRAINS = {"train", *(f"reported_train@{run}" for run in RUNS)}


def runs_of(key, value):
    """The reported runs with this entry."""
    return [run for run, row in RUNS.items() if row[key] == value]


def trains(runs):
    return {f"reported_train@{run}" for run in runs}


def of_study(study):
    """The stages that belong to one study only."""
    kinds = {"splits": ["split"], "image_sets": ["preprocess", "balance"], "runs": ["train", "evaluate"]}
    return {
        f"reported_{kind}@{name}"
        for section in kinds
        for name, entry in PARAMS[section].items()
        if entry["study"] == study
        for kind in kinds[section]
    }


KEYS = leaves(PARAMS)


def file_of(key):
    """The path of the file that has a key, as dvc.yaml names it."""
    return _file_of_entry(".".join(key.split(".")[:2]))


@cache
def _file_of_entry(entry):
    return params.file_of(entry, ROOT).as_posix()


def keys_of(study):
    return [key for key in KEYS if file_of(key) == f"studies/{study}/protocol.yaml"]


def declared_params(stage, file):
    return [key for dep in stage.deps if dep.def_path == file for key in getattr(dep, "params", None) or ()]


class Index:
    """How DVC reads dvc.yaml: the stages that it runs, with what they declare, and their graph; and the frozen ones."""

    def __init__(self, repo):
        self.stages = [stage for stage in repo.index.stages if not stage.frozen]
        self.frozen = [stage for stage in repo.index.stages if stage.frozen]
        self.names = {stage.addressing for stage in self.stages}
        self.graph = repo.index.graph.subgraph(self.stages)  # from a stage to those that it reads from

    def stale_by_key(self, key):
        """The stages that declare the key, or one above or below it, or that have such a one as `${…}` in a
        declaration; and those that depend on its whole file."""
        file = file_of(key)
        return self.stale_by_file(file) | {
            stage.addressing
            for stage in self.stages
            for used in [*stage.tracked_vars.get(file, ()), *declared_params(stage, file)]
            if f"{key}.".startswith(f"{used}.") or f"{used}.".startswith(f"{key}.")
        }

    def stale_by_file(self, path):
        """The stages that depend on a whole file, or on a folder above it."""
        return {
            stage.addressing
            for stage in self.stages
            if any(
                path == dep.def_path or path.startswith(f"{dep.def_path}/")
                for dep in stage.deps
                if not getattr(dep, "params", None)
            )
        }

    def with_all_below(self, names):
        chosen = [stage for stage in self.stages if stage.addressing in names]
        below = {stage for start in chosen for stage in networkx.ancestors(self.graph, start)}
        return {stage.addressing for stage in below} | set(names)

    def with_all_above(self, name):
        (stage,) = [stage for stage in self.stages if stage.addressing == name]
        return {above.addressing for above in networkx.descendants(self.graph, stage)} | {name}


@pytest.fixture(scope="module")
def index():
    with opened(ROOT) as repo:
        return Index(repo)


@contextmanager
def opened(folder):
    with chdir(folder), warnings.catch_warnings(), Repo() as repo:
        warnings.simplefilter("ignore", DeprecationWarning)  # from DVC's own use of pygtrie
        yield repo


def test_every_key_of_the_profile_is_acted_on(index):
    unused = {key for key in KEYS if not index.stale_by_key(key) - index.stale_by_file(file_of(key))}
    # a study's dataset is there to be compared, by the check, with that of its splits
    assert {key for key in unused if not key.startswith("profiles.paper.")} == {f"studies.{s}.dataset" for s in STUDIES}


@pytest.mark.parametrize("key", ["dataset", "split", "image", "balance", "model", "augment", "train"])
def test_a_key_of_the_active_run_touches_no_reported_run(index, key):
    stale = index.stale_by_key(key)
    assert stale <= ACTIVE | GATHER
    assert index.with_all_below(stale - GATHER) <= ACTIVE | {"leakage"}


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_s_protocol_makes_its_own_stages_stale_and_those_that_gather(index, study):
    stale = set().union(*map(index.stale_by_key, keys_of(study)))
    assert stale == of_study(study) | OF_ALL_STUDIES
    assert index.with_all_below(stale - GATHER) <= of_study(study) | {"leakage"}


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("section", ["image", "augment", "train"])
def test_a_key_of_training_trains_the_runs_of_its_study_and_makes_no_data(index, study, section):
    assert index.stale_by_key(f"studies.{study}.{section}") - GATHER == trains(runs_of("study", study))


@pytest.mark.parametrize("model", MODELS)
def test_a_model_s_entry_trains_the_runs_that_use_it(index, model):
    users = trains(runs_of("model", model)) | ({"train", "initial_weights"} if PARAMS["model"] == model else set())
    assert index.stale_by_key(f"models.{model}") - GATHER == users


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_backbone_s_entry_trains_the_runs_that_begin_with_its_weights(index, backbone):
    stale = index.stale_by_key(f"backbones.{backbone}") - GATHER
    # and the active run, because `-S model=` may name any model
    assert stale == {f"weights@{backbone}", "initial_weights"}
    assert index.with_all_below(stale) & TRAINS == trains(runs_of("weights", backbone)) | {"train"}


@pytest.mark.parametrize("run", RUNS)
def test_a_row_s_entry_touches_no_other(index, run):
    assert index.stale_by_key(f"runs.{run}") - GATHER == {f"reported_train@{run}", f"reported_evaluate@{run}"}


def test_a_size_makes_images_and_no_split(index):
    assert index.stale_by_key("image_sets.lungcare_480.size") & {s for s in index.names if "split" in s} == set()


def test_what_the_paper_profile_alone_uses_makes_nothing_stale_in_the_demo(index):
    stale = set().union(*(index.stale_by_key(key) for key in KEYS if key.startswith("profiles.paper.")))
    assert stale == {"check"}


def test_no_run_makes_a_verdict_stale(index):
    """The records alone are evidence."""
    assert "compare" not in index.with_all_below(index.names - {"compare"})


def test_only_the_code_of_training_trains_again(index):
    """Every other module and script may change without a new training, as long as its stages write the same output."""
    folders = ("src", "stages", "analyses")
    code = [path.relative_to(ROOT).as_posix() for folder in folders for path in (ROOT / folder).rglob("*.py")]
    trained = {path: index.stale_by_file(path) & TRAINS for path in code}
    families = {family: trains(runs_of("family", family)) for family in ("cnn", "recurrent", "transfer")}
    everything = ("core/", "training/", "data/arrays.py", "models/build.py", "stages/train.py")
    for path, found in trained.items():
        place = path.removeprefix("src/rontgen/")
        if place.startswith(everything):
            assert found == TRAINS, path
        elif place.startswith("models/"):  # and the active run, because `-S model=` may name any family
            assert found == families.get(Path(place).stem, set()) | {"train"}, path
        else:
            assert found == set(), path


def test_a_change_of_the_rule_is_judged_by_and_simulated_again(index):
    assert index.stale_by_file("src/rontgen/claims/replication.py") == {"compare", "error_rates"}


def test_what_needs_a_real_archive_is_frozen(index):
    """`dvc repro` runs everything else, and the demo has none."""
    assert [stage.addressing for stage in index.frozen] == ["patients"]
    needed = {dep.def_path for stage in index.stages for dep in stage.deps}
    assert {path for path in needed if path.startswith("data/archives/")} == set()


def test_a_corrected_published_number_trains_nothing(index):
    """The check too runs again, and writes what it wrote: see test_stages.py."""
    stale = index.stale_by_file("studies/jitet/paper.yaml")
    assert stale == OF_ALL_STUDIES
    assert index.with_all_below(stale - {"check"}) == {"compare"}


@pytest.mark.parametrize("stage", sorted(ACTIVE | {"reported_split@jitet", "reported_evaluate@lungcare_cnn4"}))
def test_params_are_checked_before_anything_else(index, stage):
    assert "check" in index.with_all_above(stage)


# ---- the computation above against DVC itself

# The keys of one entry, most of which make different stages stale, are changed together: DVC takes seconds to answer
CHANGES = [
    {"profile": "paper"},
    {"dataset": "covid", "profiles.paper.train.pretrained": False},
    {"model": "cnn1", "profiles.demo.preprocess.scale": 0.2},
    {
        "train.fine_tune": {"epochs": 1, "learning_rate": 0.1},
        "image_sets.lungcare_480.split": "lungcare_leakfree",
        "runs.smatika_vgg16.family": "recurrent",
        "datasets.covid.classes": ["COVID", "NORMAL"],
        "studies.jitet.split.seed": 8,
    },
    {
        "runs.lungcare_b8_s640.image_set": "lungcare_480",
        "splits.jitet_leakfree.dataset": "covid",
        "splits.smatika.list": "near_duplicates",
        "runs.jitet_mobilenetv2.weights": "random",
    },
]


@pytest.fixture(scope="module")
def project(tmp_path_factory, index):
    """A repository where every stage is up to date: its outputs are stand-ins that DVC was told to accept."""
    folder = copy_pipeline(tmp_path_factory.mktemp("stale") / "rontgen", "results/README.md")
    for stage in [*index.stages, *index.frozen]:
        listed = [dep.def_path for dep in stage.deps if dep.def_path.startswith(("data/inputs/", "data/archives/"))]
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
    """The stages that `dvc repro --dry --no-run-cache` names."""
    with opened(folder) as repo:
        return {stage.addressing for stage in repo.reproduce(dry=True, run_cache=False, **options)}


@pytest.fixture
def changed(project):
    """Replace a file of the project; it is restored after the test."""
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
    files = {file_of(key): params.read_yaml(ROOT / file_of(key)) for key in changes}
    for key, value in changes.items():
        *parents, last = key.split(".")
        section = files[file_of(key)]
        for parent in parents:
            section = section[parent]
        assert section.get(last) != value
        section[last] = value
    for file, values in files.items():
        changed(file, json.dumps(values))  # which is YAML too
    assert would_run(project) == set.union(*map(index.stale_by_key, changes))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper.yaml", "protocol.yaml"])
def test_dvc_runs_what_the_index_says_for_a_comment_in_a_study_s_file(project, changed, index, name):
    path = f"studies/jitet/{name}"
    changed(path, (project / path).read_text() + "\n# changed\n")
    assert would_run(project) == index.stale_by_file(path) == OF_ALL_STUDIES


@pytest.mark.slow
def test_dvc_runs_nothing_for_the_page_of_a_study(project, changed):
    """`rontgen docs` writes it from what the stages made."""
    path = "studies/jitet/README.md"
    changed(path, (project / path).read_text() + "\nChanged.\n")
    assert would_run(project) == set()


@pytest.mark.slow
def test_dvc_runs_what_the_index_says_for_a_module(project, changed, index):
    path = "src/rontgen/models/cnn.py"
    changed(path, (project / path).read_text() + "\n# changed\n")
    stale = index.stale_by_file(path)
    assert would_run(project) == stale
    # a dry run writes nothing, so nothing downstream is seen to differ unless forced
    assert would_run(project, force_downstream=True) == index.with_all_below(stale)


@pytest.mark.slow
def test_without_the_real_archive_what_was_measured_on_it_stays(tmp_path):
    """In a fresh clone, `dvc repro` of the frozen stage looks for its page alone."""
    folder = copy_pipeline(tmp_path / "rontgen", "results/README.md", "dvc.lock", "analyses/patients.md")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    with opened(folder) as repo:
        repo.reproduce("patients")
    assert (folder / "analyses/patients.md").read_bytes() == (ROOT / "analyses/patients.md").read_bytes()


def test_what_python_compiles_makes_no_stage_run():
    """`train` depends on the folder of the models."""
    with chdir(ROOT), Repo() as repo:
        assert repo.dvcignore.is_ignored_dir(str(ROOT / "src/rontgen/models/__pycache__"))
        assert not repo.dvcignore.is_ignored_dir(str(ROOT / "src/rontgen/models"))


# of vim, Emacs, patch, LibreOffice, macOS, Windows, KDE, network file systems and Jupyter
LITTER = ["a.py~", ".a.py.swp", "a.py.bak", "a.py.orig", "a.py.rej", "#a.py#", ".#a.py", "._a.py", ".~lock.a.csv#"]
LITTER += [".DS_Store", "Thumbs.db", "desktop.ini", ".directory", ".fuse_hidden1", ".nfs1", ".ipynb_checkpoints/a.py"]


def test_what_editors_and_systems_leave_makes_no_stage_run_and_is_not_committed():
    paths = [f"src/rontgen/models/{name}" for name in LITTER]
    with chdir(ROOT), Repo() as repo:
        assert [path for path in paths if not repo.dvcignore.is_ignored_file(str(ROOT / path))] == []
    command = ["git", "check-ignore", "--no-index", *paths]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert listed.splitlines() == paths
