"""Which pictures repeat which: stars around kept pictures, never chains.

Pictures are taken best first. One that looks like a picture kept before it is dropped as a copy of it; any other is
kept. So each dropped picture looks like the very one that stands for it, no two kept pictures look alike, and where A
looks like B and B like C but A not like C, nothing is dropped that has no twin among the kept (connected components
would join A and C, and by longer chains any two pictures).

Two pictures look alike when their hashes are near in some orientation and their miniatures, laid the same way,
correlate. The hash knows the signs of 64 coefficients; the miniature knows their size and what lies between, and so
tells apart two white cars, or two birds in an empty sky, whose signs agree by chance.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scripts.curate.hash_join import Places, near_pairs
from scripts.lib.perceptual_hash import (
    Hashes,
    Miniatures,
    Orientation,
    correlations,
    inverse,
    oriented_miniatures,
)

LOG = logging.getLogger(__name__)
LOG_SECONDS = 60.0
CHUNK = 1 << 14  # pairs of miniatures compared at once: some 50 MB of integers


@dataclass(frozen=True)
class Likeness:
    """When two pictures look alike."""

    distance: int  # bits in which their hashes differ at most
    min_correlation: float  # of their miniatures
    orientations: Sequence[Orientation]  # in which one may lie; upright first, each with its inverse


@dataclass(frozen=True)
class Copy:
    """A picture that looks like a kept one laid as `orientation` says. Both are places in the arrays given."""

    place: int
    kept: int
    orientation: Orientation


@dataclass(frozen=True)
class _Groups:
    """Pictures by equal hash: those of group g are members[starts[g]:starts[g + 1]]."""

    hashes: Hashes
    members: Places
    starts: Places


@dataclass(frozen=True)
class _Links:
    """Near groups in both directions, sorted by `group`: it looks like `other` laid as orientation number `which`."""

    group: Places
    other: Places
    which: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Walk:
    """Pictures best first, and those kept so far."""

    miniatures: Miniatures
    ranked: Places
    likeness: Likeness
    kept: dict[int, list[int]]  # group -> ranks of its kept pictures

    def best_kept(self, rank: int, facing: Iterable[tuple[int, int]]) -> tuple[int, int] | None:
        """Return (rank, orientation's number) of the best kept picture that one of this rank looks like, None if none.

        Args:
            rank: of the picture.
            facing: groups with near hashes, and the orientation of each.
        """
        miniature, found = self.miniatures[self.ranked[rank]], []
        for group, which in facing:
            if ranks := self.kept.get(group):
                laid = oriented_miniatures(self.miniatures[self.ranked[ranks]], self.likeness.orientations[which])
                alike = np.flatnonzero(correlations(miniature[None], laid) >= self.likeness.min_correlation)
                found += [(ranks[place], which) for place in alike[:1].tolist()]
        return min(found, default=None)


def find_copies(
    phash: Hashes,
    miniatures: Miniatures,
    places: Places,
    best_first: Callable[[Places], Places],
    likeness: Likeness,
) -> Iterator[Copy]:
    """Yield the pictures that are copies of kept ones.

    Args:
        phash: [n].
        miniatures: [n, 256].
        places: of the pictures to compare, others are passed over.
        best_first: returns the places that it is given in the order in which pictures are taken.
        likeness: when two pictures look alike.
    """
    groups = _grouped(phash, places)
    links = _link(groups, miniatures, likeness)
    sizes = np.diff(groups.starts)
    touched = sizes > 1
    touched[links.group] = True
    group_of = np.empty(len(phash), np.int64)
    group_of[groups.members] = np.repeat(np.arange(len(sizes)), sizes)
    ranked = best_first(groups.members[np.repeat(touched, sizes)])
    ranked_groups = group_of[ranked]
    lows, highs = (np.searchsorted(links.group, ranked_groups, side=side) for side in ("left", "right"))
    walk = _Walk(miniatures, ranked, likeness, {})
    for rank, (group, low, high) in enumerate(zip(ranked_groups.tolist(), lows.tolist(), highs.tolist(), strict=True)):
        facing = [(group, 0), *zip(links.other[low:high].tolist(), links.which[low:high].tolist(), strict=True)]
        found = walk.best_kept(rank, facing)
        if found is None:
            walk.kept.setdefault(group, []).append(rank)
        else:
            yield Copy(int(ranked[rank]), int(ranked[found[0]]), likeness.orientations[found[1]])


def _grouped(phash: Hashes, places: Places) -> _Groups:
    members = places[np.argsort(phash[places], kind="stable")]
    ordered = phash[members]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(members)])
    return _Groups(ordered[first], members, np.append(first, len(members)))


def _link(groups: _Groups, miniatures: Miniatures, likeness: Likeness) -> _Links:
    """Return the groups whose hashes are near; of pairs of single pictures only those whose miniatures correlate too.

    Almost all groups are single pictures, so that what is left is little more than the true copies.
    """
    numbers = {orientation: number for number, orientation in enumerate(likeness.orientations)}
    single = np.diff(groups.starts) == 1
    found: list[tuple[Places, Places, npt.NDArray[np.uint8]]] = []
    near = left = 0
    started = told = time.monotonic()
    for first, second, orientation in near_pairs(groups.hashes, likeness.distance, likeness.orientations):
        near += len(first)
        open_pairs = ~(single[first] & single[second])
        for start in range(0, len(first), CHUNK):
            part = slice(start, start + CHUNK)
            one, two = (miniatures[groups.members[groups.starts[side[part]]]] for side in (first, second))
            open_pairs[part] |= correlations(one, oriented_miniatures(two, orientation)) >= likeness.min_correlation
        i, j = first[open_pairs], second[open_pairs]
        left += len(i)
        for one_way, other_way, laid in ((i, j, orientation), (j, i, inverse(orientation))):
            found.append((one_way, other_way, np.full(len(i), numbers[laid], np.uint8)))
        if time.monotonic() - told > LOG_SECONDS:
            told = time.monotonic()
            LOG.info("%d near pairs so far, %d after the second look, %.0f s", near, left, told - started)
    LOG.info("%d pairs of unequal, near hashes, of these %d alike at the second look", near, left)
    empty = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint8))
    group, other, which = (np.concatenate(columns) for columns in zip(empty, *found, strict=True))
    order = np.lexsort((which, other, group))
    return _Links(group[order], other[order], which[order])
