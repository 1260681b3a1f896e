from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from scripts.filter.gather_human_verdicts import main
from scripts.filter.human_verdicts import HumanVerdict, read_human_verdicts
from scripts.lib.errors import UserError
from scripts.lib.human_figures import ReviewFigures, read_figures
from scripts.lib.identity import part_names, part_of
from scripts.lib.tables import CANDIDATES
from tests.filter.made import candidate, save

HEAD = "image_id,verdict,reviewer\n"


def gathered(folder: Path, human: Path | None, audit: Path | None, ids: str = "abcdef") -> ReviewFigures:
    tables = [
        save(folder / "one-000.parquet", [candidate(name) for name in ids[::2]], CANDIDATES),
        save(folder / "two-000.parquet", [candidate(name) for name in ids[1::2]], CANDIDATES),
    ]
    flags = [f"--human-verdicts={human or ''}", f"--audit-verdicts={audit or ''}", "--candidates", *tables]
    main([*flags, "--out", str(folder / "out.csv"), "--figures", str(folder / "out.json")])
    return read_figures(ReviewFigures, folder / "out.json")


def test_a_row_is_in_the_table_of_its_part_alone(tmp_path: Path):
    human = csv(tmp_path / "human.csv", "a,keep,Ann\nb,drop,Ann\nc,drop,Ann\nd,drop,Ann\nx,drop,Ann\n")
    parts = {part: tmp_path / "parts" / f"{part}.csv" for part in part_names(2)}
    flags = [f"--human-verdicts={human}", "--audit-verdicts=", "--out", str(tmp_path / "out.csv")]
    main([*flags, "--figures", str(tmp_path / "out.json"), "--parts", *map(str, parts.values())])
    found = {part: list(read_human_verdicts(path)) for part, path in parts.items()}
    assert found == {part: [name for name in "abcdx" if part_of(name, 2) == part] for part in parts}
    assert max(map(len, found.values())) < 5


def csv(path: Path, rows: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEAD + rows)
    return path


def test_two_reviewers_two_files_and_an_audit(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    csv(tmp_path / "in" / "ann.csv", "a,keep,Ann\nb,drop,Ann\nc,drop,Ann\nc,keep,Ann\nx,drop,Ann\n")
    csv(tmp_path / "in" / "bob.csv", "a,keep,Bob\nb,keep,Bob\na,keep,Ann\n")
    csv(tmp_path / "in" / "later.csv", "c,drop,Ann\n")
    audit = csv(tmp_path / "audit.csv", "a,drop,Cy\nd,keep,Cy\ne,drop,Cy\n")
    figures = gathered(tmp_path, tmp_path / "in", audit)
    assert figures.model_dump() == {
        **{"files": 3, "rows": 9, "replaced": 1, "images": 4, "keep": 1, "drop": 3},
        **{"disputed": 1, "unknown": 1, "audit_drops": 2, "reviewers": {"Ann": 4, "Bob": 2}},
        "agreement": {
            **{"images": 2, "agree": 1},
            "pairs": ({"reviewers": ("Ann", "Bob"), "images": 2, "agree": 1, "kappa": 0.0},),
        },
    }
    assert read_human_verdicts(tmp_path / "out.csv") == {
        "a": HumanVerdict("drop", ("Cy (audit)",), ("Ann", "Bob")),
        "b": HumanVerdict("drop", ("Ann",), ("Bob",)),
        "c": HumanVerdict("drop", ("Ann",)),
        "e": HumanVerdict("drop", ("Cy (audit)",)),
        "x": HumanVerdict("drop", ("Ann",)),
    }
    assert "1 images with a verdict are no candidates (first: x)" in caplog.text
    assert "1 of the 2 images that a reviewer judged in two files got keep in one and drop in the other" in caplog.text
    assert "Ann and Bob: 2 images, 1 equal, Cohen's kappa 0.000" in caplog.text


def test_an_auditors_keep_shields_nothing(tmp_path: Path):
    gathered(tmp_path, None, csv(tmp_path / "audit.csv", "a,keep,Cy\n"))
    assert (tmp_path / "out.csv").read_text() == HEAD


def test_without_any_verdict(tmp_path: Path):
    figures = gathered(tmp_path, None, None)
    assert figures.images == figures.files == figures.audit_drops == 0
    assert (tmp_path / "out.csv").read_text() == HEAD


def test_names_and_ids_come_through_as_they_are(tmp_path: Path):
    rows = '"a","keep","=cmd|\'/c\'!A1, ""Ann"""\n"-b\n",drop,"two\nlines"\n'
    gathered(tmp_path, csv(tmp_path / "in.csv", rows), None)
    found = read_human_verdicts(tmp_path / "out.csv")
    assert found["a"].reviewers == ("=cmd|'/c'!A1, \"Ann\"",)
    assert found["-b\n"].reviewers == ("two\nlines",)


def test_the_same_again_whatever_the_order(tmp_path: Path):
    one = csv(tmp_path / "one.csv", "a,keep,Ann\nb,drop,Bob\nc,keep,Bob\n")
    gathered(tmp_path, one, None)
    first = [(tmp_path / name).read_bytes() for name in ("out.csv", "out.json")]
    gathered(tmp_path, csv(tmp_path / "one.csv", "c,keep,Bob\nb,drop,Bob\na,keep,Ann\n"), None, "fedcba")
    assert [(tmp_path / name).read_bytes() for name in ("out.csv", "out.json")] == first
    json.loads(first[1])


def test_a_missing_audit_names_its_key(tmp_path: Path):
    with pytest.raises(UserError, match=r"absent\.csv.*set filter\.audit\.verdicts to null"):
        gathered(tmp_path, None, tmp_path / "absent.csv")
