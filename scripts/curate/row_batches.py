"""Rows of a source as columns: what `select_candidates` takes, whoever made them.

A source that reads row by row is turned into batches here (`batches_of`); `yfcc100m` makes its batches itself, because
one Python object for each of 100 million rows costs more than everything else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from operator import attrgetter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scripts.curate.rows import CandidateRow, RejectedRow
from scripts.curate.settings import AttributionField
from scripts.lib.reasons import MetadataReason
from scripts.lib.tables import CANDIDATES, REJECTED_ROWS

ROWS_PER_BATCH = 4096
CANDIDATE_ROWS = pa.schema([CANDIDATES.field(field.name) for field in fields(CandidateRow)])

_candidate_values = attrgetter(*CANDIDATE_ROWS.names)
_rejected_values = attrgetter(*REJECTED_ROWS.names)

Row = CandidateRow | RejectedRow


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Rows that follow one another in the source, each of them in one of two tables."""

    read: int
    candidates: pa.Table  # CANDIDATE_ROWS, in any order
    rejected: pa.Table  # REJECTED_ROWS, in reading order
    licences: Counter[str]  # of the photos that got as far as that, kept or not
    share: float = 0.0  # of the source that is read when this batch is, 0 where it is not known; for log lines


def columns_of(rows: Iterable[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    """Return rows, each a tuple in the order of the schema, as a table."""
    listed = list(rows)
    columns = zip(*listed, strict=True) if listed else ((),) * len(schema)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def batch_of(rows: Sequence[Row], share: float = 0.0) -> RowBatch:
    """Return rows as one batch."""
    candidates = [row for row in rows if isinstance(row, CandidateRow)]
    rejected = [row for row in rows if isinstance(row, RejectedRow)]
    return RowBatch(
        read=len(rows),
        candidates=columns_of(map(_candidate_values, candidates), CANDIDATE_ROWS),
        rejected=columns_of(
            ((row, str(why), *rest) for row, why, *rest in map(_rejected_values, rejected)), REJECTED_ROWS
        ),
        licences=Counter(row.licence for row in rows if row.licence),
        share=share,
    )


def batches_of(rows: Iterable[Row]) -> Iterator[RowBatch]:
    """Yield rows in batches."""
    iterator = iter(rows)
    while some := list(islice(iterator, ROWS_PER_BATCH)):
        yield batch_of(some)


def join_batches(first: RowBatch, second: RowBatch) -> RowBatch:
    """Return two batches whose rows lie between each other as one."""
    rejected = pa.concat_tables([first.rejected, second.rejected])
    return RowBatch(
        read=first.read + second.read,
        candidates=pa.concat_tables([first.candidates, second.candidates]),
        rejected=rejected.take(np.argsort(rejected["row"].to_numpy(), kind="stable")),
        licences=first.licences + second.licences,
        share=max(first.share, second.share),
    )


def with_attribution(batch: RowBatch, required: Sequence[AttributionField]) -> RowBatch:
    """Return the batch in which candidates without a required field are rejected rows."""
    missing = np.zeros(len(batch.candidates), dtype=bool)
    for name in required:
        missing |= pc.equal(batch.candidates[name], "").to_numpy()
    if not missing.any():
        return batch
    without = batch.candidates.filter(missing).select(list(dict.fromkeys(["row", "photo_id", *required]))).to_pylist()
    rows = [
        (row["row"], str(MetadataReason.MISSING_ATTRIBUTION), row["photo_id"], f"empty: {', '.join(names)}")
        for row in without
        for names in [[name for name in required if not row[name]]]
    ]
    kept = batch.candidates.filter(~missing)
    no_candidate = RowBatch(0, CANDIDATE_ROWS.empty_table(), columns_of(rows, REJECTED_ROWS), Counter())
    return join_batches(RowBatch(batch.read, kept, batch.rejected, batch.licences, batch.share), no_candidate)
