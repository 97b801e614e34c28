"""The real official client against a server on the loopback interface."""

import contextlib
import errno
import importlib
import io
import json
import os
import random
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from kaggle_server import Answer, Fault, KaggleServer
from rontgen.core.errors import RontgenError, run
from rontgen.core.settings import Source
from rontgen.data import kaggle, unpacked
from rontgen.data.archives import sha256
from rontgen.data.kaggle import Patience, bring, fetch

SLUG, NAME = "owner/some-name", "owner--some-name.zip"
PART = [f"{NAME}.part", f"{NAME}.part.kaggle-partial"]
COMMAND = "dvc repro download@lungs"
QUICK = Patience(tries=4, wait=0.01, longest_wait=2, stall=5)
SECRET = "s3cret-key"


def packed(seed=7, size=5_000_000):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.png", random.Random(seed).randbytes(size))
    return buffer.getvalue()


ARCHIVE = packed()


@pytest.fixture(scope="session")
def client(tmp_path_factory):
    """Import the client once, in an empty home: importing makes a folder there and looks for credentials."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        for name in [name for name in os.environ if name.startswith(("KAGGLE_", "XDG_CONFIG"))]:
            patch.delenv(name)
        with contextlib.redirect_stdout(io.StringIO()):
            importlib.import_module("kaggle")


@pytest.fixture
def server(client, monkeypatch, tmp_path, capsys):
    """A server that the client takes for Kaggle, an empty home, and credentials that must never be shown."""
    from kagglesdk import kaggle_env

    for name in [name for name in os.environ if name.startswith("KAGGLE_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", SECRET)
    with KaggleServer(ARCHIVE) as server:
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, server.endpoint)
        yield server
    assert "s3cret" not in "".join(capsys.readouterr())


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data" / "archives"


@pytest.fixture
def no_credentials(monkeypatch):
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")


@pytest.fixture
def no_client(monkeypatch):
    for name in ("kaggle", "kaggle.api.kaggle_api_extended", "kagglesdk", "requests"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it raises


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def downloaded(folder, patience=QUICK):
    """The bytes of the archive that fetch downloads; nothing else may lie beside it."""
    fetched = fetch(SLUG, folder, patience=patience)
    assert (fetched.downloaded, left(folder)) == (True, [NAME])
    return fetched.path.read_bytes()


def refused(folder, patience=QUICK, kept=()):
    """The message of the RontgenError that fetch raises; it must be one line, name both remedies, show no secret, and
    fetch must leave nothing but the files `kept`."""
    with pytest.raises(RontgenError) as caught:
        fetch(SLUG, folder, command=COMMAND, patience=patience)
    message = str(caught.value)
    assert message.startswith(f"{SLUG}: ") and "\n" not in message and "s3cret" not in message
    assert message.endswith(f"run `{COMMAND}` again, or put the zip at data/archives/{NAME}")
    assert left(folder) == [*kept]
    return message


def said(status, message, **headers):
    """An answer in the form of Kaggle's API."""
    return Answer(status, headers, {"code": status, "message": message})


def test_download_with_a_progress_bar(server, folder, capsys):
    fetched = fetch(SLUG, folder, command=COMMAND, patience=QUICK)
    assert (fetched.path, fetched.downloaded) == (folder / NAME, True)
    assert fetched.path.read_bytes() == ARCHIVE
    assert fetched.sha256 == sha256(fetched.path)
    assert left(folder) == [NAME]
    output = capsys.readouterr()
    assert output.out == ""
    assert re.search(r"100%.*4\.77M/4\.77M .*B/s", output.err)
    assert re.search(r"verifying .*100%.* 5\.00M/5\.00M", output.err)
    asked, transfer = server.calls
    assert asked.content == {"ownerSlug": "owner", "datasetSlug": "some-name"}
    assert asked.headers["Authorization"].startswith("Basic ")
    assert "Authorization" not in transfer.headers


def test_an_archive_that_is_there_needs_no_client(folder, no_client):
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(ARCHIVE)
    (folder / f"{NAME}.part").write_bytes(b"of a download that was cut")
    assert fetch(SLUG, folder) == kaggle.Fetched(folder / NAME, sha256(folder / NAME), False)
    assert left(folder) == [NAME]


