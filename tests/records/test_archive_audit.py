"""What `rontgen audit` records, with a clone whose stages are stand-ins."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from conftest import ROOT, copy_settings
from rontgen.core import params
from rontgen.core.errors import RontgenError
from rontgen.core.io import write_json
from rontgen.data import archive_facts
from rontgen.parallel import recording
from rontgen.parallel.clone import Clone, Experiment
from rontgen.records import archive_audit, records

ARCHIVE = {"images": {"NORMAL": 1575}, "expected_images": {"NORMAL": 1583}, "median_width": 1224}
ARCHIVE |= {"expected_median_width": 1224}


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """What the clone was asked to run, in a project with only the settings."""
    monkeypatch.chdir(tmp_path)
    copy_settings(tmp_path)
    folder, asked = tmp_path / "clone", []
    found = Experiment("refs/exps/01/23/audit", "0" * 40, b"")
    monkeypatch.setattr(Experiment, "fetch", lambda self: None)

    class Audited(Clone):
        def run(self, name, changes, targets, force=False):
            asked.append((name, changes, targets))
            for path in ("metrics/leakage.json", *(f"metrics/shortcuts/{key}.json" for key in params.load().datasets)):
                write_json({"from": path}, self.folder / path)
            copy_settings(self.folder)
            return found

    monkeypatch.setattr(recording, "at_last_commit", lambda name: nullcontext(Audited(folder, "0123456789abcdef")))
    monkeypatch.setattr(archive_facts, "describe", lambda study: {"chest_xray": ARCHIVE})
    return asked


def read(name):
    return json.loads((records.ARCHIVES / f"{name}.json").read_text())


def test_the_stages_run_in_the_paper_profile_with_what_the_caller_sets(calls):
    archive_audit.record({"studies.smatika.split.on_shortage": "shrink"}, lambda names: {}, {})
    ((name, changes, targets),) = calls
    assert name == "audit"
    assert changes == {"profile": "paper", "studies.smatika.split.on_shortage": "shrink"}
    assert targets[:4] == ["leakage", "shortcuts@pneumonia", "shortcuts@covid", "shortcuts@lungs"]
    assert set(targets[4:]) == {
        f"reported_preprocess@{name}" for name in archive_audit.one_of_each_study(params.load())
    }


def test_the_profile_is_fixed(calls):
    with pytest.raises(RontgenError, match="-S profile: expected a setting that a record leaves open"):
        archive_audit.record({"profile": "demo"}, lambda names: {}, {})
    assert calls == []


def test_each_study_has_its_smallest_image_set():
    values = params.load(ROOT / "params.yaml")
    names = archive_audit.one_of_each_study(values)
    assert [values.image_sets[name].study for name in names] == list(values.studies)
    assert "lungcare_240" in names


def test_the_numbers_are_those_of_the_clone(calls):
    probed = {"originals": {"images": 120}}
    archive_audit.record({}, lambda names: {"measured in": str(Path.cwd().name), "of": names}, probed)
    assert read("leakage") == {"from": "metrics/leakage.json"}
    assert read("shortcuts") == probed | {
        name: {"from": f"metrics/shortcuts/{name}.json"} for name in ("pneumonia", "covid", "lungs")
    }
    assert read("ood")["measured in"] == "clone" and "jitet_224" in read("ood")["of"]
    assert read("provenance")["commit"] == "0123456789abcdef"
    assert read("provenance")["deviations"] == ["chest_xray has 1,575 of the 1,583 images of NORMAL"]


def test_an_earlier_audit_is_replaced_whole_or_stays_whole(calls):
    archive_audit.record({}, lambda names: {"try": 1}, {})
    archive_audit.record({}, lambda names: {"try": 2}, {}, again=True)
    assert read("ood") == {"try": 2}

    def fail(names):
        raise RontgenError("no images")

    with pytest.raises(RontgenError, match="no images"):
        archive_audit.record({}, fail, {}, again=True)
    assert read("ood") == {"try": 2}
    assert sorted(path.name for path in Path("results").iterdir()) == ["archives"]


def test_an_earlier_audit_is_kept_unless_it_is_to_be_replaced(calls):
    archive_audit.record({}, lambda names: {"try": 1}, {})
    message = r"^results/archives: recorded at 0123456 with profile=paper: keep it, or give `--again` to replace it"
    with pytest.raises(RontgenError, match=message):
        archive_audit.record({}, lambda names: {"try": 2}, {"originals": {}})
    assert read("ood") == {"try": 1} and len(calls) == 1


def test_an_unknown_setting_is_refused_before_anything_runs(calls):
    with pytest.raises(RontgenError, match=r"^params.yaml: train: unknown key: .*'x'"):
        archive_audit.record({"train.x": "1"}, lambda names: {}, {})
    assert calls == []
