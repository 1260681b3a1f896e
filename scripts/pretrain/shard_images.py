"""Random access to the images of the shards or of an image set, and their views.

A view is a function of (seed, epoch, image id, view number), so the number of worker processes changes nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from torch import Tensor
from torch.utils.data import Dataset

from scripts.lib.draws import generator
from scripts.lib.errors import UserError
from scripts.lib.files import read_tables
from scripts.lib.identity import content_digest
from scripts.lib.images import open_image, to_rgb
from scripts.lib.tables import SHARD_INDEX
from scripts.lib.tars import TarReader
from scripts.pretrain.contract import MakeViews
from scripts.pretrain.epoch_batches import Item
from scripts.pretrain.image_sets import check_root

MAX_OPEN = 512  # files at a time: half of what a process may usually have open
COLUMNS = ("image_id", "container", "offset", "size", "sha256")
MANY_FILES = 10_000  # of a set: more are not all looked for at the start


@dataclass(frozen=True)
class ImageList:
    """All images of a run, sorted by id."""

    table: pa.Table  # COLUMNS
    path_of: Callable[[str], Path]  # container → the file that holds the bytes; can be sent to another process
    remedy: str  # what to do when the bytes are not what the table says

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
    table = read_tables(indexes, SHARD_INDEX).rename_columns({"shard": "container"})
    for shard, end in _ends(table):
        path = tars.get(shard)
        if path is None:
            raise UserError(f"an index names shard {shard}, but --shards has no {shard}.tar; name both")
        if not path.is_file() or path.stat().st_size < end:
            raise UserError(
                f"{path} is missing or shorter than its index says (expected at least {end} bytes); "
                f"remake it: delete it and run snakemake again"
            )
    remedy = (
        "although inspect_images could decode it: the shard is damaged. Remake it: delete it and run snakemake again"
    )
    return ImageList(_sorted(table), tars.__getitem__, remedy)


def list_image_set(name: str, root: Path, index: Path) -> ImageList:
    """Read the index of an image set; only its usable images count.

    Raises:
        UserError: the set is not there, or a file is missing or shorter than the index says.
    """
    check_root(name, root)
    table = pq.read_table(index, columns=list(COLUMNS), filters=[("reason", "=", "")])
    remedy = (
        f"although index_images could decode it: the set {name} changed since. Put the file back as it was, or index "
        f"the set anew: delete {index} and run snakemake again"
    )
    ends = _ends(table)
    for container, end in ends if len(ends) <= MANY_FILES else ends[:1]:
        path = root / container
        if not path.is_file() or path.stat().st_size < end:
            raise UserError(
                f"{path} is missing or shorter than the {end} bytes that it had when the image set {name} was indexed. "
                f"Put it back, or index the set anew: delete {index} and run snakemake again"
            )
    return ImageList(_sorted(table), root.joinpath, remedy)


def _ends(table: pa.Table) -> list[tuple[str, int]]:
    """Return containers, sorted, with the least size that each must have."""
    ends = pa.table({"container": table["container"], "end": pc.add(table["offset"], table["size"])})
    found = ends.group_by("container").aggregate([("end", "max")]).sort_by("container")
    return list(zip(found["container"].to_pylist(), found["end_max"].to_pylist(), strict=True))


def _sorted(table: pa.Table) -> pa.Table:
    return table.select(COLUMNS).sort_by("image_id").combine_chunks()


class ShardImages(Dataset[list[Tensor]]):
    """(epoch, index) → the views of an image. Each process opens the files for itself, when it first reads."""

    def __init__(self, images: ImageList, make_views: MakeViews, seed: int) -> None:
        self._path_of, self._remedy = images.path_of, images.remedy
        self._make_views = make_views
        self._seed = seed
        # Arrow and NumPy arrays, because forked workers share their pages; lists would be copied as reference counts
        # change.
        self._ids, self._containers = (_one_array(images.table[name]) for name in ("image_id", "container"))
        self._offsets = images.table["offset"].to_numpy()
        self._sizes = images.table["size"].to_numpy()
        self._readers: OrderedDict[str, TarReader] = OrderedDict()  # the last used comes last

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_readers": OrderedDict()}

    def __len__(self) -> int:
        return len(self._ids)

    def read(self, index: int) -> bytes:
        """Return the file of image `index`."""
        return self._reader(self._containers[index].as_py()).read(int(self._offsets[index]), int(self._sizes[index]))

    def _reader(self, container: str) -> TarReader:
        """Return an open file; of a folder of pictures each is one, so only the last ones stay open."""
        if container not in self._readers:
            if len(self._readers) == MAX_OPEN:
                self._readers.popitem(last=False)[1].close()
            self._readers[container] = TarReader(self._path_of(container))
        self._readers.move_to_end(container)
        return self._readers[container]

    def __getitem__(self, item: Item) -> list[Tensor]:
        epoch, index = item
        image_id = self._ids[index].as_py()
        try:
            image = to_rgb(open_image(self.read(index)))
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            path = self._path_of(self._containers[index].as_py())
            raise UserError(f"image {image_id} in {path} does not decode ({error}), {self._remedy}") from None
        return self._make_views(image, lambda view: generator(self._seed, "view", epoch, image_id, view))


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)
