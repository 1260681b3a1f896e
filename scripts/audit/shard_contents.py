"""Do the shards hold what was selected: these images, each once, in its shard, with the bytes that the index names?

Pictures are hashed beside the files that hold them, which costs as much again. Of large datasets only a share is, drawn
by lot: what one job wrote, a file and the index of its pictures, is already compared with that job's record.
"""

from __future__ import annotations

import csv
import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from scripts.audit.audited_tables import UnreadableError, checked, read_table
from scripts.audit.findings import NOT_CHECKED, Finding
from scripts.audit.run_folder import RunFolder, inputs_of, output_of
from scripts.lib.draws import rank
from scripts.lib.identity import shard_of
from scripts.lib.records import Record
from scripts.lib.tars import TarReader, list_members

CHECK = "shards"
MOST_BYTES = 20e9  # of all shards together, up to which every picture is hashed
COLUMNS = ["image_id", "shard", "member", "offset", "size", "sha256", "source_sha256"]


@dataclass
class Held:
    """What the shards hold: columns of all indexes that could be read."""

    tables: list[pa.Table] = field(default_factory=list)
    images: int = 0
    share: float = 1.0  # of the pictures that are hashed
    hashed: int = 0  # of the last shard


def check_shards(run: RunFolder, most_bytes: float = MOST_BYTES) -> Iterator[Finding]:
    """Yield a finding for each shard, for all of them against the selection, and for the metadata.

    Args:
        run: what lies there.
        most_bytes: of shards, up to which every picture is hashed; of more, a share of them that is as large.
    """
    shards = list(run.of_step("shard.write_shards"))
    if not shards:
        yield Finding(CHECK, NOT_CHECKED, "results/shard", "This run wrote no shards.", exempt=True)
        return
    size = sum(each["bytes"] for _, record in shards for each in record["outputs"] if each["flag"] == "tar")
    held = Held(share=min(1.0, most_bytes / max(1, size)))
    for name, record in shards:
        yield from checked(
            CHECK,
            f"results/{name}",
            lambda record=record: _shard(run, record, held),  # type: ignore[misc]
            lambda: (
                f"Its {held.tables[-1].num_rows:,} pictures are those of the index; the bytes of {held.hashed:,} of "
                "them have its SHA-256."
            ),
        )
    selection = inputs_of(shards[0][1], "selection")[0]
    yield from checked(
        CHECK,
        selection,
        lambda: _selection(run, selection, held),
        lambda: f"The {held.images:,} kept images are in the shards, each once.",
    )
    for name, record in run.of_step("shard.write_metadata"):
        yield from checked(
            CHECK,
            f"results/{name}",
            lambda record=record: _metadata(run, record, held),  # type: ignore[misc]
            lambda: f"The metadata have one row for each of the {held.images:,} images.",
        )


def _shard(run: RunFolder, record: Record, held: Held) -> Iterator[str]:
    tar, path = output_of(record, "tar"), output_of(record, "index")
    count, shard = record["values"]["recipe"]["count"], record["values"]["shard"]
    index = read_table(run, path, COLUMNS)
    held.tables.append(index)
    if tar in run.broken:
        raise UnreadableError(f"{tar} is not what its job left, so nothing in it is believed")
    rows = index.to_pylist()
    if wrong := [row for row in rows if row["shard"] != shard or shard_of(row["image_id"], count) != shard]:
        yield f"{path} holds {wrong[0]['image_id']}, which belongs to shard {shard_of(wrong[0]['image_id'], count)}."
    try:
        members = [(member.name, member.offset, member.size) for member in list_members(run.path(tar))]
        due = [(row["member"], row["offset"], row["size"]) for row in rows]
        if members != due:
            odd = [str(member) for member in sorted(set(members) ^ set(due))] or ["their order"]
            yield f"{tar} has {len(members):,} members and {path} names {len(due):,}; the first that differs: {odd[0]}."
        hashed = [row for row in rows if held.share >= 1 or _drawn(row["image_id"], held.share)]
        held.hashed = len(hashed)
        with TarReader(run.path(tar)) as reader:
            for row in hashed:
                if hashlib.sha256(reader.read(row["offset"], row["size"])).hexdigest() != row["sha256"]:
                    yield f"{row['member']} in {tar} has other bytes than {path} says (SHA-256 {row['sha256'][:16]})."
                    return
    except (OSError, EOFError, tarfile.TarError) as error:
        raise UnreadableError(f"{tar} cannot be read ({error})") from None


def _drawn(image_id: str, share: float) -> bool:
    return int(rank(0, "verify pictures", image_id)[:8], 16) < share * 2**32


def _selection(run: RunFolder, path: str, held: Held) -> Iterator[str]:
    kept = read_table(run, path, ["image_id", "keep", "sha256"], filters=pc.field("keep")).sort_by("image_id")
    stored = pa.concat_tables([table.select(COLUMNS) for table in held.tables]).sort_by("image_id")
    held.images = stored.num_rows
    for ours, theirs, what in (("image_id", "image_id", "other images"), ("sha256", "source_sha256", "other files")):
        if _column(kept, ours).equals(_column(stored, theirs)):
            continue
        odd = sorted(set(kept[ours].to_pylist()) ^ set(stored[theirs].to_pylist())) or ["one that is there twice"]
        yield (
            f"The shards hold {stored.num_rows:,} images and {path} keeps {kept.num_rows:,}: {what}, the first that "
            f"differs is {odd[0]}."
        )
        return


def _column(table: pa.Table, name: str) -> Any:
    return table[name].combine_chunks()


def _metadata(run: RunFolder, record: Record, held: Held) -> Iterator[str]:
    stored = pa.concat_tables(held.tables).sort_by("image_id")
    for flag in sorted({each["flag"] for each in record["outputs"]}):
        path = output_of(record, flag)
        if path.endswith(".parquet"):
            table = read_table(run, path, ["image_id", "shard", "member", "sha256"])
            same = table.equals(stored.select(table.column_names))
            if not same:
                yield f"{path} names other images, members or SHA-256 than the {stored.num_rows:,} of the shards."
        elif path not in run.broken:
            try:
                with run.path(path).open(encoding="utf-8", newline="") as lines:
                    ids = [row["hash"] for row in csv.DictReader(lines)]
            except (OSError, ValueError, KeyError) as error:
                raise UnreadableError(f"{path} cannot be read ({error})") from None
            if ids != stored["image_id"].to_pylist():
                yield f"{path} names {len(ids):,} images that are not the {stored.num_rows:,} of the shards."
