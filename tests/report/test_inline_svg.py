from __future__ import annotations

from pathlib import Path

import pytest

from scripts.lib.errors import UserError
from scripts.report.inline_svg import read_drawing

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 10 10">'


def drawing(folder: Path, inner: str, prefix: str = "a-"):
    path = folder / "figure.svg"
    path.write_text(f"{HEAD}{inner}</svg>", encoding="utf-8")
    return read_drawing(path, prefix)


def test_ids_and_what_refers_to_them_get_the_prefix(tmp_path: Path):
    inner = (
        '<defs><path id="m1" d="M 0 0"/><clipPath id="c"><rect x="0"/></clipPath></defs>'
        '<use xlink:href="#m1" x="1" style="fill: url(#h1)" clip-path="url(#c)"/>'
    )
    markup = drawing(tmp_path, inner, "run-").markup
    assert 'id="run-m1"' in markup and 'href="#run-m1"' in markup and "xlink" not in markup
    assert "url(#run-h1)" in markup and "url(#run-c)" in markup


@pytest.mark.parametrize(
    "inner",
    [
        "<script>alert(1)</script>",
        '<g onload="alert(1)"/>',
        "<foreignObject><p>alert</p></foreignObject>",
        '<image href="http://example.org/alert.png"/>',
        '<use href="http://example.org/alert.svg#a"/>',
        '<a href="javascript:alert(1)"><text>a</text></a>',
        '<g style="fill: url(http://example.org/alert)"/>',
        "<style>* { fill: red } /* alert */</style>",
        '<animate attributeName="href" values="javascript:alert(1)"/>',
        "<metadata>alert</metadata>",
    ],
)
def test_nothing_active_or_from_outside_passes(tmp_path: Path, inner: str):
    markup = drawing(tmp_path, inner).markup
    assert "alert" not in markup and "http" not in markup and "<style" not in markup


def test_text_is_escaped_again(tmp_path: Path):
    found = drawing(tmp_path, "<title>A &lt;b&gt;</title><desc>&quot; &amp;</desc><text>1 &lt; 2 &lt;script&gt;</text>")
    assert (found.title, found.description) == ("A <b>", '" &')
    assert "1 &lt; 2 &lt;script&gt;" in found.markup and 'aria-label="A &lt;b&gt;. &quot; &amp;"' in found.markup


def test_colours_and_font_become_the_page_s(tmp_path: Path):
    markup = drawing(
        tmp_path, "<text style=\"fill: #1b1f24; font-family: 'DejaVu Sans'; font-size: 9px\">a</text>"
    ).markup
    assert "fill: var(--ink); font-family: var(--font); font-size: 9px" in markup


@pytest.mark.parametrize("text", ["", "no svg", "<html/>", "<svg>", '<!DOCTYPE a [<!ENTITY b "c">]><svg>&d;</svg>'])
def test_what_is_no_svg_is_named(tmp_path: Path, text: str):
    path = tmp_path / "figure.svg"
    path.write_text(text)
    with pytest.raises(UserError, match=r"figure\.svg is not an SVG"):
        read_drawing(path, "a-")