def test_an_archive_that_is_there_and_damaged_is_named_and_kept(folder):
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(ARCHIVE[:-100])
    with pytest.raises(RontgenError, match=rf"{NAME}: is a damaged .* delete it and run `{COMMAND}` again$"):
        fetch(SLUG, folder, command=COMMAND)
    assert left(folder) == [NAME]


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "the credentials were not accepted, make new ones: set KAGGLE_API_TOKEN, or "),
        (403, "accept the licence or rules at kaggle.com/datasets/owner/some-name as the user of"),
        (404, "no such dataset: check kaggle.com/datasets/owner/some-name and the slug in params.yaml"),
        (418, "run `dvc repro download@lungs` again"),
    ],
)
def test_a_refusal_is_explained(server, folder, status, hint):
    server.answers = [said(status, "No\nway")]
    assert f': Kaggle answered {status} ("No way"); {hint}' in refused(folder)
    assert len(server.calls) == 1


def test_a_refusal_in_another_form_is_explained_too(server, folder):
    server.answers = [Answer(403, content="<html>no\n</html>"), Answer(200, content={"code": 404, "message": "no"})]
    assert "Kaggle answered 403; accept the licence" in refused(folder)
    assert 'Kaggle answered 404 ("no"); no such dataset' in refused(folder)


@pytest.mark.parametrize("status", [401, 403])
def test_no_credentials(server, folder, no_credentials, status):
    server.answers = [said(status, "Unauthenticated")]
    message = refused(folder)
    assert "no credentials were found: set KAGGLE_API_TOKEN, or set KAGGLE_USERNAME and KAGGLE_KEY, or put " in message
    assert "access_token or kaggle.json in ~/.kaggle" in message


def test_a_public_dataset_may_need_no_credentials(server, folder, no_credentials):
    assert downloaded(folder) == ARCHIVE
    assert "Authorization" not in server.calls[0].headers


@pytest.mark.parametrize("way", ["token", "token_file", "access_token", "kaggle.json"])
def test_other_ways_to_give_credentials(server, folder, no_credentials, monkeypatch, tmp_path, way):
    home = tmp_path / "home" / ".kaggle"
    home.mkdir(parents=True)
    is_json = way == "kaggle.json"
    (home / way).write_text(json.dumps({"username": "someone", "key": SECRET}) if is_json else SECRET)
    if way.startswith("token"):
        monkeypatch.setenv("KAGGLE_API_TOKEN", SECRET if way == "token" else str(home / way))
    fetch(SLUG, folder, patience=QUICK)
    asked = next(call for call in server.calls if call.service == "DownloadDataset")
    given = asked.headers["Authorization"]
    assert given.startswith("Basic ") if is_json else given == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        (SECRET, "the credentials were not accepted"),
        (SECRET * 30, "KAGGLE_API_TOKEN is too long"),
        (f"{SECRET}\r\n", "character that cannot be sent"),
    ],
)
def test_a_token_that_does_not_work_is_explained(server, folder, no_credentials, monkeypatch, token, fault):
    monkeypatch.setenv("KAGGLE_API_TOKEN", token)
    server.token_is_active = False
    server.answers = [said(401, "Unauthenticated")]
    assert fault in refused(folder)


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("0", 0, 0),
        ("2", 2, 2),
        (format_datetime(datetime.now(UTC) + timedelta(seconds=1.5), usegmt=True), 0, 1.5),
        ("soon", 0.01, 0.01),
    ],
    ids=["none", "seconds", "date", "unclear"],
)
def test_too_many_requests_then_success(server, folder, monkeypatch, value, least, most):
    waits = []
    monkeypatch.setattr(kaggle.time, "sleep", waits.append)
    server.answers = [said(429, "Too many requests", **{"Retry-After": value})]
    assert downloaded(folder) == ARCHIVE
    assert len(waits) == 1 and least <= waits[0] <= most


def test_a_server_that_asks_to_wait_too_long_is_not_waited_for(server, folder):
    server.answers = [said(429, "slow", **{"Retry-After": "600"})]
    assert 'Kaggle answered 429 ("slow") and asks to wait 600 s; then run' in refused(folder)


def test_a_server_error_is_tried_again(server, folder):
    server.answers = [Answer(503, content="<html>down</html>")] * 2
    assert downloaded(folder) == ARCHIVE


