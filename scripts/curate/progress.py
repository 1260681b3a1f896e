"""How far a download is, for the log, and whether what it leaves would be worth having."""

from __future__ import annotations

import logging
import time
from collections import Counter
from urllib.parse import urlsplit

from scripts.curate.settings import DownloadPolicy
from scripts.curate.spool import Settled
from scripts.lib.errors import UserError
from scripts.lib.reasons import DownloadReason

LOG = logging.getLogger(__name__)

LOG_SECONDS = 10.0
FAIR_TRIES = 100  # from so many photos that servers were asked for, one at least should have come
_OPT_OUTS = (DownloadReason.ROBOTS_DISALLOWED, DownloadReason.OPTED_OUT_AI, DownloadReason.OPTED_OUT_TDM)


class Progress:
    """Counts what is settled, logs it, and stops a job as soon as it is certain that it cannot end well."""

    def __init__(self, total: int, policy: DownloadPolicy, part: str) -> None:
        self.total, self.part, self.policy = total, part, policy
        self.done = self.earlier = self.asked_servers = self.bytes = 0
        self.reasons: Counter[str] = Counter()
        self.failures: Counter[tuple[str, str]] = Counter()  # (host, detail)
        self.served = Counter[str]()  # reasons of what came from servers; "" for photos
        self.began = self.logged = time.monotonic()

    def count(self, settled: Settled, *, earlier: bool) -> None:
        """Count one candidate; `earlier` when a process before this one settled it.

        Raises:
            UserError: whatever becomes of the rest, more than the allowed share has failed.
        """
        self.done += 1
        self.earlier += earlier
        self.bytes += settled.size
        self.reasons[settled.reason] += 1
        if settled.from_server:
            self.asked_servers += 1
            self.served[settled.reason] += 1
            if settled.reason in (DownloadReason.DOWNLOAD_FAILED, DownloadReason.INCOMPLETE):
                self.failures[urlsplit(settled.address).netloc, settled.detail] += 1
                self._check_share(self.asked_servers + self.total - self.done)
        now = time.monotonic()
        if now - self.logged > LOG_SECONDS:
            LOG.info("%s", self.line(now - self.began))
            self.logged = now

    def line(self, seconds: float) -> str:
        """Return the state after `seconds` of this process: how far, how fast, how long, and what was not to be had."""
        new = self.done - self.earlier
        rate = new / seconds
        left = f"{_span((self.total - self.done) / rate)} left" if new else "time left unknown"
        lost = ", ".join(f"{reason} {number}" for reason, number in sorted(self.reasons.items()) if reason)
        return (
            f"{self.done} of {self.total} photos ({self.done / self.total:.0%}), {self.bytes / 1e6:.0f} MB,"
            f" {rate:.1f} photos/s, {left}{'; without bytes: ' if lost else ''}{lost}"
        )

    def check(self) -> None:
        """Look at a whole partition.

        Raises:
            UserError: a larger share than the policy's failed, or not a single photo came from its servers.
        """
        self._check_share(self.asked_servers)
        wanted = {reason: number for reason, number in self.served.items() if reason not in _OPT_OUTS}
        if not self.served[""] and sum(wanted.values()) >= FAIR_TRIES:
            answers = ", ".join(f"{reason} {number}" for reason, number in sorted(wanted.items()) if reason)
            raise UserError(
                f"not one of the {self.asked_servers} photos of partition {self.part} that servers were asked for came"
                f" ({answers}). Compare an address of curate.sources with one in a browser: the server may have moved,"
                " or refuse this machine or its user agent. Then delete the folder with the ending .spool beside the"
                " partition's tar, which remembers these answers, and run again."
            )

    def _check_share(self, asked: int) -> None:
        failed = self.failures.total()
        if failed <= self.policy.max_failed_share * asked:
            return
        hosts = "; ".join(f"{host}: {detail} ({number})" for (host, detail), number in self.failures.most_common(3))
        raise UserError(
            f"{failed} of {asked} photos of partition {self.part} could not be fetched after all tries, more than"
            f" curate.download.max_failed_share ({self.policy.max_failed_share:g}) allows. Most often: {hosts}. Check"
            " that the servers of curate.sources are up and that this machine reaches them (compute nodes often have no"
            " internet: run this step on a node that has, or set HTTPS_PROXY), then run again: what arrived is kept,"
            " and only what failed is asked for again. To take such photos for lost instead, raise the share."
        )


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
