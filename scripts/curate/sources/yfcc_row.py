"""One record of YFCC100M metadata, field by field: the definition of what a row is.

`yfcc_columns` does the same for many rows at once where they are plain, and asks here about all others.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_plus

from scripts.curate.licences import licence_address, normalise_licence
from scripts.curate.rows import CandidateRow, RejectedRow, RowError, check_address, clean_text, parse_degrees, shorten
from scripts.curate.settings import Licence
from scripts.curate.sources.lines import MAX_LINE_BYTES
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
PHOTO_ID_CHARACTERS = 40  # of a photo id that may be none, in a rejected row

Fields = list[bytes]
_KEY = re.compile(rb"[0-9a-f]{16,32}")


@lru_cache(maxsize=1024)
def _licence_of(name: bytes, url: bytes) -> Licence | None:
    return normalise_licence(name.decode("utf-8"), url.decode("utf-8"))


def plain_text(field: bytes) -> str:
    """Return a URL-encoded field as text on one line."""
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
            photo_id = shorten(sound[self.at["photoid"]].decode("utf-8"), PHOTO_ID_CHARACTERS)
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
        self.check_marker(fields[self.at["marker"]].rstrip(b"\r"))
        return self.check_licence(fields[self.at["licensename"]], fields[self.at["licenseurl"]])

    def check_marker(self, marker: bytes) -> None:
        """Raise `RowError` for what is not a photo."""
        if marker == b"1":
            raise RowError(MetadataReason.NOT_A_PHOTO, "a video")
        if marker != b"0":
            raise RowError(MetadataReason.BAD_FIELD, f"marker is neither 0 nor 1: {shorten(marker.decode('utf-8'))}")

    def check_licence(self, name: bytes, url: bytes) -> Licence:
        """Return the licence that name and address agree on; raise `RowError` when it is none of those asked for."""
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
            creator_id=plain_text(fields[self.at["uid"]]),
            creator=plain_text(fields[self.at["unickname"]]),
            title=plain_text(fields[self.at["title"]]),
            page_url=check_address("pageurl", text("pageurl")),
            download_url=download_url,
            licence=licence,
            licence_name=text("licensename"),
            licence_url=text("licenseurl") or licence_address(licence),
            date_taken="" if date_taken == "null" else clean_text(date_taken),
            latitude=parse_degrees("latitude", text("latitude"), 90.0),
            longitude=parse_degrees("longitude", text("longitude"), 180.0),
            capture_device=plain_text(fields[self.at["capturedevice"]]),
        )

    def _image_id(self, fields: Fields, download_url: str) -> str:
        """Return the photo's key: from its column where the layout has a sound one, else from the download address."""
        index = self.at.get("hash")
        if index is not None and _KEY.fullmatch(fields[index]):
            return fields[index].decode("ascii")
        if not download_url:
            raise RowError(MetadataReason.BAD_FIELD, "downloadurl is empty, so the photo has no key")
        return yfcc_key(download_url)
