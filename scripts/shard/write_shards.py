"""Write one tar shard of the selected images, and the index that gives random access to it.

The members are named `<shard>/<image_id>.<ext>`: `webdataset` reads the tar as it is, and `torchvision`'s `ImageFolder`
reads the folder into which the shards were extracted. An image's shard depends on its id alone, so a takedown
rewrites one shard. Every image is checked against its SHA-256 while it is copied.

Unless the config says `keep`, a member is the file without its metadata (`scripts/lib/embedded`): the picture's own
bytes are copied, not encoded again, so that the pixels are the same. The index gives the SHA-256 of the member and of
the file that was downloaded, and says what that file carried besides the picture.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.lib.errors import UserError
from scripts.lib.files import read_tables, replacing, table_of, write_table
from scripts.lib.flags import input_file, output_file
from scripts.lib.identity import shard_of
from scripts.lib.images import EXTENSIONS, sniff_format
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import SELECTION, SHARD_INDEX
from scripts.lib.tars import TarReader, TarWriter
from scripts.shard.published_file import published
from scripts.shard.settings import EmbeddedMetadata, WriteShardsSettings

LOG = logging.getLogger(__name__)
ROW_KEY = ("image_id", "source", "file", "row")
# A dot would end webdataset's key, a slash would make a folder; neither is in an id of ours, and no foreign id gets by.
SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")

RowKey = tuple[str, str, str, int]


@dataclass(frozen=True)
class Chosen:
    """An image that goes into the shard; `sha256` is what `inspect_images` saw."""

    key: RowKey
    sha256: str

    @property
    def image_id(self) -> str:
        """Return the id."""
        return self.key[0]


@dataclass(frozen=True)
class Stored:
    """Where the bytes of a downloaded row lie."""

    tar: Path
    offset: int
    size: int
    sha256: str


def choose(selection: pa.Table, shard: str, count: int) -> list[Chosen]:
    """Return the kept rows of `selection` that belong to `shard` of `count`, sorted by image id.

    Args:
        selection: columns `image_id`, `source`, `file`, `row`, `keep`, `sha256`.
        shard: name of the shard, five digits.
        count: number of shards.

    Raises:
        UserError: an id cannot be a file name, or two kept rows share one.
    """
    kept = selection.filter(pc.field("keep"))
    columns = [kept[name].to_pylist() for name in (*ROW_KEY, "sha256")]
    rows = [
        Chosen((image_id, source, file, row), sha256)
        for image_id, source, file, row, sha256 in zip(*columns, strict=True)
        if shard_of(image_id, count) == shard
    ]
    rows.sort(key=lambda item: item.image_id)
    for index, item in enumerate(rows):
        if SAFE_ID.fullmatch(item.image_id) is None:
            raise UserError(
                f"the image id {item.image_id!r} of {item.key[2]} row {item.key[3]} cannot be a file name; expected "
                "1 to 80 letters, digits, - or _. Fix the ids of that source and run again"
            )
        if index and rows[index - 1].image_id == item.image_id:
            raise UserError(
                f"the selection keeps two rows with the image id {item.image_id} ({rows[index - 1].key[1:]} and "
                f"{item.key[1:]}); remake results/filter/select.parquet (snakemake --forcerun select)"
            )
    return rows


def locate(tar: Path, status: pa.Table, wanted: set[RowKey]) -> Iterator[tuple[RowKey, Stored]]:
    """Yield where the bytes of `wanted` rows lie in `tar`; `status` is the part's table of downloads."""
    stored = status.filter(pc.field("reason") == "")
    columns = [stored[name].to_pylist() for name in (*ROW_KEY, "offset", "size", "sha256")]
    for image_id, source, file, row, offset, size, sha256 in zip(*columns, strict=True):
        key = (image_id, source, file, row)
        if key in wanted:
            yield key, Stored(tar, offset, size, sha256)


def read_checked(reader: TarReader, stored: Stored, chosen: Chosen) -> bytes:
    """Return the bytes of an image.

    Raises:
        UserError: they are not the bytes that were downloaded and inspected; says which file to remake.
    """
    advice = f"Remake it: delete {stored.tar} and run snakemake again"
    try:
        content = reader.read(stored.offset, stored.size)
    except EOFError as error:
        raise UserError(f"{stored.tar} is cut short at image {chosen.image_id}: {error}. {advice}") from None
    found = hashlib.sha256(content).hexdigest()
    for expected, author in ((stored.sha256, "download"), (chosen.sha256, "inspect_images")):
        if found != expected:
            raise UserError(
                f"{stored.tar} is damaged: the bytes of image {chosen.image_id} have SHA-256 {found[:16]}..., where "
                f"{author} recorded {expected[:16] or 'nothing'}.... {advice}"
            )
    return content


