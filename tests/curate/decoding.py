"""Limits of decoding, and files to decode."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from scripts.curate.settings import InspectImagesSettings

LIMITS = InspectImagesSettings(
    max_pixels=2_000_000, max_bytes=3_000_000, cpu_seconds=10.0, timeout_seconds=20.0, memory_mb=512
)


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def slow_jpeg(scans: int) -> bytes:
    """Return a small progressive JPEG whose last scan is repeated: each one is decoded over the whole picture."""
    content = encoded(Image.new("RGB", (1200, 1200), (1, 2, 3)), progressive=True)
    scan = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + scan * scans + b"\xff\xd9"
