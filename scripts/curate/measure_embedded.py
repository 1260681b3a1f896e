"""What the metadata of an image says about people and places, and whether its thumbnails show the same picture.

A thumbnail inside a file is made when the file is first written; a program that crops the picture or paints something
over often leaves it as it was. Runs in the worker process of `decode_guard`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from scripts.lib.embedded.parts import Parts
from scripts.lib.embedded.signals import read_signals
from scripts.lib.images import TURNS, open_image, to_rgb
from scripts.lib.perceptual_hash import distances, perceptual_hashes, small_grey

MAX_THUMBNAILS = 4
MAX_THUMBNAIL_PIXELS = 1 << 20  # EXIF's are 160 x 120
MIN_THUMBNAIL_SIDE = 16
MIN_THUMBNAIL_STD = 4.0  # levels; flatter ones have no usable hash
MAX_BAR_LEVEL = 24  # cameras put 3:2 pictures into 4:3 thumbnails with black bars
_QUARTERS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)


@dataclass(frozen=True)
class EmbeddedMeasurement:
    """The columns of `tables.INSPECTIONS` that come from metadata; None: there, and unreadable (or no thumbnail)."""

    position: bool | None
    face_regions: int | None
    thumbnail_distance: int | None


@dataclass(frozen=True)
class Seen:
    """The picture that thumbnails are compared with."""

    phash: int
    aspect: float  # width / height, turned as it is to be seen
    orientation: int  # by which it was turned, 1 to 8


def measure_embedded(parts: Parts, seen: Seen) -> EmbeddedMeasurement:
    """Measure the blocks of a file against its picture. Never raises for unreadable metadata.

    Args:
        parts: the file taken apart.
        seen: its picture.
    """
    signals = read_signals(parts)
    measured = [_thumbnail_distance(each, seen) for each in signals.previews[:MAX_THUMBNAILS]]
    return EmbeddedMeasurement(
        position=signals.position,
        face_regions=signals.face_regions,
        thumbnail_distance=max((each for each in measured if each is not None), default=None),
    )


def _thumbnail_distance(content: bytes, seen: Seen) -> int | None:
    """Return in how many of 64 bits the perceptual hashes of thumbnail and picture differ; None when not comparable.

    The thumbnail is turned as the picture is. The smallest distance over the four quarter turns counts, because
    programs that turn a picture for good tend to leave its thumbnail lying.
    """
    try:
        thumbnail = open_image(content)
        if thumbnail.width * thumbnail.height > MAX_THUMBNAIL_PIXELS or min(thumbnail.size) < MIN_THUMBNAIL_SIDE:
            return None
        grey = to_rgb(thumbnail).convert("L")
    except Exception:  # noqa: BLE001 - a thumbnail that does not decode says nothing; the picture stays
        return None
    if np.asarray(grey).std() < MIN_THUMBNAIL_STD:
        return None
    turn = TURNS.get(seen.orientation)
    grey = grey if turn is None else grey.transpose(turn)
    greys = [grey, *(grey.transpose(quarter) for quarter in _QUARTERS)]
    hashes = perceptual_hashes([small_grey(_without_bars(each, seen.aspect)) for each in greys])
    return int(distances(np.array([seen.phash], np.uint64), hashes).min())


def _without_bars(grey: Image.Image, aspect: float) -> Image.Image:
    """Cut off what a thumbnail has above and below, or left and right, of a picture of `aspect`, when it is black."""
    across, down = grey.width, grey.height
    pixels = np.asarray(grey)
    # The innermost row of a bar may be half picture, so it is cut off without being looked at.
    if across < down * aspect:
        bar = round((down - across / aspect) / 2)
        edges, box = (pixels[: bar - 1], pixels[down - bar + 1 :]), (0, bar, across, down - bar)
    else:
        bar = round((across - down * aspect) / 2)
        edges, box = (pixels[:, : bar - 1], pixels[:, across - bar + 1 :]), (bar, 0, across - bar, down)
    if bar < 2 or min(box[2] - box[0], box[3] - box[1]) < 1 or max(edge.mean() for edge in edges) > MAX_BAR_LEVEL:
        return grey
    return grey.crop(box)
