from __future__ import annotations

import pytest

from scripts.lib.plain_text import printable


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
