"""The page and its JSON interface, queried over HTTP while they serve a small project."""

import csv
import io
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from contextlib import ExitStack, chdir
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import hostile_uploads
import served_project
from hostile_uploads import PNG
from rontgen.core.errors import RontgenError
from rontgen.data import decoding
from rontgen.serving import export
from rontgen.serving.predictor import Predictor, Trained
from rontgen.serving.web import server

RUNS = ("active", served_project.REPORTED)
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:::pydicom")]


def but_for_rounding(probabilities):
    """One image alone is rounded otherwise than in a batch."""
    return pytest.approx(probabilities, rel=0, abs=1e-6)


@pytest.fixture(scope="module")
def project(project_to_serve):
    return project_to_serve


@pytest.fixture(scope="module")
def address(project):
    with served_project.served(project, *RUNS) as address:
        yield address


@pytest.fixture(scope="module")
def client(address):
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def xrays(project):
    """The files of test images, {id: bytes}, and what `evaluate` wrote about them for each run."""
    with chdir(project):
        predictions = {name: pd.read_csv(f"data/predictions/{name}.csv", index_col="id") for name in RUNS}
        manifest = pd.read_csv("data/split/active.csv", index_col="id")
        (path,) = Path("data/raw/pneumonia").glob("*.zip")
        with zipfile.ZipFile(path) as archive:
            files = {name: archive.read(manifest.loc[name, "member"]) for name in predictions["active"].index}
    return files, predictions


@pytest.fixture(scope="module")
def xray(xrays):
    return next(iter(xrays[0].values()))


def predict(client, *files, run=None):
    parts = [("files", ("x.png", data)) for data in files]
    return client.post("/api/predict", files=parts, params={"run": run} if run else {})


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_probabilities_are_those_of_evaluate(client, xrays):
    files, predictions = xrays
    answers = {name: predict(client, files[name]).json()["predictions"][0] for name in list(files)[::4]}
    accepted = {name: answer for name, answer in answers.items() if answer["in_distribution"]}
    assert len(accepted) >= 0.8 * len(answers) > 20
    for name, answer in accepted.items():
        row = predictions["active"].loc[name]
        assert answer["decision"] == row["predicted"]
        assert answer["probabilities"] == but_for_rounding({label: row[label] for label in ("NORMAL", "PNEUMONIA")})


def test_several_pictures_are_answered_in_their_order(client, xrays):
    files, predictions = xrays
    names = list(files)[:16]
    answer = predict(client, *(files[name] for name in names)).json()
    found = [item["probabilities"]["PNEUMONIA"] for item in answer["predictions"]]
    assert found == but_for_rounding(predictions["active"].loc[names, "PNEUMONIA"].tolist())
    assert answer["threshold"] == 0.5 and answer["model"] == "cnn2" and answer["kind"] == "keras"


def test_another_run_is_asked_by_its_name(client, project, xray):
    answer = predict(client, xray, run=served_project.REPORTED).json()
    assert (answer["run"], answer["model"]) == (served_project.REPORTED, "simple_rnn")


def test_an_unknown_run_gets_the_names_of_those_offered(client, xray):
    response = predict(client, xray, run="nothing")
    assert response.status_code == 404 and "expected one of active, pirngadi_simple_rnn" in response.json()["error"]


def test_a_dicom_file_gets_the_answer_of_its_picture(client, xray):
    gray = decoding.decode(xray, 64).astype(np.uint16) * 257
    gray[0, :2] = 0, 65535  # without a window DICOM is shown from its lowest value to its highest
    as_dicom = hostile_uploads.dicom(rows=64, columns=64, PixelData=gray.tobytes())
    first, second = predict(client, png(gray), as_dicom).json()["predictions"]
    assert first == second and first["in_distribution"]


@pytest.mark.parametrize(("picture", "reason"), [(NOISE[..., 0], "unlike_xrays"), (NOISE, "in_colour")])
def test_what_is_no_xray_is_not_diagnosed(client, picture, reason):
    (found,) = predict(client, png(picture)).json()["predictions"]
    unknown = dict.fromkeys(("probabilities", "decision", "confidence"))
    assert found == {"in_distribution": False, "reason": reason} | unknown


def test_hostile_uploads_get_a_clear_4xx(client, xray):
    for name, data in hostile_uploads.UPLOADS.items():
        for url, field in (("/en/examine", "file"), ("/api/predict", "files")):
            response = client.post(url, files={field: (hostile_uploads.NAMES.get(name, "x.png"), data)})
            assert response.status_code == (400 if name == "a name of 10,000 letters" else 422), name
            assert "Traceback" not in response.text and "rontgen/" not in response.text
        (error,) = response.json().values()
        assert "\n" not in error and ("expected" in error or response.status_code == 400), name
    assert predict(client, xray).status_code == 200  # it still serves


def test_a_file_that_cannot_be_read_is_named_by_its_place(client, xray):
    response = predict(client, xray, b"nothing")
    assert response.status_code == 422 and response.json()["error"].startswith("file 2 of 2: expected a picture")


@pytest.mark.parametrize(("files", "message"), [([PNG] * 17, "should have at most 16 items"), ([], "field required")])
def test_other_numbers_of_files_than_1_to_16_are_refused(client, files, message):
    response = predict(client, *files)
    assert response.status_code == 422 and message in response.json()["error"]


@pytest.mark.parametrize("language", ["en", "id"])
def test_the_results_are_a_card_in_english_for_each_study(client, project, language):
    cards = re.findall(
        r'<article class="card" lang="en">(.*?)</article>', client.get(f"/{language}/results").text, re.S
    )
    studies = {path.parent.name for path in project.glob("studies/*/paper.yaml")}
    assert {re.search(r"<h\d>(\w+)</h\d>", card)[1] for card in cards} == studies
    assert len(cards) == len(studies) == 5
    assert all('<span class="verdict ' in card and "less ours: " in card for card in cards)


