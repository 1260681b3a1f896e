"""Find equal and nearly equal images over all partitions.

Images with equal bytes (SHA-256) repeat each other. Images look alike when their perceptual hashes differ in at most
`near_distance` of 64 bits, mirrored or turned if the recipe says so, and their 16 x 16 miniatures, laid the same way,
correlate by at least `min_correlation`. Images are taken by area, the largest first, then by id: one that looks like a
kept image is a copy of it, any other is kept. Flat images, whose perceptual hash says nothing, are compared by bytes
alone. Frames of a series are not duplicates; they differ in more than a recompression changes.

Memory: about 0.55 kB for each image, 256 bytes of it the miniature: 11 GB for 20 million images (docs/measurements.md).
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts.curate.settings import DeduplicateSettings
from scripts.curate.star_clusters import Likeness, find_copies
from scripts.lib.duplicate_table import check_clusters
from scripts.lib.errors import UserError
from scripts.lib.files import write_table
from scripts.lib.flags import input_file, output_file
from scripts.lib.part_tables import FLAG, HELP, Parts
from scripts.lib.perceptual_hash import UPRIGHT, Hashes, Miniatures, Orientation, distances, oriented_hashes
from scripts.lib.perceptual_hash import orientations as all_orientations
from scripts.lib.reasons import FilterReason
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser
from scripts.lib.tables import DUPLICATES

LOG = logging.getLogger(__name__)

Places = npt.NDArray[np.int64]
COLUMNS = ["image_id", "reason", "width", "height", "colour_std", "sha256", "phash", "miniature"]
MINIATURE_BYTES = 256


@dataclass(frozen=True)
class Images:
    """What is compared: one entry of each array for each image that decodes."""

    image_id: pa.ChunkedArray  # text
    sha256: npt.NDArray[np.uint64]  # [n, 4]
    area: npt.NDArray[np.int64]  # pixels
    phash: Hashes
    miniature: Miniatures  # [n, 256]
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
    digests, miniatures = (b"".join(map(bytes.fromhex, table[name].to_pylist())) for name in ("sha256", "miniature"))
    width, height = (table[name].to_numpy().astype(np.int64) for name in ("width", "height"))
    return Images(
        image_id=table["image_id"],
        sha256=np.frombuffer(digests, dtype=np.uint64).reshape(-1, 4),
        area=width * height,
        phash=table["phash"].to_numpy().astype(np.uint64),
        miniature=np.frombuffer(miniatures, dtype=np.uint8).reshape(-1, MINIATURE_BYTES),
        flat=table["colour_std"].to_numpy().astype(np.float32) < np.float32(min_colour_std),
    )


def read_images(paths: Sequence[Path], min_colour_std: float) -> tuple[int, Images]:
    """Return the number of rows of all inspection tables, and their usable images.

    Raises:
        UserError: two rows name the same image, in one table or in two.
    """
    rows = sum(pq.read_metadata(path).num_rows for path in paths)
    joined: dict[str, Any] = {
        "sha256": np.empty((rows, 4), np.uint64),
        "area": np.empty(rows, np.int64),
        "phash": np.empty(rows, np.uint64),
        "miniature": np.empty((rows, MINIATURE_BYTES), np.uint8),
        "flat": np.empty(rows, np.bool_),
    }
    ids: list[pa.Array] = []
    last = 0
    for path in paths:
        table = pq.read_table(path, columns=COLUMNS)
        if pc.count_distinct(table["image_id"]).as_py() != len(table):
            raise UserError(f"{path} has two rows for one image; delete it, then run again to inspect that part anew.")
        part = images_of(table, min_colour_std)
        for name, values in joined.items():
            values[last : last + len(part)] = getattr(part, name)
        ids += part.image_id.chunks
        last += len(part)
    images = Images(image_id=pa.chunked_array(ids, pa.string()), **{name: item[:last] for name, item in joined.items()})
    if pc.count_distinct(images.image_id).as_py() != last:
        raise UserError(
            "an image is in the inspection tables of two parts: some are of a run with other partitions. Delete"
            " results/curate/inspect_images and results/curate/download, then run again."
        )
    return rows, images


def best_first(images: Images, places: Places) -> Places:
    """Return places with the largest area first, equal areas by id."""
    ids = np.array(images.image_id.take(pa.array(places)).to_pylist(), dtype=object)
    by_id = np.argsort(ids, kind="stable")
    return places[by_id[np.argsort(-images.area[places[by_id]], kind="stable")]]


def with_equal_bytes(images: Images) -> Places:
    """Return, for each image, the place of the best image with the same bytes: its own where there is no other."""
    order = np.lexsort(images.sha256.T)
    ordered = images.sha256[order]
    start = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])[: len(order)]
    group = np.empty(len(order), np.int64)
    group[order] = np.cumsum(start) - 1
    first = np.empty(int(start.sum()), np.int64)
    first[group] = np.arange(len(order))
    shared = best_first(images, np.flatnonzero(np.bincount(group, minlength=1)[group] > 1))
    first[group[shared[::-1]]] = shared[::-1]  # the best is written last
    return first[group]


def find_duplicates(images: Images, settings: DeduplicateSettings) -> pa.Table:
    """Return `tables.DUPLICATES`: each image of a cluster of two or more, sorted by (cluster, image_id)."""
    kept = with_equal_bytes(images)
    laid = np.zeros(len(images), np.int64)
    orientations = all_orientations(mirrored=settings.mirrored, turned=settings.turned)
    if settings.near_distance:
        compared = np.flatnonzero((kept == np.arange(len(images))) & ~images.flat)
        likeness = Likeness(settings.near_distance, settings.min_correlation, orientations)
        copies = find_copies(
            images.phash, images.miniature, compared, lambda places: best_first(images, places), likeness
        )
        kept_of = np.arange(len(images))
        for copy in copies:
            kept_of[copy.place] = copy.kept
            laid[copy.place] = orientations.index(copy.orientation)
        laid, kept = laid[kept], kept_of[kept]
    clustered = np.zeros(len(images), np.bool_)
    clustered[kept[kept != np.arange(len(images))]] = True
    members = np.flatnonzero(clustered | (kept != np.arange(len(images))))
    table = _rows(images, members, kept[members], [orientations[number] for number in laid[members]])
    return table.sort_by([("cluster", "ascending"), ("image_id", "ascending")])


def _rows(images: Images, members: Places, kept: Places, laid: Sequence[Orientation]) -> pa.Table:
    exact = (images.sha256[members] == images.sha256[kept]).all(axis=1)
    reasons = np.where(exact, str(FilterReason.EXACT_DUPLICATE), str(FilterReason.NEAR_DUPLICATE)).astype(object)
    reasons[members == kept] = ""
    hashes = images.phash[kept]
    for orientation in set(laid) - {UPRIGHT}:
        so = np.array([item == orientation for item in laid])
        hashes[so] = oriented_hashes(hashes[so], orientation)
    ids = images.image_id
    return pa.table(
        {
            "image_id": ids.take(pa.array(members)),
            "cluster": ids.take(pa.array(kept)),
            "members": pa.array(np.bincount(kept)[kept].astype(np.int32), pa.int32()),
            "reason": pa.array(reasons, pa.string()),
            "distance": pa.array(distances(images.phash[members], hashes).astype(np.int32), pa.int32()),
            "mirrored": pa.array([item.mirrored for item in laid], pa.bool_()),
            "turned": pa.array([item.turned for item in laid], pa.int32()),
        },
        schema=DUPLICATES,
    )


def clusters_by_part(table: pa.Table, parts: Parts) -> Iterator[tuple[Path, pa.Table]]:
    """Yield, for each part, where its table goes and the clusters that have an image of the part.

    Clusters stay whole, with their images of other parts, so that a lost row shows (`check_clusters`).
    """
    if not parts.paths:
        return
    of_row = np.array(parts.of(table["image_id"].to_pylist()), dtype=object)
    cluster = pc.dictionary_encode(table["cluster"].combine_chunks()).indices.to_numpy()
    for part, path in sorted(parts.paths.items()):
        touched = np.zeros(len(table), np.bool_)
        touched[cluster[of_row == part]] = True
        yield path, table.filter(pa.array(touched[cluster]))


def main(argv: Sequence[str] | None = None) -> None:
    """Compare the images of all partitions."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of DeduplicateSettings")
    parser.add_argument("--inspections", required=True, nargs="*", type=input_file, help="tables of `inspect_images`")
    parser.add_argument("--out", required=True, type=output_file, help="table of duplicates to write")
    parser.add_argument(FLAG, nargs="*", default=[], type=output_file, help=HELP)
    arguments = parser.parse_args(argv)
    settings, parts = read_recipe(DeduplicateSettings, arguments.recipe), Parts(arguments.parts)
    began = time.monotonic()
    rows, images = read_images(arguments.inspections, settings.min_colour_std)
    flat = int(images.flat.sum())
    LOG.info("%d images inspected, %d usable, of these %d flat (compared by bytes alone)", rows, len(images), flat)
    table = find_duplicates(images, settings)
    counts = Counter(table["reason"].to_pylist())
    check_clusters(table, str(arguments.out))
    write_table(arguments.out, table)
    for path, rows_of_part in clusters_by_part(table, parts):
        write_table(path, rows_of_part)
    LOG.info(
        "%d clusters, %d exact and %d near duplicates, in %.1f s",
        counts[""],
        counts[FilterReason.EXACT_DUPLICATE],
        counts[FilterReason.NEAR_DUPLICATE],
        time.monotonic() - began,
    )


if __name__ == "__main__":
    run_step(main)
