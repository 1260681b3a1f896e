"""All pairs of 64-bit hashes that differ in at most d bits: exact, in sorted passes over whole arrays.

Pigeonhole: cut the 64 bits into k blocks; two hashes that differ in at most d bits agree on at least k - d blocks. So
one pass for each choice of k - d blocks, sorting by these blocks alone, meets every pair once or more; then the full
distance is computed for the pairs that meet. k is chosen by counting the work: more blocks mean more passes with fewer
chance meetings (Manku, Jain, Das Sarma, *Detecting Near-Duplicates for Web Crawling*, 2007, section 3).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from math import comb, log2

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

BITS = 64
MAX_BLOCKS = 16
_PAIR_COST = 4.0  # of one met pair, in units of one comparison while sorting; measured


def near_pairs(hashes: Hashes, groups: npt.NDArray[np.bool_], distance: int) -> Iterator[tuple[Places, Places]]:
    """Yield pairs of places (i, j) whose hashes differ in at most `distance` bits, not both in the second group.

    A pair may be yielded more than once; pairs of equal hashes are found too. Peak memory is about 40 bytes for each
    hash and 40 for each pair that meets at one offset of a pass.

    Args:
        hashes: [n]; should be distinct within each group, because n equal ones make n**2 / 2 pairs.
        groups: [n], True for the members of the second group (mirror images), which are compared with the first alone.
        distance: bits, 0 to 15.
    """
    blocks = _best_blocks(len(hashes), distance)
    edges = [BITS * index // blocks for index in range(blocks + 1)]
    masks = [(1 << edges[index + 1]) - (1 << edges[index]) for index in range(blocks)]
    for chosen in combinations(masks, blocks - distance):
        yield from _meetings(hashes, groups, np.uint64(sum(chosen)), distance)


def _best_blocks(count: int, distance: int) -> int:
    """Return the number of blocks with the least expected work for `count` evenly spread hashes."""

    def work(blocks: int) -> float:
        agreeing = BITS * (blocks - distance) // blocks
        met = count * count / 2 / 2.0**agreeing
        return comb(blocks, distance) * (count * max(1.0, log2(max(count, 2))) + _PAIR_COST * met)

    return min(range(distance + 1, MAX_BLOCKS + 1), key=work)


def _meetings(
    hashes: Hashes, groups: npt.NDArray[np.bool_], mask: np.uint64, distance: int
) -> Iterator[tuple[Places, Places]]:
    """Yield near pairs among the hashes that agree on the bits of `mask`."""
    keys = hashes & mask
    order = np.argsort(keys)  # the order of equal keys changes the order of the pairs, not which they are
    keys = keys[order]
    starts = np.arange(len(keys))
    offset = 0
    while True:
        # After `offset` rounds `starts` holds the places whose run of equal keys reaches at least `offset` further.
        offset += 1
        starts = starts[starts < len(keys) - offset]
        starts = starts[keys[starts] == keys[starts + offset]]
        if len(starts) == 0:
            return
        first, second = order[starts], order[starts + offset]
        near = np.bitwise_count(hashes[first] ^ hashes[second]) <= distance
        near &= ~(groups[first] & groups[second])
        if near.any():
            yield first[near], second[near]
