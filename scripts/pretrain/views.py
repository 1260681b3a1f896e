"""Several views of an image that are alike in distribution."""

from __future__ import annotations

from PIL import Image
from torch import Tensor

from scripts.pretrain.augment import apply_parameters, draw_parameters
from scripts.pretrain.backend import load_backend
from scripts.pretrain.contract import ViewDraws
from scripts.pretrain.settings import MocoAugmentation


class IndependentViews:
    """`count` independent views of an image, all of the same augmentation."""

    def __init__(self, settings: MocoAugmentation, backend: str, count: int) -> None:
        self.settings, self.backend, self.count = settings, backend, count

    def __call__(self, image: Image.Image, draws: ViewDraws) -> list[Tensor]:
        """Return the views, uint8 [3, s, s] each."""
        backend, size = load_backend(self.backend), self.settings.image_size
        ready = backend.prepare(image)
        drawn = (draw_parameters(self.settings, *image.size, draws(view)) for view in range(self.count))
        return [backend.to_tensor(apply_parameters(backend, ready, each, size)) for each in drawn]
