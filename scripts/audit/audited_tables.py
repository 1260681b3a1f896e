"""The tables of a run as the audit reads them: only where their bytes are those of the record, only what is asked for.

A table that cannot be read leaves a check undecided; it never ends the audit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scripts.audit.findings import DIFFERENT, SAME, UNDECIDABLE, Finding
from scripts.audit.run_folder import RunFolder, inputs_of, output_of
from scripts.lib.records import Record

KEY = ("image_id", "source", "file", "row")


class UnreadableError(Exception):
    """A table that a check needs; the text begins with its path."""


def read_table(run: RunFolder, path: str, columns: Sequence[str], **options: Any) -> pa.Table:
    """Return columns of a recorded table.

    Raises:
        UnreadableError: it is not there, not what its job left, or no such table.
    """
    if path in run.broken:
        raise UnreadableError(f"{path} is not what its job left, so nothing in it is believed")
    try:
        return pq.read_table(run.path(path), columns=list(columns), **options)
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise UnreadableError(f"{path} cannot be read ({type(error).__name__}: {str(error)[:200]})") from None


def sort_rows(table: pa.Table, names: Sequence[str] = KEY) -> pa.Table:
    """Return the rows in the order of some columns."""
    return table.sort_by([(name, "ascending") for name in names])


@dataclass(frozen=True)
class Part:
    """One partition, as the record of its `judge` names its tables.

    Attributes:
        name: e.g. 3f.
        record: of `judge`.
        verdicts: path of its table; the others likewise.
    """

    name: str
    record: Record
    verdicts: str
    status: str
    inspections: str

    @property
    def candidates(self) -> list[str]:
        """Return the candidates' tables of all files."""
        return inputs_of(self.record, "candidates")

    @property
    def detections(self) -> dict[str, str]:
        """Return detector → its table."""
        paths = inputs_of(self.record, "faces") + inputs_of(self.record, "people")
        return {path.split("/")[-2]: path for path in paths}

    def read_candidates(self, run: RunFolder, columns: Sequence[str]) -> pa.Table:
        """Return the candidates of this part, sorted by their key."""
        mine = [("part", "=", self.name)]
        found = [read_table(run, path, columns, filters=mine) for path in self.candidates]
        return sort_rows(pa.concat_tables(found)) if found else pa.table({name: [] for name in columns})


def parts_of(run: RunFolder) -> list[Part]:
    """Return the partitions that were judged, in order of name."""
    found = []
    for _, record in run.of_step("filter.judge"):
        status, inspection = inputs_of(record, "status"), inputs_of(record, "inspection")
        place = status[0] if status else "", inspection[0] if inspection else ""
        found.append(Part(str(record["values"].get("part")), record, output_of(record, "out"), *place))
    return sorted(found, key=lambda part: part.name)


def checked(check: str, place: str, look: Callable[[], Iterable[str]], good: Callable[[], str]) -> Iterator[Finding]:
    """Yield what a check says of one subject: a finding for each defect, else one that all is in order.

    Args:
        check: its name.
        place: the subject.
        look: yields a sentence for each defect.
        good: the sentence when there is none; called afterwards.
    """
    cause = (
        "The bytes are those of the record, so the step that wrote the table was given other tables than these, or "
        "has a defect. Have it made again; report it when it stays."
    )
    try:
        defects = list(look())
    except UnreadableError as problem:
        yield Finding(check, UNDECIDABLE, place, f"Not decided: {problem}.", "See what is said of that file.")
        return
    for defect in defects:
        yield Finding(check, DIFFERENT, place, defect, cause)
    if not defects:
        yield Finding(check, SAME, place, good())
