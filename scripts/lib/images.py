"""The one decode function of the project: detectors, search for duplicates and training see the same pixels.

Policy (docs/decisions.md#10): JPEG, PNG and WebP only; EXIF orientation is applied; embedded colour profiles are
ignored, as the official training code of all methods does; CMYK and palette become RGB; 16-bit grey is scaled to 8
bits; transparency is laid on white; the first frame counts. Nothing truncated is accepted. EXIF that cannot be read
counts as none.

The steps are arranged so that little more than two copies of the picture exist at a time: this code runs under a memory
limit in `inspect_images`.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image

from scripts.lib.plain_jpeg import decode_plain_jpeg

Pixels = npt.NDArray[np.uint8]  # [height, width, 3], RGB

FORMATS = ("JPEG", "PNG", "WEBP")
EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_ORIENTATION_TAG = 0x0112
TURNS = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BAND_ROWS = 256


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


def orientation_of(image: Image.Image) -> int:
    """Return how the picture is to be turned, as EXIF numbers it: 1 (not at all) to 8.

    Pillow's reading of the file counts: EXIF, else XMP's tiff:Orientation. What cannot be read is 1. A PNG must be
    loaded, because its metadata can come after the picture; of the others the header is enough.
    """
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
        return int(value) if value in TURNS else 1
    except Exception:  # noqa: BLE001 - Pillow's readers of metadata raise nearly everything on damaged blocks
        return 1


def to_rgb(image: Image.Image) -> Image.Image:
    """Decode fully and return an 8-bit RGB image, oriented as it is meant to be seen.

    Raises:
        OSError, SyntaxError, ValueError: the data are damaged or end early.
    """
    image.load()
    turn = TURNS.get(orientation_of(image))
    if turn is not None:
        image = image.transpose(turn)
    if image.mode.startswith("I"):
        image = Image.fromarray(np.clip(np.asarray(image) >> 8, 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return _on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """Lay a transparent picture on white, some rows at a time."""
    picture = Image.new("RGB", image.size)
    for top in range(0, image.height, _BAND_ROWS):
        band = image.crop((0, top, image.width, min(top + _BAND_ROWS, image.height))).convert("RGBA")
        ground = Image.new("RGBA", band.size, (255, 255, 255, 255))
        picture.paste(Image.alpha_composite(ground, band).convert("RGB"), (0, top))
    return picture


def decode_image(content: bytes) -> Pixels:
    """Return the pixels of an image file: uint8 RGB, [height, width, 3]; for bytes that passed `inspect_images`."""
    image = open_image(content)
    pixels = decode_plain_jpeg(content, image)
    return np.array(to_rgb(image)) if pixels is None else pixels


def centre_view(pixels: Pixels, resize: int, crop: int, interpolation: str = "bilinear") -> Pixels:
    """Return the middle `crop` x `crop` pixels after the short side became `resize`.

    The long side is rounded down and the resampling is Pillow's, antialiased, as torchvision's `Resize` does;
    the crop's corner is rounded as `CenterCrop` does (tests/evaluate/test_views.py compares them). uint8 [h, w, 3] →
    [crop, crop, 3].
    """
    height, width = pixels.shape[:2]
    short = min(height, width)
    size = (resize * width // short, resize * height // short)
    image = Image.fromarray(pixels)
    if image.size != size:
        image = image.resize(size, Image.Resampling[interpolation.upper()])
    left, top = (round((side - crop) / 2) for side in size)
    return np.asarray(image.crop((left, top, left + crop, top + crop)))
