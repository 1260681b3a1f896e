"""Pictures with masks of class numbers, as a segmenter takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from scripts.evaluate.annotations.semantic import MASKS
from scripts.evaluate.dense.pictures import Listed, read_pixels, resized, tensor_of
from scripts.evaluate.dense.segmenter import IGNORED, Labels
from scripts.evaluate.settings_annotated import SemanticTask
from scripts.evaluate.settings_finetuned import SegmenterRecipe
from scripts.lib.draws import generator
from scripts.lib.errors import UserError
from scripts.lib.images import Pixels


def read_mask(picture: Listed, folders: Mapping[str, Path], task: SemanticTask) -> npt.NDArray[np.uint8]:
    """Return the class of each pixel [height, width].

    Raises:
        UserError: the mask is not what was listed, or has a class that the set has not.
    """
    path = folders[MASKS] / picture.mask
    try:
        with Image.open(path, formats=("PNG",)) as image:
            mask = np.array(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"the mask {path.name} of the set {task.name} cannot be read ({error}); restore it") from None
    highest = int(mask[mask != task.ignore].max(initial=0))
    if mask.shape != (picture.height, picture.width) or highest >= task.classes:
        raise UserError(
            f"the mask {path.name} of the set {task.name} has the size {mask.shape} and classes up to {highest}, where "
            f"{(picture.height, picture.width)} and less than {task.classes} are expected; set `classes` and `ignore` "
            "of the set to what its masks hold"
        )
    return mask


def labels_of(mask: npt.NDArray[np.uint8], ignore: int) -> Labels:
    """Return torch's labels: classes, and IGNORED where a pixel does not count."""
    return np.where(mask == ignore, IGNORED, mask.astype(np.int64))


class SegmenterViews:
    """Reads the pictures of one split for a segmenter.

    Args:
        pictures: of the split.
        folders: of images and masks.
        settings: of the set, and of the recipe.
        seed: of scales, crops and mirrored pictures.
    """

    def __init__(
        self,
        pictures: Sequence[Listed],
        folders: Mapping[str, Path],
        settings: tuple[SemanticTask, SegmenterRecipe],
        seed: int,
    ) -> None:
        self.pictures, self._folders, self._seed = pictures, folders, seed
        self._task, self._recipe = settings

    def train(self, step: int, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a crop, float32 [3, crop, crop], and its labels [crop, crop]: functions of (seed, step, name).

        Scaled by a factor of the recipe's range, cropped, mirrored; what lies outside the picture is black and does
        not count.
        """
        picture, recipe = self.pictures[index], self._recipe
        random = generator(self._seed, "fine-tune view", step, picture.name)
        scale = float(random.uniform(*recipe.scales))
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        pixels = resized(read_pixels(picture, self._folders), size)
        mask = read_mask(picture, self._folders, self._task)
        labels = labels_of(np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)), self._task.ignore)
        left, top = (int(random.integers(max(0, side - recipe.crop) + 1)) for side in size)
        if random.random() < recipe.flip_probability:
            pixels, labels, left = pixels[:, ::-1], labels[:, ::-1], max(0, size[0] - recipe.crop) - left
        part = (slice(top, top + recipe.crop), slice(left, left + recipe.crop))
        return self._padded(pixels[part], labels[part])

    def _padded(self, pixels: Pixels, labels: Labels) -> tuple[torch.Tensor, torch.Tensor]:
        side, (height, width) = self._recipe.crop, labels.shape
        image = torch.zeros(3, side, side)
        image[:, :height, :width] = tensor_of(pixels)
        target = torch.full((side, side), IGNORED, dtype=torch.int64)
        target[:height, :width] = torch.from_numpy(np.ascontiguousarray(labels))
        return image, target

    def test(self, index: int) -> tuple[torch.Tensor, Labels]:
        """Return a whole picture, float32 [3, h, w], and its labels."""
        picture = self.pictures[index]
        labels = labels_of(read_mask(picture, self._folders, self._task), self._task.ignore)
        return tensor_of(read_pixels(picture, self._folders)), labels

    def most_frequent(self) -> int:
        """Return the class with the most pixels: what someone answers who sees no picture."""
        counts = np.zeros(self._task.classes, dtype=np.int64)
        for picture in self.pictures:
            labels = labels_of(read_mask(picture, self._folders, self._task), self._task.ignore)
            counts += np.bincount(labels[labels != IGNORED], minlength=self._task.classes)
        return int(counts.argmax())
