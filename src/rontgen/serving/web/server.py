"""The web application: the pages in both languages and the JSON interface."""

import asyncio
import re
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, TypeVar

import uvicorn
from fastapi import HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect

from rontgen.core.errors import RontgenError
from rontgen.serving.predictor import MAX_BYTES, Prediction, Predictor, Trained, open_predictors
from rontgen.serving.web.middleware import Middleware
from rontgen.serving.web.pages import LANGUAGES, Pages

# The address it listens on, and the host names it answers to
LOOPBACK = "127.0.0.1"
HOSTS = [LOOPBACK, "localhost"]
MOST_FILES = 16
MOST_CONNECTIONS = 100
STATIC = Path(__file__).with_name("static")

RunName = Annotated[str | None, Query(description="which of the runs offered; the first, if none is named")]
# FastAPI would read a thousand files before it counts them
FILES = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {
                    "files": {
                        "type": "array",
                        "maxItems": MOST_FILES,
                        "items": {"type": "string", "format": "binary", "description": "JPEG, PNG or DICOM"},
                    }
                },
            }
        }
    },
}


Result = TypeVar("Result")


class Answer(BaseModel):
    """The model's answer to one picture. An out-of-distribution picture has no probabilities."""

    in_distribution: bool
    reason: str | None
    probabilities: dict[str, float] | None
    decision: str | None
    confidence: float | None


class Answers(BaseModel):
    """The predictions in the order of the files, and the model that made them."""

    run: str
    model: str
    kind: str
    commit: str
    classes: list[str]
    threshold: float | None
    predictions: list[Answer]


class Failure(BaseModel):
    """What was expected, and what was received."""

    error: str


