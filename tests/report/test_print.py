"""The report on paper: A4, light, everything open, no figure cut, addresses where paper cannot be clicked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.report.browser import A4_INSIDE, Browser
from tests.report.test_page_in_browser import RENDERED

TALL = '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="3000"><path d="M0 0h400v3000z"/></svg>'
SHEET = (
    '<div class="sheet"><figure style="--natural: 400px"><div class="wide"><img alt="tall" width="400" height="3000" '
    f"src='data:image/svg+xml,{TALL}'></div></figure></div>"
)


@pytest.fixture(scope="module")
def printed(report: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, and in it a sheet that is longer than paper."""
    page = tmp_path_factory.mktemp("print") / "index.html"
    page.write_text(report.read_text(encoding="utf-8").replace("</main>", f"{SHEET}</main>"), encoding="utf-8")
    return page


SIZES = """[...document.querySelectorAll('img, svg.figure')].map((each) => {
  const box = each.getBoundingClientRect();
  return [each.getAttribute('alt') || each.getAttribute('aria-label') || '', box.width, box.height];
})"""


def test_no_figure_is_larger_than_the_paper(printed: Path, browser: Browser):
    browser.as_printed(printed)
    sizes = browser.run(SIZES)
    assert len(sizes) >= 6
    for name, width, height in sizes:
        assert 0 < width <= A4_INSIDE[0] and 0 < height <= A4_INSIDE[1], name
    tall = next(size for size in sizes if size[0] == "tall")
    assert 700 < tall[2] < A4_INSIDE[1] - 60  # its heading has room above it


def test_closed_parts_are_printed_and_nothing_sticks_out(printed: Path, browser: Browser):
    closed = "document.querySelectorAll('details:not([open])').length"
    inside = """[...document.querySelectorAll('details:not([open]) > :not(summary)')]
      .map((each) => each.checkVisibility({contentVisibilityAuto: true}) && each.getBoundingClientRect().height > 0)"""
    browser.open(printed, 820)
    assert browser.run(closed) >= 3 and not any(browser.run(inside))
    browser.as_printed(printed)
    assert all(browser.run(inside))
    assert browser.run("document.querySelector('nav').checkVisibility()") is False
    assert [each for each in browser.run(RENDERED) if not each.startswith("text of")] == []  # points, not pixels


def test_paper_is_light_for_those_who_read_dark_pages_too(printed: Path, browser: Browser):
    browser.as_printed(printed, scheme="dark")
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"
    # What a bar says must not hang on the reader's wish to print backgrounds.
    assert browser.run("getComputedStyle(document.querySelector('.bar')).printColorAdjust") == "exact"


def test_links_that_leave_the_page_show_where_they_lead(printed: Path, browser: Browser):
    browser.as_printed(printed)
    shown = browser.run(
        "Object.fromEntries([...document.querySelectorAll('main a')].map((each) =>"
        " [each.getAttribute('href'), getComputedStyle(each, '::after').content]))"
    )
    assert shown["../filter/list_review_pages.html"] in (
        '" (../filter/list_review_pages.html)"',
        '" (" "../filter/list_review_pages.html" ")"',
    )
    assert shown["#labelled"] == "none"


def test_the_paper_is_a4(printed: Path, browser: Browser):
    browser.open(printed, 820)
    paper = browser.pdf()
    assert paper.startswith(b"%PDF-")
    sizes = {tuple(float(number) for number in box.split()) for box in re.findall(rb"/MediaBox \[([^\]]+)\]", paper)}
    assert len(sizes) == 1
    assert sizes.pop() == pytest.approx((0, 0, 595.28, 841.89), abs=1.0)
    assert 4 <= len(re.findall(rb"/Type /Page\b", paper)) <= 40
