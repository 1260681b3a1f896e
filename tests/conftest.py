"""What all tests share."""

from __future__ import annotations

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

    return SmallRun.made(tmp_path_factory.mktemp("small_run") / "made")
