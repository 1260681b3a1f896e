"""Read the metadata of a source and keep the photos whose licence and attribution allow their use.

Every row that is read ends in one of two tables: the candidates, sorted by (part, image_id, row), or the rejected rows
with a reason. Neither is ever whole in memory: rejected rows leave as they come, candidates are first laid down by the
leading bits of their partition and then sorted one heap at a time.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypedDict

from scripts.curate.candidate_heaps import CandidateHeaps
from scripts.curate.group_writer import GroupWriter
from scripts.curate.row_batches import RowBatch, batches_of, with_attribution
from scripts.curate.settings import SelectCandidatesSettings, Source, YfccSource
from scripts.lib.accounting import Account, check_account
from scripts.lib.errors import UserError
from scripts.lib.files import replacing, write_json
from scripts.lib.flags import output_file, outside_data
from scripts.lib.reasons import MetadataReason
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import CANDIDATES, REJECTED_ROWS

LOG = logging.getLogger(__name__)
LOG_SECONDS = 60.0

# Reasons for which a row was not even understood. A file of nothing else is the wrong file.
_UNREADABLE = (MetadataReason.WRONG_FIELD_COUNT, MetadataReason.NOT_UTF8, MetadataReason.BAD_FIELD)
_REPEATING = ["source", "file", "part", "creator_id", "creator", "licence", "licence_name", "licence_url"]
_REPEATING += ["capture_device", "reason", "detail"]


class LicenceAccount(Account):
    """An account with the licences of the photos that were read: kept, or rejected for licence or attribution."""

    licences: dict[str, int]


class Outputs(TypedDict):
    """Where the results go."""

    candidates: Path
    rejected: Path
    account: Path


class Tally:
    """Counts what was read, and says so from time to time."""

    def __init__(self, file: str) -> None:
        self.file, self.read = file, 0
        self.reasons: Counter[str] = Counter()
        self.licences: Counter[str] = Counter()
        self.began = self.logged = time.monotonic()

    def count(self, batch: RowBatch) -> None:
        """Count one batch."""
        self.read += batch.read
        self.licences.update(batch.licences)
        for reason in batch.rejected["reason"].value_counts():
            self.reasons[reason["values"].as_py()] += reason["counts"].as_py()
        now = time.monotonic()
        if now - self.logged > LOG_SECONDS:
            self.logged, spent, share = now, now - self.began, batch.share
            left = f", {share:.0%} of the file, {spent * (1 / share - 1) / 60:.0f} min left" if share else ""
            LOG.info("%s: %d rows, %.0f rows/s%s", self.file, self.read, self.read / spent, left)


def select_candidates(
    settings: SelectCandidatesSettings, file: str, batches: Iterable[RowBatch], outputs: Outputs
) -> None:
    """Write candidates, rejected rows and their account.

    Raises:
        UserError: there was nothing to read, or nothing that could be understood.
    """
    tally = Tally(file)
    with ExitStack() as stack:
        candidates = stack.enter_context(replacing(outputs["candidates"]))
        rejected = stack.enter_context(replacing(outputs["rejected"]))
        # Beside the result, because /tmp of a cluster node may be small. The name begins with a dot and goes away.
        spill = candidates.with_name(f"{candidates.name}.spill")
        heaps = stack.enter_context(CandidateHeaps(spill, settings.source.name, file, settings.partition_bits))
        with GroupWriter(rejected, REJECTED_ROWS, _REPEATING) as rejected_writer:
            for read in batches:
                batch = with_attribution(read, settings.require)
                tally.count(batch)
                heaps.add(batch.candidates)
                rejected_writer.add(batch.rejected)
        with GroupWriter(candidates, CANDIDATES, _REPEATING) as candidate_writer:
            for table in heaps.sorted_tables():
                candidate_writer.add(table)
        check_readable(settings.source, file, tally.read, candidate_writer.written, tally.reasons)
        account = LicenceAccount(
            read=tally.read,
            kept=candidate_writer.written,
            rejected=dict(sorted(tally.reasons.items())),
            licences=dict(sorted(tally.licences.items())),
        )
        check_account(account)
    write_json(outputs["account"], account)
    rate = tally.read / max(time.monotonic() - tally.began, 1e-9)
    LOG.info(
        "%s: %d rows read, %d kept, %.0f rows/s; rejected %s; licences %s",
        file, tally.read, account["kept"], rate, account["rejected"], account["licences"],
    )  # fmt: skip


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


def read_batches(
    settings: SelectCandidatesSettings, file: str, metadata: Path, table: Path | None, threads: int
) -> Iterator[RowBatch]:
    """Return the rows of a metadata file, as the module of its source's kind reads them."""
    source = settings.source
    reader: Any = importlib.import_module(f"scripts.curate.sources.{source.kind}")
    if isinstance(source, YfccSource):
        batches: Iterator[RowBatch] = reader.read_batches(source, file, metadata, settings.licences, threads)
        return batches
    return batches_of(reader.read_rows(source, file, metadata, table, settings.licences))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of SelectCandidatesSettings")
    parser.add_argument("--file", required=True, help="name of the metadata file, e.g. yfcc100m-000")
    parser.add_argument(
        "--metadata", required=True, type=outside_data, help="metadata file or folder of photos; empty when generated"
    )
    parser.add_argument(
        "--table", required=True, type=outside_data, help="attribution table of a folder; empty when there is none"
    )
    parser.add_argument("--threads", type=int, required=True, help="that decompress the metadata file")
    parser.add_argument("--candidates", required=True, type=output_file, help="written: Parquet")
    parser.add_argument("--rejected", required=True, type=output_file, help="written: Parquet")
    parser.add_argument("--account", required=True, type=output_file, help="written: JSON")
    args = parser.parse_args(argv)
    settings = read_recipe(SelectCandidatesSettings, args.recipe)
    table = Path(args.table) if args.table else None
    batches = read_batches(settings, args.file, Path(args.metadata), table, args.threads)
    outputs = Outputs(candidates=args.candidates, rejected=args.rejected, account=args.account)
    select_candidates(settings, args.file, batches, outputs)


if __name__ == "__main__":
    run_step(main)
