"""Find equal and nearly equal images over all partitions.

Images of a cluster hang together by equal bytes (SHA-256) or by perceptual hashes that differ in at most
`near_distance` of 64 bits, directly or through others of the cluster (union-find). The one with the largest area is
kept, among equal areas the one with the smallest id. Flat images, whose perceptual hash says nothing, are compared by
bytes alone.

Memory: 0.3 kB for each image at the peak, half of it ids and digests and half the passes of the near search (measured:
2 million images with mirror images, 0.7 GB at 3 bits, 0.86 GB at 4), so about 8 GB for 20 million images.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from scripts.curate.hash_join import near_pairs
from scripts.curate.perceptual_hash import distances
from scripts.curate.settings import DeduplicateSettings
from scripts.lib.errors import UserError
from scripts.lib.files import write_table
from scripts.lib.reasons import FilterReason
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import DUPLICATES, INSPECTIONS

LOG = logging.getLogger(__name__)

Places = npt.NDArray[np.int64]
COLUMNS = ["image_id", "reason", "width", "height", "colour_std", "sha256", "phash", "phash_mirror"]


@dataclass(frozen=True)
class Images:
    """What is compared: one entry of each array for each image that decodes."""

    image_id: pa.ChunkedArray  # text
    sha256: npt.NDArray[np.uint64]  # [n, 4]
    area: npt.NDArray[np.int64]  # pixels
    phash: npt.NDArray[np.uint64]
    phash_mirror: npt.NDArray[np.uint64]
    flat: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.area)


def images_of(table: pa.Table, min_colour_std: float) -> Images:
    """Return the usable images of an inspection table.

    Args:
        table: columns `COLUMNS`.
        min_colour_std: images with a lower value are flat.
    """
    table = table.filter(pc.equal(table["reason"], ""))
    digests = b"".join(bytes.fromhex(text) for text in table["sha256"].to_pylist())
    width, height = (table[name].to_numpy().astype(np.int64) for name in ("width", "height"))
    return Images(
        image_id=table["image_id"],
        sha256=np.frombuffer(digests, dtype=np.uint64).reshape(-1, 4),
        area=width * height,
        phash=table["phash"].to_numpy().astype(np.uint64),
        phash_mirror=table["phash_mirror"].to_numpy().astype(np.uint64),
        flat=table["colour_std"].to_numpy().astype(np.float32) < np.float32(min_colour_std),
    )


def join_images(parts: Sequence[Images]) -> Images:
    """Return the images of all partitions as one."""
    arrays: dict[str, Any] = {
        name: np.concatenate([part.__dict__[name] for part in parts])
        for name in ("sha256", "area", "phash", "phash_mirror", "flat")
    }
    return Images(image_id=pa.chunked_array([c for part in parts for c in part.image_id.chunks], pa.string()), **arrays)


def exact_pairs(images: Images) -> Iterator[tuple[Places, Places]]:
    """Yield pairs of neighbours among images with equal bytes: enough to connect each group."""
    order = np.lexsort(images.sha256.T)
    ordered = images.sha256[order]
    same = np.flatnonzero((ordered[1:] == ordered[:-1]).all(axis=1))
    yield order[same], order[same + 1]


def similar_pairs(images: Images, settings: DeduplicateSettings) -> Iterator[tuple[Places, Places]]:
    """Yield pairs that connect images whose hashes, or hash and mirror hash, differ in at most `near_distance` bits.

    Equal hashes are joined first, so that a thousand copies of a picture cost a thousand pairs and not half a million.
    """
    if settings.near_distance == 0:
        return
    rich = np.flatnonzero(~images.flat)
    if len(rich) == 0:
        return
    phash, mirror = images.phash[rich], images.phash_mirror[rich]
    order = np.lexsort((mirror, phash))
    phash, mirror = phash[order], mirror[order]
    repeated = np.concatenate([[False], (phash[1:] == phash[:-1]) & (mirror[1:] == mirror[:-1])])
    again = np.flatnonzero(repeated)
    yield rich[order[again - 1]], rich[order[again]]
    places, hashes = rich[order[~repeated]], phash[~repeated]
    mirrored = np.zeros(len(places), dtype=np.bool_)
    if settings.mirrored:
        hashes = np.concatenate([hashes, mirror[~repeated]])
        mirrored = np.concatenate([mirrored, ~mirrored])
        places = np.concatenate([places, places])
    for first, second in near_pairs(hashes, mirrored, settings.near_distance):
        yield places[first], places[second]


def clusters(count: int, pairs: Iterable[tuple[Places, Places]]) -> Places:
    """Return the number of the cluster of each of `count` images: [count]. Images that hang together share it."""
    listed = list(pairs)
    first = np.concatenate([np.zeros(0, dtype=np.int64), *(pair[0] for pair in listed)])
    second = np.concatenate([np.zeros(0, dtype=np.int64), *(pair[1] for pair in listed)])
    graph = coo_array((np.ones(len(first), dtype=np.bool_), (first, second)), shape=(count, count))
    labels: Places = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def find_duplicates(images: Images, settings: DeduplicateSettings) -> pa.Table:
    """Return `tables.DUPLICATES`: each image of a cluster of two or more, sorted by (cluster, image_id)."""
    pairs = chain(exact_pairs(images), similar_pairs(images, settings))
    labels = clusters(len(images), pairs)
    members = np.flatnonzero(np.bincount(labels, minlength=1)[labels] > 1)
    ids = np.array(images.image_id.take(pa.array(members)).to_pylist(), dtype=object)
    # Best first within each cluster: larger area, then smaller id.
    by_id = np.argsort(ids, kind="stable")
    order = by_id[np.lexsort((-images.area[members[by_id]], labels[members[by_id]]))]
    members, ids = members[order], ids[order]
    starts = np.flatnonzero(np.concatenate([[True], labels[members][1:] != labels[members][:-1]])[: len(members)])
    kept = np.repeat(starts, np.diff(np.append(starts, len(members))))  # place of the kept one of each member
    table = _rows(images, members, ids, kept, mirrored=settings.mirrored)
    return table.sort_by([("cluster", "ascending"), ("image_id", "ascending")])


def _rows(images: Images, members: Places, ids: npt.NDArray[np.object_], kept: Places, *, mirrored: bool) -> pa.Table:
    best = members[kept]
    exact = (images.sha256[members] == images.sha256[best]).all(axis=1)
    plain = distances(images.phash[members], images.phash[best]).astype(np.int32)
    turned = np.minimum(
        distances(images.phash[members], images.phash_mirror[best]),
        distances(images.phash_mirror[members], images.phash[best]),
    ).astype(np.int32)
    is_turned = (turned < plain) & ~exact & mirrored
    reasons = np.where(exact, str(FilterReason.EXACT_DUPLICATE), str(FilterReason.NEAR_DUPLICATE)).astype(object)
    reasons[members == best] = ""
    return pa.table(
        {
            "image_id": pa.array(ids, pa.string()),
            "cluster": pa.array(ids[kept], pa.string()),
            "reason": pa.array(reasons, pa.string()),
            "distance": pa.array(np.where(exact, 0, np.where(is_turned, turned, plain)), pa.int32()),
            "mirrored": pa.array(is_turned, pa.bool_()),
        },
        schema=DUPLICATES,
    )


def read_images(paths: Sequence[Path], min_colour_std: float) -> tuple[int, Images]:
    """Return the number of rows of all inspection tables, and their usable images.

    Raises:
        UserError: two rows name the same image.
    """
    rows, parts = 0, [images_of(INSPECTIONS.empty_table(), min_colour_std)]
    for path in paths:
        table = pq.read_table(path, columns=COLUMNS)
        rows += len(table)
        if pc.count_distinct(table["image_id"]).as_py() != len(table):
            raise UserError(f"{path} has two rows for one image; delete it, then run again to inspect that part anew.")
        parts.append(images_of(table, min_colour_std))
    return rows, join_images(parts)


def main(argv: Sequence[str] | None = None) -> None:
    """Compare the images of all partitions."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of DeduplicateSettings")
    parser.add_argument("--inspections", required=True, nargs="*", type=Path, help="tables of `inspect_images`")
    parser.add_argument("--out", required=True, type=Path, help="table of duplicates to write")
    arguments = parser.parse_args(argv)
    settings = read_recipe(DeduplicateSettings, arguments.recipe)
    began = time.monotonic()
    rows, images = read_images(arguments.inspections, settings.min_colour_std)
    flat = int(images.flat.sum())
    LOG.info("%d images inspected, %d usable, of these %d flat (compared by bytes alone)", rows, len(images), flat)
    table = find_duplicates(images, settings)
    counts = Counter(table["reason"].to_pylist())
    write_table(arguments.out, table)
    LOG.info(
        "%d clusters, %d exact and %d near duplicates, in %.1f s",
        counts[""],
        counts[FilterReason.EXACT_DUPLICATE],
        counts[FilterReason.NEAR_DUPLICATE],
        time.monotonic() - began,
    )


if __name__ == "__main__":
    run_step(main)
