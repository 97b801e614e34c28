"""The application: the pages in both languages, and the JSON interface, over one model at a time."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, File, HTTPException, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from rontgen.app.gate import Gate
from rontgen.app.pages import LANGUAGES, Pages
from rontgen.errors import RontgenError
from rontgen.reader import MAX_BYTES, Reader, Reading

LOOPBACK = ("127.0.0.1", "localhost")
MOST_FILES = 16
MOST_CONNECTIONS = 100
STATIC = Path(__file__).with_name("static")

Pictures = Annotated[list[UploadFile], File(description=f"JPEG, PNG or DICOM, up to {MOST_FILES}")]
RunName = Annotated[str | None, Query(description="which of the runs offered; the first, if none is named")]


class Prediction(BaseModel):
    """What the model says of one picture. A picture that looks like none of its X-rays has no probabilities."""

    is_xray: bool
    reason: str | None
    probabilities: dict[str, float] | None
    decision: str | None
    confidence: float | None


class Predictions(BaseModel):
    """The predictions in the order of the files, and what made them."""

    run: str
    model: str
    kind: str
    commit: str
    classes: list[str]
    threshold: float | None
    predictions: list[Prediction]


class Failure(BaseModel):
    error: str


def create(readers: dict[str, Reader], password: str | None = None, hosts: Sequence[str] = LOOPBACK) -> FastAPI:
    """The application over the readers of some runs, of which the first is the default.

    password: see Gate. hosts: the names under which it may be asked; ["*"] for any.
    """
    app = FastAPIOffline(
        title="Rontgen",
        version=version("rontgen"),
        description="Chest X-rays read by the models of five published studies. For research; no medical device.",
        redoc_url=None,
        docs_url="/docs",
        static_url="/docs/static",
    )
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    pages = Pages(readers)
    # The model's own operations are parallel: one picture at a time is as fast, and bounds the memory
    worker = ThreadPoolExecutor(1)
    default = next(iter(readers))
    known = ", ".join(readers)

    def choose(run: str | None) -> Reader:
        if run not in (None, *readers):
            raise HTTPException(404, f"run: expected one of {known}, received another: leave it away for {default}")
        return readers[run or default]

    async def read(reader: Reader, file: UploadFile, *, with_heatmap: bool = False) -> Reading:
        if file.size > MAX_BYTES:
            raise HTTPException(413, f"expected a file of at most {MAX_BYTES / 1e6:.0f} MB, received a larger one")
        data = await file.read()
        return await asyncio.get_running_loop().run_in_executor(
            worker, lambda: reader.read(data, with_heatmap=with_heatmap)
        )

    failures = {code: {"model": Failure} for code in (401, 404, 408, 413, 422, 503)}

    @app.post("/api/predict", responses=failures, tags=["read"])
    async def predict(files: Pictures, run: RunName = None) -> Predictions:
        """Read one or several pictures. One that cannot be read fails the request, which names its place."""
        reader = choose(run)
        if len(files) > MOST_FILES:
            raise HTTPException(413, f"expected at most {MOST_FILES} files, received {len(files)}: send the rest later")
        predictions = []
        for number, file in enumerate(files, 1):
            try:
                reading = await read(reader, file)
            except RontgenError as error:
                raise HTTPException(422, f"file {number} of {len(files)}: {error}") from None
            predictions.append(
                Prediction(
                    is_xray=reading.is_xray, reason=reading.reason, probabilities=reading.probabilities,
                    decision=reading.decision, confidence=reading.confidence,
                )
            )  # fmt: skip
        description = reader.description
        return Predictions(
            run=reader.name, model=description["model"], kind=reader.kind, commit=reader.commit,
            classes=reader.classes, threshold=description["threshold"], predictions=predictions,
        )  # fmt: skip

    @app.get("/api/health", tags=["state"])
    async def health() -> dict[str, str]:
        """Whether it serves; needs no password."""
        return {"status": "ok"}

    @app.get("/api/version", tags=["state"])
    async def tell_version() -> dict:
        """The package's version, the commit, and the runs offered."""
        offered = {
            name: {"model": reader.description["model"], "kind": reader.kind} for name, reader in readers.items()
        }
        return {"version": app.version, "commit": readers[default].commit, "runs": offered}

    @app.get("/", include_in_schema=False)
    async def choose_language(request: Request) -> Response:
        wanted = request.headers.get("accept-language", "").lower()
        return RedirectResponse(f"/{'id' if wanted.startswith('id') else 'en'}/")

    @app.get("/{language}/{page}", include_in_schema=False)
    @app.get("/{language}/", include_in_schema=False)
    async def show(language: str, page: str = "home", run: str | None = None) -> Response:
        if language not in LANGUAGES or page not in pages.names:
            raise HTTPException(404, "expected a page of the menu, received another: go back to /")
        reader = choose(run)
        html = await asyncio.get_running_loop().run_in_executor(worker, lambda: pages.show(language, page, reader))
        return HTMLResponse(html)

    @app.post("/{language}/examine", include_in_schema=False)
    async def examine(language: str, request: Request) -> Response:
        if language not in LANGUAGES:
            raise HTTPException(404, "expected /en/examine or /id/examine, received another")
        async with request.form(max_files=1, max_fields=2) as form:
            file, run = form.get("file"), form.get("run")
            reader = choose(run if isinstance(run, str) else None)
            reading, error, status = None, None, 200
            try:
                if not isinstance(file, UploadFile) and not hasattr(file, "read"):
                    raise RontgenError("expected a file, received none")
                reading = await read(reader, file, with_heatmap=True)
            except RontgenError as failure:
                error, status = str(failure), 422
            except HTTPException as failure:
                error, status = failure.detail, failure.status_code
        html = await asyncio.get_running_loop().run_in_executor(
            worker, lambda: pages.show_reading(language, reader, reading, error)
        )
        return HTMLResponse(html, status)

    @app.exception_handler(StarletteHTTPException)
    async def refuse(request: Request, error: StarletteHTTPException) -> Response:
        said = error.detail if "expected" in error.detail else f"expected another request: {error.detail.lower()}"
        return JSONResponse({"error": said}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def refuse_form(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return JSONResponse({"error": f"{place}: {first['msg'].lower()}: see /docs"}, 422)

    @app.exception_handler(Exception)
    async def fail(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": "something failed here: say which picture it was, with the version"}, 500)

    # a page elsewhere whose name is made to lead here gets nothing
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    app.add_middleware(Gate, password=password)
    return app
