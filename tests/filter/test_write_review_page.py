from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.filter.write_review_page import main
from scripts.lib.errors import UserError
from scripts.lib.images import decode_image
from tests.filter.made import verdict
from tests.filter.made_review import HOSTILE, Part, data_of, jpeg


def part(folder: Path, *names: str) -> Part:
    return Part(folder, {name: jpeg(name) for name in names})


def ids(page: Path) -> list[str]:
    return [image["id"] for image in data_of(page)["images"]]


def account(made: Part) -> dict[str, object]:
    found: dict[str, object] = json.loads((made.folder / "0.json").read_text())
    return found


def test_images_that_await_review_are_on_the_page_with_their_evidence(tmp_path: Path):
    made = part(tmp_path, "c", "a", "b", "d")
    made.reasons |= {"b": "", "d": "person"}
    main(made.arguments())
    data = data_of(tmp_path / "0-1.html")
    assert [image["id"] for image in data["images"]] == ["a", "c"]
    first = data["images"][0]
    assert (first["why"], first["title"], first["creator"]) == ("nanodet 0.4 for a", "Title a", "Maker a")
    assert (first["width"], first["height"]) == (64, 43)
    shown = decode_image(base64.b64decode(first["jpeg"]))
    whole = np.array(Image.fromarray(decode_image(made.files["a"])).resize((64, 43), Image.Resampling.LANCZOS))
    assert np.abs(shown.astype(int) - whole).mean() < 8  # JPEG of a very small, very colourful picture
    assert account(made) == {"part": "0", "waiting": 2, "pages": {"0-1.html": 2}, "left": 0}


def test_kept_images_are_asked_about_once(tmp_path: Path):
    made = part(tmp_path, "a", "b", "c", "d")
    made.reasons |= {"b": "", "c": "", "d": ""}
    made.kept, made.human, made.of = ["d", "b"], "b,keep,Ann\nc,keep,Ann\n", ["awaits_review", "kept"]
    main(made.arguments())
    assert ids(tmp_path / "0-1.html") == ["a", "d"]  # c is not selected, b was looked at
    made.of = ["kept"]
    main(made.arguments())
    assert ids(tmp_path / "0-1.html") == ["d"]


def test_pages_are_bounded_and_what_is_left_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    made = part(tmp_path, *"abcde")
    made.pages, made.page["images_per_page"] = 3, 2
    main(made.arguments())
    assert [ids(tmp_path / f"0-{number}.html") for number in (1, 2, 3)] == [["a", "b"], ["c", "d"], ["e"]]
    made.pages = 2
    main(made.arguments())
    assert account(made) == {"part": "0", "waiting": 5, "pages": {"0-1.html": 2, "0-2.html": 2}, "left": 1}
    assert "1 images do not fit on 2 pages of 2" in caplog.text


def test_an_empty_page_says_so_and_runs_nothing(tmp_path: Path):
    made = part(tmp_path, "a")
    made.reasons["a"] = ""
    main(made.arguments())
    text = (tmp_path / "0-1.html").read_text()
    assert "No image waits here" in text and "<script" not in text


