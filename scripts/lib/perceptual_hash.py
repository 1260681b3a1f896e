"""A 64-bit hash of what a picture looks like, and a small grey copy of it: both the same on every machine.

The DCT hash of Zauner, *Implementation and Benchmarking of Perceptual Image Hash Functions* (2010), section 3.2.1:
grey, 32 x 32, two-dimensional DCT, the 8 x 8 block of the lowest frequencies without the first row and column. Each bit
tells whether a coefficient is positive; Zauner compares with the block's median, which finds the same copies (measured,
docs/measurements.md) but hides the symmetry: mirroring turns the sign of the odd horizontal frequencies and swapping
the axes transposes the block, so with signs the hash of a mirrored or turned picture follows from the picture's own.

All arithmetic is on integers (the cosines are scaled and rounded once), so that no processor's rounding can turn a bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 32  # pixels
FREQUENCIES = 8  # 1 to 8, in each direction
MINIATURE = 16  # pixels, the side of the small copy
_SCALE = 1 << 14  # of the rounded cosines: 32 * 32 * 255 * 2**28 stays far below 2**63

Grey = npt.NDArray[np.uint8]  # [n, 32, 32]
Miniatures = npt.NDArray[np.uint8]  # [n, 256], rows from the top
Hashes = npt.NDArray[np.uint64]  # [n]


def _cosines() -> npt.NDArray[np.int64]:
    """Return the scaled DCT-II rows of frequencies 1 to 8: [8, 32]."""
    frequency = np.arange(1, FREQUENCIES + 1)[:, None]
    place = 2 * np.arange(SIDE)[None, :] + 1
    scaled: npt.NDArray[np.int64] = np.rint(np.cos(np.pi * frequency * place / (2 * SIDE)) * _SCALE).astype(np.int64)
    return scaled


_COSINES = _cosines()
_BIT_VALUES = np.left_shift(np.uint64(1), np.arange(64, dtype=np.uint64)[::-1])  # of [vertical, horizontal], row by row
_ODD_COLUMNS, _ODD_ROWS = 0xAAAA_AAAA_AAAA_AAAA, 0xFF00_FF00_FF00_FF00  # frequencies 1, 3, 5, 7


@dataclass(frozen=True)
class Orientation:
    """A way to lay a picture: mirrored left to right or not, then turned clockwise by 0, 90, 180 or 270 degrees."""

    mirrored: bool
    turned: int

    @property
    def axes_swapped(self) -> bool:
        """Whether rows become columns: then the axes are swapped first and `flips` follow."""
        return self.turned % 180 == 90

    @property
    def flips(self) -> tuple[bool, bool]:
        """Return (left to right, top to bottom): what follows the swap of axes, if any, to the same effect."""
        if not self.axes_swapped:
            return self.mirrored != (self.turned == 180), self.turned == 180
        return self.turned == 90, self.mirrored != (self.turned == 270)

    @property
    def flipped_bits(self) -> int:
        """Return the bits of a hash that `flips` turn over."""
        across, down = self.flips
        return (_ODD_COLUMNS if across else 0) ^ (_ODD_ROWS if down else 0)


UPRIGHT = Orientation(mirrored=False, turned=0)


def orientations(*, mirrored: bool, turned: bool) -> list[Orientation]:
    """Return the orientations in which a picture counts as the same, upright first."""
    sides = (False, True) if mirrored else (False,)
    return [Orientation(side, degrees) for degrees in ((0, 90, 180, 270) if turned else (0,)) for side in sides]


def inverse(orientation: Orientation) -> Orientation:
    """Return what lays a picture of this orientation upright again."""
    if orientation.mirrored:
        return orientation
    return Orientation(mirrored=False, turned=-orientation.turned % 360)


def small_grey(image: Image.Image) -> Grey:
    """Return the 32 x 32 grey picture that is hashed: [32, 32]. Pillow resamples in fixed point, alike everywhere."""
    return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))


def miniature_of(grey: Grey) -> Miniatures:
    """Return the 16 x 16 copy of a 32 x 32 grey picture: [256]."""
    step = SIDE // MINIATURE
    sums = grey.astype(np.uint32).reshape(MINIATURE, step, MINIATURE, step).sum(axis=(1, 3))
    small: Miniatures = ((sums + step * step // 2) // (step * step)).astype(np.uint8).ravel()
    return small


def perceptual_hashes(pictures: Grey | Sequence[Grey]) -> Hashes:
    """Return the hash of each picture: [n].

    Args:
        pictures: 32 x 32 grey pictures, [n, 32, 32], levels 0-255.
    """
    grey = np.asarray(pictures, dtype=np.int64).reshape(-1, SIDE, SIDE)
    block = np.matmul(np.matmul(_COSINES, grey), _COSINES.T)  # [n, 8 vertical, 8 horizontal]
    hashes: Hashes = np.where(block.reshape(-1, 64) > 0, _BIT_VALUES, np.uint64(0)).sum(axis=1, dtype=np.uint64)
    return hashes


def swapped_axes(hashes: Hashes) -> Hashes:
    """Return the hashes of the pictures with rows and columns exchanged (Warren, *Hacker's Delight*, section 7-3)."""
    for shift, mask in ((7, 0x00AA_00AA_00AA_00AA), (14, 0x0000_CCCC_0000_CCCC), (28, 0x0000_0000_F0F0_F0F0)):
        moved = (hashes ^ (hashes >> np.uint64(shift))) & np.uint64(mask)
        hashes = hashes ^ moved ^ (moved << np.uint64(shift))
    return hashes


def oriented_hashes(hashes: Hashes, orientation: Orientation) -> Hashes:
    """Return the hashes of the pictures laid as `orientation` says."""
    swapped = swapped_axes(hashes) if orientation.axes_swapped else hashes
    return swapped ^ np.uint64(orientation.flipped_bits)


def oriented_miniatures(miniatures: Miniatures, orientation: Orientation) -> Miniatures:
    """Return the miniatures of the pictures laid as `orientation` says: [n, 256]."""
    square = miniatures.reshape(-1, MINIATURE, MINIATURE)
    if orientation.axes_swapped:
        square = square.transpose(0, 2, 1)
    across, down = orientation.flips
    return square[:, :: -1 if down else 1, :: -1 if across else 1].reshape(-1, MINIATURE * MINIATURE)


def distances(first: Hashes, second: Hashes) -> npt.NDArray[np.uint8]:
    """Return the number of bits in which hashes differ, element by element."""
    return np.bitwise_count(np.bitwise_xor(first, second))


def correlations(first: Miniatures, second: Miniatures) -> npt.NDArray[np.float64]:
    """Return the correlation of the grey levels of miniatures, element by element: [n], -1 to 1; 0 where one is flat.

    Brightness and contrast do not matter. Sums are exact integers, so that the result is the same on every machine.
    """
    left, right = first.astype(np.int32), second.astype(np.int32)
    count = left.shape[-1]
    sums = (left.sum(axis=-1, dtype=np.int64), right.sum(axis=-1, dtype=np.int64))
    covariance = count * (left * right).sum(axis=-1, dtype=np.int64) - sums[0] * sums[1]
    variances = [
        count * np.square(values).sum(axis=-1, dtype=np.int64) - np.square(total)
        for values, total in zip((left, right), sums, strict=True)
    ]
    scale = np.sqrt(variances[0].astype(np.float64) * variances[1].astype(np.float64))
    return np.where(scale > 0, covariance / np.where(scale > 0, scale, 1.0), 0.0)
