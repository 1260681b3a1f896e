"""How far a download is, for the log, and whether it reaches anybody at all."""

from __future__ import annotations

import logging
import time
from collections import Counter

from scripts.curate.settings import DownloadPolicy
from scripts.curate.spool import Settled
from scripts.lib.errors import UserError

LOG = logging.getLogger(__name__)

LOG_SECONDS = 10.0
FAIR_TRIES = 100  # so many photos without a single connection, and the rest need not be tried


class Progress:
    """Counts what is settled, logs it, and stops a job that reaches nobody."""

    def __init__(self, total: int, policy: DownloadPolicy, part: str) -> None:
        self.total, self.part, self.policy = total, part, policy
        self.done = self.asked_servers = self.bytes = 0
        self.unreachable: Counter[str] = Counter()
        self.began = self.logged = time.monotonic()

    def count(self, settled: Settled) -> None:
        """Count one candidate.

        Raises:
            UserError: so far no server could be reached at all, after a fair number of tries.
        """
        self.done += 1
        self.bytes += settled.size
        self.asked_servers += settled.from_server
        if settled.unreachable:
            self.unreachable[f"{settled.address} ({settled.detail})"] += 1
            if self.unreachable.total() == self.asked_servers >= max(FAIR_TRIES, 2 * self.policy.connections):
                self.stop()
        now = time.monotonic()
        if now - self.logged > LOG_SECONDS:
            rate = self.done / (now - self.began)
            left = (self.total - self.done) / rate / 60
            LOG.info(
                "%d of %d photos, %.0f MB, %.1f photos/s, %.0f min left",
                self.done, self.total, self.bytes / 1e6, rate, left,
            )  # fmt: skip
            self.logged = now

    def check(self) -> None:
        """Fail when a larger share than the policy's could not be reached."""
        if self.unreachable.total() > self.policy.max_unreachable_share * self.asked_servers:
            self.stop()

    def stop(self) -> None:
        """Say which address could not be reached and what to do."""
        example = min(self.unreachable)
        raise UserError(
            f"{self.unreachable.total()} of {self.asked_servers} photos of partition {self.part} could not be asked"
            f" for, because no connection came about; for example {example}. Check the addresses in curate.sources and"
            " that this machine reaches them (compute nodes often have no internet: run this step on a node that has),"
            " then run again; photos that did arrive are kept and not fetched again. To take such photos for lost"
            f" instead, raise curate.download.max_unreachable_share (now {self.policy.max_unreachable_share})."
        )
