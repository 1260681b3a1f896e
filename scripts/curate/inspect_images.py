"""Decode each downloaded image of a partition under guard and measure it.

Leaves one row for each image that has bytes: the reason why it is not usable, or its size, mode, colours, SHA-256,
perceptual hashes, and what its metadata say of people and places. Knows no threshold of the selection: that is
`judge`'s work. `--threads` worker processes decode; their number changes the time alone.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow.parquet as pq

from scripts.curate.decode_pool import DecodePool
from scripts.curate.settings import InspectImagesSettings
from scripts.lib.accounting import Account, account_for
from scripts.lib.errors import UserError
from scripts.lib.files import table_of, write_table
from scripts.lib.flags import input_file, output_file
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import INSPECTIONS
from scripts.lib.tars import TarReader

LOG = logging.getLogger(__name__)

LOG_SECONDS = 10.0


def inspect_images(
    rows: Iterable[dict[str, Any]], tar: TarReader, limits: InspectImagesSettings, workers: int
) -> Iterator[dict[str, Any]]:
    """Yield a row of `tables.INSPECTIONS` for each downloaded image, in the order of `rows`.

    Args:
        rows: `image_id, member, offset, size, sha256` of the images in the tar.
        tar: the partition's tar.
        limits: of the guarded decode.
        workers: processes that decode.

    Raises:
        UserError: the tar does not hold what the status table says.
    """
    pool = DecodePool(limits, workers)
    with pool:
        for row, measured in pool.measure((row, _read(tar, row)) for row in rows):
            yield {"image_id": row["image_id"], "sha256": row["sha256"], **measured.as_row()}
    LOG.info("%d workers, %d processes started, largest %d MB", workers, pool.starts, pool.peak_mb)


def _read(tar: TarReader, row: dict[str, Any]) -> bytes:
    try:
        content = tar.read(row["offset"], row["size"])
    except EOFError:
        content = b""
    if hashlib.sha256(content).hexdigest() != row["sha256"]:
        raise UserError(
            f"the tar of this partition does not hold the bytes of {row['member']} that its status table lists: one of"
            " the two was changed after `download` wrote them. Delete both, then run again to download anew."
        )
    return content


def main(argv: Sequence[str] | None = None) -> None:
    """Inspect one partition."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of InspectImagesSettings")
    parser.add_argument("--tar", required=True, type=input_file, help="bytes of the partition's images")
    parser.add_argument("--status", required=True, type=input_file, help="status table of `download`")
    parser.add_argument("--threads", type=int, default=1, help="worker processes that decode")
    parser.add_argument("--out", required=True, type=output_file, help="table of measurements to write")
    arguments = parser.parse_args(argv)
    limits = read_recipe(InspectImagesSettings, arguments.recipe)
    status = pq.read_table(arguments.status, columns=["image_id", "reason", "member", "offset", "size", "sha256"])
    rows = [row for row in status.to_pylist() if row.pop("reason") == ""]
    LOG.info("%d candidates, %d with bytes in %s", len(status), len(rows), arguments.tar)
    if len({row["image_id"] for row in rows}) != len(rows):
        raise UserError(
            f"{arguments.status} has two rows with bytes for one image. Delete it, then run again to download that part"
            " anew."
        )
    measured = []
    began = logged = time.monotonic()
    with TarReader(arguments.tar) as tar:
        for row in inspect_images(rows, tar, limits, arguments.threads):
            measured.append(row)
            if time.monotonic() - logged > LOG_SECONDS:
                logged = time.monotonic()
                rate = len(measured) / (logged - began)
                left = (len(rows) - len(measured)) / rate / 60
                LOG.info("%d of %d images, %.0f per second, %.1f min left", len(measured), len(rows), rate, left)
    account: Account = account_for(len(rows), (row["reason"] for row in measured))
    write_table(arguments.out, table_of(measured, INSPECTIONS))
    LOG.info("read %d, usable %d, not usable %s", account["read"], account["kept"], account["rejected"])


if __name__ == "__main__":
    run_step(main)
