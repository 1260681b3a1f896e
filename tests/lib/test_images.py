"""The decode policy."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from scripts.lib.images import decode_image, sniff_format

RGB = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(4, 6, 3)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode_image(encoded(Image.fromarray(RGB), "PNG", exif=exif))
    turned = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.transpose(1, 0, 2),
        6: RGB[::-1].transpose(1, 0, 2),
        7: RGB[::-1, ::-1].transpose(1, 0, 2),
        8: RGB[:, ::-1].transpose(1, 0, 2),
    }
    assert np.array_equal(pixels, turned[orientation])


def test_transparency_lies_on_white() -> None:
    image = Image.new("RGBA", (2, 1), (10, 20, 30, 0))
    image.putpixel((1, 0), (10, 20, 30, 255))
    assert decode_image(encoded(image, "PNG")).tolist() == [[[255, 255, 255], [10, 20, 30]]]


def test_palette_with_transparency_lies_on_white() -> None:
    image = Image.new("P", (1, 1), 0)
    image.putpalette([10, 20, 30] * 256)
    assert decode_image(encoded(image, "PNG", transparency=0)).tolist() == [[[255, 255, 255]]]


def test_sixteen_bit_grey_is_scaled() -> None:
    image = Image.fromarray(np.array([[0, 0x8000, 0xFFFF]], dtype=np.uint16))
    assert decode_image(encoded(image, "PNG"))[0, :, 0].tolist() == [0, 0x80, 0xFF]


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_jpeg_modes_become_rgb(mode: str) -> None:
    pixels = decode_image(encoded(Image.new(mode, (16, 8)), "JPEG"))
    assert pixels.shape == (8, 16, 3)
    assert pixels.dtype == np.uint8


def test_truncated_files_are_refused() -> None:
    content = encoded(Image.fromarray(np.tile(RGB, (40, 40, 1))), "JPEG")
    with pytest.raises(OSError, match="truncated"):
        decode_image(content[: len(content) // 2])


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_formats_are_refused(kind: str) -> None:
    content = encoded(Image.fromarray(RGB), kind)
    assert sniff_format(content) is None
    with pytest.raises(OSError, match="cannot identify"):
        decode_image(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_formats_are_told_by_their_first_bytes(kind: str) -> None:
    assert sniff_format(encoded(Image.fromarray(RGB), kind)) == kind
