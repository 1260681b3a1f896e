"""One host's gate: how many requests at once, not before when, and whether the host still gives good answers at all.

A host that is overloaded (429, 503) gets half as many connections at once, and one more for each round of good answers.
A host of which `BAD_IN_A_ROW` answers in a row were bad is asked by one request at a time, further and further apart,
while all other photos wait without using up their tries; after `patience_seconds` of that it counts as dead. So an
outage of minutes costs a handful of photos, and one of hours costs minutes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType

from scripts.curate.settings import DownloadPolicy

BAD_IN_A_ROW = 16
MAX_PROBE_PAUSE = 30.0  # seconds between two requests to a host in trouble, unless it asks for more


class DeadHostError(Exception):
    """The host gave nothing but bad answers for longer than the policy's patience."""


class Gate:
    """Lets requests to one host through. Use as an asynchronous context manager around each request.

    Slots are handed over by callback, first come first served: nobody polls, and a waiting photo costs nothing.
    """

    def __init__(self, host: str, policy: DownloadPolicy) -> None:
        self.host = host
        self.interval = 0.0  # seconds between the starts of two requests, as robots.txt asks (Crawl-delay)
        self._limit = float(policy.connections_per_host)
        self._patience = policy.patience_seconds
        self._first_pause = max(policy.backoff_seconds, 0.01)
        self._width = self._limit  # how many requests at once, now
        self._active = 0
        self._opens = 0.0
        self._bad = 0  # bad answers since the last good one
        self._bad_since = 0.0
        self._dead = ""
        self._queue: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def note_good(self) -> None:
        """Take note of an answer that shows a working host: the photo, or a definite no."""
        self._bad = 0
        if self._width < self._limit:
            self._width = min(self._limit, self._width + 1.0 / self._width)

    def note_bad(self, detail: str, *, overloaded: bool = False, wait: float = 0.0) -> None:
        """Take note of no answer, or one that may pass.

        Args:
            detail: what it was, for the reader.
            overloaded: the host asks for less.
            wait: seconds for which it asks to be left alone (Retry-After).
        """
        now = _now()
        if not self._bad:
            self._bad_since = now
        self._bad += 1
        if overloaded:
            self._width = max(1.0, self._width / 2.0)
        if self._bad >= BAD_IN_A_ROW:
            self._width = 1.0
            doublings = min(self._bad - BAD_IN_A_ROW, 16)
            wait = max(wait, min(MAX_PROBE_PAUSE, self._first_pause * 2.0**doublings))
            if now - self._bad_since > self._patience:
                self._dead = f"{self.host} gave no good answer for {self._patience:g} s, the last was {detail}"
        self._opens = max(self._opens, now + wait)

    async def __aenter__(self) -> None:
        """Wait for a slot.

        Raises:
            DeadHostError: there will be none.
        """
        if not self._queue and self._may_pass():
            self._take()
        else:
            turn = asyncio.get_running_loop().create_future()
            self._queue.append(turn)
            self._admit()
            await turn
        if self._dead:
            self._active -= 1
            self._admit()
            raise DeadHostError(self._dead)

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._active -= 1
        self._admit()

    def _may_pass(self) -> bool:
        return bool(self._dead) or (self._active < int(self._width) and self._opens <= _now())

    def _take(self) -> None:
        self._active += 1
        if self.interval:
            self._opens = max(self._opens, _now() + self.interval)

    def _admit(self) -> None:
        """Hand slots to those who wait; a closed gate sets a timer instead."""
        while self._queue and self._may_pass():
            turn = self._queue.popleft()
            if not turn.done():  # a cancelled one is
                self._take()
                turn.set_result(None)
        if self._queue and self._timer is None and self._opens > _now():
            self._timer = asyncio.get_running_loop().call_at(self._opens, self._open)

    def _open(self) -> None:
        self._timer = None
        self._admit()


def _now() -> float:
    return asyncio.get_running_loop().time()
