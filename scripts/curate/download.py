"""Bring the bytes of a partition's candidates into one tar, with a row of status for each candidate.

The result depends on what the stores answer and not on the order in which they answer: bytes gather in
`<tar>.spool/` as they come and are written in candidate order at the end. A killed job goes on from its spool.

A store that definitely does not have a photo passes the question to the source's next store. One that could not answer
(time-out, server error) does not, because its silence says nothing about the photo; nor does one that opts out
(robots.txt, X-Robots-Tag, TDM reservation), because that is an answer, and not one to be got round.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from scripts.curate.candidate_rows import Row, candidate_of, first_rows, read_candidates
from scripts.curate.earlier import before, forget, take_over
from scripts.curate.http_store import Client, ServerStore
from scripts.curate.progress import Progress
from scripts.curate.settings import DownloadSettings, FolderSource, FractalSource, HttpStore, Source
from scripts.curate.settings import TarStore as TarStoreSettings
from scripts.curate.spool import PASSING, Spool
from scripts.curate.stores import Candidate, FolderStore, FractalStore, Outcome, Store, TarStore
from scripts.lib.accounting import account_for
from scripts.lib.errors import UserError
from scripts.lib.files import remove_leftovers, replacing, table_of, write_table
from scripts.lib.flags import input_file, named_data, output_file
from scripts.lib.images import EXTENSIONS, sniff_format
from scripts.lib.reasons import DownloadReason
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, spare_pandas, step_parser
from scripts.lib.tables import DOWNLOADS
from scripts.lib.tars import TarWriter

LOG = logging.getLogger(__name__)

GRACE_SECONDS = 5.0  # for what is on its way when the job has to stop
_FINAL = (
    "",
    DownloadReason.DOWNLOAD_FAILED,
    DownloadReason.ROBOTS_DISALLOWED,
    DownloadReason.OPTED_OUT_AI,
    DownloadReason.OPTED_OUT_TDM,
)


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
        if outcome.reason in _FINAL:
            break
    return outcome


async def fetch_all(
    candidates: Sequence[Candidate],
    settings: DownloadSettings,
    paths: Mapping[str, Sequence[Path]],
    spool: Spool,
    part: str,
) -> None:
    """Settle each candidate into the spool, `connections` at a time."""
    progress = Progress(len(candidates), settings.policy, part)
    pending = deque(candidates)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(settings.policy, settings.user_agent))
        stores: dict[str, list[Store]] = {}
        needed = {candidate.source for candidate in candidates}
        for source in settings.sources:
            if source.name in needed:
                stores[source.name] = open_stores(source, iter(paths.get(source.name, ())), settings, client)
                for store in stores[source.name]:
                    stack.callback(store.close)

        async def work() -> None:
            while pending:
                candidate = pending.popleft()
                settled = spool.get(candidate)
                earlier = settled is not None
                if settled is None:
                    settled = spool.add(candidate, await ask_stores(candidate, stores[candidate.source]))
                progress.count(settled, earlier=earlier)

        workers = [asyncio.create_task(work()) for _ in range(settings.policy.connections)]
        try:
            await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            pending.clear()  # when one has failed, the others still finish what they have begun
            await asyncio.wait(workers, timeout=GRACE_SECONDS)
        finally:
            for worker in workers:
                worker.cancel()
            ends = await asyncio.gather(*workers, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end
    progress.check()


def write_tar(
    rows: Sequence[Row],
    first: Mapping[str, Row],
    candidates: Mapping[str, Candidate],
    spool: Spool,
    tar_path: Path,
) -> list[Row]:
    """Write the tar in candidate order and return the rows of `tables.DOWNLOADS`."""
    status = []
    with replacing(tar_path) as private, TarWriter(private) as tar:
        for row in rows:
            entry: Row = {name: row[name] for name in ("image_id", "source", "file", "row")}
            entry |= {"reason": "", "detail": "", "address": "", "member": "", "offset": None, "size": None}
            entry["sha256"] = ""
            earlier = first[row["image_id"]]
            if earlier is not row:
                entry["reason"] = str(DownloadReason.REPEATED_ID)
                entry["detail"] = f"the same image as row {earlier['row']} of {earlier['file']}"
            else:
                settled = spool.get(candidates[row["image_id"]])
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
    parser.add_argument("--candidates", required=True, nargs="*", type=input_file, help="tables of `select_candidates`")
    parser.add_argument(
        "--local-stores", required=True, nargs="*", type=named_data, help="source=path of each local store, in order"
    )
    parser.add_argument("--tar", required=True, type=output_file, help="tar to write")
    parser.add_argument("--status", required=True, type=output_file, help="status table to write")
    arguments = parser.parse_args(argv)
    settings = read_recipe(DownloadSettings, arguments.recipe)
    paths: dict[str, list[Path]] = {}
    for name, path in local_paths(arguments.local_stores):
        paths.setdefault(name, []).append(path)
    rows = read_candidates(arguments.candidates, arguments.part, [source.name for source in settings.sources])
    first = first_rows(rows)
    LOG.info("partition %s: %d candidate rows, %d photos", arguments.part, len(rows), len(first))
    with Spool(arguments.tar.with_name(arguments.tar.name + ".spool"), arguments.recipe) as spool:
        candidates = {image_id: candidate_of(row) for image_id, row in first.items()}
        for output in (arguments.tar, arguments.status):
            remove_leftovers(output)  # as large as a partition; the spool's lock says that nobody is writing them
        take_over(arguments.tar, arguments.status, first, candidates, spool)
        asyncio.run(fetch_all(list(candidates.values()), settings, paths, spool, arguments.part))
        status = write_tar(rows, first, candidates, spool, arguments.tar)
        account = account_for(len(rows), (row["reason"] for row in status))
        write_table(arguments.status, table_of(status, DOWNLOADS))
        spool.remove()
        forget(arguments.tar, arguments.status)
    LOG.info("read %d, with bytes %d, without %s", account["read"], account["kept"], account["rejected"])
    failed = sum(account["rejected"].get(reason, 0) for reason in PASSING)
    if failed:
        names = " and ".join(f"{path.name} to {before(path).name}" for path in (arguments.tar, arguments.status))
        LOG.warning("%d photos may come at another time; to ask for these alone, rename %s, then run", failed, names)


if __name__ == "__main__":
    spare_pandas()
    run_step(main)
