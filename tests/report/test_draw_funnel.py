from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from scripts.lib.accounting import Account
from scripts.report.draw_funnel import LONGEST_LINE, bar_scale, loss_line, main
from tests.report.made import write_account

SVG = "{http://www.w3.org/2000/svg}"


def draw(folder: Path, name: str, account: Account):
    funnel = write_account(folder / f"{name}.json", **account)
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    main(["--funnel", str(funnel), "--png", str(png), "--svg", str(svg)])
    return png.read_bytes(), svg.read_bytes()


def test_figure_says_all_numbers_and_is_the_same_bytes_each_time(tmp_path: Path):
    account = Account(read=3163, kept=633, rejected={"licence": 2154, "not_a_photo": 31, "face": 345})
    png, svg = draw(tmp_path, "a", account)
    assert draw(tmp_path, "b", account) == (png, svg)
    root = ElementTree.fromstring(svg)
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"3,163", "978", "633", "20.0 %", "− 2,154 licence · 31 not a photo", "− 345 face"} <= set(texts)
    assert root.findtext(f"{SVG}desc") == "Of 3,163 rows read, 633 were kept (20.0 %)."
    assert Image.open(tmp_path / "a.png").info.keys() <= {"dpi", "Description"}
    assert b"matplotlib" not in svg.lower() and b"dc:date" not in svg


@pytest.mark.parametrize(
    "account", [Account(read=0, kept=0, rejected={}), Account(read=7, kept=0, rejected={"face": 7})]
)
def test_nothing_read_and_nothing_kept_can_be_drawn(tmp_path: Path, account: Account):
    assert draw(tmp_path, "a", account)[0].startswith(b"\x89PNG")


def test_bars_are_to_scale_until_one_would_be_a_hair_line():
    length, logarithmic = bar_scale(Account(read=200, kept=1, rejected={"face": 199}))
    assert not logarithmic and length(100) == 0.5
    length, logarithmic = bar_scale(Account(read=1000, kept=1, rejected={"face": 999}))
    assert logarithmic and length(1000) == 1 and length(0) == 0
    assert length(1) == pytest.approx(math.log(2) / math.log(1001))


def test_losses_are_named_largest_first_and_the_rest_is_summed():
    assert loss_line({}) == "nothing lost"
    assert loss_line({"face": 7, "person": 1204}) == "− 1,204 person · 7 face"
    many = {
        "missing_attribution": 1,
        "unknown_licence": 2,
        "wrong_field_count": 3,
        "not_a_photo": 4,
        "licence": 50_000_000,
    }
    line = loss_line(many)
    assert line == "− 50,000,000 licence · 4 not a photo · 6 for 3 more reasons"
    assert len(line) <= LONGEST_LINE
