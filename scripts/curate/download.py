"""Bring the bytes of a partition's candidates into one tar, with a row of status for each candidate.

The result depends on what the stores answer and not on the order in which they answer: bytes gather in
`<tar>.spool/` as they come and are written in candidate order at the end. A killed job goes on from its spool.

A store that definitely does not have a photo passes the question to the source's next store; one that could not answer
(time-out, server error) does not, because its silence says nothing about the photo.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from scripts.curate.http_store import Client, ServerStore
from scripts.curate.progress import Progress
from scripts.curate.settings import DownloadSettings, FolderSource, FractalSource, HttpStore, Source
from scripts.curate.settings import TarStore as TarStoreSettings
from scripts.curate.spool import Spool
from scripts.curate.stores import Candidate, FolderStore, FractalStore, Outcome, Store, TarStore
from scripts.lib.accounting import account_for
from scripts.lib.errors import UserError
from scripts.lib.files import replacing, table_of, write_table
from scripts.lib.images import EXTENSIONS, sniff_format
from scripts.lib.reasons import DownloadReason
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import DOWNLOADS
from scripts.lib.tars import TarWriter

LOG = logging.getLogger(__name__)

COLUMNS = ["image_id", "source", "file", "row", "locator", "download_url"]
_SAFE_ID = re.compile(r"[0-9A-Za-z_-]{1,80}")

Row = dict[str, Any]


def read_candidates(paths: Sequence[Path], part: str, source_order: Sequence[str]) -> list[Row]:
    """Return the candidate rows of one partition, in order of (image id, place of the source in the config, file, row).

    Raises:
        UserError: an image id that cannot be a file name, a source that the recipe does not know, or a row that comes
            twice.
    """
    places = {name: place for place, name in enumerate(source_order)}
    rows: list[Row] = []
    for path in paths:
        rows += pq.read_table(path, columns=COLUMNS, filters=[("part", "==", part)]).to_pylist()
    for row in rows:
        if row["source"] not in places or not _SAFE_ID.fullmatch(row["image_id"]):
            raise UserError(
                f"row {row['row']} of {row['file']} has image id {row['image_id']!r} and source {row['source']!r};"
                f" expected letters and digits, and one of {list(places)}. The candidate tables are not of this recipe:"
                " delete results/curate/select_candidates and run again."
            )
    rows.sort(key=lambda row: (row["image_id"], places[row["source"]], row["file"], row["row"]))
    for before, row in pairwise(rows):
        if all(before[name] == row[name] for name in ("image_id", "source", "file", "row")):
            raise UserError(
                f"row {row['row']} of {row['file']} (image {row['image_id']}) comes twice in the candidate tables"
                f" {', '.join(map(str, paths))}: delete them and run again to select the candidates anew."
            )
    return rows


def first_rows(rows: Sequence[Row]) -> dict[str, Row]:
    """Return image id → the first row that names it."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row["image_id"], row)
    return first


def candidate_of(row: Row) -> Candidate:
    """Return what stores need to know of a row."""
    return Candidate(row["image_id"], row["source"], row["locator"], row["download_url"])


