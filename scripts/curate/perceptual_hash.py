"""A 64-bit hash of what a picture looks like, the same on every machine.

The DCT hash of Zauner, *Implementation and Benchmarking of Perceptual Image Hash Functions* (2010), section 3.2.1:
grey, 32 x 32, two-dimensional DCT, the 8 x 8 block of the lowest frequencies without the first row and column; each bit
tells whether a coefficient is above the block's median. Here all arithmetic is on integers (the cosines are scaled and
rounded once), so that no processor's rounding can turn a bit. Half of the bits are set, so distances are even numbers
except for pictures with equal coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 32  # pixels
FREQUENCIES = 8  # 1 to 8, in each direction
_SCALE = 1 << 14  # of the rounded cosines: 32 * 32 * 255 * 2**28 stays far below 2**63

Grey = npt.NDArray[np.uint8]  # [n, 32, 32]
Hashes = npt.NDArray[np.uint64]  # [n]


def _cosines() -> npt.NDArray[np.int64]:
    """Return the scaled DCT-II rows of frequencies 1 to 8: [8, 32]."""
    frequency = np.arange(1, FREQUENCIES + 1)[:, None]
    place = 2 * np.arange(SIDE)[None, :] + 1
    scaled: npt.NDArray[np.int64] = np.rint(np.cos(np.pi * frequency * place / (2 * SIDE)) * _SCALE).astype(np.int64)
    return scaled


_COSINES = _cosines()
# A mirrored picture has the same coefficients with the sign of the odd horizontal frequencies turned.
_MIRROR_SIGNS = np.where(np.arange(1, FREQUENCIES + 1) % 2, -1, 1).astype(np.int64)  # [8]
_BIT_VALUES = np.left_shift(np.uint64(1), np.arange(64, dtype=np.uint64)[::-1])


def small_grey(image: Image.Image) -> Grey:
    """Return the 32 x 32 grey picture that is hashed: [32, 32]. Pillow resamples in fixed point, alike everywhere."""
    return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))


def perceptual_hashes(pictures: Grey | Sequence[Grey]) -> tuple[Hashes, Hashes]:
    """Return the hash of each picture and of its mirror image.

    Args:
        pictures: 32 x 32 grey pictures, [n, 32, 32], levels 0-255.

    Returns:
        Two arrays [n], uint64.
    """
    grey = np.asarray(pictures, dtype=np.int64).reshape(-1, SIDE, SIDE)
    block = np.matmul(np.matmul(_COSINES, grey), _COSINES.T)  # [n, 8 vertical, 8 horizontal]
    return _above_median(block), _above_median(block * _MIRROR_SIGNS)


def _above_median(block: npt.NDArray[np.int64]) -> Hashes:
    flat = block.reshape(len(block), 64)
    middle = np.partition(flat, (31, 32), axis=1)
    twice_median = middle[:, 31] + middle[:, 32]
    bits = 2 * flat > twice_median[:, None]
    hashes: Hashes = np.where(bits, _BIT_VALUES, np.uint64(0)).sum(axis=1, dtype=np.uint64)
    return hashes


def distances(first: Hashes, second: Hashes) -> npt.NDArray[np.uint8]:
    """Return the number of bits in which hashes differ, element by element."""
    return np.bitwise_count(np.bitwise_xor(first, second))