def member_name(shard: str, image_id: str, content: bytes) -> str:
    """Return `<shard>/<image_id>.<ext>`, the extension by the content."""
    kind = sniff_format(content)
    if kind is None:
        raise UserError(
            f"image {image_id} was selected but is neither of {', '.join(EXTENSIONS)}; remake "
            "results/filter/select.parquet (snakemake --forcerun inspect_images)"
        )
    return f"{shard}/{image_id}.{EXTENSIONS[kind]}"


def write_shard(
    path: Path, shard: str, rows: Sequence[Chosen], places: Mapping[RowKey, Stored], mode: EmbeddedMetadata
) -> list[dict[str, str | int]]:
    """Copy `rows` into the tar at `path` in their order and return the rows of its index.

    Raises:
        UserError: a row has no bytes, or not the bytes that were downloaded.
    """
    readers: dict[Path, TarReader] = {}
    index: list[dict[str, str | int]] = []
    with TarWriter(path) as tar:
        for chosen in rows:
            stored = places.get(chosen.key)
            if stored is None:
                raise UserError(
                    f"the selection keeps image {chosen.image_id} ({chosen.key[1]}, {chosen.key[2]} row "
                    f"{chosen.key[3]}), but no table of downloads has its bytes; remake "
                    "results/filter/select.parquet from the present downloads (snakemake --forcerun select)"
                )
            if stored.tar not in readers:
                readers[stored.tar] = TarReader(stored.tar)
            content = read_checked(readers[stored.tar], stored, chosen)
            content, words = published(chosen.image_id, content, mode)
            member = tar.add(member_name(shard, chosen.image_id, content), content)
            index.append(
                {
                    "image_id": chosen.image_id,
                    "shard": shard,
                    "member": member.name,
                    "offset": member.offset,
                    "size": member.size,
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "source_sha256": stored.sha256,
                    "source_metadata": words,
                }
            )
    for reader in readers.values():
        reader.close()
    return index


def main(argv: Sequence[str] | None = None) -> None:
    """Parse flags, read, write the shard, write its index."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="WriteShardsSettings as JSON")
    parser.add_argument("--shard", required=True, help="name of the shard, five digits")
    parser.add_argument("--selections", nargs="*", default=[], type=input_file, help="tables of select of these parts")
    parser.add_argument(
        "--tars", nargs="*", default=[], type=input_file, help="tars of the parts that overlap the shard"
    )
    parser.add_argument(
        "--statuses", nargs="*", default=[], type=input_file, help="tables of downloads, in the order of --tars"
    )
    parser.add_argument("--tar", required=True, type=output_file)
    parser.add_argument("--index", required=True, type=output_file)
    flags = parser.parse_args(argv)
    settings = read_recipe(WriteShardsSettings, flags.recipe)
    if len(flags.tars) != len(flags.statuses):
        raise UserError(f"--tars names {len(flags.tars)} files and --statuses {len(flags.statuses)}; they go in pairs")

    columns = [*ROW_KEY, "keep", "sha256"]
    selection = read_tables(flags.selections, SELECTION, columns=columns, filters=pc.field("keep"))
    rows = choose(selection, flags.shard, settings.count)
    LOG.info(
        "%d images of these parts are kept, %d of them belong to shard %s", selection.num_rows, len(rows), flags.shard
    )
    wanted = {item.key for item in rows}
    places: dict[RowKey, Stored] = {}
    for tar, status in zip(flags.tars, flags.statuses, strict=True):
        columns = [*ROW_KEY, "reason", "offset", "size", "sha256"]
        places.update(locate(tar, pq.read_table(status, columns=columns), wanted))

    with replacing(flags.tar) as private:
        index = write_shard(private, flags.shard, rows, places, settings.embedded_metadata)
    write_table(flags.index, table_of(index, SHARD_INDEX))
    changed = sum(row["sha256"] != row["source_sha256"] for row in index)
    LOG.info("embedded metadata: %s, %d of %d files changed", settings.embedded_metadata, changed, len(index))
    LOG.info("wrote %d images, %d bytes of tar: %s", len(index), flags.tar.stat().st_size, flags.tar)


if __name__ == "__main__":
    run_step(main)