def local_paths(texts: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield (source, path) of `source=path`; an empty text means none."""
    for text in filter(None, texts):
        name, equals, path = text.partition("=")
        if not (equals and path):
            raise UserError(f"--local-stores takes source=path, got {text!r}")
        yield name, Path(path)


def open_stores(source: Source, paths: Iterator[Path], settings: DownloadSettings, client: Client) -> list[Store]:
    """Return the stores of a source in the order in which they are asked."""
    policy = settings.policy
    if isinstance(source, FractalSource):
        return [FractalStore(source, policy)]
    if isinstance(source, FolderSource):
        return [FolderStore(_next_path(paths, source), policy, by_key=False)]
    stores: list[Store] = []
    for store in source.stores:
        if isinstance(store, HttpStore):
            stores.append(ServerStore(store.url, client))
        elif isinstance(store, TarStoreSettings):
            stores.append(TarStore(_next_path(paths, source), policy))
        else:
            stores.append(FolderStore(_next_path(paths, source), policy, by_key=True))
    return stores


def _next_path(paths: Iterator[Path], source: Source) -> Path:
    path = next(paths, None)
    if path is None:
        raise UserError(
            f"--local-stores has fewer paths for the source {source.name} than the recipe has local stores."
        )
    return path


async def ask_stores(candidate: Candidate, stores: Sequence[Store]) -> Outcome:
    """Return the bytes from the first store that has them, else the last store's reason."""
    outcome = Outcome(DownloadReason.NOT_FOUND, "the source has no store")
    for store in stores:
        outcome = await store.fetch(candidate)
        if outcome.reason in ("", DownloadReason.DOWNLOAD_FAILED):
            break
    return outcome


async def fetch_all(
    rows: Sequence[Row], settings: DownloadSettings, paths: Mapping[str, Sequence[Path]], spool: Spool, part: str
) -> None:
    """Settle each candidate into the spool, `connections` at a time."""
    progress = Progress(len(rows), settings.policy, part)
    pending = iter(rows)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(settings.policy, settings.user_agent))
        stores: dict[str, list[Store]] = {}
        needed = {row["source"] for row in rows}
        for source in settings.sources:
            if source.name in needed:
                stores[source.name] = open_stores(source, iter(paths.get(source.name, ())), settings, client)
                for store in stores[source.name]:
                    stack.callback(store.close)

        async def work() -> None:
            for row in pending:
                candidate = candidate_of(row)
                settled = spool.get(candidate)
                if settled is None:
                    settled = spool.add(candidate, await ask_stores(candidate, stores[candidate.source]))
                progress.count(settled)

        workers = [asyncio.create_task(work()) for _ in range(settings.policy.connections)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
    progress.check()


def write_tar(rows: Sequence[Row], first: Mapping[str, Row], spool: Spool, tar_path: Path) -> list[Row]:
    """Write the tar in candidate order and return the rows of `tables.DOWNLOADS`."""
    status = []
    with replacing(tar_path) as private, TarWriter(private) as tar:
        for row in rows:
            entry: Row = {name: row[name] for name in ("image_id", "source", "file", "row")}
            entry |= {"reason": "", "detail": "", "address": "", "member": "", "offset": None, "size": None}
            entry["sha256"] = ""
            earlier = first[row["image_id"]]
            settled = spool.get(candidate_of(row))
            if earlier is not row:
                entry["reason"] = str(DownloadReason.REPEATED_ID)
                entry["detail"] = f"the same image as row {earlier['row']} of {earlier['file']}"
            else:
                assert settled is not None
                entry |= {"reason": settled.reason, "detail": settled.detail, "address": settled.address}
                if settled.reason == "":
                    content = spool.read(settled)
                    extension = EXTENSIONS.get(sniff_format(content) or "", "bin")
                    member = tar.add(f"{row['image_id']}.{extension}", content)
                    entry |= {"member": member.name, "offset": member.offset, "size": member.size}
                    entry["sha256"] = settled.sha256
            status.append(entry)
    return status


def main(argv: Sequence[str] | None = None) -> None:
    """Download one partition."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of DownloadSettings")
    parser.add_argument("--part", required=True, help="partition, as in the candidates' column `part`")
    parser.add_argument("--candidates", required=True, nargs="*", type=Path, help="tables of `select_candidates`")
    parser.add_argument("--local-stores", required=True, nargs="*", help="source=path of each local store, in order")
    parser.add_argument("--tar", required=True, type=Path, help="tar to write")
    parser.add_argument("--status", required=True, type=Path, help="status table to write")
    arguments = parser.parse_args(argv)
    settings = read_recipe(DownloadSettings, arguments.recipe)
    paths: dict[str, list[Path]] = {}
    for name, path in local_paths(arguments.local_stores):
        paths.setdefault(name, []).append(path)
    rows = read_candidates(arguments.candidates, arguments.part, [source.name for source in settings.sources])
    first = first_rows(rows)
    LOG.info("partition %s: %d candidate rows, %d photos", arguments.part, len(rows), len(first))
    with Spool(arguments.tar.with_name(arguments.tar.name + ".spool"), arguments.recipe) as spool:
        asyncio.run(fetch_all(list(first.values()), settings, paths, spool, arguments.part))
        status = write_tar(rows, first, spool, arguments.tar)
        account = account_for(len(rows), (row["reason"] for row in status))
        write_table(arguments.status, table_of(status, DOWNLOADS))
        spool.remove()
    LOG.info("read %d, with bytes %d, without %s", account["read"], account["kept"], account["rejected"])


if __name__ == "__main__":
    run_step(main)
