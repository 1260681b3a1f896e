"""Annotated pictures as a network takes them: read, scaled, mirrored, with what is marked on them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch
from faster_coco_eval import mask as run_lengths
from PIL import Image

from scripts.evaluate.settings_finetuned import DetectorRecipe
from scripts.evaluate.views import DECODE_ERRORS
from scripts.lib.draws import generator
from scripts.lib.errors import UserError
from scripts.lib.images import Pixels, decode_image
from scripts.lib.tables import PICTURES

Target = dict[str, torch.Tensor]
PIXEL_CENTRE = 0.5  # COCO's keypoints are numbers of pixels, boxes and outlines are places


@dataclass(frozen=True)
class Listed:
    """A row of `PICTURES`."""

    split: str
    name: str
    mask: str
    size: int
    width: int
    height: int
    things: list[dict[str, Any]]


def read_listed(path: str) -> list[Listed]:
    """Return the pictures of a table of `list_annotations`."""
    rows = pq.read_table(path, schema=PICTURES).to_pylist()
    return [Listed(**{key: row[key] for key in row if key != "objects"}, things=json.loads(row["objects"])) for row in rows]  # fmt: skip  # noqa: E501


def read_pixels(picture: Listed, folders: Mapping[str, Path]) -> Pixels:
    """Return the pixels of a picture.

    Raises:
        UserError: it is not what was listed, or cannot be decoded.
    """
    path = folders[picture.split] / picture.name
    try:
        content = path.read_bytes()
        if len(content) != picture.size:
            raise EOFError(f"{len(content)} bytes where {picture.size} were listed")
        return decode_image(content)
    except DECODE_ERRORS as error:
        raise UserError(
            f"the {picture.split} picture {path.name} cannot be read ({error}): the set changed, or the file is "
            "damaged behind its header. Restore it, or take it out of the annotations, and list the set again "
            "(snakemake --forcerun list_annotations)"
        ) from None


def scaled_size(width: int, height: int, short: int, longest: int) -> tuple[int, int]:
    """Return the size with a short side of `short`, the long one at most `longest`; halves are rounded up."""
    scale = min(short / min(width, height), longest / max(width, height))
    return max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5))


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return a picture scaled to (width, height) by Pillow's antialiased bilinear filter."""
    image = Image.fromarray(pixels)
    return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BILINEAR))


def tensor_of(pixels: Pixels) -> torch.Tensor:
    """Return levels 0-1, float32 [3, h, w]."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).float() / 255


def thing_mask(outline: Any, picture: tuple[int, int], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return the pixels of a thing, 0 or 1 [height, width], in a picture that was scaled.

    Args:
        outline: polygons in pixels of the picture, or run lengths of its size.
        picture: width and height before scaling.
        size: width and height after it.
    """
    if isinstance(outline, dict):
        code = outline
        if isinstance(code["counts"], list):
            code = run_lengths.frPyObjects(code, picture[1], picture[0])
        whole = Image.fromarray(np.ascontiguousarray(run_lengths.decode(code)))
        return np.asarray(whole.resize(size, Image.Resampling.NEAREST))
    factors = np.array([size[0] / picture[0], size[1] / picture[1]])
    scaled = [(np.reshape(each, (-1, 2)) * factors).ravel().tolist() for each in outline]
    drawn: npt.NDArray[np.uint8] = run_lengths.decode(
        run_lengths.merge(run_lengths.frPyObjects(scaled, size[1], size[0]))
    )
    return drawn


def mirror_pairs(names: Sequence[str]) -> list[int]:
    """Return, for each keypoint, which one takes its place in a mirrored picture: left and right swap."""
    swapped = [
        name.replace("left", "\0").replace("right", "left").replace("\0", "right") if "left" in name or "right" in name
        else name
        for name in names
    ]  # fmt: skip
    return [names.index(name) if name in names else place for place, name in enumerate(swapped)]


def trainable(things: Sequence[dict[str, Any]], head: str) -> list[dict[str, Any]]:
    """Return the things that train a head: no crowds, and an outline where the head draws outlines."""
    return [each for each in things if not each["crowd"] and (head != "mask" or "segmentation" in each)]