def create(predictors: dict[str, Predictor]) -> Middleware:
    """The application for some predictors; the first is the default."""
    app = FastAPIOffline(
        title="Rontgen",
        version=version("rontgen"),
        description="Chest X-rays read by the models of five published studies. For research; no medical device.",
        redoc_url=None,
        docs_url="/docs",
        static_url="/docs/static",
    )
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    pages = Pages(predictors)
    default = next(iter(predictors))
    # The model's own operations are parallel: one picture at a time is as fast, and bounds the memory
    worker, working = ThreadPoolExecutor(1), asyncio.Lock()

    def choose(run: str | None) -> Predictor:
        if run and run not in predictors:
            raise HTTPException(404, f"run: expected one of {', '.join(predictors)}, received another: leave it away")
        return predictors[run or default]

    async def at_work(request: Request, function: Callable[[], Result]) -> Result:
        """The result of a function in the worker, once it is its turn and if the client still waits."""
        async with working:
            if await request.is_disconnected():
                raise ClientDisconnect
            return await asyncio.get_running_loop().run_in_executor(worker, function)

    @app.post(
        "/api/predict",
        openapi_extra={"requestBody": FILES},
        responses={code: {"model": Failure} for code in (400, 404, 413, 422, 503)},
        tags=["read"],
    )
    async def predict(request: Request, run: RunName = None) -> Answers:
        """Read one or several pictures. One that cannot be read fails the request, which names its place."""
        predictor = choose(run)
        predictions = []
        async with request.form(max_files=MOST_FILES, max_fields=0) as form:
            files = [file for file in form.getlist("files") if isinstance(file, UploadFile)]
            if not files:
                raise HTTPException(422, f"files: expected 1 to {MOST_FILES} files, received none: see /docs")
            for number, file in enumerate(files, 1):
                check_size(file)
                try:
                    prediction = await at_work(request, partial(read, predictor, file))
                except RontgenError as error:
                    raise HTTPException(422, f"file {number} of {len(files)}: {error}") from None
                predictions.append(Answer.model_validate(prediction, from_attributes=True))
        description = predictor.description
        return Answers(
            run=predictor.name, model=description["model"], kind=predictor.kind, commit=predictor.trained.commit,
            classes=predictor.classes, threshold=description["threshold"], predictions=predictions,
        )  # fmt: skip

    @app.get("/api/health", tags=["state"])
    async def health() -> dict[str, str]:
        """Whether it serves."""
        return {"status": "ok"}

    @app.get("/api/version", tags=["state"])
    async def tell_version() -> dict:
        """The package's version, the commit, and the runs offered."""
        offered = {
            name: {"model": predictor.description["model"], "kind": predictor.kind}
            for name, predictor in predictors.items()
        }
        return {"version": app.version, "commit": predictors[default].trained.commit, "runs": offered}

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def choose_language(request: Request) -> Response:
        wanted = re.search(r"\b(en|id|in)\b", request.headers.get("accept-language", "").lower())
        return RedirectResponse("/id/" if wanted and wanted[1] != "en" else "/en/")

    @app.api_route("/{language}/{page}", methods=["GET", "HEAD"], include_in_schema=False)
    @app.api_route("/{language}/", methods=["GET", "HEAD"], include_in_schema=False)
    async def show(language: str, page: str = "home", run: str | None = None) -> Response:
        if language not in LANGUAGES or page not in pages.names:
            raise HTTPException(404, "expected a page of the menu, received another: go back to /")
        return HTMLResponse(await asyncio.to_thread(pages.show, language, page, choose(run)))

    @app.post("/{language}/examine", include_in_schema=False)
    async def examine(language: str, request: Request) -> Response:
        if language not in LANGUAGES:
            raise HTTPException(404, "expected /en/examine or /id/examine, received another")
        predictor = predictors[default]
        try:
            async with request.form(max_files=1, max_fields=1) as form:
                run, file = form.get("run"), form.get("file")
                predictor = choose(run if isinstance(run, str) else None)
                if not isinstance(file, UploadFile):
                    raise HTTPException(422, "file: expected one, received none")
                check_size(file)
                html = await at_work(request, lambda: pages.read(language, predictor, file.file.read()))
            return HTMLResponse(html)
        except RontgenError as error:
            said, status = str(error), 422
        except StarletteHTTPException as error:
            said, status = _said(error), error.status_code
        return HTMLResponse(pages.show_error(language, predictor, said), status)

    @app.exception_handler(StarletteHTTPException)
    async def refuse(request: Request, error: StarletteHTTPException) -> Response:
        return JSONResponse({"error": _said(error)}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def refuse_query(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return JSONResponse({"error": f"{place}: expected another value, {first['msg'].lower()}: see /docs"}, 422)

    @app.exception_handler(RontgenError)
    async def tell(request: Request, error: RontgenError) -> Response:
        return JSONResponse({"error": str(error)}, 503)

    @app.exception_handler(Exception)
    async def fail(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": "something failed here that should not: report it, with /api/version"}, 500)

    # a page elsewhere whose name is made to lead here gets nothing
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)
    return Middleware(app)


def read(predictor: Predictor, file: UploadFile) -> Prediction:
    return predictor.read(file.file.read())


def check_size(file: UploadFile) -> None:
    """Raise HTTPException where a file is larger than a predictor takes."""
    if (file.size or 0) > MAX_BYTES:
        raise HTTPException(413, f"expected a file of at most {MAX_BYTES / 1e6:.0f} MB, received a larger one")


def _said(error: StarletteHTTPException) -> str:
    return error.detail if "expected" in error.detail else f"expected another request: {error.detail.lower()}"


def serve(models: list[Trained], kind: str, port: int) -> None:
    """Serve the page over some trained models until Ctrl+C, to this machine alone, and print its address.

    port: 0 for any free one. Raises RontgenError if the port is not available.
    """
    application = create(open_predictors(models, kind))
    try:
        listening = socket.create_server((LOOPBACK, port))
    except (OSError, OverflowError) as error:
        raise RontgenError(f"--port {port}: expected a free port, {str(error).lower()}: take another") from None
    print(f"http://{LOOPBACK}:{listening.getsockname()[1]}/ (Ctrl+C ends it)", flush=True)
    config = uvicorn.Config(
        application, ws="none", log_level="warning", access_log=False, server_header=False,
        limit_concurrency=MOST_CONNECTIONS, timeout_graceful_shutdown=5,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listening])
