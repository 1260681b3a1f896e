"""What has arrived so far, on disk beside the output: a killed download goes on from it.

Two append-only files: `bytes`, and `journal`, one JSON line for each settled candidate. Appending keeps a partition's
67,000 photos out of the file system's index, and the SHA-256 of each line makes half-written ends visible.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from scripts.curate.stores import Candidate, Outcome
from scripts.lib.errors import UserError
from scripts.lib.reasons import DownloadReason

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settled:
    """What became of a candidate; its bytes are in the spool at `offset`."""

    reason: str
    detail: str
    address: str
    from_server: bool
    unreachable: bool
    offset: int
    size: int
    sha256: str


class Spool:
    """Settled candidates of one download. Use as a context manager; `remove` it when the output is written."""

    def __init__(self, folder: Path, recipe: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._settled: dict[str, Settled] = {}
        self._journal = (folder / "journal").open("a+b")
        self._bytes = os.open(folder / "bytes", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._end = 0
        self._hold()
        self._recover(hashlib.sha256(recipe.encode("utf-8")).hexdigest())

    def _hold(self) -> None:
        """Keep a second process out: a job may outlive the workflow that started it."""
        try:
            fcntl.flock(self._journal.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise UserError(
                f"another process is downloading this partition (it holds {self._folder}). Wait for it, or end it, then"
                " run again."
            ) from None
        except OSError as error:
            LOG.warning("no locks on this file system (%s): make sure that no other job uses %s", error, self._folder)

    def _recover(self, recipe: str) -> None:
        """Take over what an earlier process with the same recipe left, up to the first line that does not hold."""
        self._journal.seek(0)
        good = 0
        for index, line in enumerate(self._journal):
            if not (self._take_header(line, recipe) if index == 0 else self._take(line)):
                break
            good += len(line)
        self._journal.truncate(good)
        os.truncate(self._bytes, self._end)
        if good == 0:
            self._append({"recipe": recipe})
        elif self._settled:
            LOG.info("continuing: %d candidates were settled by an earlier process", len(self._settled))

    @staticmethod
    def _take_header(line: bytes, recipe: str) -> bool:
        return line == _line({"recipe": recipe})

    def _take(self, line: bytes) -> bool:
        if not line.endswith(b"\n"):
            return False
        try:
            entry = json.loads(line)
            key = entry.pop("key")
            settled = Settled(**entry)
        except (ValueError, TypeError, KeyError, AttributeError):
            return False
        if settled.reason == "":
            content = os.pread(self._bytes, settled.size, settled.offset)
            if settled.offset != self._end or hashlib.sha256(content).hexdigest() != settled.sha256:
                return False
            self._end += settled.size
        self._settled[key] = settled
        return True

    def __len__(self) -> int:
        return len(self._settled)

    def get(self, candidate: Candidate) -> Settled | None:
        """Return what became of a candidate, None when it is not settled yet."""
        return self._settled.get(_key(candidate))

    def add(self, candidate: Candidate, outcome: Outcome) -> Settled:
        """Write down what became of a candidate.

        Failures that may pass (time-outs, server errors) hold for this process only: the next one tries them again.
        """
        content = outcome.content
        sha256 = hashlib.sha256(content).hexdigest() if outcome.reason == "" else ""
        settled = Settled(
            reason=str(outcome.reason),
            detail=outcome.detail,
            address=outcome.address,
            from_server=outcome.from_server,
            unreachable=outcome.unreachable,
            offset=self._end,
            size=len(content),
            sha256=sha256,
        )
        try:
            written = os.pwrite(self._bytes, content, self._end)
            if written != len(content):
                raise OSError(f"only {written} of {len(content)} bytes could be written")
            self._end += written
            if outcome.reason != DownloadReason.DOWNLOAD_FAILED:
                self._append({"key": _key(candidate), **asdict(settled)})
        except OSError as error:
            raise UserError(
                f"{self._folder} cannot be written: {error}. Make room, then run again; what arrived is kept there."
            ) from None
        self._settled[_key(candidate)] = settled
        return settled

    def _append(self, entry: dict[str, Any]) -> None:
        self._journal.write(_line(entry))
        self._journal.flush()

    def read(self, settled: Settled) -> bytes:
        """Return the bytes of a candidate that has some."""
        content = os.pread(self._bytes, settled.size, settled.offset)
        if hashlib.sha256(content).hexdigest() != settled.sha256:
            raise UserError(f"the disk does not give back what was written to {self._folder}; delete it and run again.")
        return content

    def remove(self) -> None:
        """Delete the spool."""
        shutil.rmtree(self._folder)

    def close(self) -> None:
        """Close the files, and with them give up the lock."""
        self._journal.close()
        if self._bytes >= 0:
            os.close(self._bytes)
            self._bytes = -1

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, sort_keys=True).encode("utf-8") + b"\n"


def _key(candidate: Candidate) -> str:
    parts = (candidate.source, candidate.image_id, candidate.locator, candidate.download_url)
    return hashlib.sha256("\0".join(parts).encode("utf-8")).hexdigest()[:32]
