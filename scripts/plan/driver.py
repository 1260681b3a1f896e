"""The process that runs the workflow: a folder that it locked and left, because it was killed, is freed for the next.

Snakemake's lock does not say whose it is, so after a power cut it has to be removed by hand (`--unlock`). The process
that runs a workflow here leaves its name beside the lock. Where that process is known to be dead, the next one goes on.
"""

from __future__ import annotations

import json
from pathlib import Path

from scripts.lib.files import write_json
from scripts.lib.lease import machine_name, process_start, this_process

FOLDER = Path(".snakemake")


def name_driver(folder: Path = FOLDER) -> None:
    """Write who runs the workflow in this folder. For the process that holds Snakemake's lock."""
    write_json(folder / "driver.json", this_process())


def free_dead_lock(folder: Path = FOLDER) -> str | None:
    """Remove the lock that a dead process left, and return a line that says so; None when there is nothing to free."""
    locks = sorted((folder / "locks").glob("*.lock"))
    try:
        driver = json.loads((folder / "driver.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not locks or process_start(int(driver["pid"])) == driver["start"]:
        return None
    host = str(driver["machine"]).split("/", maxsplit=1)[0]
    if host != machine_name().split("/", maxsplit=1)[0]:
        return f"this folder is locked by a run on {host}. When that one is dead, free it: snakemake --unlock"
    for lock in locks:
        lock.unlink(missing_ok=True)
    return f"the last run here (process {driver['pid']}) died: its lock is removed, its unfinished jobs are made again"
