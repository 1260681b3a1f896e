"""Images of the shards in an order that depends on the seed alone: random access, epochs, batches.

The batch of a step is a function of (seed, step), and a view of (seed, epoch, image id, view number). So the number of
worker processes changes nothing, and a run continues at any step without having saved the state of a generator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from scripts.lib.draws import generator
from scripts.lib.errors import UserError
from scripts.lib.files import read_tables
from scripts.lib.identity import content_digest
from scripts.lib.images import open_image, to_rgb
from scripts.lib.tables import SHARD_INDEX
from scripts.lib.tars import TarReader
from scripts.pretrain.contract import MakeViews

Item = tuple[int, int]  # epoch, index of the image


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


class ShardImages(Dataset[list[Tensor]]):
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

    def __getitem__(self, item: Item) -> list[Tensor]:
        epoch, index = item
        image_id = str(self._ids[index])
        try:
            image = to_rgb(open_image(self.read(index)))
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            path = self._shards[str(self._names[index])]
            raise UserError(
                f"image {image_id} in {path} does not decode ({error}), although inspect_images could decode it: the "
                "shard is damaged. Remake it: delete it and run snakemake again"
            ) from None
        return self._make_views(image, lambda view: generator(self._seed, "view", epoch, image_id, view))


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the order of `count` images in an epoch."""
    return generator(seed, "epoch order", epoch).permutation(count)


class EpochBatches(Sampler[list[Item]]):
    """The batches of all steps from `start_step` on; the last, incomplete one of an epoch is dropped, as officially."""

    def __init__(self, count: int, batch_size: int, epochs: int, seed: int, start_step: int) -> None:
        self._count, self._batch_size, self._seed = count, batch_size, seed
        self._steps_per_epoch = count // batch_size
        self._steps = range(start_step, epochs * self._steps_per_epoch)

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[Item]]:
        order_of, order = -1, np.empty(0, dtype=np.int64)
        for step in self._steps:
            epoch, batch = divmod(step, self._steps_per_epoch)
            if epoch != order_of:
                order_of, order = epoch, epoch_order(self._count, self._seed, epoch)
            first = batch * self._batch_size
            yield [(epoch, int(index)) for index in order[first : first + self._batch_size]]
