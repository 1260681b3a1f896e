"""A lease: one process at a time makes a file, also where the processes are on several nodes.

A workflow that dies leaves jobs behind on a cluster, and the next one starts them again. The second of two processes
that make the same file waits until the first has ended, and then finds its result. A lease is a file that names its
holder; the holder touches it, so that a dead one is told from a slow one: at once on its own machine, by its silence
elsewhere.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

BEAT_SECONDS = 20.0  # between two touches
SILENCE_SECONDS = 180.0  # after which a holder on another machine counts as dead
_LOOK_SECONDS, _SAY_SECONDS = 1.0, 60.0


def process_start(pid: int) -> str | None:
    """Return when a process of this machine began, in ticks since boot; None when there is none (or only a zombie).

    A process number is used again; together with the start it is not.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def machine_name() -> str:
    """Return a name of this machine since it was started: host and boot."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()}/{boot}"
    return socket.gethostname()


def this_process() -> dict[str, Any]:
    """Return what names this process among those of all machines that share the file system."""
    pid = os.getpid()
    return {
        "machine": machine_name(),
        "pid": pid,
        "start": process_start(pid),
        "slurm_job": os.environ.get("SLURM_JOB_ID", ""),
        "token": uuid.uuid4().hex,
    }


def is_alive(holder: dict[str, Any], silent_seconds: float) -> bool:
    """Return whether the process that `holder` names may still run."""
    if holder.get("machine") == machine_name():
        return process_start(int(holder["pid"])) == holder.get("start")
    return silent_seconds < SILENCE_SECONDS


def _read(path: Path) -> tuple[dict[str, Any], float] | None:
    """Return the holder and for how long it has been silent, by the file system's own clock; None: no lease."""
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        probe = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.clock")
        probe.touch()
        try:
            return holder, probe.stat().st_mtime - path.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)
    except FileNotFoundError:
        return None
    except ValueError:  # half a lease: only a broken disk leaves one, since it is linked into place whole
        return {}, SILENCE_SECONDS


def _take(path: Path, mine: dict[str, Any]) -> bool:
    private = path.with_name(f".{path.name}.{mine['token']}.part")
    private.write_text(json.dumps(mine, sort_keys=True), encoding="utf-8")
    try:
        os.link(private, path)  # one of several wins, and what the others see is whole
    except FileExistsError:
        return False
    finally:
        private.unlink(missing_ok=True)
    return True


def _clear(path: Path, dead: dict[str, Any]) -> None:
    """Remove the lease of a dead holder, and put back one that another process took in the meantime."""
    moved = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.dead")
    try:
        path.rename(moved)
    except FileNotFoundError:
        return
    with suppress(OSError, ValueError):
        if json.loads(moved.read_text(encoding="utf-8")) != dead:
            os.link(moved, path)
    moved.unlink(missing_ok=True)


def _wait_for(path: Path, mine: dict[str, Any], what: str) -> None:
    said = 0.0
    while not _take(path, mine):
        found = _read(path)
        if found is None:
            continue
        holder, silent = found
        who = f"process {holder.get('pid')} on {str(holder.get('machine', '?')).split('/')[0]}"
        who += f" (SLURM job {holder['slurm_job']})" if holder.get("slurm_job") else ""
        if not holder or not is_alive(holder, silent):
            log.warning("%s died while it made %s: this process takes over", who, what)
            _clear(path, holder)
            continue
        if time.monotonic() - said >= _SAY_SECONDS:
            log.info("%s makes %s already: waiting for its end (its lease is %s)", who, what, path)
            said = time.monotonic()
        time.sleep(_LOOK_SECONDS)


@contextmanager
def leased(path: Path, what: str) -> Iterator[None]:
    """Hold the lease `path` on making `what` while the block runs; first wait for a living holder's end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = this_process()
    _wait_for(path, mine, what)
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            with suppress(OSError):
                os.utime(path)

    threading.Thread(target=beat, name="lease", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        with suppress(OSError, ValueError):
            if json.loads(path.read_text(encoding="utf-8")).get("token") == mine["token"]:
                path.unlink()
