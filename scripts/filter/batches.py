"""The images of a part, read and decoded in batches of equal size while the detector works on the batch before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from scripts.lib.errors import UserError
from scripts.lib.images import Pixels, decode_image

# Bounds the memory of a batch of large photographs; 8 PASS photos (500 x 375) are 1.5 million pixels.
BATCH_PIXELS = 8_000_000
DETAIL_LENGTH = 200


@dataclass(frozen=True)
class Item:
    """An image of the part's tar that decodes."""

    image_id: str
    offset: int
    size: int  # bytes
    height: int
    width: int


Loaded = list[tuple[Item, Pixels | str]]  # pixels, or why there are none
Read = Callable[[int, int], bytes]  # offset, size


def list_items(status: pa.Table, inspection: pa.Table) -> list[Item]:
    """Return the images that decode, in id order.

    Args:
        status: DOWNLOADS of the part.
        inspection: INSPECTIONS of the part.

    Raises:
        UserError: an inspected image has no bytes according to `status`: the two tables are of different runs.
    """
    stored = status.filter(pc.equal(status["reason"], "")).select(["image_id", "offset", "size"]).to_pylist()
    places = {row["image_id"]: row for row in stored}
    usable = inspection.filter(pc.equal(inspection["reason"], "")).select(["image_id", "width", "height"]).to_pylist()
    missing = sorted(row["image_id"] for row in usable if row["image_id"] not in places)
    if missing:
        raise UserError(
            f"{len(missing)} images are in the inspection table and have no bytes in the status table of the download "
            f"(first: {missing[0]}): the two files are of different runs. Run `download` and `inspect_images` of this "
            "part again"
        )
    items = [
        Item(
            row["image_id"],
            places[row["image_id"]]["offset"],
            places[row["image_id"]]["size"],
            row["height"],
            row["width"],
        )
        for row in usable
    ]
    return sorted(items, key=lambda item: item.image_id)


def make_batches(items: Iterable[Item], batch_size: int, scale: float = 1.0) -> list[list[Item]]:
    """Return batches of images of equal size, the largest sizes first, so that a lack of memory shows at once.

    `scale` is the largest at which the detector looks at a picture.
    """
    batches: list[list[Item]] = []
    for item in sorted(items, key=lambda item: (-item.height * item.width, -item.height, item.image_id)):
        last = batches[-1] if batches else []
        pixels = item.height * item.width * scale**2
        fits = len(last) < batch_size and (len(last) + 1) * pixels <= BATCH_PIXELS
        if last and fits and (last[0].height, last[0].width) == (item.height, item.width):
            last.append(item)
        else:
            batches.append([item])
    return batches


def load_batch(batch: list[Item], read: Read) -> Loaded:
    """Read and decode a batch; a picture that does not decode gives a text in the place of its pixels."""
    loaded: Loaded = []
    for item in batch:
        content = read(item.offset, item.size)
        try:
            loaded.append((item, decode_image(content)))
        except (OSError, SyntaxError, ValueError, MemoryError) as error:
            loaded.append((item, f"does not decode: {describe(error)}"))
    return loaded


def load_ahead(batches: Iterable[list[Item]], load: Callable[[list[Item]], Loaded]) -> Iterator[Loaded]:
    """Yield loaded batches in order while a thread loads the next one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting: Future[Loaded] | None = None
        for batch in batches:
            following = pool.submit(load, batch)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()


def describe(error: Exception) -> str:
    """Return an error as one short line; memory addresses and paths of this machine stay in the log."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"[:DETAIL_LENGTH]
