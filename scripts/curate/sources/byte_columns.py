"""Fields of many lines at once: where they are in a block of bytes, and tests and conversions of whole columns.

Every test here is safe on one side: it may call a plain field odd, never an odd one plain. What is odd is decided field
by field elsewhere, so these functions hold no rule of their own about what a row is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scripts.curate.rows import clean_text

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]
_TAB, _LINE_FEED, _BLANK, _PLUS, _PERCENT = b"\t\n +%"
_HEX = np.full(256, 255, dtype=np.uint8)
_HEX[list(b"0123456789abcdef")] = range(16)
_HEX[list(b"ABCDEF")] = range(10, 16)


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines, the last with its line feed too, and the fields of those that have the right number of them."""

    data: bytes
    bounds: Places  # (lines + 1): where each line starts, and the end of the block
    fields: Places  # of each line
    regular: Places  # (regular lines): those with `columns` fields
    ends: Places  # (regular lines, columns): the tab or line feed after each field

    def line(self, index: int) -> bytes:
        """Return a line without its line feed."""
        return self.data[self.bounds[index] : self.bounds[index + 1] - 1]


def split_block(data: bytes, columns: int) -> Block:
    """Find the lines and fields of a block."""
    if not data.endswith(b"\n"):
        data += b"\n"
    codes = np.frombuffer(data, dtype=np.uint8)
    places = np.flatnonzero(codes <= _LINE_FEED)  # one comparison; other bytes below are rare
    found = codes[places]
    if found.min() < _TAB:
        places = places[found >= _TAB]
        found = codes[places]
    line_feeds = np.flatnonzero(found == _LINE_FEED)
    bounds = np.concatenate(([0], places[line_feeds] + 1))
    fields = np.diff(line_feeds, prepend=-1)
    is_regular = fields == columns
    if not is_regular.all():
        places = places[np.repeat(is_regular, fields)]
    return Block(data, bounds, fields, np.flatnonzero(is_regular), places.reshape(-1, columns))


def lines_not_utf8(block: Block) -> Places:
    """Return the lines that are not UTF-8, ascending."""
    if block.data.isascii() or _is_utf8(block.data):
        return np.empty(0, dtype=np.int64)
    high = np.flatnonzero(np.frombuffer(block.data, dtype=np.uint8) >= 0x80)
    touched = np.unique(np.searchsorted(block.bounds, high, side="right") - 1)
    return np.array([line for line in touched if not _is_utf8(block.line(line))], dtype=np.int64)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def take_spans(data: bytes, starts: Places, stops: Places) -> pa.Array:
    """Return `data[start:stop]` for each pair as a binary array; spans are ascending and do not overlap."""
    if not len(starts):
        return pa.array([], pa.binary())
    offsets = np.empty(2 * len(starts), dtype=np.int32)
    offsets[0::2], offsets[1::2] = starts, stops
    # Without a copy: an array of the spans and, between them, of what is not asked for.
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    spans = pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers)
    return spans.take(pa.array(np.arange(0, len(offsets), 2)))


class Text:
    """A column of fields that are UTF-8, as one run of bytes and the offsets of the fields in it."""

    def __init__(self, array: pa.Array) -> None:
        _, offsets, data = array.buffers()
        self.array = array  # binary
        self.strings = array.view(pa.string())
        self.offsets = np.frombuffer(offsets, np.int32, len(array) + 1) if len(array) else np.zeros(1, np.int32)
        self.codes = np.frombuffer(data, np.uint8, self.offsets[-1]) if data else np.empty(0, np.uint8)
        self.sizes = np.diff(self.offsets)

    def like(self, pattern: str) -> Mask:
        """Return which fields match a regular expression of RE2."""
        found: Mask = pc.match_substring_regex(self.array, pattern).to_numpy(zero_copy_only=False)
        return found

    def not_digits(self) -> Mask:
        """Return which fields are not ASCII digits throughout; an empty one is."""
        return _fields_with(np.flatnonzero(self.codes - np.uint8(ord("0")) > 9), self.offsets)

    def not_clean(self) -> Mask:
        """Return which fields `rows.clean_text` might change."""
        return _not_clean(self.codes, self.offsets)

    def as_text(self, odd: Mask, exactly: Callable[[bytes], str]) -> pa.Array:
        """Return the fields as they are, but for those that are odd, which are as `exactly` says."""
        return _replaced(self.strings, odd, [exactly(field) for field in self.array.filter(pa.array(odd)).to_pylist()])


def _fields_with(places: Places, offsets: npt.NDArray[np.int32]) -> Mask:
    marked = np.zeros(len(offsets) - 1, dtype=bool)
    if len(places):
        marked[np.searchsorted(offsets, places, side="right") - 1] = True
    return marked


def _not_clean(codes: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32]) -> Mask:
    """Return which fields are not printable ASCII without a blank first, last or after another."""
    odd = _fields_with(np.flatnonzero(codes - np.uint8(_BLANK) > ord("~") - _BLANK), offsets)
    blank = codes == _BLANK
    odd |= _fields_with(np.flatnonzero(blank[1:] & blank[:-1]) + 1, offsets)
    filled = np.flatnonzero(np.diff(offsets))
    odd[filled] |= blank[offsets[filled]] | blank[offsets[filled + 1] - 1]
    return odd


def _replaced(plain: pa.Array, odd: Mask, values: Iterable[str]) -> pa.Array:
    return pc.replace_with_mask(plain, pa.array(odd), pa.array(values, pa.string())) if odd.any() else plain


def decode_urls(text: Text) -> pa.Array:
    """Return URL-encoded fields decoded (`+` is a blank, `%2B` a plus, broken UTF-8 is marked) and cleaned."""
    codes, offsets = _without_percents(text)
    plain = _array(codes, offsets)
    odd = _not_clean(codes, offsets)
    decoded = plain.filter(pa.array(odd)).to_pylist()
    cleaned = [clean_text(field.decode("utf-8", errors="replace")) for field in decoded]
    return _replaced(plain.view(pa.string()), odd, cleaned)


def _without_percents(text: Text) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Return the bytes and offsets of URL-encoded fields after decoding: `urllib.parse.unquote_to_bytes` of each."""
    codes = text.codes.copy()
    codes[codes == _PLUS] = _BLANK
    percents = np.flatnonzero(codes[:-2] == _PERCENT)
    high, low = _HEX[codes[percents + 1]], _HEX[codes[percents + 2]]
    inside = text.offsets[np.searchsorted(text.offsets, percents, side="right")] >= percents + 3
    sound = (high < 16) & (low < 16) & inside
    percents = percents[sound]
    codes[percents] = high[sound] * 16 + low[sound]
    keep = np.ones(len(codes), dtype=bool)
    keep[percents + 1] = keep[percents + 2] = False
    return codes[keep], (text.offsets - 2 * np.searchsorted(percents, text.offsets)).astype(np.int32)


def _array(codes: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32]) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(codes)])
