"""The real official client against a server on the loopback interface."""

import contextlib
import importlib
import io
import os
import random
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kaggle_server import Answer, Fault, KaggleServer
from rontgen.core.errors import RontgenError
from rontgen.core.settings import Source
from rontgen.data import kaggle, unpacked
from rontgen.data.archives import sha256
from zips import packed

SLUG, NAME = "owner/some-name", "owner--some-name.zip"
LOCK = f"{NAME}.lock"
PART = [LOCK, f"{NAME}.part", f"{NAME}.part.kaggle-partial"]
COMMAND = "dvc repro download@lungs"
SECRET = "s3cret-key"


def noise(seed=7, size=5_000_000):
    return bytes(packed({"a.png": random.Random(seed).randbytes(size)}, zipfile.ZIP_STORED))


ARCHIVE = noise()
CUT = Fault("cut", 1_300_000)


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
    for name, value in {"TRIES": 4, "WAIT": 0.01, "LONGEST_WAIT": 2, "STALL": 5}.items():
        monkeypatch.setattr(kaggle, name, value)
    with KaggleServer(ARCHIVE) as server:
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, server.endpoint)
        yield server
    assert "s3cret" not in "".join(capsys.readouterr())


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data" / "kaggle"


@pytest.fixture
def no_credentials(monkeypatch):
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")


@pytest.fixture
def no_client(monkeypatch):
    for name in ("kaggle", "kaggle.api.kaggle_api_extended", "kagglesdk", "requests"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it raises


def get(folder, listed=None, **pin):
    path, hashed = kaggle.get_archive(Source(slug=SLUG, **pin), listed or {}, folder, command=COMMAND)
    assert path.suffix != ".zip" or hashed == sha256(path)
    return path


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def downloaded(folder):
    """The bytes of the archive that is downloaded; but for the lock, nothing else may lie beside it."""
    path = get(folder)
    assert (path, left(folder)) == (folder / NAME, [NAME, LOCK])
    return path.read_bytes()


def refused(folder, kept=(LOCK,)):
    """The message of the RontgenError: one line, with both remedies and no secret; only `kept` may be left."""
    with pytest.raises(RontgenError) as caught:
        get(folder)
    message = str(caught.value)
    assert message.startswith(f"{SLUG}: ") and "\n" not in message and "s3cret" not in message
    assert message.endswith(f"run `{COMMAND}` again, or put the zip at data/archives/{NAME}")
    assert left(folder) == [*kept]
    return message


def said(status, message, **headers):
    """An answer in the form of Kaggle's API."""
    return Answer(status, headers, {"code": status, "message": message})


def test_download_with_a_progress_bar(server, folder, capsys):
    assert downloaded(folder) == ARCHIVE
    output = capsys.readouterr()
    assert output.out == ""
    assert re.search(r"100%.*4\.77M/4\.77M .*B/s", output.err)
    assert re.search(r"verifying .*100%.* 5\.00M/5\.00M", output.err)
    asked, transfer = server.calls
    assert asked.content == {"ownerSlug": "owner", "datasetSlug": "some-name"}
    assert asked.headers["Authorization"].startswith("Basic ")
    assert "Authorization" not in transfer.headers


def test_an_archive_that_is_there_needs_no_client_and_is_kept_where_it_is_damaged(folder, no_client):
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(ARCHIVE)
    assert downloaded(folder) == ARCHIVE
    (folder / NAME).write_bytes(ARCHIVE[:-100])
    with pytest.raises(RontgenError, match=rf"{NAME}: is not a zip, or a damaged .* delete it and run `{COMMAND}` ag"):
        get(folder)
    assert left(folder) == [NAME, LOCK]


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (said(401, "No\nway"), ' 401 ("No way"); the credentials were not accepted, make new ones: set KAGGLE_API_TOK'),
        (said(403, "no"), ' 403 ("no"); accept the licence or rules at kaggle.com/datasets/owner/some-name as the use'),
        (said(404, "no"), ' 404 ("no"); no such dataset: check kaggle.com/datasets/owner/some-name and the slug in '),
        (said(418, "no"), ' 418 ("no"); run `dvc repro download@lungs` again'),
        (Answer(403, content="<html>no\n</html>"), " 403; accept the licence"),
        (Answer(200, content={"code": 404, "message": "no"}), ' 404 ("no"); no such dataset'),
    ],
)
def test_a_refusal_is_explained(server, folder, answer, cause):
    server.answers = [answer]
    assert f": Kaggle answered{cause}" in refused(folder)
    assert len(server.calls) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_no_credentials(server, folder, no_credentials, status):
    server.answers = [said(status, "Unauthenticated")]
    message = refused(folder)
    assert "no credentials were found: set KAGGLE_API_TOKEN, or set KAGGLE_USERNAME and KAGGLE_KEY, or put " in message
    assert "access_token or kaggle.json in ~/.kaggle" in message
    assert downloaded(folder) == ARCHIVE  # as a public dataset is, without
    assert "Authorization" not in server.calls[-2].headers


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        (SECRET, "the credentials were not accepted"),
        (SECRET * 30, "the credentials cannot be sent"),
        (f"{SECRET}\r\n", "the credentials cannot be sent"),
    ],
)
def test_a_token_that_does_not_work_is_explained(server, folder, no_credentials, monkeypatch, token, fault):
    monkeypatch.setenv("KAGGLE_API_TOKEN", token)
    server.token_is_active = False
    server.answers = [said(401, "Unauthenticated")]
    assert fault in refused(folder)


