"""One page with everything in it and one browser, for all tests that look at the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.report.duplicate_figures import DuplicateFigures
from tests.report.browser import Browser, find_chromium
from tests.report.made import HOSTILE
from tests.report.people import one_audit, two_reviewers
from tests.report.test_write_report import ROWS, make_page

DUPLICATES = DuplicateFigures(
    clusters=4, largest=3, exact=1, near=3, mirrored=1, turned=0, by_distance={"0": 2, "6": 1}
)


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with every section, and with hostile names and very long words in it."""
    folder = tmp_path_factory.mktemp("report") / "page"
    rows = [*ROWS, ROWS[0] | {"image_id": "long", "creator": "a" * 300, "capture_device": "b" * 300}]
    make_page(
        folder, rows, reviews=two_reviewers(HOSTILE), leak=one_audit(), tuned=True, mapped=True, duplicates=DUPLICATES
    )
    return folder / "index.html"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium is installed: nothing can show the page")
    with Browser(program, tmp_path_factory.mktemp("profile")) as started:
        yield started
