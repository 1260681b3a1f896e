"""Views in two parts: a loader's process decodes and crops (OpenCV), the training device does all else in batches.

`pack` writes what was drawn for a view into a row of numbers; `finish` applies the rows of a batch. Every image passes
through every operation, with a factor that changes nothing where the operation was not drawn, so the device never waits
for the host. Four jitter operations in any order are three linear ones, hue, and again three linear ones, of which each
image uses three: those drawn before hue in the first three slots, those after it in the last three.

The arithmetic is PIL's in 32-bit floats: whole levels after each operation, fractions cut off or rounded where PIL does
so. docs/decisions.md#78; distances to torchvision on PIL are stated and tested in tests/pretrain/test_device_views.py.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from scripts.pretrain.augment import SOLARISE_FROM
from scripts.pretrain.backend import ViewParameters
from scripts.pretrain.backends.opencv import prepare, resized_crop, to_tensor
from scripts.pretrain.box_blur import blur_kernel, reach

__all__ = ["finish", "pack", "prepare", "resized_crop", "to_tensor"]

SLOTS = 3  # of linear operations, before hue and after it: brightness, contrast, saturation
_UNCHANGED = (1.0, 0.0, 0.0)
# A slot: factor, and whether levels spread around the mean grey (contrast), each pixel's grey (saturation), or 0.
_AROUND = {"brightness": (0.0, 0.0), "contrast": (1.0, 0.0), "saturation": (0.0, 1.0)}
_HUE, _FLAGS = 6 * SLOTS, 5  # hue: drawn or not, steps of 255; then grey, flip, solarise
_GREY, _FLIP, _SOLARISE, _KERNEL = _HUE + 2, _HUE + 3, _HUE + 4, _HUE + _FLAGS
_LUMA = (19595.0, 38470.0, 7471.0)  # of 65536: PIL's ITU-R 601; sums stay below 2**24, so 32-bit floats are exact


def pack(drawn: ViewParameters, largest_sigma: float) -> Tensor:
    """Return what was drawn besides the crop, float32 [23 + 2 r + 1], with r the reach of the largest blur.

    The blur's weights are in it, so that the device has none to work out and the row's length says how many.
    """
    slots: list[list[tuple[float, ...]]] = [[], []]
    hue, turned = (0.0, 0.0), 0
    for name, factor in drawn.jitter:
        if name == "hue":
            hue, turned = (1.0, float(int(factor * 255) % 256)), 1
        else:
            slots[turned].append((factor, *_AROUND[name]))
    numbers = [number for part in slots for slot in (part + SLOTS * [_UNCHANGED])[:SLOTS] for number in slot]
    numbers += [*hue, float(drawn.grey), float(drawn.flip), float(drawn.solarise)]
    row = np.zeros(_KERNEL + 2 * reach(largest_sigma) + 1, np.float32)
    row[:_KERNEL] = numbers
    kernel = np.ones(1) if drawn.blur_sigma is None else blur_kernel(drawn.blur_sigma)
    first = _KERNEL + reach(largest_sigma) - len(kernel) // 2
    row[first : first + len(kernel)] = kernel
    return torch.from_numpy(row)


@torch.no_grad()
def finish(crops: Tensor, packed: Tensor) -> Tensor:
    """Return the views of crops, on their device.

    Args:
        crops: uint8 [n, 3, s, s].
        packed: float32 [n, p], a row of `pack` for each.

    Returns:
        uint8 [n, 3, s, s], each a function of its crop and its row alone.
    """
    chosen = packed[:, :, None, None, None]  # n p 1 1 1
    levels = crops.float()
    levels = torch.where(chosen[:, _FLIP] > 0, levels.flip(-1), levels)
    for slot in range(SLOTS):
        levels = linear(levels, *chosen[:, 3 * slot : 3 * slot + 3].unbind(1))
    levels = torch.where(chosen[:, _HUE] > 0, turn_hue(levels, chosen[:, _HUE + 1]), levels)
    for slot in range(SLOTS, 2 * SLOTS):
        levels = linear(levels, *chosen[:, 3 * slot : 3 * slot + 3].unbind(1))
    levels = torch.where(chosen[:, _GREY] > 0, grey(levels), levels)
    levels = blur(levels, packed[:, _KERNEL:])
    inverted = (chosen[:, _SOLARISE] > 0) & (levels >= SOLARISE_FROM)
    return torch.where(inverted, 255 - levels, levels).to(torch.uint8)


def grey(levels: Tensor) -> Tensor:
    """Return the grey picture [n, 1, h, w] of levels [n, 3, h, w]."""
    red, green, blue = levels.unbind(1)
    return ((_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue + 32768) / 65536).floor().unsqueeze(1)


def linear(levels: Tensor, factor: Tensor, around_mean: Tensor, around_grey: Tensor) -> Tensor:
    """Return levels [n, 3, h, w] spread by a factor around 0, the mean grey or each pixel's grey; numbers [n, 1, 1, 1].

    The mean is of whole numbers, so it does not depend on the order of summation.
    """
    pale = grey(levels)
    total = pale.to(torch.int32).sum(dim=(1, 2, 3), keepdim=True)  # in 64 bits
    mean = (total.double() / pale[0].numel() + 0.5).floor().float()
    ground = around_mean * mean + around_grey * pale
    return (ground + factor * (levels - ground)).clamp(0, 255).floor()


def turn_hue(levels: Tensor, steps: Tensor) -> Tensor:
    """Return levels [n, 3, h, w] with the hue turned by `steps` [n, 1, 1, 1] of 255, through PIL's 8-bit HSV."""
    value, least = levels.amax(1, keepdim=True), levels.amin(1, keepdim=True)
    spread = value - least
    red, green, blue = ((value - levels) / spread.clamp(min=1)).unsqueeze(1).unbind(2)  # n 1 h w each
    is_red, is_green = levels[:, 0:1] == value, levels[:, 1:2] == value
    place = torch.where(is_red, blue - green, torch.where(is_green, 2 + red - blue, 4 + green - red))
    place = torch.where(spread > 0, place, 0.0)
    hue = ((place / 6 + 1).remainder(1) * 255).floor()  # of 255
    saturation = (spread / value.clamp(min=1) * 255).floor() / 255
    sector = (hue + steps).remainder(256) * 6 / 255
    corners = torch.arange(5, 0, -2, device=levels.device).view(1, 3, 1, 1)  # where red, green, blue begin to fall
    along = (sector + corners).remainder(6)
    depth = torch.minimum(along, 4 - along).clamp(0, 1)  # n 3 h w
    return (value * (1 - saturation * depth) + 0.5).floor()


def blur(levels: Tensor, kernels: Tensor) -> Tensor:
    """Return levels [n, 3, h, w] under a kernel of each image [n, k], across and down, in whole levels."""
    images, channels, height, width = levels.shape
    margin = kernels.shape[1] // 2
    rows = kernels.repeat_interleave(channels, dim=0).unsqueeze(1)  # 3n 1 k
    planes = levels.reshape(1, images * channels, height, width)
    across = functional.pad(planes, (margin, margin, 0, 0), mode="replicate")
    planes = functional.conv2d(across, rows.unsqueeze(2), groups=images * channels)
    down = functional.pad(planes, (0, 0, margin, margin), mode="replicate")
    planes = functional.conv2d(down, rows.unsqueeze(3), groups=images * channels)
    return (planes.view(levels.shape) + 0.5).floor().clamp(0, 255)
