"""How much memory decoding a picture takes, told from its header.

The kernel's limit on a worker's memory is exact to a few megabytes only: what an allocator has kept from before counts.
So a picture that comes near the limit is refused by this estimate, which is the same in every worker and on every
machine, and the kernel's limit is left for files that lie.
"""

from __future__ import annotations

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from scripts.lib.images import orientation_of

_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}  # of a pixel in Pillow, by mode; 4 in all others
_RGB_BYTES = 4
_SIXTEEN_BIT_STEPS = 6  # bytes of a pixel while 16 bits become 8
_WEBP_STEPS = 12  # libwebp's canvas, its copy, and the row of bytes that Pillow takes over


def decoding_bytes(image: Image.Image) -> int:
    """Return what decoding an image that is open and not loaded will take at its peak, beside the file itself.

    Of a JPEG this is what Pillow and libjpeg allocate: the picture and, when it is progressive, all coefficients. The
    steps after it are those of `images.to_rgb`. Measured peaks are in docs/measurements.md.
    """
    own = _BYTES.get(image.mode, 4)
    sixteen = image.mode.startswith("I")
    # A PNG must be loaded before it says how it is turned: with an EXIF block it is taken to be.
    turned = "exif" in image.info if image.format == "PNG" else orientation_of(image) != 1
    steps = [own, _RGB_BYTES + 1]  # decoded; RGB with the grey picture that is hashed
    if turned:
        steps.append(2 * own)
    if image.mode != "RGB":
        steps.append(own + (_SIXTEEN_BIT_STEPS if sixteen else _RGB_BYTES))
    if image.format == "WEBP":
        steps.append(own + _WEBP_STEPS)
    pixels = image.width * image.height
    return max(max(steps) * pixels, own * pixels + _coefficient_bytes(image))


def _coefficient_bytes(image: Image.Image) -> int:
    if not isinstance(image, JpegImageFile) or not image.info.get("progressive"):
        return 0
    widest, highest = (max(each[axis] for each in image.layer) for axis in (1, 2))
    pixels = image.width * image.height
    return 2 * sum(pixels * across * down // (widest * highest) for _, across, down, _ in image.layer)
