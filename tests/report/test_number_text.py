from __future__ import annotations

from scripts.report.number_text import count, decimal, share, signed


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


def test_decimals_have_a_true_minus_and_no_negative_nought():
    assert [decimal(value) for value in (59.46, -0.376, -0.04, 0)] == ["59.5", "−0.4", "0.0", "0.0"]