@pytest.mark.parametrize(
    ("answer", "fault", "cause", "kept"),
    [
        (said(429, "slow"), None, 'Kaggle answered 429 ("slow")', []),
        (None, Fault(403), "Kaggle answered 403", []),
        (None, Fault("cut", 1000), "(ChunkedEncodingError)", PART),
    ],
)
def test_without_progress_the_tries_are_bounded(server, folder, answer, fault, cause, kept):
    server.answers, server.faults = [answer] * 9 if answer else [], [fault] * 9
    assert f"{cause} (try 4 of 4, 0 bytes so far); run" in refused(folder, kept=kept)
    assert len(server.answers or server.faults) == 5


def test_no_network(server, folder, capsys):
    server.server_close()
    assert "no connection to Kaggle, or it was cut (ConnectionError) (try 4 of 4, 0 bytes so far)" in refused(folder)
    assert capsys.readouterr().err.count("next try in") == 3


def test_cut_three_times_and_resumed(server, folder):
    # Each resumption first looks at the headers of the whole file, then asks for the rest in a second request.
    cut = Fault("cut", 1_300_000)
    server.faults = [cut, None, cut, None, cut]
    assert downloaded(folder, replace(QUICK, tries=2)) == ARCHIVE  # so received bytes must renew the tries
    first, second, third = (f"bytes={count * 2**20}-" for count in (1, 2, 3))
    assert server.ranges() == [None, None, first, None, second, None, third]


@pytest.mark.parametrize(
    ("kind", "shown"), [("stall", r"\(ConnectionError\)"), ("reset", r"\((ConnectionError|ChunkedEncodingError)\)")]
)
def test_other_cuts_are_resumed(server, folder, capsys, kind, shown):
    server.faults = [Fault(kind, 1_300_000), None, Fault(kind, 1_300_000)]
    assert downloaded(folder, replace(QUICK, tries=3, stall=0.5)) == ARCHIVE
    assert len(re.findall(shown, capsys.readouterr().err)) == 2


def test_a_storage_that_refuses_is_asked_again(server, folder):
    server.faults = [Fault("cut", 1_300_000), Fault(403), Fault(503)]
    assert downloaded(folder) == ARCHIVE
    assert server.ranges() == [None] * 4 + ["bytes=1048576-"]


def test_an_error_page_in_place_of_the_rest_is_no_part_of_the_archive(server, folder, capsys):
    server.faults = [Fault("cut", 1_300_000), None, Fault(503), Fault(503)]
    assert downloaded(folder) == ARCHIVE
    assert "the transfer had another length than announced; next try" in capsys.readouterr().err
    assert server.ranges() == [None, None, "bytes=1048576-", None, None]


def cut_once(server, folder):
    server.faults = [Fault("cut", 1_300_000)]
    message = refused(folder, replace(QUICK, tries=1), kept=PART)
    server.calls.clear()
    return message


def test_a_later_call_resumes(server, folder):
    assert "(ChunkedEncodingError) (try 1 of 1, 1048576 bytes so far)" in cut_once(server, folder)
    assert downloaded(folder) == ARCHIVE
    assert server.ranges() == [None, "bytes=1048576-"]


@pytest.mark.parametrize(
    ("archive", "etag"),
    [(packed(8, 4_000_000), '"second"'), (packed(8, 4_000_000), '"first"'), (packed(8), '"second"'), (packed(8), None)],
    ids=["other size and tag", "other size", "other tag", "no tag"],
)
def test_another_version_is_downloaded_afresh(server, folder, archive, etag):
    cut_once(server, folder)
    server.archive, server.etag = archive, etag
    assert downloaded(folder) == archive
    assert server.ranges() == [None]


def test_a_part_of_unknown_origin_is_not_resumed(server, folder):
    folder.mkdir(parents=True)
    (folder / f"{NAME}.part").write_bytes(b"x" * 1000)
    assert downloaded(folder) == ARCHIVE
    assert server.ranges() == [None]


def test_a_part_with_wrong_bytes_is_found_after_resumption(server, folder):
    cut_once(server, folder)
    part = folder / f"{NAME}.part"
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    assert "downloaded, but member 'a.png' is damaged: Bad CRC-32 for file 'a.png'; it was deleted" in refused(folder)


