"""Audits of the real archives, recorded in results/archives: leaks, shortcuts, and the out-of-distribution check.

leakage.json and shortcuts.json are the output of the stages of these names, ood.json that of serving.ood_archives. The
same code, data and settings give the same bytes; provenance.json says which these were. There are no images.
"""

from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

from rontgen.core import environment, params, runs
from rontgen.core.errors import RontgenError
from rontgen.core.io import read_json, replacing, write_json
from rontgen.core.params import Params
from rontgen.data import archive_facts
from rontgen.parallel import recording
from rontgen.records.records import ARCHIVES
from rontgen.records.reproduce import refuse_fixed


def record(
    extra: dict[str, str], measure: Callable[[list[str]], dict], probed: dict[str, dict], again: bool = False
) -> dict[str, dict]:
    """Audit the archives in data/archives in the profile `paper` and write ARCHIVES; returns what it holds, by file.

    extra: other keys of params.yaml and their values. measure: gives ood.json, from the names of image sets. probed:
    shortcuts of images that are in no archive, see shortcuts.probe, by a name for them. again: whether to
    replace what is recorded. Raises RontgenError if the code is not committed, a stage fails, or an audit is recorded.
    """
    refuse_fixed(extra, {"profile": "paper"})
    changes = {"profile": "paper"} | extra
    values = params.validate(params.changed(params.read(), changes))
    if ARCHIVES.exists() and not again:
        made = read_json(ARCHIVES / "provenance.json", f"git checkout {ARCHIVES}")
        settings = ", ".join(f"{key}={value}" for key, value in made["set"].items())
        raise RontgenError(
            f"{ARCHIVES}: recorded at {made['commit'][:7]} with {settings}: keep it, or give `--again` to replace it"
        )
    image_sets = one_of_each_study(values)
    targets = ["leakage", *(f"shortcuts@{name}" for name in values.datasets)]
    targets += [runs.load_image_set(name).preprocess_command.removeprefix("dvc repro ") for name in image_sets]
    with recording.at_last_commit("audit") as prepared:
        prepared.run("audit", changes, targets).fetch()
        with chdir(prepared.folder):
            measured = {
                name: read_json(Path("metrics/shortcuts", f"{name}.json"), f"dvc repro shortcuts@{name}")
                for name in values.datasets
            }
            described: dict[str, dict] = {}
            for name in image_sets:
                described |= archive_facts.describe(runs.load_image_set(name).split)
            found = {
                "leakage": read_json(Path("metrics/leakage.json"), "dvc repro leakage"),
                "shortcuts": measured | probed,
                "ood": measure(image_sets),
                "provenance": {
                    "commit": prepared.commit,
                    "set": changes,
                    "archives": described,
                    "packages": environment.packages(),
                    "machine": environment.machine(),
                    "deviations": archive_facts.deviations(described),
                },
            }
    with replacing(ARCHIVES) as temporary:
        for name, content in found.items():
            write_json(content, temporary / f"{name}.json")
    return found


def one_of_each_study(values: Params) -> list[str]:
    """The smallest image set of each study's own split."""
    found: dict[str, str] = {}
    for name, image_set in sorted(values.image_sets.items(), key=lambda item: item[1].size):
        if image_set.split == image_set.study:
            found.setdefault(image_set.study, name)
    return [found[study] for study in values.studies]
