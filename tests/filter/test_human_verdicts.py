from __future__ import annotations

from pathlib import Path

import pytest

from scripts.filter.human_verdicts import (
    HumanVerdict,
    VerdictRow,
    by_reviewer,
    csv_files,
    read_human_verdicts,
    read_verdict_files,
    resolve,
)
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
        ("image_id,verdict,reviewer\na,keep,  \n", "line 2: image_id and reviewer must not be empty"),
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


HEAD = "image_id,verdict,reviewer\n"


def test_drop_wins_between_reviewers_and_says_who_would_keep_it(tmp_path: Path):
    found = read_human_verdicts(written(tmp_path, HEAD + "a,keep,Zoe\na,drop,Ann\na,keep,Bob\na,drop,Cy\nb,keep,Zoe\n"))
    assert found["a"] == HumanVerdict("drop", ("Ann", "Cy"), ("Bob", "Zoe"))
    assert found["a"].evidence == "reviewer Ann, Cy; Bob, Zoe would keep it"
    assert found["b"].evidence == "reviewer Zoe"


def test_a_later_row_of_the_same_reviewer_and_file_counts(tmp_path: Path):
    path = written(tmp_path, HEAD + "a,drop,Ann\nb,keep,Ann\na,keep,Ann\na,keep, Ann \n")
    files = read_verdict_files(path)
    assert files.rows == (VerdictRow("a", "keep", "Ann"), VerdictRow("b", "keep", "Ann"))
    assert (files.files, files.lines, files.replaced) == (1, 4, 2)
    assert read_human_verdicts(path)["a"] == HumanVerdict("keep", ("Ann",))


def test_between_files_drop_wins_whatever_their_names(tmp_path: Path):
    for name, verdict in (("2.csv", "keep"), ("1.CSV", "drop")):
        (tmp_path / name).write_text(f"{HEAD}a,{verdict},Ann\n")
    assert read_human_verdicts(tmp_path) == {"a": HumanVerdict("drop", ("Ann",))}
    (tmp_path / "2.csv").rename(tmp_path / "0.csv")
    assert read_human_verdicts(tmp_path) == {"a": HumanVerdict("drop", ("Ann",))}
    assert read_verdict_files(tmp_path).replaced == 0


def test_a_folder_means_its_csv_files(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    for name in ("b.csv", "a.csv", ".hidden.csv", "~$a.csv", "notes.txt", "deep/c.csv"):
        (tmp_path / name).write_text(HEAD + f"{name},keep,Ann\n")
    assert [path.name for path in csv_files(tmp_path)] == ["a.csv", "b.csv"]
    assert set(read_human_verdicts(tmp_path)) == {"a.csv", "b.csv"}
    (tmp_path / "b.csv").write_text(HEAD + "x,maybe,Ann\n")
    with pytest.raises(UserError, match=r"b\.csv, line 2: the verdict must be keep or drop, got 'maybe'"):
        read_human_verdicts(tmp_path)


def test_an_empty_folder_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"has no \.csv file.*image_id,verdict,reviewer.*filter\.audit\.verdicts"):
        read_verdict_files(tmp_path, "filter.audit.verdicts")


def test_the_order_of_rows_changes_nothing():
    rows = [VerdictRow("a", "keep", "Ann"), VerdictRow("a", "drop", "Bob"), VerdictRow("b", "keep", "Ann")]
    assert resolve(by_reviewer(rows)) == resolve(by_reviewer(rows[::-1]))