def test_metadata_of_the_file_stays_behind(tmp_path: Path):
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "SECRET", 6  # description, turned by 90 degrees
    content = jpeg("a", exif=exif, comment=b"SECRET", icc_profile=b"SECRET" * 30)
    assert content.count(b"SECRET") >= 3
    made = Part(tmp_path, {"a": content})
    main(made.arguments())
    (image,) = data_of(tmp_path / "0-1.html")["images"]
    bare = base64.b64decode(image["jpeg"])
    assert b"SECRET" not in bare and b"Exif" not in bare
    with Image.open(io.BytesIO(bare)) as opened:
        assert set(opened.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert image["width"] < image["height"]  # seen as it is meant to be


def test_boxes_are_shares_of_the_image_and_the_best_few(tmp_path: Path):
    made = part(tmp_path, "a")
    box = {"x0": 9.0, "y0": -3.0, "x1": 45.0, "y1": 60.0, "score": 0.5}
    made.boxes["a"] = [box, *({**box, "score": 0.4 - number / 100} for number in range(20))]
    main(made.arguments())
    data = data_of(tmp_path / "0-1.html")
    assert data["detectors"] == [{"name": "centerface", "target": "face"}, {"name": "hog", "target": "person"}]
    boxes = data["images"][0]["boxes"]
    assert boxes[0] == pytest.approx([0, 0.1, 0.0, 0.5, 1.0, 0.5], abs=0.01)
    assert len(boxes) == 5 and [box[-1] for box in boxes] == sorted((box[-1] for box in boxes), reverse=True)


def test_an_image_that_cannot_be_shown_is_asked_about_all_the_same(tmp_path: Path):
    made = part(tmp_path, "a", "b", "c")
    made.files["b"] = made.files["b"][:300]
    arguments = made.arguments()
    del made.files["c"]
    made.arguments()
    main(arguments)
    images = {image["id"]: image for image in data_of(tmp_path / "0-1.html")["images"]}
    assert images["a"]["jpeg"] and not images["b"]["jpeg"] and not images["c"]["jpeg"]
    assert "does not decode" in images["b"]["note"] and "not in the tar" in images["c"]["note"]


def test_the_page_loads_nothing_and_allows_its_own_script_only(tmp_path: Path):
    made = part(tmp_path, "a")
    made.titles["a"] = HOSTILE
    main(made.arguments())
    text = (tmp_path / "0-1.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in (*styles, *scripts)]
    assert policy[1].replace("&#39;", "'") == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert len(scripts) == len(styles) == 1 and text.count("<script") == 2
    assert not re.search(r"""(?:src|href|action)\s*=\s*["']?\w|https?:|url\(|@import| on\w+=| style=""", _outside(text))
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f\x7f]", text)
    assert data_of(tmp_path / "0-1.html")["images"][0]["title"].startswith("</script><script>alert(1)</script>")
    assert "a person &lt;b&gt;" in text and "a licence plate" in text and "a statue &amp; a doll" in text


def _outside(text: str) -> str:
    """Return the markup without style, script and data."""
    return re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.DOTALL)


def test_the_browser_starts_anew_when_the_definition_changes(tmp_path: Path):
    made = part(tmp_path, "a")
    main(made.arguments())
    key = data_of(tmp_path / "0-1.html")["key"]
    assert key.startswith("unpeopled-review-0-1-")
    made.titles["a"] = "another"
    main(made.arguments())
    assert data_of(tmp_path / "0-1.html")["key"] == key
    made.page["person"] = ["a person", "a statue"]
    main(made.arguments())
    assert data_of(tmp_path / "0-1.html")["key"] != key


def test_the_same_bytes_again(tmp_path: Path):
    pages = []
    for name in ("one", "two"):
        made = part(tmp_path / name, "a", "b")
        main(made.arguments())
        pages.append((tmp_path / name / "0-1.html").read_bytes())
    assert pages[0] == pages[1] and str(tmp_path).encode() not in pages[0]


def test_verdicts_of_another_run_are_refused(tmp_path: Path):
    made = part(tmp_path, "a")
    arguments = made.arguments()
    from scripts.lib.tables import VERDICTS
    from tests.filter.made import save

    save(tmp_path / "judged.parquet", [verdict("zz", "awaits_review")], VERDICTS)
    with pytest.raises(UserError, match=r"image zz \(made-000 row 0\), which is no candidate of part 0"):
        main(arguments)


def test_a_tar_that_is_cut_short_is_named(tmp_path: Path):
    made = part(tmp_path, "a", "b")
    arguments = made.arguments()
    (tmp_path / "0.tar").write_bytes((tmp_path / "0.tar").read_bytes()[:700])
    with pytest.raises(UserError, match=r"0\.tar is cut short at image a .*Delete it"):
        main(arguments)
