"""Photos on servers: one polite, suspicious client for all of a partition's downloads.

What img2dataset lets through (measured against a hostile server: local files, HTML and placeholders as success,
endless drips, ignored Retry-After) has a test each in tests/curate/test_download.py.
"""

from __future__ import annotations

import asyncio
import email.utils
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace, TracebackType
from typing import Any

import aiohttp
from yarl import URL

from scripts.curate.settings import DownloadPolicy
from scripts.curate.stores import Candidate, Outcome, checked, fill_address
from scripts.lib.addresses import REDIRECTS, AddressRefusedError, check_ip, check_url
from scripts.lib.draws import generator
from scripts.lib.reasons import DownloadReason

MAX_REDIRECTS = 5
MAX_RETRY_AFTER = 600.0  # seconds; a server that asks for more gets no second try for this photo
_CHUNK_BYTES = 1 << 16
_ABSENT = (401, 402, 403, 404, 410, 451)
_PASSING = (408, 425, 429, 500, 502, 503, 504)


@dataclass
class _Contact:
    """Whether any connection for one photo came about."""

    made: bool = False


@dataclass(frozen=True)
class _Answer:
    outcome: Outcome
    again: bool = False  # another try may end better
    following: str = ""  # address of a redirect


class _Gate:
    """One host: how many requests at once, and not before when (Retry-After holds for all of them)."""

    def __init__(self, connections: int) -> None:
        self.slots = asyncio.Semaphore(connections)
        self.opens = 0.0

    async def wait(self) -> None:
        while (left := self.opens - time.monotonic()) > 0:
            await asyncio.sleep(left)


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """Return the seconds that a server asks to wait: a number or a date (RFC 9110, 10.2.3), 0 without either."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _checked_socket(place: Any) -> socket.socket:
    """Open a socket for an address that was resolved just now; this is where a private one is refused."""
    family, kind, protocol, _, address = place
    check_ip(address[0])
    return socket.socket(family, kind, protocol)


class Client:
    """Fetches photos over HTTP. Use as an asynchronous context manager."""

    def __init__(self, policy: DownloadPolicy, user_agent: str) -> None:
        self._policy = policy
        self._gates: dict[str, _Gate] = {}
        connector = aiohttp.TCPConnector(
            limit=0,  # the workers' number and the gates are the limits: waiting there is not the server's time
            ttl_dns_cache=300,
            happy_eyeballs_delay=None,
            socket_factory=None if policy.allow_private_addresses else _checked_socket,
        )
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_note_contact)
        trace.on_connection_reuseconn.append(_note_contact)
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": user_agent, "Accept": "image/*, */*;q=0.5", "Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # the deadline is ours: it spans tries and redirects
            trace_configs=[trace],
        )

    async def fetch(self, url: str, image_id: str) -> Outcome:
        """Return the bytes at `url`, or why there are none.

        `timeout_seconds` is the time on the network and between tries, all together; waiting for a free connection or
        for a Retry-After to pass does not count.
        """
        contact = _Contact()
        left = self._policy.timeout_seconds
        outcome = Outcome(DownloadReason.DOWNLOAD_FAILED, "no try was made", url)
        for attempt in range(self._policy.retries + 1):
            if attempt:
                pause = self._pause(image_id, attempt)
                if pause >= left:
                    break
                left -= pause
                await asyncio.sleep(pause)
            answer, left = await self._try(url, left, contact)
            outcome = answer.outcome
            if not answer.again or left <= 0:
                break
        lost = outcome.reason == DownloadReason.DOWNLOAD_FAILED and not contact.made
        return replace(outcome, from_server=True, unreachable=lost)

    def _pause(self, image_id: str, attempt: int) -> float:
        jitter = 0.5 + generator(0, "download.backoff", image_id, attempt).random()
        return self._policy.backoff_seconds * 2.0 ** (attempt - 1) * float(jitter)

    async def _try(self, url: str, left: float, contact: _Contact) -> tuple[_Answer, float]:
        """Request `url` and what it redirects to; return the last answer and the seconds that are left."""
        place = url
        for _ in range(MAX_REDIRECTS + 1):
            try:
                gate = self._gate(check_url(place).netloc)
            except AddressRefusedError as error:
                return _Answer(Outcome(DownloadReason.ADDRESS_REFUSED, str(error), url)), left
            async with gate.slots:
                await gate.wait()
                began = time.monotonic()
                answer = await self._request(place, gate, left, contact)
                left -= time.monotonic() - began
            if not answer.following:
                return answer, left
            place = answer.following
        return _Answer(Outcome(DownloadReason.DOWNLOAD_FAILED, f"more than {MAX_REDIRECTS} redirects", url)), left

    def _gate(self, host: str) -> _Gate:
        return self._gates.setdefault(host.lower(), _Gate(self._policy.connections_per_host))

    async def _request(self, url: str, gate: _Gate, left: float, contact: _Contact) -> _Answer:
        try:
            async with asyncio.timeout(max(left, 0.0)):
                async with self._session.get(URL(url), allow_redirects=False, trace_request_ctx=contact) as response:
                    return self._refusal(response, url, gate) or await self._read_body(response, url)
        except (AddressRefusedError, aiohttp.ClientError, OSError, ValueError) as error:
            reason, detail, again = self._describe(error)
            return _Answer(Outcome(reason, detail, url), again)

    def _describe(self, error: Exception) -> tuple[DownloadReason, str, bool]:
        """Return reason, detail and whether another try may end better."""
        text = "".join(each if each.isprintable() else " " for each in str(error) or type(error).__name__)[:200]
        if isinstance(error, TimeoutError):
            return DownloadReason.DOWNLOAD_FAILED, f"no whole answer within {self._policy.timeout_seconds} s", False
        if isinstance(error, aiohttp.ClientPayloadError):
            return DownloadReason.INCOMPLETE, "the connection ended before the announced bytes came", True
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return DownloadReason.DOWNLOAD_FAILED, text, False
        if isinstance(error, aiohttp.InvalidURL | AddressRefusedError):
            return DownloadReason.ADDRESS_REFUSED, text, False
        if isinstance(error, aiohttp.ClientError | OSError):
            return DownloadReason.DOWNLOAD_FAILED, text, True
        return DownloadReason.ADDRESS_REFUSED, text, False  # yarl's ValueError: not an address after all

    def _refusal(self, response: aiohttp.ClientResponse, url: str, gate: _Gate) -> _Answer | None:
        """Return what status and headers already decide, None when the body is to be read."""
        status = response.status
        failed = Outcome(DownloadReason.DOWNLOAD_FAILED, f"HTTP {status}", url)
        if status == 200:
            encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
            detail = f"Content-Encoding {encoding[:20]}, although identity was asked for"
            refused = _Answer(replace(failed, reason=DownloadReason.NOT_AN_IMAGE, detail=detail))
            return None if encoding == "identity" else refused
        if status in REDIRECTS:
            return _Answer(failed, following=str(URL(url).join(URL(response.headers.get("Location", "")))))
        if status in _ABSENT:
            return _Answer(replace(failed, reason=DownloadReason.NOT_FOUND))
        asked = retry_after(response.headers, time.time())
        if status not in _PASSING or asked > MAX_RETRY_AFTER:
            detail = f", the server asks to wait {asked:.0f} s" if asked > MAX_RETRY_AFTER else ""
            return _Answer(replace(failed, detail=failed.detail + detail))
        gate.opens = max(gate.opens, time.monotonic() + asked)
        return _Answer(failed, again=True)

    async def _read_body(self, response: aiohttp.ClientResponse, url: str) -> _Answer:
        limit = self._policy.max_bytes
        content = bytearray()
        if (response.content_length or 0) <= limit:
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                content += chunk
                if len(content) > limit:
                    break
            else:
                outcome = checked(bytes(content), url, self._policy)
                return _Answer(outcome, again=outcome.reason == DownloadReason.INCOMPLETE)
        response.close()  # do not drain the rest
        return _Answer(Outcome(DownloadReason.TOO_LARGE, f"more than {limit} bytes", url))

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()


async def _note_contact(_session: aiohttp.ClientSession, context: SimpleNamespace, _parameters: object) -> None:
    context.trace_request_ctx.made = True


class ServerStore:
    """Photos at addresses that follow a template."""

    def __init__(self, template: str, client: Client) -> None:
        self._template = template
        self._client = client

    async def fetch(self, candidate: Candidate) -> Outcome:
        """Return the bytes at the photo's address."""
        return await self._client.fetch(fill_address(self._template, candidate), candidate.image_id)

    def close(self) -> None:
        """Nothing to close: the client belongs to all stores."""
