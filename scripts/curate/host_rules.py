"""What a host's robots.txt and tdmrep.json say, each asked for once per host and port and process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from protego import Protego

from scripts.curate.opt_outs import MAX_INTERVAL, interval_of, parse_robots, parse_tdm_reservations
from scripts.curate.settings import OptOut
from scripts.lib.reasons import DownloadReason

LOG = logging.getLogger(__name__)

ROBOTS, TDM = "/robots.txt", "/.well-known/tdmrep.json"


class UnansweredError(Exception):
    """The host could not say what its rules are, so nothing may be taken from it for now (RFC 9309, 2.3.1.4)."""


@dataclass(frozen=True)
class HostRules:
    """The rules of one host; None where it has none."""

    token: str
    robots: Protego | None = None
    reservations: Protego | None = None
    interval: float = 0.0  # seconds between two requests

    def refusal(self, url: str) -> tuple[DownloadReason, str] | None:
        """Return reason and detail when the host does not want `url` to be fetched."""
        if self.interval > MAX_INTERVAL:
            return DownloadReason.ROBOTS_DISALLOWED, f"robots.txt asks for {self.interval:g} s between two requests"
        if self.robots is not None and not self.robots.can_fetch(url, self.token):
            return DownloadReason.ROBOTS_DISALLOWED, "robots.txt"
        if self.reservations is not None and not self.reservations.can_fetch(url, self.token):
            return DownloadReason.OPTED_OUT_TDM, "tdmrep.json"
        return None


class RuleBook:
    """Asks hosts for their rules; photos that wait for the same host share one question."""

    def __init__(self, obey: Sequence[OptOut], token: str, ask: Callable[[str], Awaitable[bytes | None]]) -> None:
        """Ask by `ask`, which returns a small file, None when the host has none, or raises UnansweredError."""
        self._obey = obey
        self._token = token
        self._ask = ask
        self._known: dict[str, HostRules] = {}
        self._asking: dict[str, asyncio.Task[HostRules]] = {}

    def known(self, origin: str) -> HostRules | None:
        """Return the rules of `http://host:port` when they are at hand."""
        return self._known.get(origin)

    async def learn(self, origin: str) -> HostRules:
        """Return the rules of a host, asking it where need be.

        Raises:
            UnansweredError: it could not say. The next photo asks again.
        """
        if origin not in self._asking:
            self._asking[origin] = asyncio.create_task(self._read(origin))
        task = self._asking[origin]
        try:
            self._known[origin] = await asyncio.shield(task)
        finally:
            if self._asking.get(origin) is task and task.done():
                del self._asking[origin]
        return self._known[origin]

    async def _read(self, origin: str) -> HostRules:
        robots = reservations = None
        if "robots_txt" in self._obey and (content := await self._ask(origin + ROBOTS)) is not None:
            robots = parse_robots(content, self._token)
        if "tdm_reservation" in self._obey and (content := await self._ask(origin + TDM)) is not None:
            reservations = parse_tdm_reservations(content)
        interval = 0.0 if robots is None else interval_of(robots, self._token)
        says = "has rules" if robots or reservations else "has none"
        LOG.info("%s %s in %s%s", origin, says, ROBOTS, f", {interval:g} s between two requests" if interval else "")
        return HostRules(self._token, robots, reservations, interval)

    async def close(self) -> None:
        """Stop asking."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
