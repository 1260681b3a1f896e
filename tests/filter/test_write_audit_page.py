from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.filter.list_review_pages import main as list_pages
from scripts.filter.write_audit_page import main
from scripts.lib.errors import UserError
from scripts.lib.files import table_of, write_table
from scripts.lib.tables import AUDIT_SAMPLE
from tests.filter.made_review import HOSTILE, PAGE, data_of, jpeg, write_tar


def arguments(folder: Path, names: str, pages: int, parts: str = "01") -> list[str]:
    rows = [
        {
            "position": index,
            "image_id": name,
            "part": str(index % 2),
            "keep": name != "c",
            "creator": f"Maker {name}",
            "title": HOSTILE,
        }
        for index, name in enumerate(names)
    ]
    write_table(folder / "sample.parquet", table_of(rows, AUDIT_SAMPLE))
    made = [write_tar(folder, part, {name: jpeg(name) for name in sorted(names)[::1]}) for part in parts]
    recipe = {"title": "Made", "seed": 7, "page": {**PAGE, "images_per_page": 2}}
    return [
        *("--recipe", json.dumps(recipe), "--sample", str(folder / "sample.parquet")),
        *("--tars", *(str(tar) for tar, _ in made), "--statuses", *(str(status) for _, status in made)),
        *("--pages", *(str(folder / "write_audit_page" / f"{number}.html") for number in range(1, pages + 1))),
        *("--account", str(folder / "write_audit_page/account.json")),
    ]


def test_the_sample_is_shown_blind_in_the_order_of_the_draw(tmp_path: Path):
    main(arguments(tmp_path, "dbca", 3))
    pages = [data_of(tmp_path / f"write_audit_page/{number}.html") for number in (1, 2)]
    assert [[image["id"] for image in page["images"]] for page in pages] == [["d", "b"], ["c", "a"]]
    for page in pages:
        assert page["detectors"] == [] and all(image["boxes"] == [] and not image["why"] for image in page["images"])
        assert page["words"] == {"keep": "no person", "drop": "person"}
    assert pages[0]["name"] == "audit-7-1"
    text = (tmp_path / "write_audit_page/1.html").read_text()
    assert "a mirror" in text and "a licence plate" not in text
    assert "<kbd>B</kbd></th>" not in text and "No person <kbd>K</kbd>" in text
    assert "fewer images are kept than were asked for" in (tmp_path / "write_audit_page/3.html").read_text()
    assert json.loads((tmp_path / "write_audit_page/account.json").read_text()) == {
        "pages": {"1.html": 2, "2.html": 2, "3.html": 0}
    }


def test_a_sample_of_another_run_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"3 images, more than 1 pages of 2 hold"):
        main(arguments(tmp_path, "abc", 1))
    with pytest.raises(UserError, match=r"images of part 1, but --tars names no 1\.tar"):
        main(arguments(tmp_path, "abc", 2, parts="0"))


def test_the_list_links_the_pages_that_hold_images(tmp_path: Path):
    main(arguments(tmp_path, "dbca", 3))
    reviews = tmp_path / "write_review_page"
    reviews.mkdir()
    for part, counts, left in (("0", {"0-1.html": 5, "0-2.html": 0}, 0), ("1", {"1-1.html": 7, "1-2.html": 2}, 4)):
        content = {"part": part, "waiting": sum(counts.values()) + left, "pages": counts, "left": left}
        (reviews / f"{part}.json").write_text(json.dumps(content))
    flags = ["--title", HOSTILE, "--reviews", *(str(path) for path in sorted(reviews.glob("*.json")))]
    out = tmp_path / "list.html"
    list_pages([*flags, "--audits", str(tmp_path / "write_audit_page/account.json"), "--out", str(out)])
    text = out.read_text(encoding="utf-8")
    addresses = [piece.split('"')[0] for piece in text.split('href="')[1:]]
    assert addresses == [
        *("write_review_page/0-1.html", "write_review_page/1-1.html", "write_review_page/1-2.html"),
        *("write_audit_page/1.html", "write_audit_page/2.html"),
    ]
    assert "14 images wait for a verdict" in text and "4 more images fit on no page" in text
    assert "4 kept images were drawn by lot" in text and "<script" not in text
    list_pages(["--title", "x", "--reviews", "--audits", "--out", str(out)])
    assert "No image waits for a reviewer" in out.read_text() and "No audit is configured" in out.read_text()
