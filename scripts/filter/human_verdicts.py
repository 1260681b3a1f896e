"""The reviewers' tables: `image_id,verdict,reviewer`, verdict `keep` or `drop`; one CSV, or a folder of them.

Who is believed (docs/decisions.md#57): of one reviewer's rows on an image in one file the last counts, so that a
correction can be appended; between files and between reviewers `drop` wins.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from scripts.lib.errors import UserError
from scripts.lib.plain_text import printable

LOG = logging.getLogger(__name__)

HEADER = ["image_id", "verdict", "reviewer"]
LONGEST_NAME = 80  # characters, in messages
Word = Literal["keep", "drop"]
Pair = tuple[str, str]  # image id, reviewer


class CsvReader(Protocol):
    """What `csv.reader` returns."""

    @property
    def line_num(self) -> int:
        """Lines read so far."""
        ...

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


@dataclass(frozen=True)
class HumanVerdict:
    """What the reviewers of an image say."""

    verdict: Word
    reviewers: tuple[str, ...]  # who say so, sorted
    against: tuple[str, ...] = ()  # who say `keep` where `drop` won, sorted

    @property
    def evidence(self) -> str:
        """Return who says so."""
        said = f"reviewer {', '.join(self.reviewers)}"
        return f"{said}; {', '.join(self.against)} would keep it" if self.against else said


@dataclass(frozen=True)
class VerdictRow:
    """One row that counts."""

    image_id: str
    verdict: Word
    reviewer: str


@dataclass(frozen=True)
class VerdictFiles:
    """What lies in one CSV or a folder of them."""

    files: int
    lines: int  # rows read, those that a later row replaced included
    rows: tuple[VerdictRow, ...]  # by file name, then in the order of the file
    replaced: int  # rows in place of which a later one of the same reviewer and file counts


def csv_files(path: Path) -> list[Path]:
    """Return `path`, or for a folder its CSV files by name; hidden and lock files (`.x`, `~$x`) are passed over."""
    if not path.is_dir():
        return [path]
    return sorted(
        entry
        for entry in path.iterdir()
        if entry.is_file() and entry.suffix.lower() == ".csv" and not entry.name.startswith((".", "~$"))
    )


def read_verdict_files(path: Path, key: str = "filter.human_verdicts") -> VerdictFiles:
    """Return the rows of a CSV, or of all CSVs of a folder. `key` of the config is named in errors.

    Raises:
        UserError: no file, a folder without a CSV, not a CSV of this form, an unknown verdict; names file and line.
    """
    paths = csv_files(path)
    if not paths:
        raise UserError(
            f"the folder {path} has no .csv file: put the reviewers' tables ({','.join(HEADER)}) there, or set {key} "
            "to null in the config"
        )
    rows: list[VerdictRow] = []
    lines = 0
    for each in paths:
        read = _read_file(each, key)
        latest = {(row.image_id, row.reviewer): row for row in read}
        rows += latest.values()
        lines += len(read)
    return VerdictFiles(len(paths), lines, tuple(rows), lines - len(rows))


def by_reviewer(rows: Iterable[VerdictRow]) -> dict[Pair, Word]:
    """Return (image, reviewer) → verdict; `drop` where a reviewer's files differ."""
    found: dict[Pair, Word] = {}
    for row in rows:
        pair = (row.image_id, row.reviewer)
        found[pair] = "drop" if "drop" in (row.verdict, found.get(pair)) else "keep"
    return found


def resolve(said: Mapping[Pair, Word]) -> dict[str, HumanVerdict]:
    """Return the verdict on each image: `drop` as soon as one reviewer says so."""
    voices: dict[str, dict[Word, list[str]]] = {}
    for image_id, reviewer in sorted(said):
        voices.setdefault(image_id, {"keep": [], "drop": []})[said[image_id, reviewer]].append(reviewer)
    return {
        image_id: HumanVerdict("drop", tuple(words["drop"]), tuple(words["keep"]))
        if words["drop"]
        else HumanVerdict("keep", tuple(words["keep"]))
        for image_id, words in voices.items()
    }


def read_human_verdicts(path: Path) -> dict[str, HumanVerdict]:
    """Return the verdict on each reviewed image, from a CSV or a folder of them.

    Raises:
        UserError: as `read_verdict_files`.
    """
    return resolve(by_reviewer(read_verdict_files(path).rows))


def _read_file(path: Path, key: str) -> list[VerdictRow]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            return _parse(csv.reader(handle, strict=True), path)
    except OSError as error:
        raise UserError(
            f"the human verdicts {path} cannot be read ({error.strerror}): put the CSV ({','.join(HEADER)}), or a "
            f"folder of such CSVs, there, or set {key} to null in the config"
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"the human verdicts {path} are not UTF-8 (byte {error.start}): save the CSV as UTF-8"
        ) from None


def _parse(reader: CsvReader, path: Path) -> list[VerdictRow]:
    rows: list[VerdictRow] = []
    try:
        header = next(reader, [])
        if header != HEADER:
            got = printable(",".join(header), 100)
            raise UserError(f"{path}, line 1: the header must be {','.join(HEADER)}, got {got!r}")
        rows += (_row(fields, path, reader.line_num) for fields in reader if fields)
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not a CSV line ({error})") from None
    return rows


def _row(fields: list[str], path: Path, line: int) -> VerdictRow:
    place = f"{path}, line {line}"
    if len(fields) != len(HEADER):
        raise UserError(f"{place}: {len(HEADER)} fields ({','.join(HEADER)}) were expected, got {len(fields)}")
    image_id, verdict, reviewer = fields[0], fields[1], fields[2].strip()
    if not image_id or not reviewer:
        raise UserError(
            f"{place}: image_id and reviewer must not be empty; a verdict needs somebody who answers for it"
        )
    if verdict == "keep":
        return VerdictRow(image_id, "keep", reviewer)
    if verdict == "drop":
        return VerdictRow(image_id, "drop", reviewer)
    raise UserError(f"{place}: the verdict must be keep or drop, got {printable(verdict, 40)!r}")
