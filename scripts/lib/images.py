"""The one decode function of the project: detectors, search for duplicates and training see the same pixels.

Policy (docs/decisions.md#10): JPEG, PNG and WebP only; EXIF orientation is applied; embedded colour profiles are
ignored, as the official training code of all methods does; CMYK and palette become RGB; 16-bit grey is scaled to 8
bits; transparency is laid on white; the first frame counts. Nothing truncated is accepted.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from scripts.lib.plain_jpeg import decode_plain_jpeg

Pixels = npt.NDArray[np.uint8]  # [height, width, 3], RGB

FORMATS = ("JPEG", "PNG", "WEBP")
EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}


def sniff_format(content: bytes) -> str | None:
    """Return the format that the first bytes announce, None for any but those of `FORMATS`."""
    if content.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    return None


def open_image(content: bytes) -> Image.Image:
    """Open without decoding.

    Raises:
        OSError: not an image of `FORMATS` (PIL.UnidentifiedImageError), or its header is damaged.
    """
    with warnings.catch_warnings():
        # Pixel limits are the caller's (`inspect_images`), which reads them from the header before anything is decoded.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(content), formats=FORMATS)


def to_rgb(image: Image.Image) -> Image.Image:
    """Decode fully and return an 8-bit RGB image, oriented as it is meant to be seen.

    Raises:
        OSError, SyntaxError, ValueError: the data are damaged or end early.
    """
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64) >> 8
        image = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(ground, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def decode_image(content: bytes) -> Pixels:
    """Return the pixels of an image file: uint8 RGB, [height, width, 3]; for bytes that passed `inspect_images`."""
    image = open_image(content)
    pixels = decode_plain_jpeg(content, image)
    return np.array(to_rgb(image)) if pixels is None else pixels
