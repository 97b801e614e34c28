"""Get an archive: from data/archives if it is there, else from Kaggle with its official client."""

import contextlib
import errno
import functools
import importlib
import io
import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rontgen.core.errors import RontgenError
from rontgen.core.io import locked
from rontgen.core.runs import BY_HAND
from rontgen.core.settings import Source
from rontgen.data import archives, by_hand, unpacked
from rontgen.data.archives import DOWNLOAD, ArchiveError, archive_name

if TYPE_CHECKING:
    from kaggle.api.kaggle_api_extended import KaggleApi
    from requests import Response

_GIVE_CREDENTIALS = (
    "set KAGGLE_API_TOKEN, or set KAGGLE_USERNAME and KAGGLE_KEY, "
    "or put access_token or kaggle.json in ~/.kaggle (your Kaggle settings page makes them)"
)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A verified archive. Its SHA-256 identifies its version; Kaggle's name for it does not."""

    path: Path
    sha256: str
    downloaded: bool


@dataclass(frozen=True, slots=True)
class Patience:
    """When to give up; times in seconds. The count of tries restarts after one that brought new bytes."""

    tries: int = 5
    wait: float = 1.0  # after the first try, doubled after each further one
    longest_wait: float = 60.0  # a server that asks for more gets none
    stall: float = 60.0  # without a byte for so long, a connection counts as cut


class _Again(Exception):
    """A try failed, and another may succeed. wait: seconds, if the server named them."""

    def __init__(self, cause: str, wait: float | None = None) -> None:
        super().__init__(cause)
        self.wait = wait


def bring(source: Source, listed: dict[str, str], folder: Path, *, command: str) -> Path:
    """The archive of a source, a zip or the index of a folder: that in data/archives if it is listed (by_hand.read),
    else Kaggle's, kept in `folder`.

    Raises RontgenError if it cannot be downloaded, is damaged, or is not the one that params.yaml pins.
    """
    name = archive_name(source.slug)
    index = unpacked.index_of(Path(name)).name
    if name in listed or index in listed:
        path = BY_HAND / (name if name in listed else index)
        sha256 = listed[path.name]
        by_hand.check(path, sha256)
        with unpacked.open_archive(BY_HAND / name, command=command) as archive:
            archive.verify()
        if path.name == index:  # the same wherever the folder lies
            sha256 = unpacked.Index.read(path).sha256
    else:
        kept = folder if source.version is None else folder / f"version-{source.version}"
        with locked(kept / f"{name}.lock"):  # two datasets may share an archive, and be built at once
            fetched = fetch(source.slug, kept, version=source.version, command=command)
        path, sha256 = fetched.path, fetched.sha256
    if source.sha256 is not None and sha256 != source.sha256:
        version = f"version {source.version}, " if source.version else ""
        raise RontgenError(
            f"{path}: expected {version}SHA-256 {source.sha256}, as params.yaml pins it, received SHA-256 {sha256}: "
            f"put the pinned archive at {BY_HAND / name} or change the pin, and run `{command}` again"
        )
    return path


def fetch(
    slug: str, folder: Path, *, version: int | None = None, command: str = DOWNLOAD, patience: Patience | None = None
) -> Fetched:
    """The archive of the Kaggle dataset `slug` (owner/name) in `folder`, downloaded if it is not there.

    version: Kaggle's version number, None for the latest. An archive that is there needs neither credentials nor a
    network. A download is named `….zip.part` until it is complete and verified; an interrupted one is resumed by the
    next call if Kaggle still has the same file. command: what to run again, for errors. Raises RontgenError.
    """
    path = Path(folder) / archive_name(slug)
    part = path.with_name(path.name + ".part")
    downloaded = not path.exists()
    if downloaded:
        path.parent.mkdir(parents=True, exist_ok=True)
        remedy = f"run `{command}` again, or put the zip at {BY_HAND / path.name}"
        _download(slug, version, part, remedy, patience or Patience())
        try:
            archives.verify(part)
        except ArchiveError as error:
            _discard(part)
            raise RontgenError(f"{slug}: downloaded, but {error.fault}; it was deleted: {remedy}") from error
        part.replace(path)
    else:
        archives.verify(path, command=command)
    _discard(part)
    return Fetched(path, archives.sha256(path), downloaded)


def _download(slug: str, version: int | None, part: Path, remedy: str, patience: Patience) -> None:
    tries, most = 0, _size(part)
    while True:
        try:
            return _try_once(slug, version, part, remedy, patience.stall)
        except _Again as again:
            cause, wait = str(again), again.wait
        size = _size(part)
        tries, most = (1, size) if size > most else (tries + 1, most)
        if wait is None:
            wait = min(patience.wait * 2 ** (tries - 1), patience.longest_wait)
        elif wait > patience.longest_wait:
            raise RontgenError(f"{slug}: {cause} and asks to wait {wait:.0f} s; then {remedy}")
        if tries >= patience.tries:
            raise RontgenError(f"{slug}: {cause} (try {tries} of {patience.tries}, {size} bytes so far); {remedy}")
        print(f"{slug}: {cause}; next try in {wait:.0f} s", file=sys.stderr)
        time.sleep(wait)


