"""What a reviewer does with the keyboard, in a real browser; skipped with a reason where none is installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.filter.human_verdicts import HumanVerdict, read_human_verdicts
from scripts.filter.write_review_page import main
from tests.filter.browser import Browser
from tests.filter.made_review import HOSTILE, Part, jpeg

NAMES = "abcdef"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    started = Browser(tmp_path_factory.mktemp("browser"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    made = Part(folder, {name: jpeg(name) for name in NAMES})
    made.files["f"] = b"\xff\xd8\xff nothing"
    made.titles["a"] = HOSTILE
    made.boxes["a"] = [{"x0": 9.0, "y0": 6.0, "x1": 45.0, "y1": 30.0, "score": 0.41}]
    main(made.arguments())
    return folder / "0-1.html"


@pytest.fixture
def fresh(browser: Browser, page: Path) -> Iterator[Browser]:
    """The page as somebody sees it who opens it for the first time; at the end nothing may have gone wrong."""
    browser.size(1280, 800)
    browser.open(page)
    browser.value("localStorage.clear()")
    browser.errors.clear()
    browser.requests.clear()
    browser.open(page)
    yield browser
    assert browser.errors == []
    assert not [address for address in browser.requests if not address.startswith(("file://", "data:image/jpeg"))]


def named(browser: Browser, name: str = "Ann") -> Browser:
    browser.write(name)
    browser.press("Enter")
    return browser


def state(browser: Browser) -> dict[str, str]:
    found: dict[str, str] = browser.value("Object.fromEntries([...decisions].map(([id, [verdict]]) => [id, verdict]))")
    return found


def at(browser: Browser) -> str:
    return str(browser.value("images[current].id"))


def test_keys_decide_move_and_undo(fresh: Browser):
    named(fresh)
    fresh.press("k", "d", "ArrowRight", "K")
    assert state(fresh) == {"a": "keep", "b": "drop", "d": "keep"} and at(fresh) == "e"
    fresh.press("u")
    assert state(fresh) == {"a": "keep", "b": "drop"} and at(fresh) == "d"
    fresh.press("p", "p", "p")
    assert at(fresh) == "a" and fresh.value("at('decided').textContent") == "keep"
    fresh.press("d")  # another mind: the decision is replaced, and the next undecided image comes
    assert state(fresh)["a"] == "drop" and at(fresh) == "c"
    fresh.press("z", control=True)
    assert state(fresh)["a"] == "keep" and at(fresh) == "a"
    fresh.press(" ")
    assert at(fresh) == "c"
    assert fresh.value("at('progress').textContent + ', ' + at('counts').textContent") == "2 of 6, 1 keep, 1 drop"


def test_a_key_that_is_held_down_decides_one_image(fresh: Browser):
    named(fresh)
    fresh.press("d")
    fresh.press("d", "d", "d", repeat=True)
    assert state(fresh) == {"a": "drop"}


def test_nothing_is_decided_without_a_name_and_letters_of_the_name_are_no_keys(fresh: Browser):
    assert fresh.value("at('ask').open")
    fresh.press("d", "k")
    assert state(fresh) == {} and fresh.value("at('name').value") == "dk"
    fresh.value("at('name').value = '  =+@  '")
    fresh.press("Enter")
    assert fresh.value("at('ask').open")  # nothing is left of that name
    fresh.press("Escape", "k")
    assert fresh.value("at('ask').open") and state(fresh) == {}
    fresh.write("Bo")
    fresh.press("Enter")
    assert state(fresh) == {"a": "keep"}  # what was asked for before the name


def test_the_export_is_what_was_pressed_and_the_filter_takes_it(fresh: Browser, tmp_path: Path):
    fresh.downloads_to(tmp_path)
    named(fresh, '=Ann, "A"\u202e Lee')
    fresh.press("k", "d", "ArrowRight", "d", "e")
    (path,) = fresh.downloaded(tmp_path)
    assert path.name == "review-0-1-ann-a-lee.csv"
    name = 'Ann, "A" Lee'
    quoted = '"Ann, ""A"" Lee"'
    assert path.read_text() == f"image_id,verdict,reviewer\na,keep,{quoted}\nb,drop,{quoted}\nd,drop,{quoted}\n"
    assert read_human_verdicts(tmp_path) == {
        "a": HumanVerdict("keep", (name,)),
        "b": HumanVerdict("drop", (name,)),
        "d": HumanVerdict("drop", (name,)),
    }
    assert fresh.value("at('unsaved').textContent") == ""


def test_closing_the_browser_loses_nothing(fresh: Browser, page: Path):
    named(fresh)
    fresh.press("k", "d")
    fresh.open(page)
    assert not fresh.value("at('ask').open")
    assert state(fresh) == {"a": "keep", "b": "drop"} and at(fresh) == "c"
    fresh.press("u")
    assert state(fresh) == {"a": "keep"} and at(fresh) == "b"


def test_what_the_browser_kept_is_not_trusted(fresh: Browser, page: Path):
    fresh.value(
        "localStorage.setItem(data.key, JSON.stringify({decisions: [['a', ['keep', 'Ann']], ['zz', ['keep', 'Ann']],"
        " ['b', ['maybe', 'Ann']], ['c', ['drop', '']]], past: [['zz', null], ['a', null]]}))"
    )
    fresh.open(page)
    assert state(fresh) == {"a": "keep"} and fresh.value("past.length") == 1
    fresh.value("localStorage.setItem(data.key, '{broken')")
    fresh.open(page)
    assert state(fresh) == {} and "starts anew" in fresh.value("at('notice').textContent")


def test_without_storage_the_page_works_and_warns(fresh: Browser, page: Path, tmp_path: Path):
    script = "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError'); }})"
    added = fresh.send("Page.addScriptToEvaluateOnNewDocument", source=script)
    fresh.open(page)
    named(fresh)
    fresh.press("d", "k")
    assert state(fresh) == {"a": "drop", "b": "keep"} and not fresh.value("at('warning').hidden")
    fresh.downloads_to(tmp_path)
    fresh.press("e")  # also lets the page be left without a question
    assert len(fresh.downloaded(tmp_path)) == 1
    fresh.send("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])


def test_grid_boxes_and_zoom(fresh: Browser):
    named(fresh)
    fresh.press("b")
    assert fresh.value("document.querySelector('#overlay .box span').textContent") == "centerface 0.41"
    share = "((b, f) => [(b.left - f.left) / f.width, b.width / f.width])(document.querySelector('#overlay .box')"
    place = fresh.value(share + ".getBoundingClientRect(), at('frame').getBoundingClientRect())")
    assert place == pytest.approx([0.1, 0.4], abs=0.02)
    width = fresh.value("at('frame').offsetWidth")
    fresh.press("z")
    assert fresh.value("at('frame').offsetWidth") == pytest.approx(2 * width, abs=2)
    fresh.press("z", "z")
    assert fresh.value("at('frame').offsetWidth") == width
    fresh.press("g", "d", "ArrowRight", "k")
    assert state(fresh) == {"a": "drop", "c": "keep"}
    assert fresh.value("[...document.querySelectorAll('.tile .badge')].map((e) => e.textContent)") == [
        *("drop", "", "keep", "", "", "")
    ]
    fresh.size(1280, 800)
    columns = fresh.value("tilesPerRow()")
    fresh.value("go(0)")
    fresh.press("ArrowDown")
    assert fresh.value("current") == min(columns, 5)
    fresh.press("Enter")
    assert not fresh.value("grid") and fresh.value("at('grid').hidden")


def test_all_decided_is_said(fresh: Browser):
    named(fresh)
    fresh.press(*"kkkkkk")
    assert "All 6 are decided" in fresh.value("at('notice').textContent") and len(state(fresh)) == 6


def test_texts_from_outside_stay_text(fresh: Browser):
    title = fresh.value("at('title').textContent")
    assert title.startswith("</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>")
    assert not re.search("[\u202a-\u202e\x1b\n]", title)
    assert fresh.value("document.querySelectorAll('img').length") == 1
    assert fresh.value("document.querySelectorAll('script').length") == 2


def test_an_image_without_a_picture_says_why(fresh: Browser):
    named(fresh)
    fresh.value("go(5)")
    assert fresh.value("at('picture').hidden") and "does not decode" in fresh.value("at('note').textContent")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (820, 1000), (390, 780)])
def test_everything_fits_at_every_width(fresh: Browser, page: Path, width: int, height: int):
    fresh.size(width, height, phone=width < 500)
    fresh.open(page)
    fresh.value("at('ask').close()")
    for view in ("show()", "setGrid(true)"):
        fresh.value(view)
        assert fresh.value("document.documentElement.scrollWidth") <= width
        for button in ("keep", "drop", "undo", "previous", "next"):
            box = fresh.value(f"at('{button}').getBoundingClientRect().toJSON()")
            assert box["left"] >= 0 and box["right"] <= width and box["bottom"] <= height and box["width"] > 30
    fresh.value("setGrid(false)")
    assert fresh.value("at('stage').clientHeight") > height * 0.4
