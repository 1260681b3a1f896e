"""Photos on servers: one polite, suspicious client for all of a partition's downloads.

What img2dataset lets through (measured against a hostile server: local files, HTML and placeholders as success,
endless drips, ignored Retry-After) has a test each in tests/curate/test_download.py.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import SplitResult

import aiohttp
from yarl import URL

from scripts.curate.answers import FAILED, Answer, described, passing, read_up_to, said, take_rules, verdict
from scripts.curate.gate import DeadHostError, Gate
from scripts.curate.host_rules import HostRules, RuleBook, UnansweredError
from scripts.curate.opt_outs import header_refusal, product_token
from scripts.curate.settings import DownloadPolicy
from scripts.curate.stores import Candidate, Outcome, checked, fill_address
from scripts.lib.addresses import REDIRECTS, AddressRefusedError, check_ip, check_url
from scripts.lib.draws import generator
from scripts.lib.proxies import check_name, proxy_of
from scripts.lib.reasons import DownloadReason

MAX_REDIRECTS = 5
_BUFFER_BYTES = 1 << 18  # a photo of the usual size is read without stopping its connection in between


@dataclass(frozen=True)
class _Host:
    """One host and port."""

    origin: str
    gate: Gate
    proxy: dict[str, Any]  # arguments of a request; empty for the direct way


_Take = Callable[[aiohttp.ClientResponse, str], Awaitable[Answer]]


def _checked_socket(place: Any) -> socket.socket:
    """Open a socket for an address that was resolved just now; this is where a private one is refused."""
    family, kind, protocol, _, address = place
    check_ip(address[0])
    return socket.socket(family, kind, protocol)


def _session(headers: dict[str, str], sockets: Callable[[Any], socket.socket] | None) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        # No limit here: the workers' number and the gates are the limits, and waiting there is not the server's time.
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, happy_eyeballs_delay=None, socket_factory=sockets),
        headers=headers,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),  # the deadline is ours: it spans tries and redirects
        read_bufsize=_BUFFER_BYTES,
    )


class Client:
    """Fetches photos over HTTP. Use as an asynchronous context manager."""

    def __init__(self, policy: DownloadPolicy, user_agent: str) -> None:
        self._policy = policy
        self._token = product_token(user_agent)
        self._hosts: dict[tuple[str, str], _Host] = {}
        asks = {"robots_txt", "tdm_reservation"} & set(policy.obey)
        self._rules = RuleBook(policy.obey, self._token, self._read_rules) if asks else None
        headers = {"User-Agent": user_agent, "Accept": "image/*, */*;q=0.5", "Accept-Encoding": "identity"}
        # A proxy may well be a machine of the own network: connections to it are not checked.
        self._direct = _session(headers, None if policy.allow_private_addresses else _checked_socket)
        self._by_proxy = _session(headers, None)

    async def fetch(self, url: str, image_id: str) -> Outcome:
        """Return the bytes at `url`, or why there are none.

        `timeout_seconds` is the time on the network and between tries, all together; waiting for the host's gate (a
        free connection, Retry-After, an outage) or for its robots.txt does not count.
        """
        left = self._policy.timeout_seconds
        answer = Answer(said(FAILED, "no try was made", url))
        for attempt in range(self._policy.retries + 1):
            if attempt:
                pause = self._pause(image_id, attempt)
                if pause >= left:
                    break
                left -= pause
                await asyncio.sleep(pause)
            try:
                answer, left = await self._try(url, left)
            except DeadHostError as error:
                answer = Answer(said(FAILED, str(error), url))
            if not answer.again or left <= 0:
                break
        return answer.outcome

    def _pause(self, image_id: str, attempt: int) -> float:
        jitter = 0.5 + generator(0, "download.backoff", image_id, attempt).random()
        return self._policy.backoff_seconds * 2.0 ** (attempt - 1) * float(jitter)

    async def _try(self, url: str, left: float) -> tuple[Answer, float]:
        """Request `url` and what it redirects to; return the last answer and the seconds that are left."""
        place = url
        for _ in range(MAX_REDIRECTS + 1):
            try:
                host = self._host(check_url(place))
                rules = await self._rules_of(host)
            except AddressRefusedError as error:
                return Answer(said(DownloadReason.ADDRESS_REFUSED, str(error), url)), left
            except UnansweredError as error:
                return Answer(said(FAILED, str(error), url), again=True), left
            refusal = rules.refusal(place) if rules else None
            if refusal:
                return Answer(said(*refusal, place)), left
            answer, left = await self._request(place, host, left, self._take_photo)
            if not answer.following:
                return answer, left
            place = answer.following
        return Answer(said(FAILED, f"more than {MAX_REDIRECTS} redirects", url)), left

    def _host(self, parts: SplitResult) -> _Host:
        """Return the state of a host.

        Raises:
            AddressRefusedError: it would have to be asked for through a proxy, and is of the own network.
        """
        key = parts.scheme, parts.netloc.lower()
        if key not in self._hosts:
            proxy = proxy_of(parts.scheme, parts.hostname or "")
            arguments: dict[str, Any] = {}
            if proxy is not None:
                if not self._policy.allow_private_addresses:
                    check_name(parts.hostname or "")
                address = URL(proxy.geturl())
                secret = aiohttp.BasicAuth(address.user, address.password or "") if address.user else None
                arguments = {"proxy": address.with_user(None), "proxy_auth": secret}
            self._hosts[key] = _Host("://".join(key), Gate(key[1], self._policy), arguments)
        return self._hosts[key]

    async def _rules_of(self, host: _Host) -> HostRules | None:
        if self._rules is None:
            return None
        rules = self._rules.known(host.origin)
        if rules is None:
            rules = await self._rules.learn(host.origin)
            host.gate.interval = rules.interval
        return rules

    async def _read_rules(self, url: str) -> bytes | None:
        """Return robots.txt or another small file of rules, None when the host has none (RFC 9309, 2.3.1).

        Raises:
            UnansweredError: no answer, or one that may pass.
        """
        place = url
        for _ in range(MAX_REDIRECTS + 1):
            try:
                host = self._host(check_url(place))
                answer, _ = await self._request(place, host, self._policy.timeout_seconds, take_rules)
            except AddressRefusedError:
                return None  # it leads astray, so there is none
            except DeadHostError as error:
                raise UnansweredError(str(error)) from None
            if answer.bad:
                raise UnansweredError(f"{url} could not be read: {answer.outcome.detail}")
            if not answer.following:
                return answer.outcome.content if answer.outcome.reason == "" else None
            place = answer.following
        return None

    async def _request(self, url: str, host: _Host, left: float, take: _Take) -> tuple[Answer, float]:
        """Send one request through the host's gate; return the answer and the seconds that are left.

        Raises:
            DeadHostError: the host is not asked any more.
        """
        session = self._by_proxy if host.proxy else self._direct
        async with host.gate:
            began = time.monotonic()
            try:
                async with (
                    asyncio.timeout(max(left, 0.0)),
                    session.get(URL(url), allow_redirects=False, **host.proxy) as response,
                ):
                    answer = passing(response, url) or await take(response, url)
            except (AddressRefusedError, aiohttp.ClientError, OSError, ValueError) as error:
                answer = described(error, url, self._policy)
            if answer.bad:
                host.gate.note_bad(answer.outcome.detail, overloaded=answer.overloaded, wait=answer.wait)
            elif answer.outcome.reason != DownloadReason.ADDRESS_REFUSED:
                host.gate.note_good()
            return answer, left - (time.monotonic() - began)

    async def _take_photo(self, response: aiohttp.ClientResponse, url: str) -> Answer:
        if response.status in (200, *REDIRECTS):  # what a 404 says of itself is not said of the photo
            refusal = header_refusal(response.headers, self._policy.obey, self._token)
            if refusal:
                response.close()  # not one byte of it is read
                return Answer(said(*refusal, url))
        if (decided := verdict(response, url)) is not None:
            return decided
        content = await read_up_to(response, self._policy.max_bytes)
        if content is None:
            return Answer(said(DownloadReason.TOO_LARGE, f"more than {self._policy.max_bytes} bytes", url))
        outcome = checked(content, url, self._policy, from_server=True)
        return Answer(outcome, again=outcome.reason == DownloadReason.INCOMPLETE)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rules is not None:
            await self._rules.close()
        await self._direct.close()
        await self._by_proxy.close()


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
