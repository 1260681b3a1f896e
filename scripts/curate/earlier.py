"""A finished partition's photos, taken over so that only those that failed are asked for again.

Who renames `<part>.tar` and `<part>.parquet` to `<part>.tar.before` and `<part>.parquet.before` wants that: the next
`download` of the partition settles from them whatever was settled, asks for the rest, and removes them at its end.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq

from scripts.curate.candidate_rows import Row
from scripts.curate.spool import PASSING, Spool
from scripts.curate.stores import Candidate, Outcome
from scripts.lib.errors import UserError
from scripts.lib.reasons import DownloadReason
from scripts.lib.tars import TarReader

LOG = logging.getLogger(__name__)

_KEY = ("image_id", "source", "file", "row")


def before(path: Path) -> Path:
    """Return the name under which a finished output is taken over."""
    return path.with_name(path.name + ".before")


def take_over(
    tar: Path, status: Path, first: Mapping[str, Row], candidates: Mapping[str, Candidate], spool: Spool
) -> int:
    """Settle in the spool what `<tar>.before` and `<status>.before` hold; return how many photos that was.

    Raises:
        UserError: only one of the two is there.
    """
    found = [before(path) for path in (tar, status) if before(path).exists()]
    if not found:
        return 0
    if len(found) == 1:
        raise UserError(
            f"{found[0]} is here without its companion. To ask again for the failed photos of a finished partition,"
            " rename both its files, .tar and .parquet; to download it anew, delete this one."
        )
    taken = 0
    with TarReader(before(tar)) as reader:
        for row in pq.read_table(before(status)).to_pylist():
            known = first.get(row["image_id"])
            if known is None or any(known[name] != row[name] for name in _KEY):
                continue
            candidate = candidates[row["image_id"]]
            if row["reason"] in (*PASSING, DownloadReason.REPEATED_ID) or spool.get(candidate) is not None:
                continue
            content = b"" if row["reason"] else _read(reader, row)
            if content is not None:
                by_server = row["address"].startswith(("http:", "https:"))
                spool.add(candidate, Outcome(row["reason"], row["detail"], row["address"], content, by_server))
                taken += 1
    LOG.info("took over %d photos of %s; the others are asked for again", taken, before(tar).name)
    return taken


def _read(reader: TarReader, row: Row) -> bytes | None:
    """Return a member's bytes, None when they are not those that the table lists."""
    try:
        content = reader.read(row["offset"], row["size"])
    except EOFError:
        content = b""
    if hashlib.sha256(content).hexdigest() == row["sha256"]:
        return content
    LOG.warning("%s does not hold its bytes any more: asked for again", row["member"])
    return None


def forget(tar: Path, status: Path) -> None:
    """Remove what was taken over."""
    for path in (tar, status):
        before(path).unlink(missing_ok=True)
