"""The pages of reviewers and auditors at three widths, light and dark: console, layout, access."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.filter.list_review_pages import main as list_pages
from scripts.filter.write_audit_page import main as write_audit
from scripts.filter.write_review_page import main as write_review
from tests.filter.made_review import HOSTILE, Part, jpeg
from tests.filter.test_write_audit_page import arguments
from tests.report.accessibility import findings
from tests.report.browser import Browser, find_chromium
from tests.report.test_page_in_browser import RENDERED

PAGES = ("list.html", "0-1.html", "write_audit_page/1.html")
# A person who closes the question for a name, opens all that is closed, and looks at one image, all images, the keys.
VIEWS = (
    "at('ask').close(), document.getElementById('guide').open = true, setGrid(false)",
    "setGrid(true)",
    "setGrid(false), at('keys').showModal()",
)
DECODED = """new Promise((done) => {
  let looks = 0;  // tiles get their pictures when the browser finds that they are in view
  const look = () => ([...document.images].every((each) => each.complete && each.naturalWidth) || (looks += 1) > 300
    ? done(looks) : requestAnimationFrame(look));
  look();
})"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    made = Part(folder, {name: jpeg(name) for name in "abcdef"})
    made.titles["a"] = HOSTILE
    made.titles["b"] = "w" * 300
    made.boxes["a"] = [{"x0": 9.0, "y0": 6.0, "x1": 45.0, "y1": 30.0, "score": 0.41}]
    write_review(made.arguments())
    audit = folder / "audit"
    write_audit(arguments(audit, "dbca", 3))
    (audit / "write_audit_page").rename(folder / "write_audit_page")
    flags = ["--title", HOSTILE, "--reviews", str(folder / "0.json")]
    account = str(folder / "write_audit_page/account.json")
    list_pages([*flags, "--audits", account, "--out", str(folder / "list.html")])
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium is installed: nothing can show the pages")
    with Browser(program, tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (820, "dark"), (1400, "light"), (360, "dark")])
def test_pages_fit_and_can_be_read(folder: Path, browser: Browser, page: str, width: int, scheme: str):
    browser.open(folder / page, width, scheme)
    assert browser.run(RENDERED) == []
    for view in VIEWS if page != "list.html" else ():
        browser.run(f"({view}, 0)")
        browser.run(DECODED)
        assert browser.run(RENDERED) == [], view
    assert browser.problems == []


@pytest.mark.parametrize("page", PAGES)
def test_markup_can_be_followed_without_sight(folder: Path, browser: Browser, page: str):
    assert findings((folder / page).read_text(encoding="utf-8")) == []
    browser.open(folder / page, 820)
    if page != "list.html":
        browser.run("(setGrid(true), 0)")
    made = browser.run("new XMLSerializer().serializeToString(document)")  # as its script has made it
    assert findings(made) == []


@pytest.mark.parametrize("page", PAGES)
def test_texts_from_outside_act_on_nothing(folder: Path, browser: Browser, page: str):
    browser.open(folder / page, 820)
    scripts = 0 if page == "list.html" else 2
    assert browser.run("document.querySelectorAll('script').length") == scripts
    assert browser.run("document.querySelectorAll('img[onerror], [onclick], iframe').length") == 0
    assert browser.problems == []
