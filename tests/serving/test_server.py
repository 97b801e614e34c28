"""What the server refuses, and what it says where something fails, over a model that reads nothing."""

import asyncio
import logging
import socket
from types import SimpleNamespace

import httpx
import pytest

from rontgen.core.errors import RontgenError
from rontgen.serving.web import server


def ask(method, path, **keywords):
    """The answer to a request, by a model that fails as a library may: with its input in the message."""

    def read(data):
        raise KeyError(data)

    predictor = SimpleNamespace(read=read, name="active", classes=[], description={"model": "cnn1", "threshold": 0.5})
    transport = httpx.ASGITransport(server.create({"active": predictor}))

    async def send():
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, **keywords)

    return asyncio.run(send())


@pytest.mark.parametrize(
    "headers",
    [
        {"content-length": str(server.MAX_REQUEST + 1)},
        {"content-length": "-1"},
        {"content-length": "1", "transfer-encoding": "chunked"},
        {"transfer-encoding": "chunked"},
    ],
)
def test_an_upload_that_is_too_large_or_of_no_stated_size_is_not_read(headers):
    async def body():
        yield b"x"
        pytest.fail("reads it")

    response = ask("POST", "/api/predict", content=body(), headers=headers)
    assert response.status_code == 413
    assert "of a stated size of at most 52 MB" in response.json()["error"]


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/en/no", "127.0.0.1:8000", 404),
        ("/api/health", "localhost", 200),
        ("/api/health", "evil.example", 400),
        ("/api/health", "", 400),
    ],
)
def test_every_answer_forbids_what_is_elsewhere_and_a_foreign_host_gets_none(path, host, status):
    response = ask("GET", path, headers={"host": host})
    assert response.status_code == status
    assert response.headers["content-security-policy"] == server.POLICY
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"


def test_what_fails_unexpectedly_logs_nothing_of_the_upload(caplog):
    caplog.set_level(logging.DEBUG)
    form = {"content-type": "multipart/form-data; boundary=B"}
    response = ask("POST", "/api/predict", files={"files": ("secret.png", b"SECRET")})
    assert response.status_code == 500 and "report it" in response.json()["error"]
    assert "KeyError" in caplog.text
    assert ask("POST", "/api/predict", content=b"SECRET--C", headers=form).status_code == 400
    ours = [record.getMessage() for record in caplog.records if record.name != "httpx"]
    assert not any(word in line for line in ours for word in ("SECRET", "secret", "boundary"))


def test_a_port_in_use_is_one_line(monkeypatch):
    monkeypatch.setattr(server, "open_predictors", lambda models, kind: {"active": None})
    with socket.create_server((server.LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RontgenError, match=rf"^--port {port}: expected a free port, [^\n]*$"):
            server.serve([], "keras", port)
