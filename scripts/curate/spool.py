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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from scripts.curate.stores import Candidate, Outcome
from scripts.lib.errors import UserError
from scripts.lib.lock import take_lock
from scripts.lib.reasons import DownloadReason

LOG = logging.getLogger(__name__)

# Failures that may pass hold for this process only: the next one tries them again.
PASSING = (DownloadReason.DOWNLOAD_FAILED, DownloadReason.INCOMPLETE)


@dataclass(frozen=True)
class Settled:
    """What became of a candidate; its bytes are in the spool at `offset`."""

    reason: str
    detail: str
    address: str
    from_server: bool
    offset: int
    size: int
    sha256: str


class Spool:
    """Settled candidates of one download. Use as a context manager; `remove` it when the output is written."""

    def __init__(self, folder: Path, recipe: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._settled: dict[str, Settled] = {}
        # No buffers of Python's: what it could not write, it would try to write again when the file is closed.
        self._journal = os.open(folder / "journal", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._bytes = os.open(folder / "bytes", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._end = 0
        try:
            take_lock(fcntl.flock, self._journal, folder / "journal", "downloading this partition")
        except UserError:
            self.close()
            raise
        self._recover(hashlib.sha256(recipe.encode("utf-8")).hexdigest())

    def _recover(self, recipe: str) -> None:
        """Take over what an earlier process with the same recipe left, up to the first line that does not hold."""
        good = 0
        with (self._folder / "journal").open("rb") as journal:
            for index, line in enumerate(journal):
                if not (self._take_header(line, recipe) if index == 0 else self._take(line)):
                    break
                good += len(line)
        os.truncate(self._journal, good)
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
        return self._settled.get(candidate.key)

    def add(self, candidate: Candidate, outcome: Outcome) -> Settled:
        """Write down what became of a candidate; of failures that may pass only this process keeps a note."""
        content = outcome.content
        sha256 = hashlib.sha256(content).hexdigest() if outcome.reason == "" else ""
        reason, detail, address = str(outcome.reason), outcome.detail, outcome.address
        settled = Settled(reason, detail, address, outcome.from_server, self._end, len(content), sha256)
        if content:
            self._write(lambda: os.pwrite(self._bytes, content, self._end), len(content))
            self._end += len(content)
        if outcome.reason not in PASSING:
            self._append({"key": candidate.key, **settled.__dict__})
        self._settled[candidate.key] = settled
        return settled

    def _append(self, entry: dict[str, Any]) -> None:
        line = _line(entry)
        self._write(lambda: os.write(self._journal, line), len(line))

    def _write(self, write: Callable[[], int], size: int) -> None:
        """Call a function that must write `size` bytes at once. What half a write leaves, `_recover` cuts off."""
        try:
            written = write()
            if written != size:
                raise OSError(f"only {written} of {size} bytes could be written, the disk may be full")
        except OSError as error:
            raise UserError(
                f"{self._folder} cannot be written: {error}. Make room there (a partition needs twice the size of its"
                " photos while it is downloaded), then run again; what arrived is kept."
            ) from None

    def read(self, settled: Settled) -> bytes:
        """Return the bytes of a candidate that has some.

        This process hashed them when they came or were recovered; `inspect_images` compares what lies in the tar.
        """
        content = os.pread(self._bytes, settled.size, settled.offset)
        if len(content) != settled.size:
            raise UserError(f"{self._folder} was changed while it was in use; delete it and run again.")
        return content

    def remove(self) -> None:
        """Delete the spool."""
        shutil.rmtree(self._folder)

    def close(self) -> None:
        """Close the files, and with them give up the lock."""
        if self._bytes >= 0:
            os.close(self._journal)
            os.close(self._bytes)
            self._journal = self._bytes = -1

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, sort_keys=True).encode("utf-8") + b"\n"
