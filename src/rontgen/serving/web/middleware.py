"""Checks of every request before the application sees it (password, size, number, time), and headers of the answers."""

import asyncio
import base64
import binascii
import logging
import secrets
import traceback

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)
# It tells bytes of what it cannot parse
logging.getLogger("python_multipart").setLevel(logging.CRITICAL + 1)

# Uploads at work or waiting; each file holds at most a megabyte in memory, the rest in an unnamed temporary file
MOST_UPLOADS = 16
# Bytes of one request: two of the largest files and what encodes them
MAX_REQUEST = 52_000_000
# Seconds in which an upload must have come, and an answer gone
PATIENCE = 60
# Seconds in which a request must begin on an open connection
IDLE = 10
WITHOUT_PASSWORD = "/api/health"

# No script, style, picture or request from anywhere else, whatever a template holds
POLICY = (
    "default-src 'none'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# FastAPI's page of the API starts itself with a script in the page
POLICY_OF_DOCS = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class Impatient(H11Protocol):
    """uvicorn's HTTP, which also closes a connection on which no request begins within IDLE seconds."""

    def connection_made(self, transport):
        super().connection_made(transport)
        self._await_request()

    def on_response_complete(self):
        super().on_response_complete()
        self._await_request()

    def _await_request(self):
        self.loop.call_later(IDLE, self._close_if_idle_since, self.cycle)

    def _close_if_idle_since(self, last):
        if self.cycle is last and (last is None or last.response_complete):
            self.transport.close()


class Gate:
    """An ASGI application around another. password: for HTTP Basic, with any user name; None for no password."""

    def __init__(self, app: ASGIApp, password: str | None):
        self.app = app
        self.password = password
        self.uploads = 0

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = _with_headers(send, scope["path"])
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        if not self._may_enter(scope["path"], headers.get("authorization", "")):
            challenge = {"WWW-Authenticate": 'Basic realm="Rontgen", charset="UTF-8"'}
            await JSONResponse({"error": "expected the password"}, 401, challenge)(scope, receive, send)
        elif scope["method"] != "POST":
            await self._ask(scope, receive, send)
        elif self.uploads >= MOST_UPLOADS:
            error = f"expected fewer than {MOST_UPLOADS} uploads at once, received more: try again later"
            await JSONResponse({"error": error}, 503, {"Retry-After": "5"})(scope, receive, send)
        elif not length.isdigit() or int(length) > MAX_REQUEST:
            await JSONResponse({"error": _TOO_LARGE}, 413, {"Connection": "close"})(scope, receive, send)
        else:
            self.uploads += 1
            try:
                await self._ask(scope, _bounded(receive), send)
            finally:
                self.uploads -= 1

    def _may_enter(self, path: str, authorization: str) -> bool:
        if self.password is None or path == WITHOUT_PASSWORD:
            return True
        kind, _, encoded = authorization.partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return False
        return kind.lower() == "basic" and secrets.compare_digest(given, self.password.encode(errors="surrogateescape"))

    async def _ask(self, scope, receive, send):
        """Call the application, which sends a 500 if it raises. Drop the error's text: it may quote the upload."""
        try:
            await self.app(scope, receive, send)
        except (ClientDisconnect, TimeoutError):
            pass
        except Exception as error:
            log.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))


_TOO_LARGE = f"expected at most {MAX_REQUEST / 1e6:.0f} MB in one request, received more: send fewer or smaller files"


def _bounded(receive):
    """A `receive` that stops a body larger than announced, or slower than PATIENCE."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    size, whole = 0, False

    async def bounded():
        nonlocal size, whole
        if whole:  # what comes now is the end of the connection, whenever that is
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"expected the whole upload within {PATIENCE} seconds: try again") from None
        size += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if size > MAX_REQUEST:
            raise HTTPException(413, _TOO_LARGE)
        return message

    return bounded


def _with_headers(send: Send, path: str) -> Send:
    async def sending(message):
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = POLICY_OF_DOCS if path == "/docs" else POLICY
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "no-referrer"
            if not path.startswith("/static/"):
                headers["Cache-Control"] = "no-store"  # a prediction is nobody else's
        async with asyncio.timeout(PATIENCE):  # a client that reads slowly must not block others
            await send(message)

    return sending
