"""Write the metadata of the selected images: a CSV in PASS's released layout, and a full table for attribution.

`pass_metadata.csv` has the columns of the PASS release (version 3, Zenodo 6615455): an unnamed index,
`unickname` with Flickr's URL encoding, `datetaken`, `licensename`, `hash`, `latitude`, `longitude`; absent values are
empty. The index is the row number in `metadata.parquet`; both are sorted by image id.

No cell can be run by a spreadsheet. `unickname` is URL-encoded, as in the release, which leaves no `=`, `@`, TAB or
CR; a `-` or blank at its start is encoded too (`%2D`, `%20`), so decoding gives back the name. Any other text that
starts with one of `= + - @ TAB CR` gets an apostrophe in front. Latitude and longitude are numbers and stay as they
are.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from urllib.parse import quote_plus

import pyarrow as pa

from scripts.lib.errors import UserError
from scripts.lib.files import read_tables, write_csv, write_table
from scripts.lib.flags import input_file, output_file
from scripts.lib.identity import shard_of
from scripts.lib.recipe import read_recipe
from scripts.lib.selection_table import read_kept
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import METADATA, SHARD_INDEX
from scripts.shard.settings import WriteShardsSettings

LOG = logging.getLogger(__name__)
PASS_HEADER = ("", "unickname", "datetaken", "licensename", "hash", "latitude", "longitude")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_FROM_INDEX = ("shard", "member", "sha256", "source_sha256")
BATCH_ROWS = 65_536  # that are Python objects at a time


def encode_name(name: str) -> str:
    """Return a user name in the URL encoding of the PASS release; `urllib.parse.unquote_plus` gives it back."""
    encoded = quote_plus(name)
    if encoded.startswith("-"):
        return "%2D" + encoded[1:]
    return "%20" + encoded[1:] if encoded.startswith("+") else encoded


def inert_text(text: str) -> str:
    """Return a text that no spreadsheet runs: an apostrophe before one that starts like a formula."""
    return "'" + text if text.startswith(FORMULA_STARTS) else text


def float_text(value: float | None) -> str:
    """Return the shortest text that reads back as `value`, "" for an absent one (None or NaN)."""
    return "" if value is None or math.isnan(value) else repr(value)


def join_metadata(kept: pa.Table, index: pa.Table, count: int) -> pa.Table:
    """Return a table of `METADATA`, one row for each kept image, sorted by image id.

    Args:
        kept: the kept rows of `SELECTION`.
        index: rows of `SHARD_INDEX` of all shards.
        count: number of shards.

    Raises:
        UserError: the indexes hold other images than the selection keeps.
    """
    kept = kept.sort_by("image_id")
    index = index.sort_by("image_id")
    # The selection knows the file that was downloaded, whose metadata the shard's file may no longer have.
    for ours, theirs in (("image_id", "image_id"), ("sha256", "source_sha256")):
        if kept[ours].combine_chunks() != index[theirs].combine_chunks():
            raise UserError(
                f"the shards do not hold what the selection keeps ({index.num_rows} images in the shards, "
                f"{kept.num_rows} in the selection, column {theirs} differs); remake them with snakemake --forcerun "
                "write_shards"
            )
    check_shards(index, count)
    columns = [(index if name in _FROM_INDEX else kept)[name] for name in METADATA.names]
    return pa.table(columns, schema=METADATA)


def check_shards(index: pa.Table, count: int) -> None:
    """Fail unless each image lies in the shard that `count` shards give it.

    Raises:
        UserError: names the first image that does not.
    """
    for batch in index.select(["image_id", "shard"]).to_batches(max_chunksize=BATCH_ROWS):
        for image_id, shard in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if shard != shard_of(image_id, count):
                raise UserError(
                    f"image {image_id} is in shard {shard}, where with {count} shards it belongs to "
                    f"{shard_of(image_id, count)}; remake the shards with snakemake --forcerun write_shards"
                )


def pass_rows(metadata: pa.Table) -> Iterator[tuple[str, ...]]:
    """Yield the rows of `pass_metadata.csv`."""
    names = ["creator", "date_taken", "licence_name", "image_id", "latitude", "longitude"]
    number = -1
    for batch in metadata.select(names).to_batches(max_chunksize=BATCH_ROWS):
        for creator, date, licence, image_id, latitude, longitude in zip(
            *(column.to_pylist() for column in batch.columns), strict=True
        ):
            number += 1
            yield (
                str(number),
                encode_name(creator or ""),
                inert_text(date or ""),
                inert_text(licence or ""),
                inert_text(image_id),
                float_text(latitude),
                float_text(longitude),
            )


def main(argv: Sequence[str] | None = None) -> None:
    """Parse flags, read, join, write both tables."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="WriteShardsSettings as JSON")
    parser.add_argument("--selection", required=True, type=input_file)
    parser.add_argument("--indexes", nargs="*", default=[], type=input_file, help="indexes of all shards")
    parser.add_argument("--pass-metadata", required=True, type=output_file)
    parser.add_argument("--metadata", required=True, type=output_file)
    flags = parser.parse_args(argv)
    settings = read_recipe(WriteShardsSettings, flags.recipe)

    wanted = [name for name in METADATA.names if name not in _FROM_INDEX]
    index = read_tables(flags.indexes, SHARD_INDEX, columns=["image_id", *_FROM_INDEX])
    metadata = join_metadata(read_kept(flags.selection, [*wanted, "sha256"]), index, settings.count)
    write_table(flags.metadata, metadata)
    write_csv(flags.pass_metadata, PASS_HEADER, pass_rows(metadata))
    located = metadata.num_rows - metadata["latitude"].null_count
    LOG.info("wrote metadata of %d images (%d with a position): %s", metadata.num_rows, located, flags.metadata)


if __name__ == "__main__":
    run_step(main)
