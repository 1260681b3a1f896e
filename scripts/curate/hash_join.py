"""All pairs of 64-bit hashes that differ in at most d bits: exact, in sorted passes over whole arrays.

Pigeonhole: cut the 64 bits into k blocks; two hashes that differ in at most d bits agree on at least k - d blocks. So
one pass for each choice of k - d blocks, sorting by these blocks alone, meets every pair once or more; then the full
distance is computed for the pairs that meet. k is chosen by counting the work: more blocks mean more passes with fewer
chance meetings (Manku, Jain, Das Sarma, *Detecting Near-Duplicates for Web Crawling*, 2007, section 3).

Mirrored and turned pictures cost no further sorting: a flip turns the same bits of every hash over, so it only changes
which run of equal keys faces which; pictures with exchanged axes are one more sorted array.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil, comb, log2

import numpy as np
import numpy.typing as npt

from scripts.lib.perceptual_hash import UPRIGHT, Hashes, Orientation, swapped_axes

Places = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint32]

BITS = 64
MAX_BLOCKS = 16
_PAIR_COST = 1.5  # of one met pair, in units of one comparison while sorting; measured


@dataclass(frozen=True)
class _Blocks:
    """The bits of a choice of blocks, moved together and cut to `bits`: a key."""

    moves: Sequence[
        tuple[int, int, int]
    ]  # of each block: its lowest bit, its mask once moved there, its place in the key
    bits: int

    def key(self, hashes: Hashes) -> Keys:
        """Return the keys of hashes."""
        keys = np.zeros(hashes.shape, np.uint64)
        for lowest, mask, place in self.moves:
            keys |= ((hashes >> np.uint64(lowest)) & np.uint64(mask)) << np.uint64(place)
        total = sum(mask.bit_length() for _, mask, _ in self.moves)
        return (keys >> np.uint64(max(0, total - self.bits))).astype(np.uint32)


@dataclass(frozen=True)
class _Pass:
    """What a pass takes: pairs that agree in all chosen blocks and in no earlier other one. So each pair comes once."""

    blocks: _Blocks
    agreed: np.uint64  # mask of the chosen blocks
    differing: Sequence[np.uint64]  # masks of the earlier others
    distance: int


@dataclass(frozen=True)
class _Sorted:
    """Hashes in the order of their keys, and where the run of each key starts: [2**bits + 1]."""

    keys: Keys
    hashes: Hashes
    places: npt.NDArray[np.uint32]
    starts: npt.NDArray[np.uint32]


def near_pairs(
    hashes: Hashes, distance: int, orientations: Sequence[Orientation] = (UPRIGHT,)
) -> Iterator[tuple[Places, Places, Orientation]]:
    """Yield places (i, j), i < j, and an orientation: hash i differs in at most `distance` bits from hash j so laid.

    Each (i, j, orientation) comes once. Peak memory is about 70 bytes for each hash, and 100 where axes are exchanged.

    Args:
        hashes: [n], n < 2**31; should be distinct, because n equal ones make n**2 / 2 pairs.
        distance: bits, 0 to 15.
        orientations: of the second picture of each pair.
    """
    count = best_blocks(len(hashes), distance, len(orientations))
    edges = [BITS * index // count for index in range(count + 1)]
    masks = [np.uint64((1 << edges[index + 1]) - (1 << edges[index])) for index in range(count)]
    turned = swapped_axes(hashes) if any(item.axes_swapped for item in orientations) else None
    for chosen in combinations(range(count), count - distance):
        blocks = _blocks(chosen, edges, _key_bits(len(hashes)))
        agreed = np.uint64(sum(int(masks[index]) for index in chosen))
        differing = [masks[index] for index in range(chosen[-1]) if index not in chosen]
        this = _Pass(blocks, agreed, differing, distance)
        plain = _sort(hashes, blocks)
        swapped = plain if turned is None else _sort(turned, blocks)
        for orientation in orientations:
            other = swapped if orientation.axes_swapped else plain
            for i, j in _near(plain, other, np.uint64(orientation.flipped_bits), this):
                yield i, j, orientation


def best_blocks(count: int, distance: int, orientations: int = 1) -> int:
    """Return the number of blocks with the least expected work for `count` evenly spread hashes."""
    count = max(count, 2)

    def work(blocks: int) -> float:
        agreeing = min(BITS * (blocks - distance) // blocks, _key_bits(count))
        met = count * count / 2.0**agreeing * (orientations - 0.5)
        return comb(blocks, distance) * (count * log2(count) * (1 + orientations / 4) + _PAIR_COST * met)

    return min(range(distance + 1, MAX_BLOCKS + 1), key=work)


def _key_bits(count: int) -> int:
    """Return how long a key is at most: so long that chance meetings are fewer than hashes, and the table is small."""
    return ceil(log2(max(count, 2))) + 1


def _blocks(chosen: Sequence[int], edges: Sequence[int], bits: int) -> _Blocks:
    moves, place = [], 0
    for index in chosen:
        width = edges[index + 1] - edges[index]
        moves.append((edges[index], (1 << width) - 1, place))
        place += width
    return _Blocks(moves, min(bits, place))


def _sort(hashes: Hashes, blocks: _Blocks) -> _Sorted:
    keys = blocks.key(hashes)
    starts = np.zeros(2**blocks.bits + 1, np.uint32)
    np.cumsum(np.bincount(keys, minlength=2**blocks.bits), out=starts[1:])
    order = np.argsort(keys)  # the order of equal keys changes the order of the pairs, not which they are
    return _Sorted(keys[order], hashes[order], order.astype(np.uint32), starts)


def _near(plain: _Sorted, other: _Sorted, flips: np.uint64, this: _Pass) -> Iterator[tuple[Places, Places]]:
    """Yield the near pairs of one pass and one orientation, smaller place first."""
    turned_key = this.blocks.key(np.array([flips]))[0]
    facing_keys = plain.keys ^ turned_key
    if other is not plain:
        first = np.arange(len(plain.keys), dtype=np.uint32)
        facing = other.starts[facing_keys]
    elif turned_key:  # a flip undone is the same flip: the other half of the runs would meet the same pairs
        first = np.flatnonzero(plain.keys < facing_keys).astype(np.uint32)
        facing = plain.starts[facing_keys[first]]
    else:
        first = np.arange(len(plain.keys), dtype=np.uint32)
        facing = first + np.uint32(1)  # those further on in the same run
    ends = other.starts[facing_keys[first] + np.uint32(1)]
    while True:
        inside = facing < ends
        first, facing, ends = first[inside], facing[inside], ends[inside]
        if len(first) == 0:
            return
        difference = plain.hashes[first] ^ other.hashes[facing] ^ flips
        near = np.flatnonzero(np.bitwise_count(difference) <= this.distance)
        near = near[(difference[near] & this.agreed) == 0]
        for block in this.differing:
            near = near[(difference[near] & block) != 0]
        i, j = (places.astype(np.int64) for places in (plain.places[first[near]], other.places[facing[near]]))
        if other is plain:
            i, j = np.minimum(i, j), np.maximum(i, j)
        else:  # each pair meets twice, and each hash itself
            i, j = i[i < j], j[i < j]
        if len(i):
            yield i, j
        facing += np.uint32(1)