def test_health_and_version(client):
    assert client.get("/api/health").json() == {"status": "ok"}
    version = client.get("/api/version").json()
    assert version["runs"]["active"] == {"model": "cnn2", "kind": "keras"} and version["version"] == "0.1.0"


def test_the_interface_is_documented_without_a_request_to_elsewhere(client):
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {"/api/predict", "/api/health", "/api/version"}
    page = client.get("/docs")
    assert "https://" not in page.text
    for address in ("/docs/static/swagger-ui-bundle.js", "/docs/static/swagger-ui.css"):
        assert address in page.text and client.get(address).status_code == 200


@pytest.mark.parametrize("language", ["en", "id"])
@pytest.mark.parametrize("page", ["", "examine", "results", "about"])
def test_no_page_asks_for_anything_elsewhere(client, language, page):
    response = client.get(f"/{language}/{page}")
    addresses = re.findall(r'(?:src|href|action)="([^"]*)"', response.text)
    assert response.status_code == 200 and len(addresses) > 5
    assert [address for address in addresses if not re.match(r"/[^/]|#|data:image/(png|jpeg);base64,", address)] == []
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("wanted", "language"), [("id-ID,id;q=0.9", "id"), ("ms,id;q=0.9", "id"), ("de", "en"), ("ido", "en"), ("", "en")]
)
def test_the_browsers_language_is_taken(client, wanted, language):
    assert client.get("/", headers={"accept-language": wanted}).headers["location"] == f"/{language}/"


@pytest.mark.parametrize(
    "path", ["/en/nothing", "/fr/", "/en/../../etc/passwd", "/static/../server.py", "/static/%2e%2e/server.py"]
)
def test_no_other_path_is_served(client, path):
    assert client.get(path, follow_redirects=True).status_code == 404


def test_the_page_is_for_this_machine_alone(address):
    host, _, port = address.removeprefix("http://").partition(":")
    assert host == "127.0.0.1"
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", int(port)), timeout=5)  # open if it listened on every address


def test_more_connections_than_fit_are_told_to_come_again(address):
    host, _, port = address.removeprefix("http://").partition(":")
    with ExitStack() as stack:
        for _ in range(server.MOST_CONNECTIONS):
            stack.enter_context(socket.create_connection((host, int(port))))
        assert httpx.get(f"{address}/api/health").status_code == 503


def test_nothing_of_an_upload_stays_on_disk(client, project, xray):
    before = {path for folder in (project, Path("/tmp")) for path in folder.glob("*")}
    client.post("/en/examine", files={"file": ("secret-name.png", xray)}, data={"run": "active"})
    new = {path for folder in (project, Path("/tmp")) for path in folder.glob("*")} - before
    assert not [path for path in new if "secret" in path.name or path.suffix in (".png", ".pdf")]


def test_the_onnx_file_is_served_and_agrees(project, client, xray):
    with served_project.served(project, "--kind", "onnx") as address:
        response = httpx.post(f"{address}/api/predict", files={"files": ("x.png", xray)}, timeout=60).json()
        page = httpx.post(f"{address}/en/examine", files={"file": ("x.png", xray)}, timeout=60).text
    assert response["kind"] == "onnx"
    expected = predict(client, xray).json()["predictions"][0]["probabilities"]
    assert response["predictions"][0]["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert "served as an ONNX file" in page


def test_a_run_that_was_not_exported_names_the_command(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.setattr(export, "FOLDER", Path("nothing"))
    with pytest.raises(
        RontgenError, match=r"model\.onnx: expected an export of .*: run `rontgen export active` first$"
    ):
        Predictor(Trained.in_workspace("active"), "onnx")


def test_predict_writes_a_row_for_each_file_without_an_export(project, xrays, tmp_path):
    files, predictions = xrays
    shutil.copytree(project, tmp_path / "project", ignore=shutil.ignore_patterns("exports"))
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    names = list(files)[:2]
    (folder / "deep/one.png").write_bytes(files[names[0]])
    (folder / "two.jpeg").write_bytes(files[names[1]])
    (folder / "noise.png").write_bytes(png(NOISE[..., 0]))
    (folder / "bad.png").write_bytes(b"nothing")
    (folder / "notes.txt").write_text("no picture")
    command = [sys.executable, "-m", "rontgen", "predict", folder, folder / "*.jpeg", "--output", tmp_path / "out.csv"]
    environment = served_project.environment()
    result = subprocess.run(command, cwd=tmp_path / "project", env=environment, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-3:] == [
        f"1 skipped as no JPEG, PNG or DICOM: {folder / 'notes.txt'}",
        "1 of 4 files are unlike the small real X-rays that active was trained on: no decision",
        "1 of 4 files could not be read: see the column error",
    ]
    with (tmp_path / "out.csv").open() as file:
        rows = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    assert set(rows) == {"one.png", "two.jpeg", "noise.png", "bad.png"}
    assert float(rows["one.png"]["PNEUMONIA"]) == but_for_rounding(predictions["active"].loc[names[0], "PNEUMONIA"])
    assert rows["two.jpeg"]["decision"] == predictions["active"].loc[names[1], "predicted"]
    assert rows["noise.png"]["in_distribution"] == "False" and not rows["noise.png"]["decision"]
    assert rows["bad.png"]["error"].startswith("expected a picture") and not rows["bad.png"]["decision"]
