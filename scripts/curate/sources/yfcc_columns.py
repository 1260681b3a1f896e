"""Blocks of YFCC100M lines as columns: what `yfcc_row` says of each line, for thousands at once.

Plain rows (nearly all) are handled here column by column. A row that is plain in every respect gives the same values
whoever reads it; a row that is odd in any (wrong number of fields, not UTF-8, a strange marker, an address or number of
an unusual form) is given to `yfcc_row.RowParser`, which decides. `tests/curate/test_yfcc_columns.py` compares the two.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scripts.curate.licences import licence_address
from scripts.curate.row_batches import CANDIDATE_ROWS, RowBatch, batch_of, join_batches
from scripts.curate.rows import RowError, shorten
from scripts.curate.settings import Licence
from scripts.curate.sources.byte_columns import (
    Block,
    Mask,
    Places,
    Text,
    decode_urls,
    lines_not_utf8,
    split_block,
    take_spans,
)
from scripts.curate.sources.yfcc_row import PHOTO_ID_CHARACTERS, Fields, RowParser
from scripts.lib.identity import yfcc_key
from scripts.lib.reasons import MetadataReason
from scripts.lib.tables import REJECTED_ROWS

# Each is narrower than what `rows.check_address`, `rows.parse_degrees` and the test of keys take.
_ADDRESS = r"^(https?://[A-Za-z0-9.\-]+(:[0-9]{1,5})?(/[!#-;=?-\[\]-~]*)?)?$"
_DEGREES = r"^-?[0-9]{1,3}(\.[0-9]+)?$"
_KEY = r"^[0-9a-f]{16,32}$"
_PHOTO, _VIDEO, _RETURN = b"01\r"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of rows, with the licence that they give."""

    licence: str  # "" where the row does not get as far as that
    reason: str  # "": asked for
    detail: str
    name: str = ""  # of the licence, as the row spells it
    url: str = ""


VIDEO = Outcome("", str(MetadataReason.NOT_A_PHOTO), "a video")


class BlockParser:
    """Turns blocks of whole lines into batches."""

    def __init__(self, layout: int, licences: frozenset[Licence]) -> None:
        self.parse = RowParser(layout, licences)
        self._outcome = lru_cache(maxsize=4096)(self._outcome_of)

    def __call__(self, first_row: int, data: bytes | Fields | None) -> RowBatch:
        """Return the rows of whole lines, or the one row of a record that `RowParser` takes."""
        if not isinstance(data, bytes):
            return batch_of([self.parse(first_row, data)])
        block = split_block(data, len(self.parse.columns))
        plain, odd_lines = self._plain_rows(block, first_row)
        if not len(odd_lines):
            return plain
        odd = batch_of([self.parse(first_row + line, block.line(line).split(b"\t")) for line in odd_lines.tolist()])
        return join_batches(plain, odd)

    def _outcome_of(self, pair: bytes) -> Outcome:
        """Return what becomes of photos; `pair` is the name of the licence, a tab, its address."""
        name, url = pair.split(b"\t")
        try:
            licence = self.parse.check_licence(name, url)
        except RowError as error:
            return Outcome(error.licence, str(error.reason), str(error))
        return Outcome(licence, "", "", name.decode("utf-8"), url.decode("utf-8") or licence_address(licence))

    def _plain_rows(self, block: Block, first_row: int) -> tuple[RowBatch, Places]:
        """Return the plain rows as a batch, and which lines are left for the row parser."""
        columns = Columns(block, self.parse.columns)
        photos, videos = _photos_and_videos(columns)
        pairs = columns.span(photos, "licensename", "licenseurl").dictionary_encode()
        outcomes = [VIDEO, *map(self._outcome, pairs.dictionary.to_pylist())]
        refused = np.array([bool(outcome.reason) for outcome in outcomes])
        which = np.full(len(block.regular), -1)  # of the outcomes, for each regular line; -1: none, it is odd
        which[videos] = 0
        which[photos] = pairs.indices.to_numpy() + 1
        kept = np.flatnonzero((which >= 0) & ~refused[which])
        rejected = np.flatnonzero((which >= 0) & refused[which])
        candidates, odd = candidate_columns(columns, kept, outcomes, which[kept])
        which[kept[odd]] = -1
        licences: Counter[str] = Counter()
        for outcome, count in zip(outcomes, np.bincount(which + 1, minlength=len(outcomes) + 1)[1:], strict=True):
            licences[outcome.licence] += int(count)
        left = np.ones(len(block.fields), dtype=bool)
        left[block.regular[which >= 0]] = False
        batch = RowBatch(
            read=len(block.fields) - int(left.sum()),
            candidates=_numbered(candidates, block.regular[kept[~odd]] + first_row, CANDIDATE_ROWS),
            rejected=_numbered(
                rejected_columns(columns, rejected, outcomes, which[rejected]),
                block.regular[rejected] + first_row,
                REJECTED_ROWS,
            ),
            licences=Counter({licence: count for licence, count in licences.items() if licence and count}),
        )
        return batch, np.flatnonzero(left)


