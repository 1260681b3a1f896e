"""Signals of metadata in the table of measurements: position, tagged persons, thumbnails that show something else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from scripts.curate.measure_image import Measurement, measure_image
from scripts.lib.images import TURNS, open_image, to_rgb
from tests.curate.decoding import LIMITS, encoded
from tests.lib.made_embedded import (
    exif_block,
    exif_segment,
    mwg_regions,
    photoshop_segment,
    resource,
    with_segments,
    xmp_segment,
)
from tests.lib.test_perceptual_hash import picture

SAME = 8  # bits: what recompression and scaling do to the hash; docs/measurements.md


def thumbnail_of(image: Image.Image, size: tuple[int, int] = (160, 120), bars: bool = False) -> bytes:
    small = image.copy()
    small.thumbnail(size)
    if bars:
        sheet = Image.new("RGB", size)
        sheet.paste(small, ((size[0] - small.width) // 2, (size[1] - small.height) // 2))
        small = sheet
    return encoded(small, quality=70)


def measured(content: bytes) -> Measurement:
    found = measure_image(content, LIMITS)
    assert found.reason == ""
    return found


def with_thumbnail(image: Image.Image, thumbnail: bytes, orientation: int = 1) -> bytes:
    return with_segments(encoded(image), exif_segment(exif_block(orientation=orientation, thumbnail=thumbnail)))


def test_a_file_without_metadata_has_no_signals() -> None:
    found = measured(encoded(picture(1)))
    assert (found.position, found.face_regions, found.thumbnail_distance) == (False, 0, None)


def test_position_and_persons() -> None:
    segments = exif_segment(exif_block(gps=True)), xmp_segment(mwg_regions("Face", "Face"))
    found = measured(with_segments(encoded(picture(1)), *segments))
    assert (found.position, found.face_regions, found.thumbnail_distance) == (True, 2, None)


def test_unreadable_metadata_is_no_reason() -> None:
    found = measured(with_segments(encoded(picture(1)), exif_segment(b"II*\x00nonsense")))
    assert (found.position, found.face_regions, found.thumbnail_distance) == (None, 0, None)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [(300, 200), (200, 300), (240, 180), (260, 250), (400, 120)])
def test_thumbnail_of_the_same_picture_is_near(seed: int, size: tuple[int, int]) -> None:
    image = picture(seed, *size)
    for thumbnail in (thumbnail_of(image, (160, 160)), thumbnail_of(image, bars=True)):
        distance = measured(with_thumbnail(image, thumbnail)).thumbnail_distance
        assert distance is not None
        assert distance <= SAME


@pytest.mark.parametrize("orientation", range(1, 9))
def test_thumbnail_is_turned_as_the_picture_is(orientation: int) -> None:
    image = picture(3, 300, 200)
    near = measured(with_thumbnail(image, thumbnail_of(image), orientation))
    assert near.thumbnail_distance is not None
    assert near.thumbnail_distance <= SAME
    assert (near.width, near.height) == ((300, 200) if orientation <= 4 else (200, 300))
    other = measured(with_thumbnail(image, thumbnail_of(picture(4, 300, 200)), orientation))
    assert other.thumbnail_distance is not None
    assert other.thumbnail_distance > SAME


@pytest.mark.parametrize("turn", [TURNS[3], TURNS[6], TURNS[8]])
def test_thumbnail_that_was_left_lying_is_near(turn: Image.Transpose) -> None:
    image = picture(5, 300, 200)
    found = measured(with_thumbnail(image.transpose(turn), thumbnail_of(image)))
    assert found.thumbnail_distance is not None
    assert found.thumbnail_distance <= SAME


def cropped(image: Image.Image) -> Image.Image:
    return image.crop((0, 0, image.width * 6 // 10, image.height))


def painted(image: Image.Image) -> Image.Image:
    image = image.copy()
    ImageDraw.Draw(image).rectangle((20, 20, image.width // 2, image.height - 20), fill=(128, 128, 128))
    return image


@pytest.mark.parametrize("change", [cropped, painted])
@pytest.mark.parametrize("seed", range(6))
def test_thumbnail_of_the_picture_as_it_was_is_far(change: Callable[[Image.Image], Image.Image], seed: int) -> None:
    image = picture(seed, 300, 200)
    found = measured(with_thumbnail(change(image), thumbnail_of(image)))
    assert found.thumbnail_distance is not None
    assert found.thumbnail_distance > SAME


def test_the_farthest_of_several_thumbnails_counts() -> None:
    image = picture(1, 300, 200)
    far = photoshop_segment(resource(0x040C, bytes(28) + thumbnail_of(picture(2, 300, 200))))
    content = with_segments(with_thumbnail(image, thumbnail_of(image)), far)
    both = measured(content).thumbnail_distance
    assert both is not None
    assert both > SAME


@pytest.mark.parametrize(
    "thumbnail",
    [
        thumbnail_of(picture(1, 300, 200))[:800],  # cut off
        b"\xff\xd8\xff\xd9",
        encoded(Image.new("RGB", (160, 120), (40, 40, 40))),  # of one colour: no hash
        encoded(picture(1).resize((12, 12))),
        encoded(picture(1).resize((2000, 600))),
    ],
)
def test_thumbnail_that_cannot_be_compared_says_nothing(thumbnail: bytes) -> None:
    assert measured(with_thumbnail(picture(1, 300, 200), thumbnail)).thumbnail_distance is None


def test_thumbnails_of_photographs_are_near(shared: Path) -> None:
    """Sixty of the photographs hold thumbnails; all are of the picture as it is."""
    found = [measure_image(path.read_bytes(), LIMITS) for path in sorted((shared / "photos").iterdir())[::8]]
    distances = [each.thumbnail_distance for each in found if each.thumbnail_distance is not None]
    assert len(distances) >= 5
    assert max(distances) <= SAME
    assert {each.face_regions for each in found} == {0}


def test_a_photograph_that_is_cropped_by_a_program_that_keeps_metadata(shared: Path) -> None:
    content = (shared / "photos" / "coco_000000000034.jpg").read_bytes()
    image = to_rgb(open_image(content))
    cut = image.crop((0, 0, image.width * 7 // 10, image.height))
    found = measured(with_thumbnail(cut, thumbnail_of(image)))
    assert found.thumbnail_distance is not None
    assert found.thumbnail_distance > SAME


def test_a_file_whose_end_cannot_be_found_is_damaged() -> None:
    png = encoded(picture(1), "PNG")
    found = measure_image(png[:-3], LIMITS)  # Pillow decodes it
    assert (found.reason, found.detail) == ("undecodable", "UnwalkableError: the file ends before its IEND")
    assert found.position is None
    assert found.phash is None
