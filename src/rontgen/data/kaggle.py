"""Get an archive: from data/archives if it is there, else from Kaggle with its official client."""

import contextlib
import errno
import functools
import importlib
import io
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rontgen.core import project
from rontgen.core.errors import RontgenError, storage_error
from rontgen.core.io import locked
from rontgen.core.runs import BY_HAND
from rontgen.core.settings import Source
from rontgen.data import by_hand, unpacked
from rontgen.data.archives import Archive, ArchiveError, archive_name
from rontgen.data.unpacked import open_archive

if TYPE_CHECKING:
    from requests import Response

# When a download gives up; times in seconds. The count of tries restarts after one that brought new bytes
TRIES = 5
WAIT = 1.0  # after the first try, doubled after each further one
LONGEST_WAIT = 60.0  # a server that asks for more gets none
STALL = 60.0  # without a byte for so long, a connection counts as cut

_GIVE_CREDENTIALS = (
    "set KAGGLE_API_TOKEN, or set KAGGLE_USERNAME and KAGGLE_KEY, "
    "or put access_token or kaggle.json in ~/.kaggle (your Kaggle settings page makes them)"
)


class _TryAgain(Exception):
    """A try failed, and another may succeed. wait: seconds, if the server named them."""

    def __init__(self, cause: str, wait: float | None = None) -> None:
        super().__init__(cause)
        self.wait = wait


def get_archive(source: Source, listed: dict[str, str], folder: Path, *, command: str) -> tuple[Path, str]:
    """The archive of a source, a zip or the index of a folder, and its SHA-256: that in data/archives if it is listed
    (by_hand.read), else Kaggle's, kept in `folder`.

    command: what to run again, for errors. Raises RontgenError if it cannot be downloaded, is damaged, or is not the
    one that params.yaml pins.
    """
    name = archive_name(source.slug)
    index = unpacked.index_of(Path(name)).name
    sha256 = listed.get(name, "")  # of a zip that is verified already
    if name in listed or index in listed:
        path = BY_HAND / (name if name in listed else index)
        by_hand.check(path, listed[path.name])
        opened = BY_HAND / name
    else:
        kept = folder if source.version is None else folder / f"version-{source.version}"
        opened = path = kept / name
        project.require_copied([BY_HAND / name, BY_HAND / index, path])
        with locked(kept / f"{name}.lock"):  # two datasets may share an archive, and be built at once
            if not path.exists():
                sha256 = _download(source, path, f"run `{command}` again, or put the zip at {BY_HAND / name}")
    if not sha256:
        with open_archive(opened, command=command) as archive:
            sha256 = archive.verify()
    if source.sha256 is not None and sha256 != source.sha256:
        version = f"version {source.version}, " if source.version else ""
        raise RontgenError(
            f"{path}: expected {version}SHA-256 {source.sha256}, as params.yaml pins it, received SHA-256 {sha256}: "
            f"put the pinned archive at {BY_HAND / name} or change the pin, and run `{command}` again"
        )
    return path, sha256


def _download(source: Source, path: Path, remedy: str) -> str:
    """Download a zip to `path`, as `….zip.part` until it is complete and verified; returns its SHA-256.

    An interrupted download is resumed by the next call if Kaggle still has the same file.
    """
    part, slug = path.with_name(path.name + ".part"), source.slug
    tries, most = 0, _size(part)
    while True:
        try:
            _try_once(source, part, remedy)
            break
        except _TryAgain as again:
            cause, wait = str(again), again.wait
        size = _size(part)
        tries, most = (1, size) if size > most else (tries + 1, most)
        if wait is None:
            wait = min(WAIT * 2 ** (tries - 1), LONGEST_WAIT)
        elif wait > LONGEST_WAIT:
            raise RontgenError(f"{slug}: {cause} and asks to wait {wait:.0f} s; then {remedy}")
        if tries >= TRIES:
            raise RontgenError(f"{slug}: {cause} (try {tries} of {TRIES}, {size} bytes so far); {remedy}")
        print(f"{slug}: {cause}; next try in {wait:.0f} s", file=sys.stderr)
        time.sleep(wait)
    try:
        with Archive(part) as archive:
            sha256 = archive.verify()
    except ArchiveError as error:
        part.unlink()
        raise RontgenError(f"{slug}: downloaded, but {error.fault}; it was deleted: {remedy}") from error
    part.replace(path)
    return sha256


