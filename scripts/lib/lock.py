"""One writer at a time: a job may outlive the workflow that started it, and the workflow may start it again."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.lib.errors import UserError

LOG = logging.getLogger(__name__)


def take_lock(lock: Callable[[int, int], None], descriptor: int, path: Path, doing: str) -> None:
    """Lock the open file `path` for this process, or say who has it. Free again when the file is closed.

    Args:
        lock: `fcntl.flock`, which a forked process shares and a second opening in the same process does not; or
            `fcntl.lockf`, which belongs to the process alone.
        descriptor: of the open file.
        path: of it, for the message.
        doing: what a process that holds it does.

    Raises:
        UserError: another process holds it.
    """
    try:
        lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise UserError(
            f"another process is {doing} (it holds {path}). Wait for it, or end it, then run again."
        ) from None
    except OSError as error:
        LOG.warning("no locks on this file system (%s): make sure that no other process is %s", error, doing)


@contextmanager
def held(path: Path, doing: str) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; it is gone afterwards, and free when the process dies.

    A lock of this process alone: processes that it forks, such as a loader's, do not keep it when it is killed.

    Raises:
        UserError: another process holds it; the message begins with what that one is `doing`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        take_lock(fcntl.lockf, handle.fileno(), path, doing)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
