"""What a picture needs to be decoded is told from its header, and limited where it is not."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from scripts.curate.decode_guard import DecodeGuard
from scripts.curate.decoding_memory import decoding_bytes
from scripts.curate.measure_image import ROOM_BYTES, measure_image
from scripts.lib.embedded.parts import orientation_tiff
from scripts.lib.images import open_image
from tests.conftest import ROOT
from tests.curate.decoding import LIMITS, encoded
from tests.lib.test_perceptual_hash import picture


def test_picture_that_needs_too_much_memory_is_told_from_its_header() -> None:
    limits = LIMITS.model_copy(update={"max_pixels": 100_000_000, "memory_mb": 64})
    with DecodeGuard(limits) as guard:
        big = guard.measure(encoded(Image.new("RGB", (9000, 9000)), "PNG"))
        assert (big.reason, big.detail) == ("decoder_memory", "about 398 MB, more than 64")
        assert (big.width, big.height, big.colour_std) == (9000, 9000, None)
        assert guard.measure(encoded(picture(1))).reason == ""
        assert guard.starts == 1


PROGRESSIVE = {"quality": 50, "progressive": True}
CODINGS: dict[str, bytes] = {
    "baseline": encoded(picture(1, 1600, 1200)),
    "turned": encoded(picture(1, 1600, 1200), exif=b"Exif\x00\x00" + orientation_tiff(6)),
    "progressive": encoded(picture(1, 1600, 1200), **PROGRESSIVE),
    "progressive 4:4:4": encoded(picture(1, 1600, 1200), subsampling=0, **PROGRESSIVE),
    "CMYK": encoded(picture(1, 1600, 1200).convert("CMYK"), **PROGRESSIVE),
    "grey": encoded(picture(1, 1600, 1200).convert("L"), **PROGRESSIVE),
    "PNG": encoded(picture(1, 1600, 1200), "PNG"),
    "RGBA": encoded(picture(1, 1600, 1200).convert("RGBA"), "PNG"),
    "palette": encoded(picture(1, 1600, 1200).quantize(60), "PNG"),
    "16 bits": encoded(Image.fromarray(np.arange(1600 * 1200, dtype=np.uint16).reshape(1200, 1600)), "PNG"),
    "WebP": encoded(picture(1, 1600, 1200), "WEBP"),
}


@pytest.mark.parametrize("coding", CODINGS)
def test_what_the_header_promises_is_enough(coding: str) -> None:
    """With one megabyte less than the estimate a picture is refused, and with that much it is decoded."""
    content = CODINGS[coding]
    needed = (decoding_bytes(open_image(content)) + len(content) + ROOM_BYTES) >> 20
    assert measure_image(content, LIMITS.model_copy(update={"memory_mb": needed})).reason == "decoder_memory"
    with DecodeGuard(LIMITS.model_copy(update={"memory_mb": needed + 1})) as guard:
        for _ in range(3):
            assert guard.measure(content).reason == ""
        assert guard.starts == 1


def test_the_kernel_limits_what_a_header_does_not_tell() -> None:
    code = "from scripts.curate.decode_worker import limit_memory; limit_memory(50 << 20); {}"
    for statement, fits in (("bytes(40 << 20)", True), ("bytes(60 << 20)", False)):
        done = subprocess.run([sys.executable, "-c", code.format(statement)], capture_output=True, cwd=ROOT)
        assert (done.returncode == 0) == fits
        assert (b"MemoryError" in done.stderr) != fits
