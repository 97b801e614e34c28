"""What every request passes before the application sees it: password, size, number and time, and what answers carry."""

import asyncio
import base64
import binascii
import secrets

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

# Uploads at work or waiting; each holds at most a megabyte in memory, the rest in an unnamed temporary file
MOST_UPLOADS = 16
# Bytes of one request: two of the largest files and what encodes them
MAX_REQUEST = 52_000_000
# Seconds in which an upload must have come
PATIENCE = 60
WITHOUT_PASSWORD = "/api/health"

# No script, style, picture or request from anywhere else, whatever a template holds
POLICY = (
    "default-src 'none'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# FastAPI's page of the API starts itself with a script in the page
POLICY_OF_DOCS = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
)


class Gate:
    """An ASGI middleware. password: asked for as HTTP Basic, with any user name; None for none."""

    def __init__(self, app, password: str | None):
        self.app = app
        self.password = password
        self.uploads = 0

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = _with_headers(send, scope["path"])
        headers = Headers(scope=scope)
        if not self._may_enter(scope["path"], headers.get("authorization", "")):
            answer = JSONResponse(
                {"error": "expected the password"}, 401, {"WWW-Authenticate": 'Basic realm="Rontgen"'}
            )
            await answer(scope, receive, send)
        elif scope["method"] != "POST":
            await self.app(scope, receive, send)
        elif self.uploads >= MOST_UPLOADS:
            error = f"{MOST_UPLOADS} uploads are at work already: try again in a second"
            await JSONResponse({"error": error}, 503, {"Retry-After": "1"})(scope, receive, send)
        elif not headers.get("content-length", "0").isdigit() or int(headers.get("content-length", "0")) > MAX_REQUEST:
            await JSONResponse({"error": _TOO_LARGE}, 413, {"Connection": "close"})(scope, receive, send)
        else:
            self.uploads += 1
            try:
                await self.app(scope, _bounded(receive), send)
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
        return kind.lower() == "basic" and secrets.compare_digest(given, self.password.encode())


_TOO_LARGE = f"expected at most {MAX_REQUEST / 1e6:.0f} MB in one request, received more: send fewer or smaller files"


def _bounded(receive):
    """`receive`, which stops a body that is larger than it said, or slower than PATIENCE."""
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


def _with_headers(send, path: str):
    async def sending(message):
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = POLICY_OF_DOCS if path == "/docs" else POLICY
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "no-referrer"
            if not path.startswith("/static/"):
                headers["Cache-Control"] = "no-store"  # a reading is nobody else's
        await send(message)

    return sending
