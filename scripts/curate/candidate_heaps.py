"""Candidates sorted by (part, image_id, row) without holding them all: laid down by hash, then sorted heap by heap."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scripts.curate.row_batches import CANDIDATE_ROWS
from scripts.lib.identity import HASH_BITS, part_names
from scripts.lib.tables import CANDIDATES

# At most 256 heaps. One file of 17 M candidates is then 66,000 rows or 30 MB in each, and all 99 M photos of YFCC100M
# are 390,000 rows or 170 MB, of which two copies are in memory while a heap is sorted.
HEAP_BITS = 8
SPILL_ROWS = 32_768  # candidates held before they are laid down, or
SPILL_BYTES = 64 << 20  # so many bytes of them


def positions_of(image_ids: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return `identity.position` of each id."""
    digests = [hashlib.sha256(image_id).digest()[:4] for image_id in image_ids.cast(pa.binary()).to_pylist()]
    return np.frombuffer(b"".join(digests), dtype=">u4").astype(np.int64)


class CandidateHeaps:
    """Lays candidates down in one file, by the leading bits of their partition, and gives them back sorted."""

    def __init__(self, path: Path, source: str, file: str, partition_bits: int) -> None:
        self._source, self._file, self._bits = source, file, partition_bits
        self._heap_bits = min(partition_bits, HEAP_BITS)
        self._parts = pa.array(part_names(partition_bits))
        self._path = path
        self._spill = pa.OSFile(str(path), "wb")
        self._places: defaultdict[int, list[int]] = defaultdict(list)  # heap → offsets of its batches
        self._held: list[pa.Table] = []

    def __enter__(self) -> CandidateHeaps:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spill.close()
        self._path.unlink(missing_ok=True)

    def add(self, candidates: pa.Table) -> None:
        """Take a table of CANDIDATE_ROWS."""
        self._held.append(candidates)
        rows = sum(len(table) for table in self._held)
        if rows >= SPILL_ROWS or sum(table.nbytes for table in self._held) >= SPILL_BYTES:
            self._lay_down()

    def _lay_down(self) -> None:
        """Write what is held, one batch for each heap, and remember where."""
        table = pa.concat_tables([CANDIDATE_ROWS.empty_table(), *self._held])
        self._held = []
        if not len(table):
            return
        ring = positions_of(table["image_id"])
        table = table.append_column("part", self._parts.take(pa.array(ring >> (HASH_BITS - self._bits))))
        heaps = ring >> (HASH_BITS - self._heap_bits)
        order = np.argsort(heaps, kind="stable")
        [batch] = table.take(pa.array(order)).combine_chunks().to_batches()
        found, starts = np.unique(heaps[order], return_index=True)
        for heap, start, stop in zip(found, starts, [*starts[1:], len(order)], strict=True):
            self._places[int(heap)].append(self._spill.tell())
            self._spill.write(batch.slice(start, stop - start).serialize())

    def sorted_tables(self) -> Iterator[pa.Table]:
        """Yield tables of CANDIDATES that follow one another in the order (part, image_id, row)."""
        self._lay_down()
        self._spill.close()
        schema = CANDIDATE_ROWS.append(CANDIDATES.field("part"))
        for heap in sorted(self._places):  # a heap is a prefix of its partitions, so their order is the partitions'
            with pa.OSFile(str(self._path), "rb") as spill:
                batches = [self._read(spill, place, schema) for place in self._places.pop(heap)]
            table = pa.Table.from_batches(batches).combine_chunks()
            del batches
            table = table.sort_by([(name, "ascending") for name in ("part", "image_id", "row")])
            for name, value in (("source", self._source), ("file", self._file)):
                table = table.append_column(name, pa.repeat(value, len(table)))
            yield table.select(CANDIDATES.names)

    @staticmethod
    def _read(spill: pa.NativeFile, place: int, schema: pa.Schema) -> pa.RecordBatch:
        spill.seek(place)
        return pa.ipc.read_record_batch(pa.ipc.read_message(spill), schema)
