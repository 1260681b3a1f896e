"""Read the metadata of a source and keep the photos whose licence and attribution allow their use.

Every row that is read ends in one of two tables: the candidates, sorted by (part, image_id, row), or the rejected rows
with a reason. Neither is ever whole in memory: rejected rows leave as they come, candidates are first laid down by the
leading bits of their partition and then sorted one heap at a time.
"""

from __future__ import annotations

import importlib
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypedDict, cast

import pyarrow as pa
import pyarrow.parquet as pq

from scripts.curate.rows import CandidateRow, RejectedRow
from scripts.curate.settings import AttributionField, Licence, SelectCandidatesSettings, Source
from scripts.lib.accounting import Account, check_account
from scripts.lib.errors import UserError
from scripts.lib.files import ROW_GROUP_ROWS, replacing, write_json
from scripts.lib.identity import part_of
from scripts.lib.reasons import MetadataReason
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import CANDIDATES, REJECTED_ROWS

LOG = logging.getLogger(__name__)
LOG_SECONDS = 60.0
HEAP_BITS = 6  # at most 64 heaps: 17 M candidates are then 270,000 rows, some 150 MB, each
SPILL_ROWS = 1024  # of a heap, held before they are laid down

# Reasons for which a row was not even understood. A file of nothing else is the wrong file.
_UNREADABLE = (MetadataReason.WRONG_FIELD_COUNT, MetadataReason.NOT_UTF8, MetadataReason.BAD_FIELD)
_FIELDS = tuple(field.name for field in fields(CandidateRow))
_values_of = attrgetter(*_FIELDS)

Row = CandidateRow | RejectedRow


class LicenceAccount(Account):
    """An account with the licences of the photos that were read: kept, or rejected for licence or attribution."""

    licences: dict[str, int]


class _Reader(Protocol):
    def read_rows(
        self, source: Source, file_name: str, metadata: Path, table: Path | None, licences: Collection[Licence]
    ) -> Iterator[Row]: ...


def missing_fields(row: CandidateRow, required: Sequence[AttributionField]) -> list[str]:
    """Return those of the required attribution fields that are empty."""
    return [name for name, value in zip(required, _required_values(row, required), strict=True) if not value]


def _required_values(row: CandidateRow, required: Sequence[AttributionField]) -> list[str]:
    values = dict(zip(_FIELDS, _values_of(row), strict=True))
    return [str(values[name]) for name in required]


def with_attribution(rows: Iterable[Row], required: Sequence[AttributionField]) -> Iterator[Row]:
    """Pass rows on; a candidate without a required field becomes a rejected row."""
    for row in rows:
        if isinstance(row, CandidateRow) and (missing := missing_fields(row, required)):
            detail = f"empty: {', '.join(missing)}"
            yield RejectedRow(row.row, MetadataReason.MISSING_ATTRIBUTION, row.photo_id, detail, row.licence)
        else:
            yield row


