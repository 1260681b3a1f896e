"""One file from the web, whole and checked: metadata of a source, weights of a detector."""

from __future__ import annotations

import email.message
import fcntl
import http.client
import logging
import os
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from scripts.lib.addresses import AddressRefusedError
from scripts.lib.errors import UserError
from scripts.lib.files import sha256_file, sync_folder
from scripts.lib.http_get import open_address
from scripts.lib.lock import take_lock

LOG = logging.getLogger(__name__)

MIN_DIGITS = 8
TRIES_WITHOUT_PROGRESS = 4
CHUNK_BYTES = 1 << 20
SILENCE_SECONDS = 60.0  # a server that sends nothing for so long is given up
MAX_PAUSE_SECONDS = 300.0
LOG_SECONDS = 10.0
USER_AGENT = "unpeopled/0.1"
_PASSING = (408, 425, 429, 500, 502, 503, 504)


class _PassingError(Exception):
    """A failure that another try may not meet, and for how many seconds the server asks to be left alone."""

    def __init__(self, text: str, wait: float = 0.0) -> None:
        super().__init__(text)
        self.wait = wait


@dataclass(frozen=True)
class _Request:
    url: str
    part: Path
    allow_private: bool
    max_bytes: int | None

    @property
    def notes(self) -> Path:
        """Where the validator (ETag) of the partial file is kept."""
        return self.part.with_name(self.part.name + ".etag")


def fetch_file(
    url: str, target: Path, sha256: str, *, allow_private_addresses: bool, max_bytes: int | None = None
) -> None:
    """Bring `url` to `target`, whole or not at all.

    The bytes gather in `.<name>.partial` beside the target; a later call goes on from there where the server allows it
    (Range with If-Range, or a SHA-256 that the whole must have).

    Args:
        url: http or https. Redirects are followed, each address is checked when it is connected to.
        target: file to write.
        sha256: 64 hexadecimal digits, or the first 8 or more; "" when none is known: the one found is logged.
        allow_private_addresses: whether loopback, private and link-local addresses may be connected to.
        max_bytes: refuse a longer file.

    Raises:
        UserError: refused address, unreachable or failing server, file too long, wrong SHA-256.
    """
    _check_digits(sha256, url)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.partial")
    request = _Request(url, part, allow_private_addresses, max_bytes)
    with part.open("ab") as held:
        take_lock(fcntl.flock, held.fileno(), part, f"fetching {url}")
        _gather_checked(request, sha256)
        os.fsync(held.fileno())
        os.replace(part, target)
    sync_folder(target.parent)
    request.notes.unlink(missing_ok=True)
    LOG.info("fetched %s: %d bytes", url, target.stat().st_size)


def _gather_checked(request: _Request, sha256: str) -> None:
    if not sha256 and not request.notes.exists():
        _forget(request)  # nothing could tell whether old and new bytes are of one file
    continued = _size(request.part) > 0
    _gather(request)
    found = sha256_file(request.part)
    if continued and not found.startswith(sha256):
        LOG.warning("the continued file has SHA-256 %s, not %s: fetching it anew", found, sha256)
        _forget(request)
        _gather(request)
        found = sha256_file(request.part)
    if not found.startswith(sha256):
        size = _size(request.part)
        request.part.unlink()
        request.notes.unlink(missing_ok=True)
        raise UserError(
            f"{request.url} has SHA-256 {found} ({size} bytes) where the config expects {sha256}. It was not kept."
            " Either the publisher replaced it (compare with their page, then put the new SHA-256 in the config) or"
            " something on the way changed it."
        )
    if not sha256:
        LOG.warning("no SHA-256 is configured for %s; put the one found in the config: %s", request.url, found)


def _check_digits(sha256: str, url: str) -> None:
    if sha256 and not (MIN_DIGITS <= len(sha256) <= 64 and set(sha256) <= set("0123456789abcdef")):
        raise UserError(
            f"the SHA-256 given for {url} is '{sha256}'; expected 64 lower-case hexadecimal digits, or at least the"
            f" first {MIN_DIGITS} of them."
        )


def _forget(request: _Request) -> None:
    """Empty the partial file; it stays, because the lock is on it."""
    os.truncate(request.part, 0)
    request.notes.unlink(missing_ok=True)


