"""YFCC100M metadata: text with 23 or 25 columns, plain or compressed, and the SQLite form.

Real rows hold unbalanced quotes, carriage returns and broken UTF-8, on which CSV readers raise, drop or invent rows
(docs/decisions.md#17). So lines and fields are bytes, split on line feeds and tabs alone, and are decoded only after
the row has passed the photo and licence tests. What the file is, is read from its first bytes, never from its name.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from urllib.parse import unquote_plus

from scripts.curate.licences import licence_address, normalise_licence
from scripts.curate.rows import CandidateRow, RejectedRow, RowError, check_address, clean_text, parse_degrees, shorten
from scripts.curate.settings import Licence, YfccSource
from scripts.curate.sources.lines import MAX_LINE_BYTES, is_sqlite, read_lines
from scripts.lib.errors import UserError
from scripts.lib.identity import yfcc_key
from scripts.lib.reasons import MetadataReason

# The 23 columns of yfcc100m_dataset.sql; the 25-column text has the line number and the key as well.
_NAMES = """
photoid uid unickname datetaken dateuploaded capturedevice title description usertags machinetags longitude latitude
accuracy pageurl downloadurl licensename licenseurl serverid farmid secret secretoriginal ext marker
"""
COLUMNS_23 = tuple(_NAMES.split())
COLUMNS_25 = ("line", "photoid", "hash", *COLUMNS_23[1:])
LAYOUTS = {23: COLUMNS_23, 25: COLUMNS_25}
TABLE = "yfcc100m_dataset"
LAYOUT_SAMPLE = 1000  # lines that decide which layout a file has

Fields = list[bytes]
_KEY = re.compile(rb"[0-9a-f]{16,32}")


def read_rows(
    source: YfccSource, file_name: str, metadata: Path, table: Path | None, licences: Collection[Licence]
) -> Iterator[CandidateRow | RejectedRow]:
    """Yield one row for each line of the text, or for each record of the table, in the order of the file.

    Args:
        source: for its name, which error texts give.
        file_name: name of the metadata file in the plan, e.g. `yfcc100m-000`.
        metadata: the file.
        table: unused.
        licences: those asked for; rows under others are not parsed further.

    Raises:
        UserError: the file is missing, empty, damaged, or is not YFCC100M metadata.
    """
    where = f"the metadata file {metadata} ({file_name}: curate.sources.{source.name}.files in the config)"
    if not metadata.is_file():
        raise UserError(
            f"{where} does not exist. Put it there, correct the path, or give its `url` instead of `path`, then it is "
            "fetched. README, section Sources, says where YFCC100M metadata can be had."
        )
    if metadata.stat().st_size == 0:
        raise UserError(f"{where} is empty: an interrupted copy? Bring it again.")
    records: Iterator[Fields | None]
    if is_sqlite(metadata):
        layout, records = 23, _records(metadata, where)
    else:
        layout, records = _layout_of(read_lines(metadata, where), where)
    parse = RowParser(layout, frozenset(licences))
    for row, record in enumerate(records, start=1):
        yield parse(row, record)


def _layout_of(lines: Iterator[bytes | None], where: str) -> tuple[int, Iterator[Fields | None]]:
    """Return the number of columns that most of the first lines have, and all lines, split."""
    split = (None if line is None else line.split(b"\t") for line in lines)
    head = list(islice(split, LAYOUT_SAMPLE))
    counts = Counter(len(fields) for fields in head if fields is not None and len(fields) in LAYOUTS)
    if not counts:
        found = ", ".join(str(len(fields)) for fields in head[:5] if fields is not None) or "none"
        raise UserError(
            f"{where} is not YFCC100M metadata: a line has 23 or 25 fields with tabs between them, but the first lines "
            f"here have {found}. Is this the right file?"
        )
    return max(counts, key=lambda layout: (counts[layout], layout)), chain(head, split)


def _records(path: Path, where: str) -> Iterator[Fields]:
    """Yield the records of the SQLite form, each field as bytes; NULL is empty."""
    try:
        # immutable: no lock, no journal; the file may lie on a read-only disk.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as base:
            base.text_factory = bytes  # broken UTF-8 is then found in the row that has it
            found = [name.decode("utf-8", "replace") for _, name, *_ in base.execute(f"PRAGMA table_info({TABLE})")]
            missing = [name for name in COLUMNS_23 if name not in found]
            if missing:
                raise UserError(
                    f"{where} is SQLite, but its table {TABLE} "
                    + (f"lacks the columns {', '.join(missing)}" if found else "does not exist")
                    + ". Is this yfcc100m_dataset.sql?"
                )
            columns = ", ".join(f'"{name}"' for name in COLUMNS_23)
            # By rowid, as the records are stored: no sort, no copy, and the same order every time.
            for record in base.execute(f"SELECT {columns} FROM {TABLE} ORDER BY rowid"):  # noqa: S608 (constants)
                yield [_bytes_of(value) for value in record]
    except sqlite3.DatabaseError as error:
        raise UserError(f"{where} cannot be read as SQLite: {error}. Bring it again and compare its size.") from None


def _bytes_of(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    return b"" if value is None else str(value).encode("utf-8")


@lru_cache(maxsize=1024)
def _licence_of(name: bytes, url: bytes) -> Licence | None:
    return normalise_licence(name.decode("utf-8"), url.decode("utf-8"))


def _plain(field: bytes) -> str:
    return clean_text(unquote_plus(field.decode("utf-8"), errors="replace"))


class RowParser:
    """Turns the fields of one record into a candidate or a rejected row."""

    def __init__(self, layout: int, licences: frozenset[Licence]) -> None:
        self.columns = LAYOUTS[layout]
        self.licences = licences
        self.at = {name: index for index, name in enumerate(self.columns)}

    def __call__(self, row: int, fields: Fields | None) -> CandidateRow | RejectedRow:
        """Return what `fields` are; None stands for a line that was too long to be one."""
        photo_id = ""
        try:
            sound = self._sound(fields)
            photo_id = shorten(sound[self.at["photoid"]].decode("utf-8"), 40)
            return self._candidate(row, sound, self._licence(sound))
        except RowError as error:
            return error.row(row, photo_id)

    def _sound(self, fields: Fields | None) -> Fields:
        """Return fields of the right number that are all UTF-8."""
        if fields is None or len(fields) != len(self.columns):
            found = f"longer than {MAX_LINE_BYTES} bytes" if fields is None else f"{len(fields)} fields"
            raise RowError(MetadataReason.WRONG_FIELD_COUNT, f"{found} where {len(self.columns)} are due")
        if not all(map(bytes.isascii, fields)):
            for name, field in zip(self.columns, fields, strict=True):
                try:
                    field.decode("utf-8")
                except UnicodeDecodeError as error:
                    raise RowError(MetadataReason.NOT_UTF8, f"{name}: {error.reason} at byte {error.start}") from None
        return fields

    def _licence(self, fields: Fields) -> Licence:
        """Return the licence of a photo; the cheap tests that most rows of YFCC100M do not pass."""
        marker = fields[self.at["marker"]].rstrip(b"\r")
        if marker == b"1":
            raise RowError(MetadataReason.NOT_A_PHOTO, "a video")
        if marker != b"0":
            raise RowError(MetadataReason.BAD_FIELD, f"marker is neither 0 nor 1: {shorten(marker.decode('utf-8'))}")
        name, url = fields[self.at["licensename"]], fields[self.at["licenseurl"]]
        licence = _licence_of(name, url)
        if licence is None:
            raise RowError(MetadataReason.UNKNOWN_LICENCE, shorten(b" ".join((name, url)).decode("utf-8")))
        if licence not in self.licences:
            raise RowError(MetadataReason.LICENCE, f"{licence} is not asked for", licence)
        return licence

    def _candidate(self, row: int, fields: Fields, licence: Licence) -> CandidateRow:
        def text(name: str) -> str:
            return fields[self.at[name]].decode("utf-8")

        photo_id, date_taken = text("photoid"), text("datetaken")
        if not (photo_id.isascii() and photo_id.isdecimal() and len(photo_id) <= 20):
            raise RowError(MetadataReason.BAD_FIELD, f"photoid is not a number: {shorten(photo_id)}")
        download_url = check_address("downloadurl", text("downloadurl"))
        return CandidateRow(
            row=row,
            image_id=self._image_id(fields, download_url),
            locator=download_url,
            photo_id=photo_id,
            creator_id=_plain(fields[self.at["uid"]]),
            creator=_plain(fields[self.at["unickname"]]),
            title=_plain(fields[self.at["title"]]),
            page_url=check_address("pageurl", text("pageurl")),
            download_url=download_url,
            licence=licence,
            licence_name=text("licensename"),
            licence_url=text("licenseurl") or licence_address(licence),
            date_taken="" if date_taken == "null" else clean_text(date_taken),
            latitude=parse_degrees("latitude", text("latitude"), 90.0),
            longitude=parse_degrees("longitude", text("longitude"), 180.0),
            capture_device=_plain(fields[self.at["capturedevice"]]),
        )

    def _image_id(self, fields: Fields, download_url: str) -> str:
        """Return the photo's key: from its column where the layout has a sound one, else from the download address."""
        index = self.at.get("hash")
        if index is not None and _KEY.fullmatch(fields[index]):
            return fields[index].decode("ascii")
        if not download_url:
            raise RowError(MetadataReason.BAD_FIELD, "downloadurl is empty, so the photo has no key")
        return yfcc_key(download_url)