@pytest.mark.parametrize(("value", "wait"), [("2", 2), ("soon", 0.01)])
def test_a_server_with_too_many_requests_is_waited_for(server, folder, monkeypatch, value, wait):
    waits = []
    monkeypatch.setattr(kaggle.time, "sleep", waits.append)
    server.answers = [said(429, "Too many requests", **{"Retry-After": value})]
    assert downloaded(folder) == ARCHIVE
    assert waits == [wait]


def test_a_server_that_asks_to_wait_too_long_is_not_waited_for(server, folder):
    server.answers = [said(429, "slow", **{"Retry-After": "600"})]
    assert 'Kaggle answered 429 ("slow") and asks to wait 600 s; then run' in refused(folder)


@pytest.mark.parametrize(
    ("answer", "fault", "cause", "kept"),
    [
        (said(429, "slow"), None, 'Kaggle answered 429 ("slow")', [LOCK]),
        (None, Fault(403), "Kaggle answered 403", [LOCK]),
        (None, Fault("cut", 1000), "(ChunkedEncodingError)", PART),
    ],
)
def test_without_progress_the_tries_are_bounded(server, folder, answer, fault, cause, kept):
    server.answers, server.faults = [answer] * 9 if answer else [], [fault] * 9
    assert f"{cause} (try 4 of 4, 0 bytes so far); run" in refused(folder, kept)
    assert len(server.answers or server.faults) == 5


def test_no_network(server, folder, capsys):
    server.server_close()
    assert "no connection to Kaggle, or it was cut (ConnectionError) (try 4 of 4, 0 bytes so far)" in refused(folder)
    assert capsys.readouterr().err.count("next try in") == 3


def test_cut_three_times_and_resumed(server, folder, monkeypatch):
    # Each resumption first looks at the headers of the whole file, then asks for the rest in a second request.
    server.faults = [CUT, None, CUT, None, CUT]
    monkeypatch.setattr(kaggle, "TRIES", 2)  # so received bytes must renew the tries
    assert downloaded(folder) == ARCHIVE
    first, second, third = (f"bytes={count * 2**20}-" for count in (1, 2, 3))
    assert server.ranges() == [None, None, first, None, second, None, third]


def test_a_stalled_transfer_is_cut_and_resumed(server, folder, capsys, monkeypatch):
    server.faults = [Fault("stall", 1_300_000)]
    monkeypatch.setattr(kaggle, "STALL", 0.5)
    assert downloaded(folder) == ARCHIVE
    assert "(ConnectionError); next try" in capsys.readouterr().err


def test_a_server_or_storage_that_fails_is_asked_again(server, folder, monkeypatch):
    monkeypatch.setattr(kaggle, "TRIES", 5)
    server.answers, server.faults = [Answer(503, content="<html>down</html>")], [CUT, Fault(403), Fault(503)]
    assert downloaded(folder) == ARCHIVE
    assert server.ranges() == [None] * 4 + ["bytes=1048576-"]


def test_an_error_page_in_place_of_the_rest_is_no_part_of_the_archive(server, folder, capsys):
    server.faults = [CUT, None, Fault(503), Fault(503)]
    assert downloaded(folder) == ARCHIVE
    assert "the transfer had another length than announced; next try" in capsys.readouterr().err
    assert server.ranges() == [None, None, "bytes=1048576-", None, None]


@pytest.fixture
def cut_once(server, folder, monkeypatch):
    """A download of which a call has brought the beginning."""
    server.faults = [CUT]
    with monkeypatch.context() as patch:
        patch.setattr(kaggle, "TRIES", 1)
        assert "(ChunkedEncodingError) (try 1 of 1, 1048576 bytes so far)" in refused(folder, PART)
    server.calls.clear()


def test_a_later_call_resumes(server, folder, cut_once):
    assert downloaded(folder) == ARCHIVE
    assert server.ranges() == [None, "bytes=1048576-"]


def test_another_version_is_downloaded_afresh(server, folder, cut_once):
    server.archive, server.etag = noise(8), '"second"'
    assert downloaded(folder) == server.archive
    assert server.ranges() == [None]


