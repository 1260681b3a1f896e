"""What all tests share."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.small_run import SmallRun

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real photographs, labelled sets and weights; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("UNPEOPLED_SHARED", ROOT.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set UNPEOPLED_SHARED to the folder that holds data/")
    return folder.resolve()


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """A finished small run (tests/small_run.py). Not to be changed: what edits it takes a copy."""
    from tests.small_run import SmallRun  # it imports this module

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # that of all processes of these tests: the first who needs it makes it
    place, finished = folder / "small_run", folder / "small_run.finished"
    with (folder / "small_run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = SmallRun(place) if finished.exists() else SmallRun.made(place)
        finished.touch()
    return made
