"""Stars against a naive walk over all pairs, and chains worked out by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from scripts.curate.star_clusters import Likeness, find_copies
from scripts.lib.perceptual_hash import (
    UPRIGHT,
    correlations,
    distances,
    orientations,
    oriented_hashes,
    oriented_miniatures,
)

ALL = orientations(mirrored=True, turned=True)
LIKENESS = Likeness(distance=3, min_correlation=0.9, orientations=ALL)
ROUND = np.add.outer((np.arange(16) - 7.5) ** 2, (np.arange(16) - 7.5) ** 2).astype(np.uint8).ravel()  # in all 8 alike


def copies(
    phash: list[int], miniatures: npt.NDArray[np.uint8], order: list[int] | None = None, likeness: Likeness = LIKENESS
) -> dict[int, tuple[int, bool, int]]:
    """Return copy → (kept, mirrored, turned); pictures are taken in `order`, else as they come."""
    ranks = np.argsort(order) if order is not None else np.arange(len(phash))
    places = np.arange(len(phash))
    found = find_copies(
        np.array(phash, np.uint64), miniatures, places, lambda items: items[np.argsort(ranks[items])], likeness
    )
    return {copy.place: (copy.kept, copy.orientation.mirrored, copy.orientation.turned) for copy in found}


def same(count: int) -> npt.NDArray[np.uint8]:
    return np.tile(ROUND, (count, 1))


def test_a_chain_is_not_a_cluster() -> None:
    chain = [0, 0b111, 0b111111, 0b111111111]  # neighbours differ in 3 bits, the ends in 9
    assert copies(chain, same(4)) == {1: (0, False, 0), 3: (2, False, 0)}
    assert copies(chain, same(4), order=[1, 0, 2, 3]) == {0: (1, False, 0), 2: (1, False, 0)}
    assert copies(chain, same(4), order=[3, 0, 1, 2]) == {1: (0, False, 0), 2: (3, False, 0)}


def test_a_copy_of_two_kept_ones_goes_to_the_better() -> None:
    assert copies([0b111, 0b111000, 0], same(3)) == {2: (0, False, 0)}
    assert copies([0b111, 0b111000, 0], same(3), order=[1, 0, 2]) == {2: (1, False, 0)}


def test_equal_hashes_of_different_pictures_stay_apart() -> None:
    generator = np.random.default_rng(0)
    other = generator.integers(0, 256, (1, 256), dtype=np.uint8)
    miniatures = np.concatenate([same(1), other, same(1), other, 255 - other])
    assert copies([5, 5, 5, 5, 5], miniatures) == {2: (0, False, 0), 3: (1, False, 0)}
    # The same through near hashes: two groups of two, each with both pictures.
    assert copies([0, 0, 1, 1], miniatures[:4]) == {2: (0, False, 0), 3: (1, False, 0)}


def test_a_miniature_is_compared_as_it_lies() -> None:
    generator = np.random.default_rng(1)
    miniature = generator.integers(0, 256, (1, 256), dtype=np.uint8)
    phash = generator.integers(0, 2**64, 1, dtype=np.uint64)
    for orientation in ALL:
        laid = oriented_hashes(phash, orientation)[0]
        turned = oriented_miniatures(miniature, orientation)
        pair = [int(phash[0]), int(laid)]
        found = copies(pair, np.concatenate([miniature, turned]))
        assert found == {1: (0, orientation.mirrored, orientation.turned)}
        if orientation != UPRIGHT:
            assert copies(pair, np.concatenate([miniature, miniature])) == {}


def naive(
    phash: npt.NDArray[np.uint64], miniatures: npt.NDArray[np.uint8], ranked: list[int], likeness: Likeness
) -> dict[int, int]:
    kept: list[int] = []
    found = {}
    for place in ranked:
        for other in kept:
            if any(
                distances(phash[[place]], oriented_hashes(phash[[other]], orientation))[0] <= likeness.distance
                and correlations(miniatures[[place]], oriented_miniatures(miniatures[[other]], orientation))[0]
                >= likeness.min_correlation
                for orientation in likeness.orientations
            ):
                found[place] = other
                break
        else:
            kept.append(place)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_stars_are_those_of_a_walk_over_all_pairs(seed: int) -> None:
    generator = np.random.default_rng(seed)
    base_hashes = generator.integers(0, 2**64, 12, dtype=np.uint64)
    base_miniatures = generator.integers(0, 256, (12, 256), dtype=np.uint8)
    phash, miniatures = [], []
    for _ in range(160):
        base, orientation = int(generator.integers(12)), ALL[int(generator.integers(8))]
        bits = generator.choice(64, int(generator.integers(0, 4)), replace=False)
        flipped = base_hashes[[base]] ^ np.uint64(sum(1 << int(bit) for bit in bits))
        phash.append(int(oriented_hashes(flipped, orientation)[0]))
        noise = generator.normal(0, generator.choice([5, 30, 45]), 256)
        noisy = np.clip(base_miniatures[base] + noise, 0, 255).astype(np.uint8)
        miniatures.append(oriented_miniatures(noisy[None], orientation)[0])
    order = generator.permutation(160).tolist()
    found = copies(phash, np.stack(miniatures), order)
    assert len(found) > 40
    assert {place: kept for place, (kept, _, _) in found.items()} == naive(
        np.array(phash, np.uint64), np.stack(miniatures), order, LIKENESS
    )


def test_nothing_to_compare() -> None:
    assert copies([], np.empty((0, 256), np.uint8)) == {}
    assert copies([1], same(1)) == {}