@pytest.mark.parametrize(
    ("archive", "fault"),
    [
        (ARCHIVE[:2_000_000] + b"?" + ARCHIVE[2_000_001:], "member 'a.png' is damaged: Bad CRC-32 for file 'a.png'"),
        (b"<html>Sign in to the network</html>", "is not a zip, or a damaged or cut off one (File is not a zip file)"),
    ],
    ids=["wrong bytes", "a page"],
)
def test_a_damaged_download_is_deleted(server, folder, archive, fault):
    server.archive = archive
    assert f"downloaded, but {fault}; it was deleted: run" in refused(folder)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_named(server, folder):
    folder.mkdir(parents=True)
    part = folder / f"{NAME}.part"
    part.symlink_to("/dev/full")
    with pytest.raises(RontgenError, match=f"^{part}: no space left: "):
        get(folder)


@pytest.mark.parametrize(
    ("variables", "hint"),
    [
        ({"KAGGLE_API_TOKEN": SECRET, "VERBOSE": "1"}, "the credentials were not accepted"),  # may print its requests
        ({}, "no credentials were found"),  # on import, the client prints a page of help once
    ],
)
def test_a_fresh_process_shows_one_line_and_no_secret(server, folder, no_credentials, variables, hint):
    server.answers = [said(401, "Unauthenticated")]
    program = f"""
from pathlib import Path
from kagglesdk import kaggle_env
kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = {server.endpoint!r}
from rontgen.core.errors import run
from rontgen.core.settings import Source
from rontgen.data.kaggle import get_archive
run(lambda: get_archive(Source(slug={SLUG!r}), {{}}, Path({str(folder)!r}), command={COMMAND!r}))
"""
    command, variables = [sys.executable, "-W", "error", "-c", program], os.environ | variables
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"error: {SLUG}: Kaggle answered 401 .*; {hint}.*\n", done.stderr)
    assert "s3cret" not in done.stderr


def test_a_pinned_version_is_asked_for_and_kept_apart(server, folder):
    assert get(folder, version=3) == folder / "version-3" / NAME
    get(folder, version=4)
    assert [call.content["datasetVersionNumber"] for call in server.calls if call.content] == [3, 4]


def test_another_archive_than_the_pinned_one_is_refused_with_version_and_hashes(server, folder):
    received = sha256(get(folder, version=3))
    with pytest.raises(RontgenError, match=f"version 3, SHA-256 {'0' * 64}, as params.yaml pins it, .* {received}"):
        get(folder, version=3, sha256="0" * 64)
    assert get(folder, version=3, sha256=received).exists()


def test_an_archive_put_by_hand_is_used_where_it_lies(tmp_path, monkeypatch, folder, no_client):
    monkeypatch.chdir(tmp_path)
    path = Path("data/archives", NAME)
    path.parent.mkdir(parents=True)
    path.write_bytes(ARCHIVE)
    listed = {NAME: sha256(path)}  # by the stage `inputs`
    assert get(folder, listed) == get(folder, listed, sha256=listed[NAME]) == path
    with pytest.raises(RontgenError, match=f"expected SHA-256 {'0' * 64}, as params.yaml pins it"):
        get(folder, listed, sha256="0" * 64)
    path.write_bytes(noise(seed=8))
    with pytest.raises(RontgenError, match=f"expected SHA-256 {listed[NAME]}, as listed, received .*dvc repro inputs"):
        get(folder, listed)


def test_an_unpacked_archive_is_used_where_it_lies(folder, tmp_path, monkeypatch, no_client):
    monkeypatch.chdir(tmp_path)
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    (mounted / "Normal").mkdir()
    (mounted / "Normal/a.png").write_bytes(b"one")
    index = unpacked.write_index(SLUG, mounted, Path("data/archives"), "tb_radiography")
    listed = {index.name: sha256(index)}
    assert get(folder, listed) == index
    pin = unpacked.open_archive(index.with_name(NAME)).sha256()  # that of SOURCE.json
    assert get(folder, listed, sha256=pin) == index
    (mounted / "Normal/a.png").write_bytes(b"two")
    with pytest.raises(
        RontgenError, match=f"member 'Normal/a.png' is damaged: .* `rontgen index {SLUG} {mounted}` and `"
    ):
        get(folder, listed)


@pytest.mark.parametrize(
    "there", [f"data/archives/{NAME}", f"data/archives/{unpacked.index_of(Path(NAME))}", f"data/kaggle/{NAME}"]
)
def test_a_copy_of_the_project_downloads_nothing_that_the_project_has(tmp_path, monkeypatch, there):
    copy = tmp_path / ".dvc/tmp/exps/tmp1"
    for path in (copy, (tmp_path / there).parent):
        path.mkdir(parents=True)
    (tmp_path / there).touch()
    monkeypatch.chdir(copy)
    monkeypatch.setattr(kaggle, "_download", None)
    with pytest.raises(RontgenError, match=f"^{there}: expected it in this copy of "):
        kaggle.get_archive(Source(slug=SLUG), {}, Path("data/kaggle"), command=COMMAND)
