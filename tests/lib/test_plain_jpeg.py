"""The fast way gives Pillow's pixels, or none."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.lib.images import decode_image, open_image, sniff_format, to_rgb
from scripts.lib.plain_jpeg import decode_plain_jpeg


def jpeg(mode: str = "RGB", size: tuple[int, int] = (37, 23), **options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def fast(content: bytes) -> np.ndarray | None:
    return decode_plain_jpeg(content, open_image(content))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("size", [(37, 23), (1, 1), (16, 200)])
def test_pixels_are_those_of_pillow(subsampling: int, progressive: bool, size: tuple[int, int]) -> None:
    for mode in ("RGB", "L"):
        content = jpeg(mode, size, subsampling=subsampling, progressive=progressive, quality=80)
        pixels = fast(content)
        assert pixels is not None
        assert np.array_equal(pixels, np.array(to_rgb(open_image(content))))
        assert np.array_equal(pixels, decode_image(content))


def test_what_is_not_plain_is_left_to_pillow() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = jpeg(exif=exif)
    assert fast(turned) is None
    assert decode_image(turned).shape == (37, 23, 3)
    exif[0x0112] = 1
    assert fast(jpeg(exif=exif)) is not None
    assert fast(jpeg("CMYK")) is None
    cut = jpeg(size=(64, 64))[:-200] + b"\xff\xd9"
    assert fast(cut) is None  # libjpeg warns
    assert decode_image(cut).shape == (64, 64, 3)  # as before: `inspect_images` refuses it
    with pytest.raises(OSError):
        decode_image(jpeg(size=(64, 64))[:-200])


def test_real_and_hostile_files_have_the_pixels_of_pillow(shared: Path) -> None:
    photos = sorted((shared / "photos").glob("*.jpg"))[::20]
    contents = [path.read_bytes() for path in photos]
    for name in ("hostile_pillow.tar", "hostile_libjpeg_turbo.tar", "near_duplicates.tar"):
        with tarfile.open(shared / name) as tar:
            files = [tar.extractfile(member) for member in tar if member.isreg() and member.size < 1_000_000]
            contents += [file.read() for file in files if file is not None]
    plain = 0
    for content in contents:
        if sniff_format(content) != "JPEG":
            continue
        try:
            pixels = fast(content)
        except OSError:
            continue  # Pillow does not open it at all
        if pixels is not None:
            plain += 1
            assert np.array_equal(pixels, np.array(to_rgb(open_image(content))))
    assert plain > 100
