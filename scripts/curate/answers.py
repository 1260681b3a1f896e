"""What a server's answer, or the lack of one, says about a photo and about the host."""

from __future__ import annotations

import email.utils
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp
from yarl import URL

from scripts.curate.opt_outs import MAX_RULES_BYTES
from scripts.curate.settings import DownloadPolicy
from scripts.curate.stores import Outcome
from scripts.lib.addresses import REDIRECTS, AddressRefusedError
from scripts.lib.reasons import DownloadReason

MAX_RETRY_AFTER = 600.0  # seconds; a server that asks for more gets no second try for this photo
FAILED = DownloadReason.DOWNLOAD_FAILED
_CHUNK_BYTES = 1 << 16
_ABSENT = (401, 402, 403, 404, 410, 451)
_OVERLOADED = (429, 503)
_PASSING = (407, 408, 425, 429, 500, 502, 503, 504, 511)  # 407 and 511: a proxy, or a network, that wants a log-in


@dataclass(frozen=True)
class Answer:
    """What came of one request."""

    outcome: Outcome
    again: bool = False  # another try may end better
    following: str = ""  # address of a redirect
    bad: bool = False  # it says that the host is in trouble
    overloaded: bool = False
    wait: float = 0.0  # seconds for which the host asks to be left alone


def said(reason: str, detail: str, address: str, content: bytes = b"") -> Outcome:
    """Return an outcome that a server is responsible for."""
    return Outcome(reason, detail, address, content, from_server=True)


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """Return the seconds that a server asks to wait: a number or a date (RFC 9110, 10.2.3), 0 without either."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def passing(response: aiohttp.ClientResponse, url: str) -> Answer | None:
    """Return the answer that a status of a troubled host makes, None for any other status."""
    status = response.status
    if status not in _PASSING:
        return None
    asked = retry_after(response.headers, time.time())
    overloaded = status in _OVERLOADED
    if asked > MAX_RETRY_AFTER:
        outcome = said(FAILED, f"HTTP {status}, the server asks to wait {asked:.0f} s", url)
        return Answer(outcome, bad=True, overloaded=overloaded, wait=MAX_RETRY_AFTER)
    return Answer(said(FAILED, f"HTTP {status}", url), again=True, bad=True, overloaded=overloaded, wait=asked)


def verdict(response: aiohttp.ClientResponse, url: str, encodings: Sequence[str] = ("identity", "")) -> Answer | None:
    """Return what status and headers already decide, None when the body is to be read."""
    status = response.status
    if status == 200:
        encoding = encoding_of(response)
        if encoding in encodings:
            return None
        detail = f"Content-Encoding {encoding[:20]}, although identity was asked for"
        return Answer(said(DownloadReason.NOT_AN_IMAGE, detail, url))
    outcome = said(DownloadReason.NOT_FOUND if status in _ABSENT else FAILED, f"HTTP {status}", url)
    if status in REDIRECTS:
        return Answer(outcome, following=str(URL(url).join(URL(response.headers.get("Location", "")))))
    return Answer(outcome)


async def read_up_to(response: aiohttp.ClientResponse, limit: int, *, cut: bool = False) -> bytes | None:
    """Return the body; of a longer one than `limit` bytes the beginning (`cut`) or None, and the rest is not read."""
    announced = response.content_length
    if announced is not None and announced <= limit:
        return await response.read()
    content = bytearray()
    if cut or announced is None:
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            content += chunk
            if len(content) > limit:
                break
        else:
            return bytes(content)
    response.close()  # do not drain the rest
    return bytes(content[:limit]) if cut else None


def encoding_of(response: aiohttp.ClientResponse) -> str:
    """Return the Content-Encoding, lower case."""
    return response.headers.get("Content-Encoding", "").strip().lower()


async def take_rules(response: aiohttp.ClientResponse, url: str) -> Answer:
    """Return the first bytes of a robots.txt; some servers compress it unasked."""
    if (decided := verdict(response, url, ("identity", "", "gzip", "x-gzip"))) is not None:
        return decided
    content = await read_up_to(response, MAX_RULES_BYTES, cut=True) or b""
    if encoding_of(response).endswith("gzip"):
        try:
            content = zlib.decompressobj(wbits=31).decompress(content, MAX_RULES_BYTES)
        except zlib.error:
            return Answer(said(FAILED, "damaged gzip", url), bad=True)
    return Answer(said("", "", url, content))


def described(error: Exception, url: str, policy: DownloadPolicy) -> Answer:
    """Return the answer that an error of the request makes."""
    text = "".join(each if each.isprintable() else " " for each in str(error) or type(error).__name__)[:200]
    if isinstance(error, TimeoutError):
        return Answer(said(FAILED, f"no whole answer within {policy.timeout_seconds} s", url), bad=True)
    if isinstance(error, aiohttp.ClientPayloadError):
        text = "the connection ended before the announced bytes came"
        return Answer(said(DownloadReason.INCOMPLETE, text, url), again=True, bad=True)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Answer(said(FAILED, text, url), bad=True)
    if isinstance(error, aiohttp.InvalidURL | AddressRefusedError):
        return Answer(said(DownloadReason.ADDRESS_REFUSED, text, url))
    if isinstance(error, aiohttp.ClientError | OSError):
        return Answer(said(FAILED, text, url), again=True, bad=True)
    return Answer(said(DownloadReason.ADDRESS_REFUSED, text, url))  # yarl's ValueError: not an address after all
