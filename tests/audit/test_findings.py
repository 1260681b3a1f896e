"""The report: what it says, in three forms, and the status of the process."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from scripts.audit.findings import Finding, counts, exit_code, first_divergence, verdict_line, write_findings

SAME = Finding("integrity", "same", "results/a", "a is as it was.")
DIFFERENT = Finding("integrity", "different", "results/b", "b is <script>alert(1)</script> another.", "The disk.")
HEIR = Finding("lineage", "different", "results/c", "c rests on b.", inherited="results/b")
OPEN = Finding("sources", "undecidable", "data/x", "x is gone.", "Put it back.")
LEFT = Finding("sources", "not_checked", "data/y", "y was left out.", exempt=True)


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([SAME], 0),
        ([SAME, LEFT], 0),
        ([SAME, Finding("strays", "close", "d", "d"), Finding("strays", "consistent", "e", "e")], 0),
        ([SAME, OPEN, DIFFERENT], 1),
        ([SAME, OPEN], 2),
        ([SAME, Finding("sources", "not_checked", "data/y", "y")], 2),
        ([], 2),
        ([LEFT], 2),
    ],
)
def test_nothing_undecided_is_good(findings: list[Finding], code: int) -> None:
    assert exit_code(findings) == code
    assert ("pass" in verdict_line(findings).lower()) == (code == 2 and LEFT not in findings)


def test_an_unknown_verdict_is_refused() -> None:
    with pytest.raises(ValueError, match="'fine' is no verdict"):
        Finding("integrity", "fine", "a", "a")


def test_the_first_divergence_is_not_an_inherited_one() -> None:
    assert first_divergence([SAME, HEIR, DIFFERENT]) == DIFFERENT
    assert first_divergence([SAME, OPEN]) is None
    assert verdict_line([HEIR, DIFFERENT]).startswith("Not as recorded. The first divergence: b is")
    assert counts([SAME, DIFFERENT, HEIR])["integrity"] == {
        "same": 1, "close": 0, "consistent": 0, "different": 1, "undecidable": 0, "not_checked": 0,
    }  # fmt: skip


def test_three_forms_say_the_same(tmp_path: Path) -> None:
    findings = [SAME, DIFFERENT, HEIR, OPEN, LEFT]
    assert write_findings(tmp_path, "verify", findings, {"seal": "ab" * 32, "jobs": 3}, ["No GPU."]) == 1
    told = json.loads((tmp_path / "verify.json").read_text())
    assert (told["exit_code"], len(told["findings"]), told["facts"]["seal"]) == (1, 5, "ab" * 32)
    suites = {suite.get("name"): suite for suite in ET.parse(tmp_path / "verify.xml").getroot()}
    assert {name: (s.get("failures"), s.get("errors"), s.get("skipped")) for name, s in suites.items()} == {
        "integrity": ("1", "0", "0"), "lineage": ("1", "0", "0"), "sources": ("0", "1", "1"),
    }  # fmt: skip
    page = (tmp_path / "verify.html").read_text()
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert "1 inherited from it" in page and "What this audit does not show" in page
    assert page.index("First divergence") < page.index("Could not be decided") < page.index("In order")


def test_same_findings_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_findings(tmp_path / name, "verify", [SAME, DIFFERENT], {"jobs": 3})
    for kind in ("json", "xml", "html"):
        assert (tmp_path / f"one/verify.{kind}").read_bytes() == (tmp_path / f"two/verify.{kind}").read_bytes()
