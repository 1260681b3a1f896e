from __future__ import annotations

from pathlib import Path

import pytest

from scripts.filter.human_verdicts import HumanVerdict, read_human_verdicts
from scripts.lib.errors import UserError


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "verdicts.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_quotes_line_ends_and_a_byte_order_mark(tmp_path: Path):
    text = '\ufeffimage_id,verdict,reviewer\r\n"a,1",keep,"Ann ""A"" Lee"\r\n\r\nb,drop,"two\nlines"\r\n'
    assert read_human_verdicts(written(tmp_path, text)) == {
        "a,1": HumanVerdict("keep", ('Ann "A" Lee',)),
        "b": HumanVerdict("drop", ("two\nlines",)),
    }


def test_reviewers_who_agree_are_named_in_order(tmp_path: Path):
    text = "image_id,verdict,reviewer\na,keep,Zoe\na,keep,Ann\na,keep,Zoe\n"
    assert read_human_verdicts(written(tmp_path, text))["a"].evidence == "reviewer Ann, Zoe"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "line 1: the header must be image_id,verdict,reviewer, got ''"),
        ("id,verdict,reviewer\n", "line 1: the header .* got 'id,verdict,reviewer'"),
        ("verdict,image_id,reviewer\n", "line 1: the header"),
        ("image_id,verdict,reviewer\na,keep,Ann\nb,Keep,Ann\n", "line 3: the verdict must be keep or drop, got 'Keep'"),
        ("image_id,verdict,reviewer\na,keep\n", "line 2: 3 fields .* got 2"),
        ("image_id,verdict,reviewer\na,keep,Ann,x\n", "line 2: 3 fields .* got 4"),
        ("image_id,verdict,reviewer\n,keep,Ann\n", "line 2: image_id and reviewer must not be empty"),
        ("image_id,verdict,reviewer\na,keep,\n", "line 2: image_id and reviewer must not be empty"),
        (
            "image_id,verdict,reviewer\na,keep,Ann\nb,keep,Ann\na,drop,Bob\n",
            "line 4: Bob says drop of image a, and line 2 says keep .reviewer Ann.",
        ),
        ('image_id,verdict,reviewer\na,keep,"Ann\n', "line 2: not a CSV line"),
        ('image_id,verdict,reviewer\na,keep,"Ann"x\n', "line 2: not a CSV line"),
        (b"image_id,verdict,reviewer\na,keep,\xff\n", "not UTF-8"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, body: str | bytes, message: str):
    with pytest.raises(UserError, match=rf"verdicts\.csv.*{message}"):
        read_human_verdicts(written(tmp_path, body))


def test_a_missing_file_says_what_to_do(tmp_path: Path):
    with pytest.raises(UserError, match=r"absent\.csv.*No such file.*filter\.human_verdicts"):
        read_human_verdicts(tmp_path / "absent.csv")
