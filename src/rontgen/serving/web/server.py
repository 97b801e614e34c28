"""The web application: the pages in both languages and the JSON interface."""

import logging
import re
import socket
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Annotated

import uvicorn
from fastapi import FastAPI, File, Form, HTTPException, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.base import RequestResponseEndpoint
from starlette.middleware.trustedhost import TrustedHostMiddleware

from rontgen.core.errors import RontgenError
from rontgen.serving.predictor import Prediction, Predictor, Trained, open_predictors
from rontgen.serving.web.pages import LANGUAGES, Pages

log = logging.getLogger(__name__)
# It tells bytes of what it cannot parse
logging.getLogger("python_multipart").setLevel(logging.CRITICAL + 1)

# The address it listens on, and the host names it answers to
LOOPBACK = "127.0.0.1"
HOSTS = [LOOPBACK, "localhost"]
MOST_FILES = 16
# Bytes of one request: two of the largest files and what encodes them
MAX_REQUEST = 52_000_000
# Each may hold one upload: up to a megabyte of each file in memory, the rest in a temporary file without a name
MOST_CONNECTIONS = 32
STATIC = Path(__file__).with_name("static")

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

RunName = Annotated[str | None, Query(description="which of the runs offered; the first, if none is named")]
Files = Annotated[list[UploadFile], File(max_length=MOST_FILES, description="JPEG, PNG or DICOM")]


class Answers(BaseModel):
    """The predictions in the order of the files, and the model that made them."""

    run: str
    model: str
    kind: str
    commit: str
    classes: list[str]
    threshold: float | None
    predictions: list[Prediction]


class Failure(BaseModel):
    """What was expected, and what was received."""

    error: str


def create(predictors: dict[str, Predictor]) -> FastAPI:
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
    default = next(iter(predictors))
    # The model's own operations are parallel: one picture at a time is as fast, and bounds the memory
    working = Lock()

    def choose(run: str | None) -> Predictor:
        if run and run not in predictors:
            raise HTTPException(404, f"run: expected one of {', '.join(predictors)}, received another: leave it away")
        return predictors[run or default]

    @app.post("/api/predict", responses={code: {"model": Failure} for code in (404, 413, 422)}, tags=["read"])
    def predict(files: Files, run: RunName = None) -> Answers:
        """Read one or several pictures. One that cannot be read fails the request, which names its place."""
        predictor = choose(run)
        predictions = []
        for number, file in enumerate(files, 1):
            try:
                with working:
                    predictions.append(predictor.read(file.file.read()))
            except RontgenError as error:
                raise HTTPException(422, f"file {number} of {len(files)}: {error}") from None
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

    _add_pages(app, Pages(predictors), choose, working)
    _handle_errors(app)
    # a page elsewhere whose name is made to lead here gets nothing
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)

    app.middleware("http")(guard)
    return app


def _add_pages(app: FastAPI, pages: Pages, choose: Callable[[str | None], Predictor], working: Lock) -> None:
    """The pages in each language. choose: the predictor of a run. working: held while a picture is read."""

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def choose_language(request: Request) -> Response:
        wanted = re.search(r"\b(en|id|in)\b", request.headers.get("accept-language", "").lower())
        return RedirectResponse("/id/" if wanted and wanted[1] != "en" else "/en/")

    @app.api_route("/{language}/{page}", methods=["GET", "HEAD"], include_in_schema=False)
    @app.api_route("/{language}/", methods=["GET", "HEAD"], include_in_schema=False)
    def show(language: str, page: str = "home", run: str | None = None, example: str = "") -> Response:
        if language not in LANGUAGES or page not in pages.names:
            raise HTTPException(404, "expected a page of the menu, received another: go back to /")
        predictor = choose(run)
        if page == "examine" and (found := predictor.trained.examples.get(example)):
            with working:
                return HTMLResponse(pages.read(language, predictor, found.data))
        return HTMLResponse(pages.show(language, page, predictor))

    @app.post("/{language}/examine", include_in_schema=False)
    def examine(language: str, file: UploadFile, run: Annotated[str | None, Form()] = None) -> Response:
        if language not in LANGUAGES:
            raise HTTPException(404, "expected /en/examine or /id/examine, received another")
        predictor = choose(run)
        try:
            with working:
                return HTMLResponse(pages.read(language, predictor, file.file.read()))
        except RontgenError as error:
            return HTMLResponse(pages.show_error(language, predictor, str(error)), 422)


def _handle_errors(app: FastAPI) -> None:
    """Say what was wrong in JSON."""

    @app.exception_handler(StarletteHTTPException)
    async def refuse(request: Request, error: StarletteHTTPException) -> Response:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def refuse_values(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return JSONResponse({"error": f"{place}: expected another value, {first['msg'].lower()}: see /docs"}, 422)

    @app.exception_handler(RontgenError)
    async def tell(request: Request, error: RontgenError) -> Response:
        return JSONResponse({"error": str(error)}, 503)


async def guard(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Refuse uploads that are too large, add the headers, and log no text of an error: it may quote the upload."""
    length = request.headers.get("content-length", "" if request.method == "POST" else "0")
    if not length.isdigit() or int(length) > MAX_REQUEST or "transfer-encoding" in request.headers:
        expected = f"expected a request of a stated size of at most {MAX_REQUEST / 1e6:.0f} MB"
        error = f"{expected}, received another: send fewer or smaller files"
        response: Response = JSONResponse({"error": error}, 413, {"Connection": "close"})
    else:
        try:
            response = await call_next(request)
        except Exception as raised:
            log.error("%s\n%s", type(raised).__name__, "".join(traceback.format_tb(raised.__traceback__)))
            error = "something failed here that should not: report it, with /api/version"
            response = JSONResponse({"error": error}, 500)
    path = request.url.path
    response.headers["Content-Security-Policy"] = POLICY_OF_DOCS if path == "/docs" else POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    if not path.startswith("/static/"):
        response.headers["Cache-Control"] = "no-store"  # a prediction is nobody else's
    return response


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