class ColumnBuffer:
    """Rows held as columns until there are enough of them for one batch."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._rows: list[tuple[object, ...]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def append(self, row: tuple[object, ...]) -> None:
        """Add one row, its values in the order of the schema."""
        self._rows.append(row)

    def take(self) -> pa.Table:
        """Return the rows held, and hold none."""
        columns = zip(*self._rows, strict=True) if self._rows else ((),) * len(self._schema)
        arrays = [pa.array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
        self._rows = []
        return pa.Table.from_arrays(arrays, schema=self._schema)


class CandidateHeaps:
    """Lays candidates down by partition, in at most 2**HEAP_BITS files, and gives them back sorted."""

    def __init__(self, folder: Path, source: str, file: str, partition_bits: int) -> None:
        self._folder, self._source, self._file, self._bits = folder, source, file, partition_bits
        self._buffers: dict[str, ColumnBuffer] = {}
        self._writers: dict[str, pa.RecordBatchFileWriter] = {}

    def add(self, row: CandidateRow) -> None:
        """Take one candidate."""
        heap = part_of(row.image_id, min(self._bits, HEAP_BITS))
        buffer = self._buffers.setdefault(heap, ColumnBuffer(CANDIDATES))
        values = dict(zip(_FIELDS, _values_of(row), strict=True))
        values |= {"source": self._source, "file": self._file, "part": part_of(row.image_id, self._bits)}
        buffer.append(tuple(values[name] for name in CANDIDATES.names))
        if len(buffer) >= SPILL_ROWS:
            self._lay_down(heap)

    def _lay_down(self, heap: str) -> None:
        if heap not in self._writers:
            self._writers[heap] = pa.ipc.new_file(self._folder / heap, CANDIDATES)
        self._writers[heap].write_table(self._buffers[heap].take())

    def __enter__(self) -> CandidateHeaps:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def sorted_tables(self) -> Iterator[pa.Table]:
        """Yield tables that follow one another in the order (part, image_id, row)."""
        for heap in sorted(self._buffers):  # a heap is a prefix of its partitions, so their order is the partitions'
            self._lay_down(heap)
            self._writers.pop(heap).close()
            with pa.ipc.open_file(self._folder / heap) as reader:
                table = reader.read_all()
            (self._folder / heap).unlink()
            yield table.sort_by([(name, "ascending") for name in ("part", "image_id", "row")])


class Outputs(TypedDict):
    """Where the results go."""

    candidates: Path
    rejected: Path
    account: Path


def select_candidates(settings: SelectCandidatesSettings, file: str, rows: Iterable[Row], outputs: Outputs) -> None:
    """Write candidates, rejected rows and their account.

    Raises:
        UserError: there was nothing to read, or nothing that could be understood.
    """
    read, started, told = 0, time.monotonic(), time.monotonic()
    reasons: Counter[str] = Counter()
    licences: Counter[str] = Counter()
    with ExitStack() as stack:
        candidates = stack.enter_context(replacing(outputs["candidates"]))
        rejected = stack.enter_context(replacing(outputs["rejected"]))
        # Beside the result, because /tmp of a cluster node may be small. The name begins with a dot and goes away.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=candidates.parent, prefix=f".{file}.")))
        heaps = stack.enter_context(CandidateHeaps(folder, settings.source.name, file, settings.partition_bits))
        buffer = ColumnBuffer(REJECTED_ROWS)
        with pq.ParquetWriter(rejected, REJECTED_ROWS, compression="zstd") as writer:
            for row in with_attribution(rows, settings.require):
                read += 1
                if isinstance(row, CandidateRow):
                    heaps.add(row)
                    licences[row.licence] += 1
                else:
                    buffer.append((row.row, str(row.reason), row.photo_id, row.detail))
                    reasons[str(row.reason)] += 1
                    licences.update([row.licence] if row.licence else [])
                if len(buffer) >= ROW_GROUP_ROWS:
                    writer.write_table(buffer.take(), row_group_size=ROW_GROUP_ROWS)
                if time.monotonic() - told > LOG_SECONDS:
                    told = time.monotonic()
                    LOG.info("%s: %d rows, %.0f rows/s", file, read, read / (told - started))
            writer.write_table(buffer.take(), row_group_size=ROW_GROUP_ROWS)
        with pq.ParquetWriter(candidates, CANDIDATES, compression="zstd") as writer:
            kept = 0
            for table in heaps.sorted_tables():
                writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
                kept += len(table)
        check_readable(settings.source, file, read, kept, reasons)
        account = LicenceAccount(
            read=read, kept=kept, rejected=dict(sorted(reasons.items())), licences=dict(sorted(licences.items()))
        )
        check_account(account)
    write_json(outputs["account"], account)
    told = max(time.monotonic() - started, 1e-9)
    LOG.info("%s: %d rows read, %d kept, %.0f rows/s; rejected %s", file, read, kept, read / told, account["rejected"])


def check_readable(source: Source, file: str, read: int, kept: int, reasons: Counter[str]) -> None:
    """Fail when nothing was read, or nothing that was read is a row of metadata; warn when no row is kept."""
    if read == 0:
        raise UserError(
            f"{file} has nothing to read: the source {source.name} ({source.kind}) holds no rows or files. "
            f"Check curate.sources.{source.name} in the config."
        )
    if sum(reasons[reason] for reason in _UNREADABLE) == read:
        counts = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
        raise UserError(
            f"none of the {read} rows of {file} can be read as {source.kind} ({counts}). The wrong file, or a damaged "
            f"one? Check curate.sources.{source.name} in the config."
        )
    if kept == 0:
        LOG.warning("%s: no row passes licence and attribution; see curate.licences and curate.require", file)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of SelectCandidatesSettings")
    parser.add_argument("--file", required=True, help="name of the metadata file, e.g. yfcc100m-000")
    parser.add_argument("--metadata", required=True, help="metadata file or folder of photos; empty when generated")
    parser.add_argument("--table", required=True, help="attribution table of a folder; empty when there is none")
    parser.add_argument("--candidates", required=True, type=Path, help="written: Parquet")
    parser.add_argument("--rejected", required=True, type=Path, help="written: Parquet")
    parser.add_argument("--account", required=True, type=Path, help="written: JSON")
    args = parser.parse_args(argv)
    settings = read_recipe(SelectCandidatesSettings, args.recipe)
    reader = cast(_Reader, importlib.import_module(f"scripts.curate.sources.{settings.source.kind}"))
    table = Path(args.table) if args.table else None
    rows = reader.read_rows(settings.source, args.file, Path(args.metadata), table, settings.licences)
    outputs = Outputs(candidates=args.candidates, rejected=args.rejected, account=args.account)
    select_candidates(settings, args.file, rows, outputs)


if __name__ == "__main__":
    run_step(main)
