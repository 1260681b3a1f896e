"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real photographs, labelled sets and weights; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("UNPEOPLED_SHARED", ROOT.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set UNPEOPLED_SHARED to the folder that holds data/")
    return folder.resolve()
