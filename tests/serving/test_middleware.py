"""What stops a request before the application sees it, tried on an application that only reads what it is sent."""

import asyncio
from types import SimpleNamespace

import httpx
import pytest
from fastapi import HTTPException
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from rontgen.serving.predictor import Prediction
from rontgen.serving.web import middleware, server
from rontgen.serving.web.middleware import Middleware


async def read(request: Request):
    try:
        return PlainTextResponse(str(len(await request.body())))
    except HTTPException as error:
        return JSONResponse({"error": error.detail}, error.status_code)


def application():
    return Middleware(Starlette(routes=[Route("/", read, methods=["GET", "POST"])]))


def ask(app, *requests):
    """The answers to requests sent at the same time, each (method, keyword arguments of httpx)."""

    async def send():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await asyncio.gather(*(client.request(method, "/", **keywords) for method, keywords in requests))

    return asyncio.run(send())


async def in_pieces(*pieces):
    for piece in pieces:
        yield piece


def test_an_upload_passes():
    (response,) = ask(application(), ("POST", {"content": b"x" * 1000}))
    assert (response.status_code, response.text) == (200, "1000")


def test_a_declared_size_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr(middleware, "MAX_REQUEST", 10)
    (response,) = ask(application(), ("POST", {"content": b"x" * 11}))
    assert response.status_code == 413 and "expected at most" in response.json()["error"]


@pytest.mark.parametrize("length", ["-1", "many", "1_0"])
def test_a_size_that_is_no_number_is_refused(length):
    (response,) = ask(application(), ("POST", {"content": b"x", "headers": {"content-length": length}}))
    assert response.status_code == 413


def test_a_body_larger_than_it_said_is_stopped(monkeypatch):
    monkeypatch.setattr(middleware, "MAX_REQUEST", 10)
    (response,) = ask(application(), ("POST", {"content": in_pieces(b"x" * 6, b"x" * 6)}))
    assert response.status_code == 413


def test_more_uploads_than_fit_are_told_to_come_again(monkeypatch):
    monkeypatch.setattr(middleware, "MOST_UPLOADS", 2)
    app = application()
    gone, release = [], asyncio.Event()

    async def hold(request):
        gone.append(request)
        await release.wait()
        return PlainTextResponse("done")

    app.app = Starlette(routes=[Route("/", hold, methods=["POST"])])

    async def send():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            first = [asyncio.create_task(client.post("/")) for _ in range(2)]
            while len(gone) < 2:
                await asyncio.sleep(0.01)
            third = await client.post("/")
            release.set()
            done = await asyncio.gather(*first)
            return third, done, await client.post("/")

    third, done, later = asyncio.run(send())
    assert third.status_code == 503 and third.headers["retry-after"] == "5"
    assert [response.status_code for response in (*done, later)] == [200] * 3


def test_every_answer_says_that_nothing_from_elsewhere_may_run():
    too_large = {"content": b"x", "headers": {"content-length": str(middleware.MAX_REQUEST + 1)}}
    for response in ask(application(), ("GET", {}), ("POST", too_large)):
        assert response.headers["content-security-policy"] == middleware.POLICY
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"


def test_the_pictures_of_who_has_left_are_not_read():
    asked = []

    def read(data):
        asked.append(data)
        return Prediction(False, "in_colour", None, None, None, None, None)

    predictor = SimpleNamespace(read=read, name="active", classes=[], description={"model": "cnn1", "threshold": 0.5})
    part = b'--B\r\nContent-Disposition: form-data; name="files"; filename="x.png"\r\n\r\nx\r\n'
    messages = [{"type": "http.request", "body": part * 5 + b"--B--\r\n"}]

    async def receive():
        if messages:
            return messages.pop()
        if asked:
            return {"type": "http.disconnect"}
        await asyncio.sleep(60)
        raise AssertionError("it waited for what does not come")

    async def send(message):
        pass

    headers = [(b"host", b"localhost"), (b"content-type", b"multipart/form-data; boundary=B")]
    scope = {"type": "http", "method": "POST", "path": "/api/predict", "headers": headers, "query_string": b""}
    application = server.create({"active": predictor})
    asyncio.run(asyncio.wait_for(application(scope, receive, send), 10))
    assert asked == [b"x"]
