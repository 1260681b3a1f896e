"""The pictures of a page for reviewers: decoded by the project's one function, made small, written as bare JPEG."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from scripts.filter.settings import ReviewPageSettings
from scripts.lib.errors import UserError
from scripts.lib.tars import TarReader
from scripts.lib.thumbnails import find_bytes, id_values, make_thumbnail

BOXES_SHOWN = 5  # of each detector, the best first
NO_PICTURE = (400, 300)  # pixels left free for the note of an image that cannot be shown

# Detector (its place in the list), then left, top, right, bottom as shares of the image, then score.
Box = tuple[int, float, float, float, float, float]


@dataclass(frozen=True)
class Asked:
    """An image that a reviewer is asked about."""

    image_id: str
    why: str
    title: str
    creator: str


@dataclass(frozen=True)
class Shown:
    """An image as a page shows it; `jpeg` is empty and `note` says why when there is no picture."""

    asked: Asked
    jpeg: bytes
    note: str
    width: int  # pixels of the JPEG
    height: int
    boxes: Sequence[Box]


def bare_jpeg(image: Image.Image, quality: int) -> bytes:
    """Return JPEG bytes of the pixels alone: no EXIF, position, profile, comment or embedded preview."""
    target = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(target, format="JPEG", quality=quality)
    return target.getvalue()


def find_boxes(tables: Sequence[Path], wanted: Iterable[str]) -> dict[str, list[tuple[int, Mapping[str, float]]]]:
    """Return image id → (place of the table, box in pixels of the image), for those of `wanted` that have any."""
    found: dict[str, list[tuple[int, Mapping[str, float]]]] = defaultdict(list)
    values = id_values(wanted)
    for index, path in enumerate(tables):
        table = pq.read_table(path, columns=["image_id", "boxes"])
        for row in table.filter(pc.is_in(table["image_id"], value_set=values)).to_pylist():
            found[row["image_id"]] += [(index, box) for box in (row["boxes"] or [])[:BOXES_SHOWN]]
    return found


def show_image(
    asked: Asked,
    content: bytes | None,
    boxes: Iterable[tuple[int, Mapping[str, float]]],
    settings: ReviewPageSettings,
) -> Shown:
    """Return an image as the page shows it. One that does not decode is asked about all the same, without a picture."""
    if content is None:
        return Shown(asked, b"", "The bytes of this image are not in the tar of its part.", *NO_PICTURE, [])
    try:
        thumbnail, scale = make_thumbnail(content, settings.thumbnail)
    except (OSError, SyntaxError, ValueError) as error:
        return Shown(asked, b"", f"This image does not decode: {error}", *NO_PICTURE, [])
    width, height = thumbnail.width / scale, thumbnail.height / scale
    shares: list[Box] = [
        (
            index,
            _share(box["x0"], width),
            _share(box["y0"], height),
            _share(box["x1"], width),
            _share(box["y1"], height),
            round(box["score"], 4),
        )
        for index, box in boxes
    ]
    return Shown(asked, bare_jpeg(thumbnail, settings.jpeg_quality), "", thumbnail.width, thumbnail.height, shares)


def _share(position: float, size: float) -> float:
    return round(min(1.0, max(0.0, position / size)), 4)


def show_images(
    asked: Sequence[Asked],
    tar: Path,
    status: Path,
    tables: Sequence[Path],
    settings: ReviewPageSettings,
) -> Iterator[Shown]:
    """Yield images of one part in the order given, decoding one at a time.

    Args:
        asked: images, all of the part.
        tar: the part's bytes.
        status: the part's table of downloads.
        tables: DETECTIONS of the part, one for each detector; their place is the first value of a box.
        settings: size and quality of the pictures.

    Raises:
        UserError: the tar is shorter than its table says.
    """
    ids = [image.image_id for image in asked]
    places, boxes = find_bytes(status, ids), find_boxes(tables, ids)
    with TarReader(tar) as reader:
        for image in asked:
            try:
                content = reader.read(*places[image.image_id]) if image.image_id in places else None
            except EOFError as error:
                raise UserError(
                    f"{tar} is cut short at image {image.image_id} ({error}). Delete it and run snakemake again"
                ) from None
            yield show_image(image, content, boxes.get(image.image_id, []), settings)
