"""The join against a comparison of all pairs, in every orientation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scripts.curate.hash_join import MAX_BLOCKS, best_blocks, near_pairs
from scripts.lib.perceptual_hash import Orientation, orientations, oriented_hashes

ALL = orientations(mirrored=True, turned=True)

Pair = tuple[int, int, Orientation]


def hashes_with_neighbours(seed: int, count: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Return random hashes, half of them another one laid in some orientation with up to 9 bits turned."""
    generator = np.random.default_rng(seed)
    hashes = generator.integers(0, 2**64, count, dtype=np.uint64)
    for index in range(count // 2, count):
        bits = generator.choice(64, int(generator.integers(0, 10)), replace=False)
        original = oriented_hashes(hashes[index - count // 2 :][:1], ALL[index % 8])[0]
        hashes[index] = original ^ np.uint64(sum(1 << int(bit) for bit in bits))
    return hashes


def found(hashes: Any, distance: int, chosen: list[Orientation]) -> list[Pair]:
    pairs: list[Pair] = []
    for first, second, orientation in near_pairs(hashes, distance, chosen):
        pairs += [(i, j, orientation) for i, j in zip(first.tolist(), second.tolist(), strict=True)]
    return pairs


def expected(hashes: Any, distance: int, chosen: list[Orientation]) -> set[Pair]:
    return {
        (i, j, orientation)
        for orientation in chosen
        for j, other in enumerate(oriented_hashes(hashes, orientation).tolist())
        for i, one in enumerate(hashes.tolist()[:j])
        if (one ^ other).bit_count() <= distance
    }


@pytest.mark.parametrize("distance", range(9))
def test_join_finds_exactly_the_pairs_of_a_full_comparison_each_once(distance: int) -> None:
    hashes = hashes_with_neighbours(distance, 300)
    pairs = found(hashes, distance, ALL)
    assert len(pairs) > 10
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == expected(hashes, distance, ALL)


@pytest.mark.parametrize(("mirrored", "turned"), [(False, False), (True, False), (False, True)])
def test_join_looks_in_the_orientations_asked_for_alone(mirrored: bool, turned: bool) -> None:
    hashes = hashes_with_neighbours(1, 300)
    chosen = orientations(mirrored=mirrored, turned=turned)
    pairs = found(hashes, 4, chosen)
    assert {orientation for _, _, orientation in pairs} == set(chosen)
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == expected(hashes, 4, chosen)


@pytest.mark.parametrize("distance", [1, 3, 4, 6])
@pytest.mark.parametrize("blocks", [7, 8, 9])
def test_number_of_blocks_does_not_change_the_pairs(distance: int, blocks: int, monkeypatch: Any) -> None:
    # The blocks are chosen by count; a join of millions takes others than one of hundreds.
    hashes = hashes_with_neighbours(5, 200)
    monkeypatch.setattr("scripts.curate.hash_join.best_blocks", lambda *_: blocks)
    pairs = found(hashes, distance, ALL)
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == expected(hashes, distance, ALL)


def test_symmetric_pictures_and_crowded_keys() -> None:
    # Hashes that are their own transposes, and many that differ in the last byte alone.
    crowded = np.concatenate([np.arange(64, dtype=np.uint64), oriented_hashes(np.arange(64, dtype=np.uint64), ALL[3])])
    assert set(found(crowded, 2, ALL)) == expected(crowded, 2, ALL)


def test_join_of_nothing_and_one() -> None:
    for count in (0, 1):
        assert found(np.zeros(count, np.uint64), 3, ALL) == []


@pytest.mark.parametrize("distance", range(9))
def test_more_hashes_are_cut_into_more_blocks(distance: int) -> None:
    chosen = [best_blocks(count, distance, 8) for count in (100, 10_000, 1_000_000, 100_000_000)]
    assert chosen == sorted(chosen)
    assert distance < chosen[0] <= chosen[-1] <= MAX_BLOCKS


@pytest.mark.slow
def test_a_million_hashes_with_planted_pairs() -> None:
    generator = np.random.default_rng(3)
    hashes = generator.integers(0, 2**64, 1_000_000, dtype=np.uint64)
    for pair in range(1000):
        bits = generator.choice(64, pair % 7, replace=False)
        hashes[500_000 + pair] = hashes[pair] ^ np.uint64(sum(1 << int(bit) for bit in bits))
    pairs = {(i, j) for i, j, _ in found(hashes, 6, ALL[:1])}
    assert {(pair, 500_000 + pair) for pair in range(1000)} <= pairs
    assert len(pairs) < 1100
