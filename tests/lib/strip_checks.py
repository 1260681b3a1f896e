"""A file full of secrets, and what stripping promises of any file."""

from __future__ import annotations

import numpy as np
from PIL import ImageCms

from scripts.lib.embedded.signals import read_signals
from scripts.lib.embedded.strip import strip_metadata, take_apart
from scripts.lib.images import decode_image, sniff_format
from tests.lib.made_embedded import (
    encoded,
    exif_block,
    exif_segment,
    more_xmp_segments,
    mwg_regions,
    photo,
    photoshop_segment,
    resource,
    segment,
    xmp_segment,
)

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SECRET = b"52.5163N 13.3777E, Ann and Bob"
FULL = exif_block(gps=True, maker_note=SECRET, thumbnail=encoded(photo(3, (32, 24))))
WIDE = encoded(photo(), "WEBP", exif=FULL)


def secrets_of_jpeg(orientation: int = 1, order: str = "<") -> list[bytes]:
    tiff = exif_block(order, orientation, gps=True, maker_note=SECRET, thumbnail=encoded(photo(3, (32, 24))))
    return [
        exif_segment(tiff),
        xmp_segment(mwg_regions("Face")),
        *more_xmp_segments(mwg_regions("Face") + SECRET.decode(), 300),
        photoshop_segment(resource(0x0404, SECRET)),
        segment(0xFE, SECRET),
        segment(0xE0, b"JFXX\x00\x10" + encoded(photo(3, (32, 24))) + SECRET),
        segment(0xE2, b"MPF\x00" + SECRET),
        segment(0xE5, SECRET),
        segment(0xEE, b"Ducky" + SECRET),
    ]


def check(content: bytes) -> bytes:
    """Demand what stripping promises of a file; return it stripped."""
    stripped = strip_metadata(content)
    assert np.array_equal(decode_image(stripped), decode_image(content))
    assert strip_metadata(stripped) == stripped
    assert sniff_format(stripped) == sniff_format(content)
    assert read_signals(take_apart(stripped)).words() == []
    assert SECRET not in stripped
    return stripped
