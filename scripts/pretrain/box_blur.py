"""PIL's "Gaussian" blur, which the official codes therefore use: three box filters one after the other."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

PASSES = 3  # PIL


def reach(sigma: float) -> int:
    """Return how far the kernel of `blur_kernel` reaches, pixels."""
    return PASSES * (_whole_radius(sigma) + 1)


def _whole_radius(sigma: float) -> int:
    return int((math.sqrt(12 * sigma**2 / PASSES + 1) - 1) / 2)


def blur_kernel(sigma: float) -> npt.NDArray[np.float64]:
    """Return the kernel [2 reach + 1] of three equal boxes of together `sigma` pixels, of sum 1.

    A box has weight 1 on 2 l + 1 pixels and a fraction on one more at each end, so that its variance is sigma**2 / 3
    (Gwosdek et al. 2011, "Theoretical foundations of Gaussian convolution by extended box filtering", eq. 7-8).
    """
    variance, whole = sigma**2 / PASSES, _whole_radius(sigma)
    end = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance) / (6 * (variance - (whole + 1) ** 2))
    box = np.ones(2 * whole + 3)
    box[0] = box[-1] = end
    box /= box.sum()
    return np.convolve(np.convolve(box, box), box)