def useful(picture: Listed, head: str) -> bool:
    """Return whether a picture trains a head: it has a thing, and for keypoints one that can be seen."""
    things = trainable(picture.things, head)
    return any(head != "keypoint" or any(each["keypoints"][2::3]) for each in things)


def target_of(picture: Listed, size: tuple[int, int], mirrored: bool, head: str, pairs: Sequence[int]) -> Target:
    """Return boxes, labels, masks and keypoints in a picture that was scaled to `size` and perhaps mirrored."""
    factors = np.array([size[0] / picture.width, size[1] / picture.height])
    found: dict[str, list[Any]] = {"boxes": [], "labels": [], "masks": [], "keypoints": []}
    for thing in trainable(picture.things, head):
        corners = np.reshape(thing["box"], (2, 2)).astype(np.float64)
        corners[1] += corners[0]
        corners *= factors
        if mirrored:
            corners[:, 0] = size[0] - corners[::-1, 0]
        corners = corners.astype(np.float32)
        if not (corners[1] > corners[0]).all():  # thinner than 32 bits can tell
            continue
        found["boxes"].append(corners.ravel())
        found["labels"].append(thing["label"])
        if head == "mask":
            drawn = thing_mask(thing["segmentation"], (picture.width, picture.height), size)
            found["masks"].append(drawn[:, ::-1] if mirrored else drawn)
        if head == "keypoint":
            points = np.reshape(thing["keypoints"], (-1, 3)).astype(np.float32)
            points[:, :2] = (points[:, :2] + PIXEL_CENTRE) * factors
            if mirrored:
                points[:, 0] = size[0] - points[:, 0]
                points = points[list(pairs)]
            points[points[:, 2] == 0] = 0
            found["keypoints"].append(points)
    target = {
        "boxes": torch.from_numpy(np.array(found["boxes"], dtype=np.float32).reshape(-1, 4)),
        "labels": torch.tensor(found["labels"], dtype=torch.int64),
    }
    if head == "mask":
        target["masks"] = torch.from_numpy(np.array(found["masks"], dtype=np.uint8).reshape(-1, size[1], size[0]))
    if head == "keypoint":
        stacked = np.array(found["keypoints"], dtype=np.float32).reshape(-1, len(pairs), 3)
        target["keypoints"] = torch.from_numpy(stacked)
    return target


class DetectorViews:
    """Reads the pictures of one split for a detector.

    Args:
        pictures: of the split.
        folders: of the images of each split.
        recipe: sizes and the share of mirrored pictures.
        seed: of those.
        keypoints: their names.
    """

    def __init__(
        self,
        pictures: Sequence[Listed],
        folders: Mapping[str, Path],
        recipe: DetectorRecipe,
        seed: int,
        keypoints: Sequence[str] = (),
    ) -> None:
        self.pictures, self._folders, self._recipe, self._seed = pictures, folders, recipe, seed
        self._pairs = mirror_pairs(list(keypoints))

    def train(self, step: int, index: int) -> tuple[torch.Tensor, Target]:
        """Return a picture as a step sees it, float32 [3, h, w], and its target: functions of (seed, step, name)."""
        picture, recipe = self.pictures[index], self._recipe
        random = generator(self._seed, "fine-tune view", step, picture.name)
        short = recipe.train_short_sides[int(random.integers(len(recipe.train_short_sides)))]
        mirrored = bool(random.random() < recipe.flip_probability)
        size = scaled_size(picture.width, picture.height, short, recipe.max_side)
        pixels = resized(read_pixels(picture, self._folders), size)
        target = target_of(picture, size, mirrored, recipe.head, self._pairs)
        return tensor_of(pixels[:, ::-1] if mirrored else pixels), target

    def test(self, index: int) -> torch.Tensor:
        """Return a picture as the test shows it, float32 [3, h, w]."""
        picture, recipe = self.pictures[index], self._recipe
        size = scaled_size(picture.width, picture.height, recipe.test_short_side, recipe.max_side)
        return tensor_of(resized(read_pixels(picture, self._folders), size))
