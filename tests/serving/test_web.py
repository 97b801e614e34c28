"""The page and its JSON interface, queried over HTTP while they serve a small project."""

import csv
import io
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from contextlib import chdir
from html import unescape
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import served_project
from conftest import ROOT
from hostile_uploads import PNG, UPLOADS
from rontgen.claims import studies
from rontgen.claims.findings import points
from rontgen.core import params
from rontgen.core.papers import load_papers
from rontgen.data import decoding
from rontgen.records import records
from rontgen.reporting.cards import Card

RUNS = ("active", served_project.REPORTED)

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


@pytest.fixture(scope="module")
def found(project):
    """What is known of each study."""
    with chdir(project):
        return studies.gather(load_papers(), params.load(), records.read_all())


@pytest.fixture(scope="module", params=["en", "id"])
def results(client, request):
    """The page of results in either language, as HTML."""
    return client.get(f"/{request.param}/results").text


def predict(client, *files, run=None):
    return client.post(
        "/api/predict", files=[("files", ("x.png", data)) for data in files], params={"run": run} if run else {}
    )


def test_the_probabilities_are_those_of_evaluate(client, xrays):
    files, predictions = xrays
    answers = {name: predict(client, data).json()["predictions"][0] for name, data in files.items()}
    accepted = {name: answer for name, answer in answers.items() if answer["in_distribution"]}
    assert len(accepted) >= 0.8 * len(files)
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


def test_an_unknown_run_is_named_as_such(client, xray):
    response = predict(client, xray, run="nothing")
    assert response.status_code == 404 and "expected one of active, pirngadi_simple_rnn" in response.json()["error"]


def test_a_dicom_file_gets_the_answer_of_its_picture(client, xray):
    from pydicom.uid import ExplicitVRLittleEndian

    from hostile_uploads import dicom

    gray = decoding.decode(xray, 64).astype(np.uint16) * 257
    gray[0, :2] = 0, 65535  # without a window DICOM is shown from its lowest value to its highest
    buffer = io.BytesIO()
    Image.fromarray(gray).save(buffer, "PNG")
    as_dicom = dicom(ExplicitVRLittleEndian, rows=64, pixels=gray.tobytes())
    first, second = predict(client, buffer.getvalue(), as_dicom).json()["predictions"]
    assert first == second and first["in_distribution"]


@pytest.mark.parametrize("kind", ["noise", "colour"])
def test_what_is_no_xray_is_not_diagnosed(client, kind):
    values = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values if kind == "colour" else values[..., 0]).save(buffer, "PNG")
    (found,) = predict(client, buffer.getvalue()).json()["predictions"]
    assert found["probabilities"] is None and found["decision"] is None and not found["in_distribution"]
    assert found["reason"] == {"noise": "unlike_drawn_xrays", "colour": "in_colour"}[kind]


def test_hostile_uploads_get_a_clear_4xx(client, xray):
    statuses = {"a name of 10,000 letters": 400, "26 MB of zeros": 413}
    for name, (file, data) in UPLOADS.items():
        for url, field in (("/en/examine", "file"), ("/api/predict", "files")):
            response = client.post(url, files={field: (file, data)})
            assert response.status_code == statuses.get(name, 422), name
            assert "Traceback" not in response.text and "rontgen/" not in response.text
        (error,) = response.json().values()
        assert "\n" not in error and "expected" in error, name
    assert len(UPLOADS) >= 30
    assert predict(client, xray).status_code == 200  # it still serves


def test_a_file_that_cannot_be_read_is_named_by_its_place(client, xray):
    response = predict(client, xray, b"nothing")
    assert response.status_code == 422 and response.json()["error"].startswith("file 2 of 2: expected a picture")


def test_too_many_files_are_refused(client):
    response = predict(client, *[PNG] * 17)
    assert response.status_code == 400 and "maximum number of files is 16" in response.json()["error"]


def test_a_request_without_files_is_told_what_is_missing(client):
    response = client.post("/api/predict")
    assert response.status_code == 422 and response.json()["error"].startswith("files: expected 1 to 16")


