"""Stripping changes no pixel, leaves nothing else, and is the same the second time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from scripts.lib.embedded.strip import strip_metadata
from scripts.lib.images import decode_image, open_image
from tests.lib.made_embedded import (
    encoded,
    exif_block,
    exif_segment,
    mwg_regions,
    photo,
    png_chunk,
    segment,
    webp_chunk,
    with_chunks,
    with_segments,
    with_webp_chunks,
    xmp_segment,
)
from tests.lib.strip_checks import FULL, PROFILE, SECRET, check, secrets_of_jpeg

# Pillow's, of the odd files that are made here
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")


def jpegs() -> Iterator[tuple[str, bytes]]:
    image = photo(size=(150, 117))
    yield "baseline", encoded(image)
    yield "progressive", encoded(image, progressive=True)
    yield "4:4:4", encoded(image, subsampling=0)
    yield "restart markers", encoded(image, restart_marker_blocks=1)
    yield "progressive with restart markers", encoded(image, progressive=True, restart_marker_rows=1)
    yield "grey", encoded(image.convert("L"))
    yield "CMYK with Adobe", encoded(image.convert("CMYK"))
    yield "RGB kept as RGB", encoded(image, keep_rgb=True)
    yield "colour profile", encoded(image, icc_profile=PROFILE)
    yield "colour profile of many segments", encoded(image, icc_profile=PROFILE + bytes(150_000))
    yield "optimised", encoded(image, optimize=True, quality=98)


def others() -> Iterator[tuple[str, bytes]]:
    image = photo(size=(61, 47))
    sixteen = Image.fromarray((np.arange(61 * 47, dtype=np.uint16) * 20).reshape(47, 61))
    clear = image.convert("RGBA")
    clear.putalpha(photo(1, (61, 47)).convert("L"))
    for mode in ("1", "L", "LA", "P", "RGB"):
        yield f"PNG {mode}", encoded(image.convert(mode), "PNG")
    yield "PNG RGBA", encoded(clear, "PNG")
    yield "PNG 16 bits", encoded(sixteen, "PNG")
    yield "PNG 16 bits with transparency", encoded(sixteen, "PNG", transparency=40)
    yield "PNG palette with transparency", encoded(clear.quantize(30), "PNG")
    yield "PNG RGB with transparency", encoded(image, "PNG", transparency=image.getpixel((3, 3)))
    yield "PNG with a profile", encoded(image, "PNG", icc_profile=PROFILE)
    yield "WebP", encoded(image, "WEBP")
    yield "WebP lossless", encoded(image, "WEBP", lossless=True)
    yield "WebP with transparency", encoded(clear, "WEBP")
    yield "WebP lossless with transparency", encoded(clear, "WEBP", lossless=True)
    yield "WebP with a profile", encoded(image, "WEBP", icc_profile=PROFILE)


@pytest.mark.parametrize("name", [name for name, _ in jpegs()])
def test_jpegs_lose_everything_but_the_picture(name: str) -> None:
    content = dict(jpegs())[name]
    for order in "<>":
        full = with_segments(content, *secrets_of_jpeg(order=order)) + SECRET
        assert check(full) == check(content)
    profile = open_image(content).info.get("icc_profile")
    stripped = check(full)
    assert open_image(stripped).info.get("icc_profile") == profile
    assert not open_image(stripped).getexif()
    for key in ("jfif", "adobe", "adobe_transform"):
        assert open_image(stripped).info.get(key) == open_image(content).info.get(key)
    if not name.startswith("CMYK"):
        decoded = [simplejpeg.decode_jpeg(each, "RGB", strict=True) for each in (full, stripped)]
        assert np.array_equal(*decoded)


@pytest.mark.parametrize("name", [name for name, _ in others()])
def test_png_and_webp_lose_everything_but_the_picture(name: str) -> None:
    content = dict(others())[name]
    xmp = mwg_regions("Face").encode()
    if name.startswith("PNG"):
        chunks = [png_chunk(b"eXIf", FULL), png_chunk(b"tEXt", b"Author\x00" + SECRET), png_chunk(b"prVt", SECRET)]
        chunks += [png_chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + xmp), png_chunk(b"tIME", bytes(7))]
        full = [with_chunks(content, *chunks) + SECRET, with_chunks(content, *chunks, late=True)]
    else:
        image = open_image(content)
        profile = image.info.get("icc_profile")
        wide = encoded(image, "WEBP", exif=FULL, lossless="lossless" in name, exact=True, icc_profile=profile)
        full = [
            content + SECRET,
            with_webp_chunks(wide, webp_chunk(b"XMP ", xmp), webp_chunk(b"prVt", SECRET), flags=4),
        ]
        assert open_image(full[1]).getexif()
        assert open_image(full[1]).info["xmp"] == xmp  # Pillow sees them
        full.append(full[1] + SECRET)
    for each in full:
        stripped = check(each)
        assert open_image(stripped).info.get("icc_profile") == open_image(each).info.get("icc_profile")
        assert not open_image(stripped).getexif()
    if name.startswith("PNG"):
        assert {check(each) for each in full} == {check(content)}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_what_stays_of_exif(orientation: int, order: str) -> None:
    image = photo(2, (40, 24))
    turned = with_segments(encoded(image), *secrets_of_jpeg(orientation, order))
    png = with_chunks(
        encoded(image, "PNG"), png_chunk(b"eXIf", exif_block(order, orientation)), late=orientation % 2 == 0
    )
    webp = encoded(image, "WEBP", exif=exif_block(order, orientation, gps=True))
    for content in (turned, png, webp):
        stripped = check(content)
        entries = dict(open_image(stripped).getexif())
        assert entries == ({} if orientation == 1 else {0x0112: orientation})
        assert decode_image(stripped).shape == ((24, 40, 3) if orientation < 5 else (40, 24, 3))


def test_orientation_of_xmp_counts_as_in_the_decode_policy() -> None:
    content = with_segments(encoded(photo(2, (40, 24))), xmp_segment('<a tiff:Orientation="6"/>'))
    assert decode_image(content).shape == (40, 24, 3)
    assert dict(open_image(check(content)).getexif()) == {0x0112: 6}


@pytest.mark.parametrize("damaged", [b"", b"II", b"nonsense", exif_block(orientation=6)[:20], bytes(4000)])
def test_unreadable_exif_counts_as_none(damaged: bytes) -> None:
    plain = encoded(photo(2, (40, 24)))
    content = with_segments(plain, exif_segment(damaged))
    assert np.array_equal(decode_image(content), decode_image(plain))
    assert check(content) == strip_metadata(plain)


def test_thumbnail_of_jfif_goes() -> None:
    plain = encoded(photo())
    jfif = plain[4:20]
    assert jfif[2:7] == b"JFIF\x00"
    body = jfif[2:14] + bytes((2, 2)) + bytes(12)
    content = plain[:2] + segment(0xE0, body) + plain[20:]
    assert check(content) == check(plain)


def test_filling_before_markers_goes() -> None:
    plain = encoded(photo(), progressive=True)
    filled = plain[:2] + b"\xff" * 3 + plain[2:-2] + b"\xff" * 5 + b"\xff\xd9"
    assert check(filled) == check(plain)


def test_late_comments_go() -> None:
    plain = encoded(photo(), progressive=True)
    last = plain.rindex(b"\xff\xda")
    content = plain[:last] + segment(0xFE, SECRET) + segment(0xE2, b"ICC_PROFILE\x00" + SECRET) + plain[last:]
    assert check(content) == check(plain)


def test_second_picture_goes() -> None:
    first = photo(1, (64, 48))
    double = encoded(first, "MPO", save_all=True, append_images=[photo(2, (64, 48))], quality=90)
    assert open_image(double).n_frames == 2
    assert getattr(open_image(check(double)), "n_frames", 1) == 1


def test_one_frame_of_an_animation_stays_a_picture() -> None:
    single = encoded(photo(), "PNG", save_all=True, append_images=[], default_image=False)
    check(single)
    frames = encoded(photo(), "WEBP", save_all=True, append_images=[photo(1)], lossless=True)
    stripped = strip_metadata(with_webp_chunks(frames, webp_chunk(b"EXIF", FULL), flags=8))
    assert stripped == strip_metadata(frames) == frames  # not for the shards; its frames are untouched all the same
