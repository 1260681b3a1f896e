"""Several views of an image that are alike in distribution."""

from __future__ import annotations

from scripts.lib.images import Pixels
from scripts.pretrain.augment import draw_parameters, view_maker
from scripts.pretrain.backend import View
from scripts.pretrain.contract import ViewDraws
from scripts.pretrain.settings import MocoAugmentation


class IndependentViews:
    """`count` independent views of an image, all of the same augmentation."""

    def __init__(self, settings: MocoAugmentation, backend: str, count: int) -> None:
        self.settings, self.backend, self.count = settings, backend, count

    def __call__(self, image: Pixels, draws: ViewDraws) -> list[View]:
        """Return the views of an image [h, w, 3]."""
        height, width, _ = image.shape
        make, chosen = view_maker(self.backend, image), self.settings
        drawn = (draw_parameters(chosen, width, height, draws(view)) for view in range(self.count))
        return [make(each, chosen.image_size, "bilinear", chosen.blur_sigma[1]) for each in drawn]
