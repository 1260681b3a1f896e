"""Data from outside: inputs where they lie there."""

from __future__ import annotations

from pathlib import Path


def present(*paths: str | None) -> list[str]:
    """Return those paths that exist.

    Data from outside becomes an input, and so a reason to rerun, where it lies there; where it does not, planning still
    works, and the first step that needs it says what is missing and where to put it.
    """
    return [path for path in paths if path and Path(path).exists()]