@pytest.mark.parametrize(
    ("archive", "fault"),
    [
        (ARCHIVE[:2_000_000] + b"?" + ARCHIVE[2_000_001:], "member 'a.png' is damaged: Bad CRC-32 for file 'a.png'"),
        (ARCHIVE[:-200], "is a damaged or cut off zip (File is not a zip file)"),
        (b"<html>Sign in to the network</html>", "is not a zip: begins with b'<htm'"),
        (b"", "is empty; expected a zip"),
    ],
    ids=["wrong bytes", "truncated", "a page", "nothing"],
)
def test_a_damaged_download_is_deleted(server, folder, archive, fault):
    server.archive = archive
    assert f"downloaded, but {fault}; it was deleted: run" in refused(folder)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_named(server, folder, capsys):
    folder.mkdir(parents=True)
    part = folder / f"{NAME}.part"
    part.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        fetch(SLUG, folder, patience=QUICK)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(part))
    with pytest.raises(SystemExit, match="2"):
        run(lambda: fetch(SLUG, folder, patience=QUICK))
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {part}: no space left: ")


@pytest.mark.parametrize(
    ("variables", "hint"),
    [
        ({"KAGGLE_API_TOKEN": SECRET, "VERBOSE": "1"}, "the credentials were not accepted"),  # may print its requests
        ({}, "no credentials were found"),  # on import, the client prints a page of help once
    ],
)
def test_a_fresh_process_shows_one_line_and_no_secret(server, folder, no_credentials, tmp_path, variables, hint):
    server.answers = [said(401, "Unauthenticated")]
    program = f"""
from pathlib import Path
from kagglesdk import kaggle_env
kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = {server.endpoint!r}
from rontgen.core.errors import run
from rontgen.data.kaggle import fetch
run(lambda: fetch({SLUG!r}, Path({str(folder)!r})))
"""
    command, variables = [sys.executable, "-W", "error", "-c", program], os.environ | variables
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"error: {SLUG}: Kaggle answered 401 .*; {hint}.*\n", done.stderr)
    assert "s3cret" not in done.stderr


def brought(listed, folder, **pin):
    return bring(Source(slug=SLUG, **pin), listed, folder, command=COMMAND)


def test_a_pinned_version_is_asked_for_and_kept_apart(server, folder):
    assert brought({}, folder, version=3) == folder / "version-3" / NAME
    brought({}, folder, version=4)
    assert [call.content["datasetVersionNumber"] for call in server.calls if call.content] == [3, 4]


def test_another_archive_than_the_pinned_one_is_refused_with_version_and_hashes(server, folder):
    with pytest.raises(RontgenError) as caught:
        brought({}, folder, version=3, sha256="0" * 64)
    received = sha256(folder / "version-3" / NAME)
    assert f"expected version 3, SHA-256 {'0' * 64}" in str(caught.value) and received in str(caught.value)
    assert brought({}, folder, version=3, sha256=received).exists()


@pytest.fixture
def by_hand(tmp_path, monkeypatch, no_client):
    """An archive put in place by hand, and no client to import; returns what the stage `inputs` lists."""
    monkeypatch.chdir(tmp_path)
    Path("data/archives").mkdir(parents=True)
    Path("data/archives", NAME).write_bytes(ARCHIVE)
    return {NAME: sha256(Path("data/archives", NAME))}


def test_an_archive_put_by_hand_is_used_where_it_lies(by_hand, folder):
    assert brought(by_hand, folder) == Path("data/archives", NAME)


def test_an_unpacked_archive_is_used_where_it_lies(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    (mounted / "a.png").write_bytes(b"one")
    index = unpacked.write_index(SLUG, mounted, Path("data/archives"))
    listed = {index.name: sha256(index)}
    assert brought(listed, folder) == index
    assert brought(listed, folder, sha256=unpacked.Index.read(index).sha256) == index  # that of SOURCE.json
    (mounted / "a.png").write_bytes(b"two")
    with pytest.raises(RontgenError, match=f"member 'a.png' is damaged: .* `rontgen index {SLUG} {mounted}` and `"):
        brought(listed, folder)


def test_an_archive_replaced_since_it_was_listed_is_refused(by_hand, folder):
    Path("data/archives", NAME).write_bytes(packed(seed=8))
    with pytest.raises(RontgenError, match=f"expected SHA-256 {by_hand[NAME]}, as listed, received .*dvc repro inputs"):
        brought(by_hand, folder)


def test_an_archive_put_by_hand_must_be_the_pinned_one(by_hand, folder):
    with pytest.raises(RontgenError, match=f"expected SHA-256 {'0' * 64}, as params.yaml pins it"):
        brought(by_hand, folder, sha256="0" * 64)
    brought(by_hand, folder, sha256=by_hand[NAME])