def test_the_results_are_a_card_in_english_for_each_study(results, found):
    cards = re.findall(r'<article class="card" lang="en">\s*<h\d>(\w+)</h\d>', results)
    assert cards == [study.name for study in found] and len(cards) == 5


def test_a_card_has_the_verdict_and_the_sentence_of_its_study(results, found):
    cards = [Card.of(study) for study in found]
    verdicts = re.findall(r'<span class="verdict [a-z-]+">(.*?)</span>', results)
    assert [unescape(verdict) for verdict in verdicts] == [card.verdict for card in cards]
    assert all(card.sentence in unescape(results) for card in cards)


def test_the_picture_of_a_card_says_how_far_apart_paper_and_runs_are(results, found):
    labels = re.findall(r'<svg [^>]* role="img" aria-label="([^"]*)"', results)
    judged = [study.main.replication for study in found]
    ends = [f"less ours: {points(one.least, True)} to {points(one.greatest, True)} points;" for one in judged]
    assert len(labels) == len(ends) == 5
    assert [end for label, end in zip(labels, ends, strict=True) if end not in label] == []


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
    assert [address for address in addresses if not re.match(r"/[^/]|#|data:image/png;base64,", address)] == []
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


@pytest.mark.parametrize(
    ("host", "status"), [("127.0.0.1:8000", 200), ("localhost", 200), ("evil.example", 400), ("", 400)]
)
def test_a_foreign_host_name_is_refused(client, host, status):
    assert client.get("/en/", headers={"host": host}).status_code == status


def test_the_page_is_for_this_machine_alone(address):
    host, _, port = address.removeprefix("http://").partition(":")
    assert host == "127.0.0.1"
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", int(port)), timeout=5)  # open if it listened on every address


def test_a_client_that_reads_slowly_does_not_block_others(client, address, xray):
    host, _, port = address.removeprefix("http://").partition(":")
    upload = httpx.Request("POST", f"{address}/en/examine", files={"file": ("x.png", xray)})
    head = "".join(f"{name}: {value}\r\n" for name, value in upload.headers.items())
    file = "/docs/static/swagger-ui-bundle.js"
    expected = 10 * len(client.get(file).content)  # more than the buffers of a connection hold
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(60)
        slow.connect((host, int(port)))
        slow.sendall(f"POST /en/examine HTTP/1.1\r\n{head}\r\n".encode() + upload.read())
        slow.sendall(f"GET {file} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 10)
        assert slow.recv(12) == b"HTTP/1.1 200"
        assert predict(client, xray).status_code == 200
        assert client.get(file).status_code == 200
        received = 0
        while received < expected:
            received += len(slow.recv(2**16))


def test_nothing_of_an_upload_stays_on_disk(client, project, xray, tmp_path):
    places = [project, Path("/tmp") if Path("/tmp").is_dir() else tmp_path]
    before = {path for place in places for path in place.glob("*")}
    client.post("/en/examine", files={"file": ("secret-name.png", xray)}, data={"run": "active"})
    new = {path for place in places for path in place.glob("*")} - before
    assert not [path for path in new if "secret" in path.name or path.suffix in (".png", ".pdf")]


def test_the_onnx_file_is_served_and_agrees(project, client, xray):
    with served_project.served(project, "--kind", "onnx") as address:
        response = httpx.post(f"{address}/api/predict", files={"files": ("x.png", xray)}, timeout=60).json()
        page = httpx.post(f"{address}/en/examine", files={"file": ("x.png", xray)}, timeout=60).text
    assert response["kind"] == "onnx"
    expected = predict(client, xray).json()["predictions"][0]["probabilities"]
    assert response["predictions"][0]["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert "served as an ONNX file" in page


def python(project, *arguments):
    command = [sys.executable, "-m", "rontgen", *arguments]
    environment = served_project.environment()
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=120)


def test_a_port_in_use_is_one_line(project, address):
    result = python(project, "serve", "--kind", "onnx", "--port", address.rpartition(":")[2])
    assert result.returncode == 2 and "a free port, " in result.stderr.splitlines()[-1]


def test_a_run_that_was_not_exported_names_the_command(project, tmp_path):
    shutil.copytree(project, tmp_path / "project", ignore=shutil.ignore_patterns("exports"))
    result = python(tmp_path / "project", "serve", "--kind", "onnx")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].endswith("run `rontgen export active` first")


