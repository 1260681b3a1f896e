"""What a backend of `scripts/pretrain/backends/` does: the operations that views are made of, on its own kind of image.

What is drawn and in which order the operations go is the same for all backends (scripts/pretrain/augment.py).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from torch import Tensor

from scripts.lib.images import Pixels

DEVICE = "device"
Crop = tuple[int, int, int, int]  # top, left, height, width, pixels
# uint8 [3, s, s]; or a mere crop and what else was drawn for it, float32 [p], to be finished in batches on the device.
View = Tensor | tuple[Tensor, Tensor]


@dataclass(frozen=True)
class ViewParameters:
    """All that was drawn for one view."""

    crop: Crop
    flip: bool
    jitter: tuple[tuple[str, float], ...]  # (operation, factor) in the order of application; empty = none
    grey: bool
    blur_sigma: float | None  # pixels of the resized crop; None = no blur
    solarise: bool


class Cropper(Protocol):
    """A module with these functions; `Any` is its own kind of image, RGB with levels from 0 to 255."""

    def prepare(self, image: Pixels) -> Any:
        """Return the backend's image of an RGB image."""

    def resized_crop(self, image: Any, crop: Crop, size: int, interpolation: str) -> Any:
        """Return a crop, `size` pixels square; interpolation is bilinear or bicubic."""

    def to_tensor(self, view: Any) -> Tensor:
        """Return uint8 [3, h, w]; scaling and normalising are left to the device that trains."""


class Backend(Cropper, Protocol):
    """A module that also has these."""

    JITTER: Mapping[str, Callable[[Any, float], Any]]  # brightness, contrast, saturation, hue

    def grey(self, view: Any) -> Any:
        """Return the grey picture; from here on the backend may keep one channel, up to `to_tensor`."""

    def blur(self, view: Any, sigma: float) -> Any:
        """Return the view under PIL's Gaussian blur of `sigma` pixels."""

    def flip(self, view: Any) -> Any:
        """Return the view with left and right exchanged."""

    def solarise(self, view: Any, threshold: int) -> Any:
        """Return the view with the levels from `threshold` on inverted."""


class Finisher(Cropper, Protocol):
    """The backend `device`: a loader's process crops, the device does what else was drawn, in batches."""

    def pack(self, drawn: ViewParameters, largest_sigma: float) -> Tensor:
        """Return what the device has to know, float32 [p]; p depends on `largest_sigma` alone."""

    def finish(self, crops: Tensor, packed: Tensor) -> Tensor:
        """Return the views of crops, uint8 [n, 3, s, s] both, with what was drawn for each, [n, p]."""


# Backends are loaded by name, so that the fingerprint of a run's code covers its own backend alone.
def load_backend(name: str) -> Backend:
    """Return a backend other than `device`."""
    return cast(Backend, importlib.import_module(f"scripts.pretrain.backends.{name}"))


def load_finisher() -> Finisher:
    """Return the backend `device`."""
    return cast(Finisher, importlib.import_module(f"scripts.pretrain.backends.{DEVICE}"))
