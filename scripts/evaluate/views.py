"""From a labelled image to the one view of it that an encoder is shown, several at a time."""

from __future__ import annotations

import itertools
import math
import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from PIL import Image

from scripts.evaluate.items import Item, Reader
from scripts.evaluate.settings_tasks import TaskBase
from scripts.lib.errors import UserError
from scripts.lib.images import Pixels, decode_image

In = TypeVar("In")
Out = TypeVar("Out")

# What Pillow's decoders raise on damaged files. The last is its own limit of 179 million pixels.
DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, OverflowError, struct.error, Image.DecompressionBombError)


def augmented_view(pixels: Pixels, crop: int, random: np.random.Generator) -> Pixels:
    """Return a random resized crop, perhaps mirrored, as the official linear evaluations draw them.

    Share of the area uniform in 0.08-1, aspect ratio log-uniform in 3/4-4/3, ten tries and then the largest centre crop
    of an allowed ratio (torchvision's `RandomResizedCrop`); mirrored with probability 1/2. uint8 [h, w, 3] → [crop,
    crop, 3].
    """
    height, width = pixels.shape[:2]
    for _ in range(10):
        area = height * width * random.uniform(0.08, 1.0)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        box_width, box_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < box_width <= width and 0 < box_height <= height:
            left, top = random.integers(width - box_width + 1), random.integers(height - box_height + 1)
            break
    else:
        box_width, box_height = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
        left, top = (width - box_width) // 2, (height - box_height) // 2
    box = (left, top, left + box_width, top + box_height)
    image = Image.fromarray(pixels).resize((crop, crop), Image.Resampling.BILINEAR, box=box)
    view = np.asarray(image)
    return np.ascontiguousarray(view[:, ::-1]) if random.random() < 0.5 else view


def load_pixels(item: Item, reader: Reader, task: TaskBase) -> Pixels:
    """Return the pixels of a labelled image.

    Raises:
        UserError: it cannot be read or decoded, or it is not what was listed. A labelled set must be whole, or its
            figures could not be compared with anyone's.
    """
    try:
        content = reader.read(item)
        if not isinstance(content, bytes):
            return content
        if len(content) != item.size:
            raise EOFError(f"{len(content)} bytes where {item.size} were listed")
    except (OSError, EOFError) as error:
        raise UserError(
            f"the {item.split} image {item.name} of the task {task.name} is not what `list_task` listed ({error}): the "
            f"labelled set changed or moved. Restore it, or delete results/evaluate/list_task/{task.name}.parquet to "
            "list it again"
        ) from None
    try:
        return decode_image(content)
    except DECODE_ERRORS as error:
        raise UserError(
            f"the {item.split} image {item.name} of the task {task.name} cannot be decoded ({error}). Replace it, or "
            "take it out of the labelled set and list that again: results of a set with holes compare with nobody's"
        ) from None


def ahead(function: Callable[[In], Out], inputs: Sequence[In], threads: int, depth: int) -> Iterator[Out]:
    """Yield `function(input)` in input order, computed by `threads` threads, at most `depth` inputs ahead."""
    waiting: deque[Future[Out]] = deque()
    rest = iter(inputs)
    with ThreadPoolExecutor(threads) as pool:
        try:
            waiting.extend(pool.submit(function, each) for each in itertools.islice(rest, depth))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, each) for each in itertools.islice(rest, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()