def _try_once(source: Source, part: Path, remedy: str) -> None:
    """Download or resume `part`. Raises _TryAgain, or RontgenError where another try would not help.

    The client's own retries are off: they reuse an address that expires, and save an error page as the file.
    Its messages are never shown: they may hold that address, which is signed, or the credentials.
    """
    for name in ("VERBOSE", "VERBOSE_OUTPUT"):  # with which the client prints every header and address
        os.environ.pop(name, None)
    slug = source.slug
    with contextlib.redirect_stdout(io.StringIO()):  # the progress bar goes to stderr
        importlib.import_module("kaggle")  # which logs in at once, and prints a page of help if it cannot
        import requests
        from kaggle.api.kaggle_api_extended import ApiDownloadDatasetRequest, KaggleApi
        from requests.exceptions import ChunkedEncodingError

        api, request = KaggleApi(), ApiDownloadDatasetRequest()
        request.owner_slug, request.dataset_slug = slug.split("/")
        request.dataset_version_number = source.version
        try:
            with contextlib.suppress(SystemExit):  # no credentials: a public dataset may not need them
                api.authenticate()
            with api.build_kaggle_client() as client:
                http = client.http_client()
                http._session.send = functools.partial(http._session.send, timeout=STALL)  # it has none
                with client.datasets.dataset_api_client.download_dataset(request) as response:
                    # It resumes only where `….part.kaggle-partial` has the answer's ETag and size
                    api.download_file(response, str(part), http, quiet=False, resume=True, max_retries=0, timeout=STALL)
        except requests.HTTPError as error:
            assert error.response is not None  # of raise_for_status
            with error.response:
                wait = api._get_retry_after_delay(error.response)
                raise _refusal(slug, error.response, wait, remedy) from None
        except (ConnectionError, requests.ConnectionError, requests.Timeout, ChunkedEncodingError) as error:
            raise _TryAgain(f"no connection to Kaggle, or it was cut ({type(error).__name__})") from None
        except requests.RequestException as error:
            raise RontgenError(f"{slug}: unexpected answer ({type(error).__name__}); {remedy}") from None
        except (OSError, ValueError) as error:
            if "does not match expected size" in str(error):
                part.unlink()
                raise _TryAgain("the transfer had another length than announced") from None
            # The client tries a token as a path first, so the error's filename is the token
            if isinstance(error, ValueError) or error.errno == errno.ENAMETOOLONG:
                unfit = f"the credentials cannot be sent, make new ones: {_GIVE_CREDENTIALS}"
                raise RontgenError(f"{slug}: {unfit}; {remedy}") from None
            raise (storage_error(error, part) or error) from None


def _refusal(slug: str, response: "Response", wait: float | None, remedy: str) -> Exception:
    is_json = "application/json" in response.headers.get("Content-Type", "")
    answer = response.json() if is_json else {}
    status = response.status_code if response.status_code >= 400 else answer["code"]
    said = " ".join(str(answer.get("message", "")).split())
    cause = f"Kaggle answered {status}" + (f' ("{said}")' if said else "")
    if status == 429 or status >= 500 or response.history:  # sent on to the storage, by an address that expires
        return _TryAgain(cause, wait)
    if status in (401, 403) and "Authorization" not in response.request.headers:
        cause += f"; no credentials were found: {_GIVE_CREDENTIALS}"
    elif status == 401:
        cause += f"; the credentials were not accepted, make new ones: {_GIVE_CREDENTIALS}"
    elif status == 403:
        cause += f"; accept the licence or rules at kaggle.com/datasets/{slug} as the user of the credentials"
    elif status == 404:
        cause += f"; no such dataset: check kaggle.com/datasets/{slug} and the slug in params.yaml"
    return RontgenError(f"{slug}: {cause}; {remedy}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
