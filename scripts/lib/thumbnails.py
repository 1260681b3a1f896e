"""Small pictures of a part's images, for pages and contact sheets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from scripts.lib.images import open_image, to_rgb


def id_values(image_ids: Iterable[str]) -> pa.Array:
    """Return ids as the value set of a filter."""
    return pa.array(sorted(image_ids), type=pa.string())


def find_bytes(status: Path, wanted: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Return image id → (offset, size) in the part's tar, for those of `wanted` whose bytes are there."""
    table = pq.read_table(status, columns=["image_id", "reason", "offset", "size"])
    present = table.filter(pc.equal(table["reason"], ""))
    rows = present.filter(pc.is_in(present["image_id"], value_set=id_values(wanted))).to_pylist()
    return {row["image_id"]: (row["offset"], row["size"]) for row in rows}


def make_thumbnail(content: bytes, side: int) -> tuple[Image.Image, float]:
    """Return an RGB thumbnail with a long side of at most `side` pixels, and thumbnail pixels for each image pixel.

    Raises:
        OSError, SyntaxError, ValueError: the image does not decode.
    """
    image = to_rgb(open_image(content))
    scale = min(1.0, side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    # The reducing gap is off: it takes a shortcut whose result depends on the decoder.
    return image.resize(size, Image.Resampling.LANCZOS), scale