class Columns:
    """The fields of a block's regular lines by the names of their columns."""

    def __init__(self, block: Block, names: tuple[str, ...]) -> None:
        self.block, self.at = block, {name: index for index, name in enumerate(names)}

    def bounds(self, lines: Places, first: str, last: str) -> tuple[Places, Places]:
        """Return where the fields from `first` to `last` of the regular lines `lines` start and end in the block."""
        begin = self.at[first]
        starts = self.block.ends[lines, begin - 1] + 1 if begin else self.block.bounds[self.block.regular[lines]]
        return starts, self.block.ends[lines, self.at[last]]

    def span(self, lines: Places, first: str, last: str) -> pa.Array:
        """Return the bytes from `first` to `last`, with the tabs between them."""
        return take_spans(self.block.data, *self.bounds(lines, first, last))

    def text(self, lines: Places, name: str) -> Text:
        """Return one column."""
        return Text(self.span(lines, name, name))


def _photos_and_videos(columns: Columns) -> tuple[Places, Places]:
    """Return the regular lines that are UTF-8 and whose marker is 0, and those whose marker is 1."""
    block = columns.block
    codes = np.frombuffer(block.data, dtype=np.uint8)
    starts, stops = columns.bounds(np.arange(len(block.regular)), "marker", "marker")
    stops = stops - ((stops > starts) & (codes[stops - 1] == _RETURN))
    plain = stops - starts == 1
    plain &= ~np.isin(block.regular, lines_not_utf8(block))
    marker = codes[starts]
    return np.flatnonzero(plain & (marker == _PHOTO)), np.flatnonzero(plain & (marker == _VIDEO))


def _numbered(columns: dict[str, pa.Array], rows: Places, schema: pa.Schema) -> pa.Table:
    return pa.table({**columns, "row": pa.array(rows)}, schema=schema)


def rejected_columns(columns: Columns, lines: Places, outcomes: list[Outcome], which: Places) -> dict[str, pa.Array]:
    """Return the columns of REJECTED_ROWS but for `row`."""
    photo_id = columns.text(lines, "photoid")
    odd = photo_id.not_digits() | (photo_id.sizes > PHOTO_ID_CHARACTERS)
    return {
        "reason": pa.array([outcome.reason for outcome in outcomes]).take(pa.array(which)),
        "detail": pa.array([outcome.detail for outcome in outcomes]).take(pa.array(which)),
        "photo_id": photo_id.as_text(odd, lambda field: shorten(field.decode("utf-8"), PHOTO_ID_CHARACTERS)),
    }


def candidate_columns(
    columns: Columns, lines: Places, outcomes: list[Outcome], which: Places
) -> tuple[dict[str, pa.Array], Mask]:
    """Return the columns of CANDIDATE_ROWS but for `row`, and which of the lines are odd and not in them."""
    photo_id, date = columns.text(lines, "photoid"), columns.text(lines, "datetaken")
    page, address = columns.text(lines, "pageurl"), columns.text(lines, "downloadurl")
    no_date = pc.equal(date.array, b"null")
    image_id, odd = _image_ids(columns, lines, address)
    odd |= photo_id.not_digits() | (photo_id.sizes == 0) | (photo_id.sizes > 20)
    odd |= ~page.like(_ADDRESS) | ~address.like(_ADDRESS) | date.not_clean()
    latitude, odd_latitude = _degrees(columns.text(lines, "latitude"), 90.0)
    longitude, odd_longitude = _degrees(columns.text(lines, "longitude"), 180.0)
    odd |= odd_latitude | odd_longitude
    spelt = {
        "licence": [outcome.licence for outcome in outcomes],
        "licence_name": [outcome.name for outcome in outcomes],
        "licence_url": [outcome.url for outcome in outcomes],
    }
    plain = {
        "image_id": image_id,
        "locator": address.strings,
        "photo_id": photo_id.strings,
        "creator_id": decode_urls(columns.text(lines, "uid")),
        "creator": decode_urls(columns.text(lines, "unickname")),
        "title": decode_urls(columns.text(lines, "title")),
        "page_url": page.strings,
        "download_url": address.strings,
        **{name: pa.array(values, pa.string()).take(pa.array(which)) for name, values in spelt.items()},
        "date_taken": pc.if_else(no_date, "", date.strings),
        "latitude": latitude,
        "longitude": longitude,
        "capture_device": decode_urls(columns.text(lines, "capturedevice")),
    }
    if odd.any():
        plain = {name: values.filter(pa.array(~odd)) for name, values in plain.items()}
    return plain, odd


def _image_ids(columns: Columns, lines: Places, address: Text) -> tuple[pa.Array, Mask]:
    """Return the keys of photos, computed where the layout has no column for them, and which are odd."""
    if "hash" in columns.at:
        key = columns.text(lines, "hash")
        return key.strings, ~key.like(_KEY)
    keys = [yfcc_key(field.decode("utf-8")) for field in address.array.to_pylist()]
    return pa.array(keys, pa.string()), address.sizes == 0


def _degrees(text: Text, limit: float) -> tuple[pa.Array, Mask]:
    """Return coordinates, null where the field is empty, and which fields are odd."""
    number = text.like(_DEGREES)
    values = pc.if_else(pa.array(number), text.strings, None).cast(pa.float64())
    beyond = pc.greater(pc.abs(values), limit).fill_null(False).to_numpy(zero_copy_only=False)
    return values, ~number & (text.sizes > 0) | beyond