def _try_once(slug: str, version: int | None, part: Path, remedy: str, stall: float) -> None:
    """Download or resume `part`. Raises _Again, or RontgenError where another try would not help.

    The client's own retries are off: they reuse an address that expires, and save an error page as the file.
    Its messages are never shown: they may hold that address, which is signed, or the credentials.
    """
    _import_client()
    import requests
    from kaggle.api.kaggle_api_extended import ApiDownloadDatasetRequest, KaggleApi
    from requests.exceptions import ChunkedEncodingError

    api = KaggleApi()
    request = ApiDownloadDatasetRequest()
    request.owner_slug, request.dataset_slug = slug.split("/")
    request.dataset_version_number = version
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the progress bar goes to stderr
            _log_in(api)
            with api.build_kaggle_client() as client:
                http = client.http_client()
                http._session.send = functools.partial(http._session.send, timeout=stall)  # it has none
                with client.datasets.dataset_api_client.download_dataset(request) as response:
                    _save(api, response, http, part, stall)
    except requests.HTTPError as error:
        assert error.response is not None  # of raise_for_status
        with error.response:
            raise _refusal(slug, error.response, remedy) from None
    except (ConnectionError, requests.ConnectionError, requests.Timeout, ChunkedEncodingError) as error:
        raise _Again(f"no connection to Kaggle, or it was cut ({type(error).__name__})") from None
    except requests.RequestException as error:
        raise RontgenError(f"{slug}: unexpected answer ({type(error).__name__}); {remedy}") from None
    except OSError as error:
        # The client tries a token as a path first, so the error's filename is the token.
        if error.errno == errno.ENAMETOOLONG:
            unfit = "KAGGLE_API_TOKEN is too long for the client: save it as ~/.kaggle/access_token"
            raise RontgenError(f"{slug}: {unfit}; {remedy}") from None
        raise OSError(error.errno, error.strerror, error.filename or str(part)) from None
    except ValueError:
        unfit = f"the credentials hold a character that cannot be sent, make new ones: {_GIVE_CREDENTIALS}"
        raise RontgenError(f"{slug}: {unfit}; {remedy}") from None


def _import_client() -> None:
    """Import the client, which logs in at once, and prints a page of help if it cannot.

    With VERBOSE set, it would print every header and log every address.
    """
    names = [name for name in ("VERBOSE", "VERBOSE_OUTPUT") if name in os.environ]
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            importlib.import_module("kaggle")
    finally:
        os.environ.update(hidden)


def _log_in(api: "KaggleApi") -> None:
    # No credentials: the client exits. Like its command line, try without: public datasets may not need them.
    with contextlib.suppress(SystemExit):
        api.authenticate()


def _save(api: "KaggleApi", response: "Response", http: object, part: Path, stall: float) -> None:
    # The client resumes only where `….part.kaggle-partial` has the ETag and the size that the answer has.
    try:
        api.download_file(response, str(part), http, quiet=False, resume=True, max_retries=0, timeout=stall)
    except ValueError as error:
        _discard(part)
        raise _Again("the transfer had another length than announced") from error


def _refusal(slug: str, response: "Response", remedy: str) -> Exception:
    is_json = "application/json" in response.headers.get("Content-Type", "")
    answer = response.json() if is_json else {}
    status = response.status_code if response.status_code >= 400 else answer["code"]
    said = " ".join(str(answer.get("message", "")).split())
    cause = f"Kaggle answered {status}" + (f' ("{said}")' if said else "")
    if status == 429 or status >= 500 or response.history:  # sent on to the storage, by an address that expires
        return _Again(cause, _retry_after(response))
    if status in (401, 403) and "Authorization" not in response.request.headers:
        cause += f"; no credentials were found: {_GIVE_CREDENTIALS}"
    elif status == 401:
        cause += f"; the credentials were not accepted, make new ones: {_GIVE_CREDENTIALS}"
    elif status == 403:
        cause += f"; accept the licence or rules at kaggle.com/datasets/{slug} as the user of the credentials"
    elif status == 404:
        cause += f"; no such dataset: check kaggle.com/datasets/{slug} and the slug in params.yaml"
    return RontgenError(f"{slug}: {cause}; {remedy}")


def _retry_after(response: "Response") -> float | None:
    """Seconds, from a Retry-After of either form (RFC 9110, 10.2.3); None without a valid one."""
    value = response.headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (until.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _discard(part: Path) -> None:
    """Delete a temporary file and the client's note beside it."""
    part.unlink(missing_ok=True)
    part.with_name(part.name + ".kaggle-partial").unlink(missing_ok=True)
