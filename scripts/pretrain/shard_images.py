"""Random access to the images of the shards, and their views.

A view is a function of (seed, epoch, image id, view number), so the number of worker processes changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from torch.utils.data import Dataset

from scripts.lib.draws import uniforms
from scripts.lib.errors import UserError
from scripts.lib.files import read_tables
from scripts.lib.identity import content_digest
from scripts.lib.images import decode_image
from scripts.lib.tables import SHARD_INDEX
from scripts.lib.tars import TarReader
from scripts.pretrain.backend import View
from scripts.pretrain.contract import MakeViews
from scripts.pretrain.epoch_batches import Item


@dataclass(frozen=True)
class ImageList:
    """All images of the shards, sorted by id."""

    table: pa.Table  # SHARD_INDEX
    shards: dict[str, Path]  # name of a shard → its tar

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def digest(self) -> str:
        """Return one SHA-256 that is equal for equal images, however they are sharded."""
        return content_digest(self.table["image_id"].to_pylist(), self.table["sha256"].to_pylist())


def list_images(shards: Iterable[Path], indexes: Iterable[Path]) -> ImageList:
    """Read the indexes of shards.

    Raises:
        UserError: an index names a shard that is not among `shards`, or that is shorter than the index says.
    """
    tars = {path.stem: path for path in shards}
    table = read_tables(indexes, SHARD_INDEX).combine_chunks().sort_by("image_id")
    ends = pa.table({"shard": table["shard"], "end": pa.compute.add(table["offset"], table["size"])})
    for row in ends.group_by("shard").aggregate([("end", "max")]).to_pylist():
        path = tars.get(row["shard"])
        if path is None:
            raise UserError(f"an index names shard {row['shard']}, but --shards has no {row['shard']}.tar; name both")
        if not path.is_file() or path.stat().st_size < row["end_max"]:
            raise UserError(
                f"{path} is missing or shorter than its index says (expected at least {row['end_max']} bytes); "
                f"remake it: delete it and run snakemake again"
            )
    return ImageList(table, tars)


class ShardImages(Dataset[list[View]]):
    """(epoch, index) → the views of an image. Each process opens the tars for itself, when it first reads."""

    def __init__(self, images: ImageList, make_views: MakeViews, seed: int) -> None:
        self._shards = images.shards
        self._make_views = make_views
        self._seed = seed
        # NumPy arrays, because forked workers share their pages; lists would be copied as reference counts change.
        self._ids = np.array(images.table["image_id"].to_pylist(), dtype=np.str_)
        self._names = np.array(images.table["shard"].to_pylist(), dtype=np.str_)
        self._offsets = images.table["offset"].to_numpy()
        self._sizes = images.table["size"].to_numpy()
        self._readers: dict[str, TarReader] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_readers": {}}

    def __len__(self) -> int:
        return len(self._ids)

    def read(self, index: int) -> bytes:
        """Return the file of image `index`."""
        shard = str(self._names[index])
        if shard not in self._readers:
            self._readers[shard] = TarReader(self._shards[shard])
        return self._readers[shard].read(int(self._offsets[index]), int(self._sizes[index]))

    def __getitem__(self, item: Item) -> list[View]:
        epoch, index = item
        image_id = str(self._ids[index])
        try:
            image = decode_image(self.read(index))
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            path = self._shards[str(self._names[index])]
            raise UserError(
                f"image {image_id} in {path} does not decode ({error}), although inspect_images could decode it: the "
                "shard is damaged. Remake it: delete it and run snakemake again"
            ) from None
        return self._make_views(image, lambda view: uniforms(self._seed, "view", epoch, image_id, view))
