"""The reviewers' table: `image_id,verdict,reviewer`, verdict `keep` or `drop`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from scripts.lib.errors import UserError

HEADER = ["image_id", "verdict", "reviewer"]
Word = Literal["keep", "drop"]


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
    """What the reviewers of an image say, all of them the same."""

    verdict: Word
    reviewers: tuple[str, ...]  # sorted

    @property
    def evidence(self) -> str:
        """Return who says so."""
        return f"reviewer {', '.join(self.reviewers)}"


def read_human_verdicts(path: Path) -> dict[str, HumanVerdict]:
    """Return the verdict on each reviewed image.

    Raises:
        UserError: no file, not a CSV of this form, an unknown verdict, or two reviewers who disagree; names the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            return _parse(csv.reader(handle, strict=True), path)
    except OSError as error:
        raise UserError(
            f"the human verdicts {path} cannot be read ({error.strerror}): put the CSV ({','.join(HEADER)}) there, or "
            "set filter.human_verdicts to null in the config"
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"the human verdicts {path} are not UTF-8 (byte {error.start}): save the CSV as UTF-8"
        ) from None


def _parse(reader: CsvReader, path: Path) -> dict[str, HumanVerdict]:
    found: dict[str, HumanVerdict] = {}
    lines: dict[str, int] = {}
    try:
        header = next(reader, [])
        if header != HEADER:
            raise UserError(f"{path}, line 1: the header must be {','.join(HEADER)}, got {','.join(header)[:100]!r}")
        for row in reader:
            if not row:
                continue
            image_id, verdict, reviewer = _fields(row, path, reader.line_num)
            known = found.get(image_id)
            if known is not None and known.verdict != verdict:
                raise UserError(
                    f"{path}, line {reader.line_num}: {reviewer} says {verdict} of image {image_id}, and line "
                    f"{lines[image_id]} says {known.verdict} ({known.evidence}): leave one verdict for each image"
                )
            reviewers = {reviewer, *(known.reviewers if known else ())}
            found[image_id] = HumanVerdict(verdict, tuple(sorted(reviewers)))
            lines.setdefault(image_id, reader.line_num)
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not a CSV line ({error})") from None
    return found


def _fields(row: list[str], path: Path, line: int) -> tuple[str, Word, str]:
    place = f"{path}, line {line}"
    if len(row) != len(HEADER):
        raise UserError(f"{place}: {len(HEADER)} fields ({','.join(HEADER)}) were expected, got {len(row)}")
    image_id, verdict, reviewer = row
    if not image_id or not reviewer:
        raise UserError(
            f"{place}: image_id and reviewer must not be empty; a verdict needs somebody who answers for it"
        )
    if verdict == "keep":
        return image_id, "keep", reviewer
    if verdict == "drop":
        return image_id, "drop", reviewer
    raise UserError(f"{place}: the verdict must be keep or drop, got {verdict[:40]!r}")
