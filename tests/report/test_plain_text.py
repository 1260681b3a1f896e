from __future__ import annotations

import pytest

from scripts.report.plain_text import count, printable, share, signed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Stef Noble", "Stef Noble"),
        ("a\nb\tc\r\nd", "a b c d"),
        ("\x1b[31mred", "[31mred"),
        ("abc\u202edef\u202c", "abcdef"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("a\u2028b", "a b"),
        ("\ud800lone", "lone"),
        ("李雷 é ش", "李雷 é ش"),
        ("  ", ""),
        ("0123456789x", "012345678…"),
    ],
)
def test_only_what_is_seen_is_left(text: str, expected: str):
    assert printable(text, 10) == expected


def test_numbers_in_words():
    assert count(1440191) == "1,440,191"
    assert [share(0, 10), share(10, 10), share(1, 8), share(1, 300), share(1, 100000), share(99999, 100000)] == [
        "0 %",
        "100 %",
        "12.5 %",
        "0.33 %",
        "< 0.01 %",
        "> 99.9 %",
    ]
    assert share(0, 0) == "–"
    assert [signed(1.25, 1), signed(-0.44, 1), signed(-0.04, 1), signed(0.0, 1)] == ["+1.2", "−0.4", "0.0", "0.0"]
