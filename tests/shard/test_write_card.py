from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from scripts.lib.errors import UserError
from scripts.lib.files import write_json
from scripts.lib.human_figures import Agreement, LeakRate
from scripts.lib.markdown import markdown_table, markdown_text
from scripts.shard.card_sections import size_category
from scripts.shard.write_card import main
from tests.shard.made import MadeParts, make_parts
from tests.shard.test_write_metadata import write

CARD = {"title": 'Photos: a "test" <script>alert(1)</script>', "version": "1", "contact": "a_b@example.org"}
CARD["embedded_metadata"] = "strip"


def card_of(made: MadeParts, out: Path, leak: str = "") -> str:
    _, metadata = write(made, out)
    main(
        ["--recipe", json.dumps(CARD), "--selection", str(made.selection), "--metadata", str(metadata), "--indexes",
         str(out / "00000.parquet"), str(out / "00001.parquet"), f"--leak-rate={leak}", "--out", str(out / "card.md")]
    )  # fmt: skip
    return (out / "card.md").read_text(encoding="utf-8")


def test_card_counts(tmp_path: Path) -> None:
    made = make_parts(tmp_path)
    made.rows[0].update(licence="CC0-1.0", date_taken="4501-01-01 00:00:00.0")
    made.write_selection()
    text = card_of(made, tmp_path / "out")
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["pretty_name"] == CARD["title"]
    assert head["license"] == ["cc-by-2.0", "cc0-1.0"] and head["size_categories"] == ["n<1K"]
    assert "Of 12 candidates" in text and "12 = 10 + 2" in text
    assert "| `face` | 2 |" in text
    assert "| CC-BY-2\\.0 | 9 | 90.0% |" in text and "| CC0-1\\.0 | 1 | 10.0% |" in text
    assert "3 photographers. Images of one photographer: smallest 3, median 3, largest 4 images" in text
    assert "| 2012 | 9 |" in text and "| unknown | 1 |" in text
    assert f"all together {sum(len(made.contents[str(row['image_id'])]) for row in made.rows if row['keep']):,}" in text
    assert "<script>" not in text.split("---\n", 2)[2]
    assert "a\\_b\\@example\\.org" in text


def test_the_card_says_how_many_people_are_left(tmp_path: Path) -> None:
    made = make_parts(tmp_path)
    assert "## People who are left\n\nNot audited\\: no sample" in card_of(made, tmp_path / "a")
    nobody = Agreement(images=0, agree=0, pairs=())
    counts = {"population": 9, "sample": 3, "looked_at": 3, "people": 1, "seed": 0, "not_of_sample": 0}
    bounds = {"confidence": 0.95, "lower": 0.0084, "upper": 0.906, "bound": 0.865}
    leak = LeakRate(status="complete", auditors={"Cy": 3}, agreement=nobody, **counts, **bounds)
    write_json(tmp_path / "leak.json", leak.model_dump())
    text = card_of(made, tmp_path / "b", str(tmp_path / "leak.json"))
    assert (
        "1 of 3 images drawn by lot from 9 kept shows a person\\: 33 \\%, 95 \\% interval 0\\.84 \\% to 91 \\%" in text
    )


@pytest.mark.parametrize(
    ("mode", "text"), [("strip", "were removed when the shards were written"), ("keep", "as they were downloaded")]
)
def test_card_says_what_became_of_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, text: str
) -> None:
    monkeypatch.setitem(CARD, "embedded_metadata", mode)
    card = card_of(make_parts(tmp_path, secret=(0, 3, 4)), tmp_path / "out")  # 3 is not kept
    assert text in card
    assert "| a position (EXIF or XMP) | 2 | 20.0% |" in card
    assert "| tags of faces or persons (XMP) | 2 | 20.0% |" in card
    assert "| Photoshop or IPTC blocks | 0 | 0.0% |" in card


def test_card_is_the_same_again(tmp_path: Path) -> None:
    made = make_parts(tmp_path)
    assert card_of(made, tmp_path / "a") == card_of(made, tmp_path / "b")


def test_hostile_names_are_shown_literally(tmp_path: Path) -> None:
    made = make_parts(tmp_path)
    for row in made.rows:
        row.update(creator="[x](javascript:alert(1))|<img src=x onerror=alert(1)>\n# \u202egnp\x1b[31m")
    made.write_selection()
    text = card_of(made, tmp_path / "out")
    line = next(line for line in text.splitlines() if "javascript" in line)
    assert line.startswith("| \\[x\\]\\(javascript\\:alert\\(1\\)\\)\\|&lt;img src\\=x onerror\\=alert")
    assert "\u202e" not in text and "\x1b" not in text and "<img" not in text


def test_content_digest_is_that_of_sorted_lines(tmp_path: Path) -> None:
    made = make_parts(tmp_path)
    card = card_of(made, tmp_path / "out")
    lines = sorted(f"{row['image_id']} {row['sha256']}\n" for row in made.rows if row["keep"])
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert expected in card


def test_empty_selection_says_what_to_do(tmp_path: Path) -> None:
    made = make_parts(tmp_path, count=3, drop=(0, 1, 2))
    with pytest.raises(UserError, match=r"keeps none of 3 candidates \(\{'face': 3\}\).*thresholds in filter"):
        card_of(made, tmp_path / "out")


def test_selection_whose_columns_disagree(tmp_path: Path) -> None:
    made = make_parts(tmp_path)
    _, metadata = write(made, tmp_path / "out")
    made.rows[0]["reason"] = "person"
    made.write_selection()
    flags = ["--selection", str(made.selection), "--metadata", str(metadata), "--leak-rate="]
    flags += ["--out", str(tmp_path / "card.md")]
    with pytest.raises(UserError, match="has keep = true and the reason 'person'"):
        main(["--recipe", json.dumps(CARD), *flags])


def test_markdown_text_and_table() -> None:
    assert markdown_text("a  b\n*c* & <d>") == "a b \\*c\\* &amp; &lt;d&gt;"
    assert markdown_text("x" * 300, 10) == "x" * 9 + "…"
    assert markdown_table(("a", "b"), [("1", "2")]) == ["| a | b |", "| --- | ---: |", "| 1 | 2 |"]


@pytest.mark.parametrize(("images", "name"), [(1, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (1_440_191, "1M<n<10M")])
def test_size_category(images: int, name: str) -> None:
    assert size_category(images) == name
