"""Kaggle on the loopback interface: the calls its official client makes for a dataset, with faults on request."""

import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import NamedTuple


class Answer(NamedTuple):
    """What to answer to an API call instead of the redirect to the archive."""

    status: int
    headers: Mapping[str, str] = MappingProxyType({})
    content: dict | str = ""


class Fault(NamedTuple):
    """What to do with a transfer after `sent` bytes: "cut" or "stall"; or a status."""

    kind: str | int
    sent: int = 0


class Call(NamedTuple):
    """A request that was received, `service` being the last part of its path."""

    service: str
    headers: dict[str, str]
    content: dict


class KaggleServer(ThreadingHTTPServer):
    """Serves one archive as Kaggle does: a POST is redirected to a storage address, whose GET supports ranges.

    `answers` are given to the first DownloadDataset calls, `faults` hit the first transfers (None: none).
    """

    daemon_threads = True

    def __init__(self, archive: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.archive = archive
        self.etag = '"first"'
        self.answers: list[Answer] = []
        self.faults: list[Fault | None] = []
        self.token_is_active = True
        self.calls: list[Call] = []
        self.closing = threading.Event()

    # Two names of one machine, so that credentials sent on to the storage are noticed.
    @property
    def endpoint(self) -> str:
        return f"http://localhost:{self.server_port}"

    @property
    def storage(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/storage/archive.zip?Signature=s3cret-signature"

    def ranges(self) -> list[str | None]:
        """The Range header of each transfer."""
        return [call.headers.get("Range") for call in self.calls if call.service == "archive.zip"]

    def __enter__(self) -> "KaggleServer":
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: KaggleServer

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        service = self._record(content)
        if service == "IntrospectToken":
            self._answer(Answer(200, content={"active": self.server.token_is_active, "username": "someone"}))
        elif self.server.answers:
            self._answer(self.server.answers.pop(0))
        else:
            self._answer(Answer(302, {"Location": self.server.storage}))

    def do_GET(self) -> None:
        self._record({})
        fault = self.server.faults.pop(0) if self.server.faults else None
        if fault and isinstance(fault.kind, int):
            self._answer(Answer(fault.kind, content="<html>not now</html>"))
            return
        body, start = self.server.archive, 0
        if (asked := self.headers.get("Range")) and self.headers.get("If-Range") == self.server.etag:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "application/zip")
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", self.server.etag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        try:
            self.wfile.write(body[start : start + fault.sent] if fault else body[start:])
        except ConnectionError:
            return  # the client looks at the headers, and closes the connection if it resumes with another request
        if fault and fault.kind == "stall":
            self.server.closing.wait(30)

    def _record(self, content: dict) -> str:
        service = self.path.split("?")[0].rsplit("/", 1)[1]
        self.server.calls.append(Call(service, dict(self.headers), content))
        return service

    def _answer(self, answer: Answer) -> None:
        is_json = isinstance(answer.content, dict)
        body = (json.dumps(answer.content) if is_json else answer.content).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json" if is_json else "text/html")
        self.send_header("Content-Length", str(len(body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass
