"""Ids, partitions and shards."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.lib import identity


def test_part_is_a_prefix_of_the_hash() -> None:
    for image_id in ("a", "b66a26f0429984976a496a44812eb6", "ü"):
        digest = hashlib.sha256(image_id.encode()).hexdigest()
        assert identity.part_of(image_id, 8) == digest[:2]
        assert identity.part_of(image_id, 4) == digest[:1]
        assert identity.part_of(image_id, 0) == "0"


@given(st.text(), st.integers(0, 12), st.integers(1, 300))
def test_a_shard_reads_only_its_parts(image_id: str, bits: int, count: int) -> None:
    shard = identity.shard_of(image_id, count)
    assert shard in identity.shard_names(count)
    assert identity.part_of(image_id, bits) in identity.parts_of_shard(shard, count, bits)


@pytest.mark.parametrize(("bits", "count"), [(0, 1), (1, 2), (3, 8), (8, 256), (2, 3), (1, 5)])
def test_shards_cover_every_part(bits: int, count: int) -> None:
    covered = [part for shard in identity.shard_names(count) for part in identity.parts_of_shard(shard, count, bits)]
    assert sorted(set(covered)) == identity.part_names(bits)
    if count == 2**bits:
        assert covered == identity.part_names(bits)


def test_yfcc_key_is_the_published_one() -> None:
    # A published YFCC100M row; each byte of the MD5 is written without zero padding.
    url = "http://farm1.staticflickr.com/59/159974628_7b9dd1d7e5.jpg"
    assert identity.yfcc_key(url) == "b66a26f0429984976a496a44812eb6"


def test_derived_ids_do_not_collide_over_the_separator() -> None:
    assert identity.derived_id("a", "bc") != identity.derived_id("ab", "c")
    assert len(identity.derived_id("a", "b")) == 32
