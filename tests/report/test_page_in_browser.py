"""The report as readers get it: in Chromium at three widths, and by the rules of accessibility."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from scripts.lib.page_style import BASE_CSS
from tests.report.accessibility import contrast, findings, schemes
from tests.report.browser import Browser

RENDERED = (Path(__file__).parent / "rendered.js").read_text(encoding="utf-8")
OPEN_ALL = "document.querySelectorAll('details').forEach((each) => { each.open = true })"
WIDTHS = (360, 820, 1400)


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (820, "dark"), (1400, "light"), (360, "dark")])
def test_the_page_fits_and_can_be_read(report: Path, browser: Browser, width: int, scheme: str):
    browser.open(report, width, scheme)
    browser.run(OPEN_ALL)
    assert browser.run("innerWidth") == width
    assert browser.run(RENDERED) == []
    assert browser.problems == []  # nothing in the console, nothing asked of the network
    assert browser.run("matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")


def test_hostile_names_act_on_nothing(report: Path, browser: Browser):
    browser.open(report, 820)
    assert browser.run("document.querySelectorAll('script, img[onerror], [onclick], iframe').length") == 0
    assert "<script>alert(1)</script>" in browser.run("document.querySelector('h1').textContent")
    assert browser.problems == []


def test_the_browser_notices_what_is_wrong(tmp_path: Path, browser: Browser):
    page = tmp_path / "bad.html"
    page.write_text(
        "<!doctype html><body style='background: #fff'><p style='color: #999'>faint</p>"
        "<div style='width: 900px'>broad</div>"
        "<div style='overflow-x: auto; width: 99px'><p style='width: 400px'>far</p></div>"
        "<img src='http://example.org/a.png' alt='lost'><script>console.error(1); throw new Error('b')</script>"
    )
    browser.open(page, 360)
    found = browser.run(RENDERED)
    for start in ("page is 9", "sticks out: <div> broad", "contrast 2.85: <p> faint", "scrolls", "no picture: lost"):
        assert any(each.startswith(start) for each in found), (start, found)
    for start in ("asks for http://example.org", "console.error", "exception"):
        assert any(each.startswith(start) for each in browser.problems), (start, browser.problems)


def test_markup_can_be_followed_without_sight(report: Path):
    assert findings(report.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<h3>a</h3>", "1.3.1: h3 “a” follows h1"),
        ("<h2> </h2>", "2.4.6: an empty h2"),
        ("<img alt='' src='a'>", "1.1.1: img without alt: a"),
        ("<svg><path/></svg>", "1.1.1: svg without role=img and a name"),
        ("<table><tr><th scope=col>a</th></tr></table>", "1.3.1: a table without caption or label: a"),
        ("<table aria-label=a><tr><td>b</td></tr></table>", "1.3.1: a table without th: b a"),
        ("<table aria-label=a><tr><th>b</th></tr></table>", "1.3.1: th without scope: b"),
        ("<a href='#b'></a>", "2.4.4: a link without text to #b"),
        ("<input>", "4.1.2: <input> without a label"),
        ("<i id=a></i><i id=a></i>", "4.1.1: id a occurs 2 times"),
        ("<p aria-labelledby=b>a</p>", "1.3.1: aria-labelledby=b names nothing"),
        ("<div role=region>a</div>", "4.1.2: <div> is a region without a name"),
        ("<div tabindex=0>a</div>", "4.1.2: <div> takes the focus and has no role"),
        (
            "<label>a <input></label><label for=b>c</label><input id=b><table><caption>a</caption><tr>"
            "<th scope=row>b</th></tr></table><h2>a</h2><h3>b</h3>",
            None,
        ),
    ],
)
def test_each_rule_finds_what_it_is_for(markup: str, expected: str | None):
    page = f"<html lang=en><head><title>a</title></head><body><main><h1>a</h1>{markup}</main></body></html>"
    assert findings(page) == ([] if expected is None else [expected])


def test_a_page_without_language_title_or_main_is_found():
    assert findings("<html><body></body></html>") == [
        "3.1.1: html has no lang",
        "2.4.2: no title",
        "1.3.1: 0 <main>, 1 expected",
        "1.3.1: 0 <h1>, 1 expected",
    ]


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == 21.0
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the known near miss


def test_text_colours_can_be_read_on_every_ground():
    light, dark = schemes(BASE_CSS)
    assert light["paper"] != dark["paper"]
    for scheme, ink, ground in itertools.product(
        (light, dark), ("ink", "muted", "main", "loss", "second", "good"), ("paper", "soft", "warn")
    ):
        assert contrast(scheme[ink], scheme[ground]) >= 4.5, (ink, ground, scheme[ink], scheme[ground])
