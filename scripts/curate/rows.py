"""What a source yields for each line, file or image that it reads: a candidate or a rejected row, never nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from scripts.lib.reasons import MetadataReason

# Direction controls turn a shown line around ("evil\u202egpj.exe"); by themselves they mean nothing in a name or title.
_DIRECTION_CONTROLS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# All of the Unicode categories Cc, Cs, Zl and Zp, which by Unicode's stability policy no further character joins.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.\-]+(:[0-9]{1,5})?(/[^\s\x00-\x1f\x7f\"<>\\]*)?")


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """A photo under one of the licences asked for. The fields are columns of `tables.CANDIDATES`."""

    row: int  # from 1, in reading order: the line of a text file
    image_id: str
    locator: str  # where `download` finds the bytes: address, path in the folder, or system/view
    photo_id: str
    creator_id: str
    creator: str
    title: str
    page_url: str
    download_url: str
    licence: str
    licence_name: str
    licence_url: str
    date_taken: str
    latitude: float | None  # degrees
    longitude: float | None
    capture_device: str


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that is not a candidate, and why."""

    row: int
    reason: MetadataReason
    photo_id: str  # "" where it cannot be read
    detail: str  # one line for a person to read
    licence: str = ""  # SPDX id where the row got as far as that


class RowError(Exception):
    """What makes a row a rejected one, raised where it is found."""

    def __init__(self, reason: MetadataReason, detail: str, licence: str = "") -> None:
        super().__init__(detail)
        self.reason, self.detail, self.licence = reason, detail, licence

    def row(self, number: int, photo_id: str) -> RejectedRow:
        """Return the rejected row."""
        return RejectedRow(number, self.reason, photo_id, self.detail, self.licence)


def clean_text(text: str) -> str:
    """Return text on one line: control characters are blanks, runs of blanks one, direction controls gone."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    return " ".join(_CONTROLS.sub(" ", _DIRECTION_CONTROLS.sub("", text)).split())


def shorten(text: str, limit: int = 80) -> str:
    """Return foreign text fit for a message: printable, at most `limit` characters."""
    shown = clean_text(text[: 4 * limit])
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def check_address(name: str, address: str) -> str:
    """Return `address` when it is empty or an http(s) address of a plain form.

    Raises:
        RowError: it is neither.
    """
    if address and not _ADDRESS.fullmatch(address):
        raise RowError(MetadataReason.BAD_FIELD, f"{name} is not an http address: {shorten(address)}")
    return address


@lru_cache(maxsize=4096)
def parse_degrees(name: str, text: str, limit: float) -> float | None:
    """Return a coordinate in degrees, None where the field is empty or `null`.

    Raises:
        RowError: not a decimal number, or beyond +-`limit`.
    """
    if text in ("", "null"):
        return None
    # Not float() alone, which also takes "nan", "1_0" and digits of other scripts.
    if not re.fullmatch(r"[+-]?[0-9]{1,3}(\.[0-9]*)?([eE][+-]?[0-9]{1,2})?", text, flags=re.ASCII):
        raise RowError(MetadataReason.BAD_FIELD, f"{name} is not a number of degrees: {shorten(text)}")
    value = float(text)
    if abs(value) > limit:
        raise RowError(MetadataReason.BAD_FIELD, f"{name} is beyond {limit:g} degrees: {shorten(text)}")
    return value
