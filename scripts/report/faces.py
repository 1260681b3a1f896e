"""Make faces on a thumbnail unrecognisable.

A reviewer must see why an image was dropped, not who is in it. The constants are layout, not settings of the
experiment, and err on the side of hiding too much: a face box of any detector counts from a score far below every
drop threshold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from PIL import Image, ImageFilter

FACE_FLOOR = 0.2  # boxes with at least this score are hidden
# A face with at least this score explains the image. Below it, where people are to be expected, a detector may have
# marked a button and missed the face, so the whole thumbnail is made coarse too.
SURE_FACE = 0.5
ENLARGEMENT = 0.3  # of the box's width and height, half on each side: hair, ears and chin lie outside a detector's box
# A box becomes 3 x 3 mean colours: no eye, mouth or outline is left at whatever size. People recognise faces that they
# know down to about 7 x 10 pixels (Sinha et al. 2006, Face recognition by humans, result 1).
FACE_CELLS = 3
WHOLE_CELLS = 14  # on the long side: a scene stays a scene, a face that is a third of it becomes 5 cells


@dataclass(frozen=True)
class Box:
    """A detected face, in pixels of the decoded image."""

    x0: float
    y0: float
    x1: float
    y1: float
    score: float


def enlarged(box: Box, scale: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) on a thumbnail of `size`, `scale` times the image; at least one pixel."""
    margin_x, margin_y = (box.x1 - box.x0) * ENLARGEMENT / 2, (box.y1 - box.y0) * ENLARGEMENT / 2
    left = min(max(int((box.x0 - margin_x) * scale), 0), size[0] - 1)
    top = min(max(int((box.y0 - margin_y) * scale), 0), size[1] - 1)
    right = min(max(int((box.x1 + margin_x) * scale) + 1, left + 1), size[0])
    bottom = min(max(int((box.y1 + margin_y) * scale) + 1, top + 1), size[1])
    return left, top, right, bottom


def coarse(image: Image.Image, cells: int) -> Image.Image:
    """Return the image as mean colours of at most `cells` cells on its long side, blurred back to its size."""
    width, height = image.size
    unit = max(width, height) / cells
    few = (max(1, round(width / unit)), max(1, round(height / unit)))
    # Cells first: blurring alone can be undone to a degree, means of cells cannot.
    return image.resize(few, Image.Resampling.BOX).resize(image.size, Image.Resampling.BICUBIC)


def hide_faces(thumbnail: Image.Image, boxes: Iterable[Box], scale: float, people_expected: bool) -> Image.Image:
    """Return the thumbnail (RGB) with its faces hidden.

    Args:
        thumbnail: the image, `scale` times as large as when the faces were found.
        boxes: of all face detectors.
        scale: thumbnail pixels for each image pixel.
        people_expected: the image was dropped for a person, so an undetected face is likely.
    """
    result = thumbnail.copy()
    hidden = [box for box in boxes if box.score >= FACE_FLOOR]
    if people_expected and not any(box.score >= SURE_FACE for box in hidden):
        result = coarse(result, WHOLE_CELLS)
    for box in hidden:
        place = enlarged(box, scale, result.size)
        patch = coarse(result.crop(place), FACE_CELLS)
        radius = max(patch.size) / (2 * FACE_CELLS)
        result.paste(patch.filter(ImageFilter.GaussianBlur(radius)), place)
    return result
