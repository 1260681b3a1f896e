"""Stable ids, and where an id belongs: its partition and its shard depend on the id alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

HASH_BITS = 32


def position(image_id: str) -> int:
    """Return the first 32 bits of SHA-256(image id): the id's place on the ring that parts and shards divide."""
    return int.from_bytes(hashlib.sha256(image_id.encode("utf-8")).digest()[:4], "big")


def part_of(image_id: str, bits: int) -> str:
    """Return the partition of an id: the first `bits` bits of its hash, in hexadecimal."""
    return part_name(position(image_id) >> (HASH_BITS - bits), bits)


def part_name(index: int, bits: int) -> str:
    """Return the name of partition `index` of 2**bits: fixed-width hexadecimal."""
    return f"{index:0{max(1, (bits + 3) // 4)}x}"


def part_names(bits: int) -> list[str]:
    """Return all 2**bits partition names in order."""
    return [part_name(index, bits) for index in range(2**bits)]


def shard_of(image_id: str, count: int) -> str:
    """Return the shard of an id among `count` shards, as five decimal digits."""
    return shard_name((position(image_id) * count) >> HASH_BITS)


def shard_name(index: int) -> str:
    """Return the name of a shard."""
    return f"{index:05d}"


def shard_names(count: int) -> list[str]:
    """Return all shard names in order."""
    return [shard_name(index) for index in range(count)]


def parts_of_shard(shard: str, count: int, bits: int) -> list[str]:
    """Return the partitions whose hash range overlaps that of `shard`, in order."""
    index = int(shard)
    first = -(-(index << HASH_BITS) // count)
    last = -(-((index + 1) << HASH_BITS) // count) - 1
    shift = HASH_BITS - bits
    return [part_name(part, bits) for part in range(first >> shift, (last >> shift) + 1)]


def yfcc_key(download_url: str) -> str:
    """Return the Multimedia Commons key of a photo: MD5 of its download address, each byte without zero padding.

    16 to 32 hexadecimal digits, as in the published PASS file names (YFCC100M; checked on published rows).
    """
    digest = hashlib.md5(download_url.encode("utf-8"), usedforsecurity=False).digest()
    return "".join(f"{byte:x}" for byte in digest)


def derived_id(source: str, name: str) -> str:
    """Return the id of an image of a source that has none of its own: 32 hexadecimal digits of (source, name)."""
    return hashlib.sha256(f"{source}\0{name}".encode()).hexdigest()[:32]


def content_digest(image_ids: Iterable[str], sha256s: Iterable[str]) -> str:
    """Return one SHA-256 over the lines `<image id> <SHA-256 of the file>` sorted by id, however sharded."""
    lines = sorted(f"{image_id} {sha256}\n" for image_id, sha256 in zip(image_ids, sha256s, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
