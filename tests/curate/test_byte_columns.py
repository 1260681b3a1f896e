"""byte_columns against naive versions, field by field."""

from __future__ import annotations

import sys
import unicodedata
from urllib.parse import unquote_plus

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.curate.rows import clean_text
from scripts.curate.sources.byte_columns import Text, decode_urls, lines_not_utf8, split_block, take_spans

PIECES = st.sampled_from(
    [b"a", b"+", b" ", b"%41", b"%2B", b"%25", b"%", b"%C3%A9", b"%C3", b"%e6%9d%b1", b"\x00", b"%0a"]
)
FIELDS = st.lists(st.lists(PIECES | st.text(max_size=2).map(str.encode), max_size=6).map(b"".join), max_size=12)


def text(fields: list[bytes]) -> Text:
    # Taken from an array with something before and behind it, as fields of a block are.
    return Text(pa.array([b"%4", *fields, b"1"], pa.binary()).take(pa.array(np.arange(1, len(fields) + 1))))


@given(FIELDS)
@settings(max_examples=120, deadline=None, derandomize=True)
def test_urls_are_decoded_as_urllib_does(fields: list[bytes]):
    expected = [clean_text(unquote_plus(field.decode("utf-8"), errors="replace")) for field in fields]
    decoded = decode_urls(text(fields))
    decoded.validate(full=True)
    assert decoded.to_pylist() == expected


@given(FIELDS)
@settings(max_examples=120, deadline=None, derandomize=True)
def test_what_is_called_clean_is_not_changed_by_cleaning(fields: list[bytes]):
    for field, odd in zip(fields, text(fields).not_clean(), strict=True):
        assert odd or clean_text(field.decode("utf-8")) == field.decode("utf-8")
        assert not odd or field.strip(b"abc") != b""  # letters alone are clean


@pytest.mark.parametrize("field", [b"IMG_1234", b"a b", b"", b"~!", b"A title, (2009)"])
def test_plain_text_is_clean(field: bytes):
    assert text([b"x", field, b"y"]).not_clean().tolist() == [False] * 3


def test_tests_of_columns():
    column = text([b"12", b"", b"1a", b"9:", b"/0"])
    assert column.not_digits().tolist() == [False, False, True, True, True]
    assert column.sizes.tolist() == [2, 0, 2, 2, 2]
    assert column.like("^[0-9]+$").tolist() == [True, False, False, False, False]
    odd = np.array([False, False, True, False, True])
    assert column.as_text(odd, lambda field: field.decode() + "!").to_pylist() == ["12", "", "1a!", "9:", "/0!"]
    assert text([]).as_text(np.zeros(0, bool), bytes.decode).to_pylist() == []


@given(
    st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"\t")), min_size=1, max_size=20),
    st.booleans(),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_lines_and_fields_of_a_block(content: list[bytes], ended: bool):
    data = b"\n".join(content) + (b"\n" if ended else b"x")
    content = data.removesuffix(b"\n").split(b"\n")
    block = split_block(data, 3)
    assert [block.line(line) for line in range(len(content))] == content
    assert block.fields.tolist() == [line.count(b"\t") + 1 for line in content]
    regular = [index for index, line in enumerate(content) if line.count(b"\t") == 2]
    assert block.regular.tolist() == regular
    starts = np.column_stack([block.bounds[block.regular], block.ends[:, :-1] + 1])
    for row, index in enumerate(regular):
        spans = zip(starts[row], block.ends[row], strict=True)
        assert [block.data[start:stop] for start, stop in spans] == content[index].split(b"\t")
    if regular:
        assert take_spans(block.data, starts[:, 1], block.ends[:, 1]).to_pylist() == [
            content[index].split(b"\t")[1] for index in regular
        ]
    assert lines_not_utf8(block).tolist() == [index for index, line in enumerate(content) if not is_utf8(line)]


def is_utf8(line: bytes) -> bool:
    return line.decode("utf-8", "replace").encode("utf-8") == line


def test_clean_text_blanks_exactly_the_control_categories():
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code)) in ("Cc", "Cs", "Zl", "Zp"):
            assert clean_text(f"a{chr(code)}b") == "a b", hex(code)
    assert clean_text("a\u00adb\ufeffc") == "a\u00adb\ufeffc"  # Cf: only direction controls go
