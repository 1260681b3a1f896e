"""What is measured of one image. Runs in the worker process of `decode_guard`, because decoders crash and lie."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

from scripts.curate.decoding_memory import decoding_bytes
from scripts.curate.measure_embedded import Seen, measure_embedded
from scripts.curate.settings import InspectImagesSettings
from scripts.lib.embedded.strip import take_apart
from scripts.lib.images import open_image, orientation_of, sniff_format, to_rgb
from scripts.lib.perceptual_hash import miniature_of, perceptual_hashes, small_grey
from scripts.lib.reasons import InspectionReason

ROOM_BYTES = 12 << 20  # beside the picture, for everything else
_LEVELS = np.arange(256, dtype=np.int64)


@dataclass(frozen=True)
class Measurement:
    """The columns of `tables.INSPECTIONS` that come from the bytes; None where the image did not get so far."""

    reason: str = ""
    detail: str = ""
    format: str | None = None
    mode: str | None = None
    width: int | None = None
    height: int | None = None
    orientation: int | None = None
    colour_std: float | None = None
    phash: int | None = None
    miniature: str | None = None
    position: bool | None = None
    face_regions: int | None = None
    thumbnail_distance: int | None = None

    def rejected(self, reason: InspectionReason, detail: str) -> Measurement:
        """Return the same with a reason."""
        return replace(self, reason=str(reason), detail=detail)

    def as_row(self) -> dict[str, Any]:
        """Return the fields as a dictionary."""
        return asdict(self)


def measure_image(content: bytes, limits: InspectImagesSettings) -> Measurement:
    """Check and measure an image file: format, size in the header, one frame, strict and full decode, metadata.

    Never raises for a bad image: what a decoder raises becomes the row's reason.
    """
    kind = sniff_format(content)
    if kind is None:
        return Measurement().rejected(InspectionReason.UNSUPPORTED_FORMAT, f"first bytes {content[:8].hex(' ')}")
    known = Measurement(format=kind)
    try:
        return _measure(content, kind, limits)
    except MemoryError:
        return known.rejected(InspectionReason.DECODER_MEMORY, f"more than {limits.memory_mb} MB")
    except Exception as error:  # noqa: BLE001 - decoders raise nearly everything; the row keeps what it was
        return known.rejected(InspectionReason.UNDECODABLE, _describe(error))


def _measure(content: bytes, kind: str, limits: InspectImagesSettings) -> Measurement:
    known = Measurement(format=kind)
    size = _webp_size(content) if kind == "WEBP" else None  # Pillow reserves the canvas when it opens a WebP
    if size is None:
        Image.MAX_IMAGE_PIXELS = None  # in this process the limit is ours, and has a reason of its own
        size = open_image(content).size
    width, height = size
    known = replace(known, width=width, height=height)
    if width * height > limits.max_pixels:
        detail = f"{width} x {height}, more than {limits.max_pixels} pixels"
        return known.rejected(InspectionReason.TOO_MANY_PIXELS, detail)
    image = open_image(content)
    known = replace(known, mode=image.mode)
    # A JPEG with several pictures (MPO: stereo, gain map, preview) is a still photograph: the first one counts.
    if kind != "JPEG" and getattr(image, "n_frames", 1) > 1:
        return known.rejected(InspectionReason.ANIMATED, "more than one frame")
    if (needed := decoding_bytes(image) + len(content) + ROOM_BYTES) > limits.memory_mb * 2**20:
        detail = f"about {needed >> 20} MB, more than {limits.memory_mb}"
        return known.rejected(InspectionReason.DECODER_MEMORY, detail)
    if kind == "JPEG" and (refusal := _strict_jpeg(content)) is not None:
        return known.rejected(*refusal)
    image.load()
    orientation = orientation_of(image)
    picture = to_rgb(image)
    del image  # a copy of the picture of its own, where that had to be turned or converted
    grey = small_grey(picture)
    phash = int(perceptual_hashes([grey])[0])
    seen = Seen(phash, picture.width / picture.height, orientation)
    known = replace(
        known,
        width=picture.width,
        height=picture.height,
        orientation=orientation,
        colour_std=colour_std(picture),
        phash=phash,
        miniature=miniature_of(grey).tobytes().hex(),
    )
    del picture
    # A file whose end cannot be found is damaged, and could not be written without its metadata.
    return replace(known, **asdict(measure_embedded(take_apart(content), seen)))


def _strict_jpeg(content: bytes) -> tuple[InspectionReason, str] | None:
    """Decode a JPEG with libjpeg's warnings as errors; None when it passes.

    Pillow accepts a JPEG of which half is missing or patched over, as long as it ends in the end marker; a person can
    be in the missing part. An eighth of the size is enough: all coefficients are read, only fewer are transformed.
    """
    try:
        _, _, space, _ = simplejpeg.decode_jpeg_header(content)
        # CMYK cannot become grey in libjpeg; it is decoded as it is.
        target = "CMYK" if space in ("CMYK", "YCCK") else "GRAY"
        simplejpeg.decode_jpeg(content, target, min_height=1, min_width=1, min_factor=8, strict=True)
    except ValueError as error:
        text = str(error)
        if "memory" in text:
            raise MemoryError from None
        if "precision" in text or "subsampling" in text:  # legal, but not readable by the decoders of the field
            return InspectionReason.UNSUPPORTED_FORMAT, text
        return InspectionReason.UNDECODABLE, text
    return None


def _webp_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height from the first chunk (RFC 9649), None when it is none of the three kinds."""
    chunk, body = content[12:16], content[20:30]
    if len(body) < 10:
        return None
    if chunk == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if chunk == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    return None


def colour_std(picture: Image.Image) -> float:
    """Return the largest standard deviation of a channel, levels 0-255, from exact counts."""
    counts = picture.histogram()
    return max(_std(counts[start : start + 256]) for start in range(0, len(counts), 256))


def _std(counts: list[int]) -> float:
    numbers = np.array(counts, dtype=np.int64)
    total, first, second = (int(_LEVELS**power @ numbers) for power in range(3))
    variance_times_total_squared = total * second - first * first  # exact: Python integers
    return math.sqrt(variance_times_total_squared) / total


def _describe(error: Exception) -> str:
    """Return a decoder's message without memory addresses, which differ from run to run."""
    text = re.sub(r"<[^<>]* at 0x[0-9a-f]+>", "the file", str(error))
    return f"{type(error).__name__}: {text}"[:200]
