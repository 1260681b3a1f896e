"""What a backend of `scripts/pretrain/backends/` does: the operations that views are made of, on its own kind of image.

What is drawn and in which order the operations go is the same for all backends (scripts/pretrain/augment.py).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

from PIL import Image
from torch import Tensor

Crop = tuple[int, int, int, int]  # top, left, height, width, pixels


class Backend(Protocol):
    """A module with these functions; `Any` is its own kind of image, RGB with levels from 0 to 255."""

    JITTER: Mapping[str, Callable[[Any, float], Any]]  # brightness, contrast, saturation, hue

    def prepare(self, image: Image.Image) -> Any:
        """Return the backend's image of an RGB image."""

    def resized_crop(self, image: Any, crop: Crop, size: int, interpolation: str) -> Any:
        """Return a crop, `size` pixels square; interpolation is bilinear or bicubic."""

    def grey(self, view: Any) -> Any:
        """Return the grey picture in three channels."""

    def blur(self, view: Any, sigma: float) -> Any:
        """Return the view under a Gaussian blur of `sigma` pixels."""

    def flip(self, view: Any) -> Any:
        """Return the view with left and right exchanged."""

    def solarise(self, view: Any, threshold: int) -> Any:
        """Return the view with the levels from `threshold` on inverted."""

    def to_tensor(self, view: Any) -> Tensor:
        """Return uint8 [3, h, w]; scaling and normalising are left to the device that trains."""


def load_backend(name: str) -> Backend:
    """Return the backend of that name."""
    return cast(Backend, importlib.import_module(f"scripts.pretrain.backends.{name}"))


def apply_jitter(backend: Backend, view: Any, operations: tuple[tuple[str, float], ...]) -> Any:
    """Return the view after the operations of `augment.draw_jitter`, in their order."""
    for name, factor in operations:
        view = backend.JITTER[name](view, factor)
    return view
