"""The model of a record, read by `rontgen predict` and served, with its files in a DVC cache."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from contextlib import chdir
from pathlib import Path

import httpx
import pandas as pd
import pytest
from dvc.repo import Repo

import served_project
from rontgen.core import runs
from rontgen.core.errors import RontgenError
from rontgen.evaluation.metrics import read_predictions
from rontgen.records import records
from rontgen.records.records import Record
from rontgen.serving.predictor import Predictor, Trained

RUN = served_project.REPORTED
NAME = f"{RUN}/protocol/seed-7"

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def project(project_to_serve, tmp_path_factory):
    """A project whose run is recorded, its model and images in the cache and nowhere else."""
    folder = tmp_path_factory.mktemp("recorded") / "project"
    shutil.copytree(project_to_serve, folder)
    with chdir(folder):
        Repo.init(no_scm=True).close()
        run = runs.load_run(RUN)
        outs = {str(path): put(path) for path in (run.model_file, run.image_set.split.manifest)}
        images = [{"md5": put(path), "relpath": path.name} for path in sorted(run.image_set.preprocessed.iterdir())]
        listed = Path("images.dir")
        listed.write_text(json.dumps(images))
        outs[str(run.image_set.preprocessed)] = put(listed, ".dir")
        metrics = {"test": json.loads(run.metrics.read_text()), "train": json.loads(run.train_metrics.read_text())}
        provenance = {
            "commit": "0123456789abcdef",
            "set": {},
            "extra": {},
            "settings": run.settings,
            "outs": outs,
            "archives": {"chest_xray": {"images": {"NORMAL": 1575, "PNEUMONIA": 4265}}},
            "deviations": ["chest_xray has 1,575 of the 1,583 images of NORMAL"],
            "time": {"seconds": 1.0},
        }
        predictions = read_predictions(run.predictions, str(run.predictions), "")
        history = pd.read_csv(run.history)
        records.write(Record(RUN, "protocol", 7, metrics, predictions, history, provenance))
        run.model_file.unlink()
        shutil.rmtree(run.image_set.preprocessed)
        shutil.rmtree("exports")
    return folder


def put(path, suffix=""):
    content = path.read_bytes()
    md5 = hashlib.md5(content).hexdigest() + suffix
    cached = Path(".dvc/cache/files/md5", md5[:2], md5[2:])
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_bytes(content)
    return md5


def test_a_record_predicts_what_it_recorded(project, tmp_path):
    with chdir(project):
        predictions = records.read(records.FOLDER / NAME).predictions.set_index("id")
        manifest = pd.read_csv("data/split/pirngadi.csv", index_col="id")
        (path,) = Path("data/raw/pneumonia").glob("*.zip")
        with zipfile.ZipFile(path) as archive:
            for name in predictions.index:
                (tmp_path / f"{name}.jpeg").write_bytes(archive.read(manifest.loc[name, "member"]))
    command = [sys.executable, "-m", "rontgen", "predict", "--record", NAME, str(tmp_path)]
    done = subprocess.run(
        command, cwd=project, env=served_project.environment(), capture_output=True, text=True, check=True
    )
    rows = [line.split(",") for line in done.stdout.splitlines()[1:]]
    read = {Path(row[0]).stem: tuple(map(float, row[4:6])) for row in rows if row[1] == "True"}
    assert len(read) >= 0.8 * len(predictions)
    for name, probabilities in read.items():
        assert probabilities == pytest.approx(tuple(predictions.loc[name, ["NORMAL", "PNEUMONIA"]]), rel=0, abs=1e-6)
    if len(read) < len(predictions):
        assert f"unlike the real X-rays that {NAME} was trained on" in done.stderr


def test_the_page_says_which_xrays_a_record_learnt_from(project):
    with (
        served_project.served(project, "--record", NAME) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        about = client.get("/en/about").text
        examine = client.get("/id/examine").text
        offered = client.get("/api/version").json()
    assert f"Record {NAME}: trained on" in about and "NORMAL 1,575, PNEUMONIA 4,265" in about
    assert "chest_xray has 1,575 of the 1,583 images of NORMAL" in about
    assert "synthetic: SMOTE made them from the others" in about
    assert "drawn X-rays in a few minutes" not in about
    assert f"foto rontgen asli (rekaman {NAME})" in examine
    assert list(offered["runs"]) == [NAME] and offered["commit"] == "0123456789ab"


def test_a_record_has_no_onnx_file(project, monkeypatch):
    monkeypatch.chdir(project)
    with pytest.raises(RontgenError, match=r"^--kind: expected keras for --record, received onnx$"):
        Predictor(Trained.recorded(NAME), "onnx")
