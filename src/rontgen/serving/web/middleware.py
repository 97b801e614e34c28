"""Checks of every request before the application sees it (size, number), and headers of the answers."""

import logging
import traceback

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Send

log = logging.getLogger(__name__)
# It tells bytes of what it cannot parse
logging.getLogger("python_multipart").setLevel(logging.CRITICAL + 1)

# Uploads at work or waiting; each file holds at most a megabyte in memory, the rest in an unnamed temporary file
MOST_UPLOADS = 16
# Bytes of one request: two of the largest files and what encodes them
MAX_REQUEST = 52_000_000

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


class Middleware:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp):
        self.app = app
        self.uploads = 0

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = _with_headers(send, scope["path"])
        length = Headers(scope=scope).get("content-length", "0")
        if scope["method"] != "POST":
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

    async def _ask(self, scope, receive, send):
        """Call the application, which sends a 500 if it raises. Drop the error's text: it may quote the upload."""
        try:
            await self.app(scope, receive, send)
        except ClientDisconnect:
            pass
        except Exception as error:
            log.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))


_TOO_LARGE = f"expected at most {MAX_REQUEST / 1e6:.0f} MB in one request, received more: send fewer or smaller files"


def _bounded(receive):
    """A `receive` that stops a body larger than MAX_REQUEST, whatever size it announced."""
    size = 0

    async def bounded():
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
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
        await send(message)

    return sending