def _gather(request: _Request) -> None:
    """Fill the partial file to its end, trying again while the connection breaks."""
    tries = 0
    while True:
        before = _size(request.part)
        try:
            _fetch_rest(request)
            return
        except AddressRefusedError as error:
            raise UserError(
                f"{request.url} was refused: {error}. Only http and https to public addresses are allowed;"
                " curate.download.allow_private_addresses: true opens private ones."
            ) from None
        except (OSError, http.client.HTTPException, _PassingError) as error:
            tries = tries + 1 if _size(request.part) <= before else 1
            if tries >= TRIES_WITHOUT_PROGRESS or _is_hopeless(error):
                raise UserError(
                    f"{request.url} could not be fetched: {error or type(error).__name__}. Check the address and that"
                    f" this machine reaches it (cluster nodes often do not: run this step on a login node), or put the"
                    f" file on this machine and give its path in the config. {_size(request.part)} bytes that did"
                    f" arrive are kept in {request.part} and continued by the next run."
                ) from None
            LOG.warning("%s: %s; try %d follows", request.url, error or type(error).__name__, tries + 1)
            time.sleep(_pause(error, tries))


def _pause(error: Exception, tries: int) -> float:
    asked = error.wait if isinstance(error, _PassingError) else 0.0
    return max(0.5 * 2.0 ** (tries - 1), min(asked, MAX_PAUSE_SECONDS))


def _is_hopeless(error: Exception) -> bool:
    """A name that does not exist or a certificate that does not hold will not be better in a second."""
    return isinstance(error, ssl.SSLCertVerificationError)


def _size(path: Path) -> int:
    return path.stat().st_size


def _fetch_rest(request: _Request) -> None:
    start = _size(request.part)
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if request.notes.exists():
            headers["If-Range"] = request.notes.read_text(encoding="ascii").strip()
    connection, response = open_address(
        request.url, headers, timeout=SILENCE_SECONDS, allow_private_addresses=request.allow_private
    )
    try:
        if response.status == 416:
            # Nothing after `start`: the partial file is whole, or not of this file at all; the SHA-256 tells.
            if response.headers.get("Content-Range", "").strip() == f"bytes */{start}":
                return
            _forget(request)
            raise _PassingError("the server has less than the partial file")
        _refuse_failures(request, response)
        if response.status == 200:
            start = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            _forget(request)
            raise _PassingError("the server continues at another place than asked")
        _note_validator(request, response.headers)
        _stream(request, response, start)
    finally:
        connection.close()


def _refuse_failures(request: _Request, response: http.client.HTTPResponse) -> None:
    if response.status in _PASSING:
        after = response.headers.get("Retry-After", "")
        raise _PassingError(
            f"HTTP {response.status} {response.reason}", float(after) if after.isascii() and after.isdecimal() else 0.0
        )
    if response.status not in (200, 206):
        raise UserError(
            f"{request.url} answers HTTP {response.status} {response.reason}. Check the address in the config; a file"
            " that needs an account has to be fetched by hand and given as a local path."
        )
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise UserError(f"{request.url} comes with Content-Encoding {encoding}, although the plain file was asked for.")


def _note_validator(request: _Request, headers: email.message.Message) -> None:
    validator = headers.get("ETag", "")
    if validator.isascii() and validator.startswith('"'):
        request.notes.write_text(validator, encoding="ascii")
    else:
        request.notes.unlink(missing_ok=True)


def _stream(request: _Request, response: http.client.HTTPResponse, start: int) -> None:
    total = start + response.length if response.length is not None else None
    done, logged, began = start, time.monotonic(), time.monotonic()
    with request.part.open("r+b" if start else "wb") as handle:
        handle.seek(start)
        while chunk := response.read(CHUNK_BYTES):
            done += len(chunk)
            if request.max_bytes is not None and done > request.max_bytes:
                _forget(request)
                raise UserError(f"{request.url} is longer than the {request.max_bytes} bytes that are allowed for it.")
            handle.write(chunk)
            if time.monotonic() - logged > LOG_SECONDS:
                logged = time.monotonic()
                rate = (done - start) / (logged - began)
                left = f" of {total / 1e6:.1f} MB, {(total - done) / rate / 60:.1f} min left" if total else " MB"
                LOG.info("%.1f%s, %.1f MB/s", done / 1e6, left, rate / 1e6)
    if total is not None and done != total:
        raise _PassingError(f"the connection ended at byte {done} of {total}")