def test_predict_writes_a_row_for_each_file_of_folders_and_patterns(project, xrays, tmp_path):
    files, predictions = xrays
    names = list(files)[:3]
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/one.png").write_bytes(files[names[0]])
    (tmp_path / "two.jpeg").write_bytes(files[names[1]])
    (tmp_path / "bad.png").write_bytes(b"nothing")
    (tmp_path / "notes.txt").write_text("no picture")
    arguments = [str(tmp_path), str(tmp_path / "*.jpeg"), "--output", str(tmp_path / "out.csv")]
    result = python(project, "predict", *arguments)
    assert result.returncode == 1 and "1 of 3 files could not be read" in result.stderr
    with (tmp_path / "out.csv").open() as file:
        rows = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    assert set(rows) == {"one.png", "two.jpeg", "bad.png"}
    assert float(rows["one.png"]["PNEUMONIA"]) == but_for_rounding(predictions["active"].loc[names[0], "PNEUMONIA"])
    assert rows["two.jpeg"]["decision"] == predictions["active"].loc[names[1], "predicted"]
    assert rows["bad.png"]["error"].startswith("expected a picture") and not rows["bad.png"]["decision"]


def test_predict_needs_no_export(project, xrays, tmp_path):
    files, predictions = xrays
    shutil.copytree(project, tmp_path / "project", ignore=shutil.ignore_patterns("exports"))
    for name, data in list(files.items())[:2]:
        (tmp_path / f"{name}.png").write_bytes(data)
    result = python(tmp_path / "project", "predict", str(tmp_path / "*.png"))
    assert result.returncode == 0, result.stderr
    for row in csv.DictReader(result.stdout.splitlines()):
        recorded = predictions["active"].loc[Path(row["file"]).stem, "PNEUMONIA"]
        assert float(row["PNEUMONIA"]) == but_for_rounding(recorded)


def test_predict_says_why_it_decides_nothing(project, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    result = python(project, "predict", str(tmp_path / "noise.png"))
    assert result.returncode == 0
    said = "1 of 1 files are unlike the drawn X-rays that active was trained on: no decision"
    assert result.stderr.splitlines()[-1] == said


def test_predict_names_what_is_no_file(project):
    result = python(project, "predict", "nothing.png")
    assert result.returncode == 2 and result.stderr.splitlines()[-1].startswith("error: nothing.png: expected a file")


def test_what_fails_unexpectedly_logs_nothing_of_the_upload(project, xray, tmp_path):
    """The predictor raises an error that contains its input, as a library may."""
    (tmp_path / "sitecustomize.py").write_text(
        "from rontgen.data import decoding\n\n"
        "def decode(data, size):\n    raise KeyError(data)\n\n"
        "decoding.decode = decode\n"
    )
    path = f"{tmp_path}:{ROOT / 'src'}"
    log = tmp_path / "log"
    with (
        log.open("w") as file,
        served_project.served(project, "--kind", "onnx", stderr=file, PYTHONPATH=path) as address,
    ):
        response = httpx.post(f"{address}/api/predict", files={"files": ("secret.png", b"SECRET")})
        httpx.post(
            f"{address}/api/predict", content=b"SECRET--C", headers={"content-type": "multipart/form-data; boundary=B"}
        )
    assert response.status_code == 500 and "report it" in response.json()["error"]
    assert response.headers["content-security-policy"]
    logged = log.read_text()
    assert "KeyError" in logged and "SECRET" not in logged and "secret" not in logged and "boundary" not in logged
