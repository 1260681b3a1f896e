"""From labelled images to their features under one encoder: views, batches, precision."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from scripts.evaluate.blocks import FeatureTaps
from scripts.evaluate.features import Array, best_device
from scripts.evaluate.items import TRAIN, Item, Reader
from scripts.evaluate.preprocess import interpolation_of, size_of
from scripts.evaluate.settings import EmbedSettings
from scripts.evaluate.views import ahead, augmented_view, load_pixels
from scripts.lib.draws import generator
from scripts.lib.errors import UserError
from scripts.lib.images import Pixels, centre_view

BATCHES_AHEAD = 3  # decoded while the network works


def normalisation(description: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation of the pixels (0-1, [1, 3, 1, 1]) that an encoder was trained with.

    Raises:
        UserError: the encoder's description does not say them; guessing would shift every feature.
    """
    found = []
    for key in ("mean", "std"):
        values = description.get(key)
        if not (
            isinstance(values, list) and len(values) == 3 and all(isinstance(each, int | float) for each in values)
        ):
            raise UserError(
                f"the description of the encoder has no `{key}` of three numbers (it has {values!r}), so its pictures "
                f"cannot be normalised; save it with save_encoder(..., {{'{key}': [...], ...}})"
            )
        found.append(torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1))
    if not bool((found[1] > 0).all()):
        raise UserError(f"the description of the encoder has the std {description['std']}; it must be above 0")
    return found[0], found[1]


class Embedder:
    """One encoder, ready to embed the images of one task.

    Args:
        reader: of the task's images.
        encoder: what `load_encoder` returns.
        settings: of the step.
        threads: that decode images.
    """

    def __init__(
        self, reader: Reader, encoder: tuple[nn.Module, dict[str, Any]], settings: EmbedSettings, threads: int
    ) -> None:
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = False
        self.device = best_device()
        self._reader, self._settings, self._threads = reader, settings, threads
        self._interpolation = interpolation_of(encoder[1])
        self._own_size = size_of(encoder[1], "image_size")
        self._mean, self._std = (each.to(self.device) for each in normalisation(encoder[1]))
        network = encoder[0].eval().to(self.device).to(memory_format=torch.channels_last)
        self._taps = FeatureTaps(network, settings.cache.last_blocks)

    def views_of(self, item: Item) -> tuple[int, list[Pixels]]:
        """Return the short side of an image and its views: the centre crop, then the augmented ones of train images."""
        task, cache = self._settings.task, self._settings.cache
        pixels = load_pixels(item, self._reader, task)
        views = [centre_view(pixels, task.resize, task.crop, self._interpolation)]
        if cache.train_views is not None and item.split == TRAIN:
            for number in range(cache.train_views):
                random = generator(cache.seed, "embed view", item.name, number)
                views.append(augmented_view(pixels, task.crop, random))
        return min(pixels.shape[:2]), views

    @torch.inference_mode()
    def embed(self, items: Sequence[Item]) -> dict[str, Array]:
        """Return the tensors of a shard: what `FeatureTaps` gives [n, ...], `views` [n, v, d], short sides [n].

        Raises:
            UserError: an image cannot be decoded (`load_pixels`), or the encoder gives numbers that are not finite.
        """
        size = self._settings.batch_size
        loaded = ahead(self.views_of, items, self._threads, depth=BATCHES_AHEAD * size)
        found: defaultdict[str, list[Array]] = defaultdict(list)
        for _ in range(0, len(items), size):
            batch = list(itertools.islice(loaded, size))
            found["short"].append(np.array([short for short, _ in batch], dtype=np.int32))
            views = [self._run(np.stack(each)) for each in zip(*(each for _, each in batch), strict=True)]
            for name, tensor in views[0].items():
                found[name].append(self._cast(tensor))
            if len(views) > 1:
                found["views"].append(self._cast(torch.stack([each["features"] for each in views[1:]], dim=1)))
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def _run(self, views: Pixels) -> dict[str, torch.Tensor]:
        batch = torch.from_numpy(views).to(self.device)  # [b, crop, crop, 3] uint8
        batch = (batch.permute(0, 3, 1, 2).float() / 255 - self._mean) / self._std
        try:
            out = self._taps(batch.contiguous(memory_format=torch.channels_last))
        except AssertionError as error:  # how timm's networks of one input size refuse others
            raise UserError(
                f"the encoder cannot take pictures of {views.shape[1]} pixels ({error}); its own are "
                f"{self._own_size}: set evaluate.preprocess to encoder"
            ) from None
        return {name: tensor.float().cpu() for name, tensor in out.items()}

    def _cast(self, tensor: torch.Tensor) -> Array:
        if not bool(torch.isfinite(tensor).all()):
            raise UserError(
                f"the encoder gives features that are not finite on the task {self._settings.task.name}: its weights "
                "diverged in training. Look at metrics.csv of the run, and lower its learning rate"
            )
        with np.errstate(over="ignore"):  # looked for in the next line
            kept: Array = tensor.numpy().astype(self._settings.cache.precision)
        if not bool(np.isfinite(kept).all()):
            raise UserError(
                f"features of up to {float(tensor.abs().max()):.0f} do not fit float16 on the task "
                f"{self._settings.task.name}; set evaluate.cache.precision to float32"
            )
        return kept
