"""The hash against a slow one written from its definition, and against what it must not see."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from scripts.lib.perceptual_hash import (
    UPRIGHT,
    Orientation,
    correlations,
    distances,
    inverse,
    miniature_of,
    orientations,
    oriented_hashes,
    oriented_miniatures,
    perceptual_hashes,
    small_grey,
)

ALL = orientations(mirrored=True, turned=True)


def picture(seed: int, width: int = 240, height: int = 160) -> Image.Image:
    """Return a picture with large shapes, as photographs have."""
    generator = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), tuple(int(level) for level in generator.integers(0, 256, 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(25):
        x, y = generator.integers(0, width), generator.integers(0, height)
        w, h = generator.integers(10, width // 2), generator.integers(10, height // 2)
        colour = tuple(int(level) for level in generator.integers(0, 256, 3))
        draw.ellipse([x - w / 2, y - h / 2, x + w / 2, y + h / 2], fill=colour)
    return image.filter(ImageFilter.GaussianBlur(1))


def laid(pixels: npt.NDArray[np.uint8], orientation: Orientation) -> npt.NDArray[np.uint8]:
    """Return pixels mirrored left to right, then turned clockwise, by numpy's own words for it."""
    return np.rot90(pixels[:, ::-1] if orientation.mirrored else pixels, -orientation.turned // 90)


def naive_hash(grey: npt.NDArray[np.uint8]) -> int:
    """Return the hash by the definition of the DCT-II, in floating point, one coefficient at a time."""
    bits = ""
    for v in range(1, 9):
        for u in range(1, 9):
            total = 0.0
            for y in range(32):
                for x in range(32):
                    total += (
                        int(grey[y, x])
                        * math.cos(math.pi * v * (2 * y + 1) / 64)
                        * math.cos(math.pi * u * (2 * x + 1) / 64)
                    )
            bits += "1" if total > 0 else "0"
    return int(bits, 2)


def test_hash_is_the_defined_one() -> None:
    greys = [small_grey(picture(seed)) for seed in range(3)]
    assert [int(value) for value in perceptual_hashes(greys)] == [naive_hash(grey) for grey in greys]


def test_there_are_eight_orientations_upright_first_and_each_has_its_inverse() -> None:
    assert len(set(ALL)) == 8
    assert ALL[0] == UPRIGHT
    assert [len(orientations(mirrored=mirrored, turned=False)) for mirrored in (False, True)] == [1, 2]
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for orientation in ALL:
        assert np.array_equal(laid(laid(pixels, orientation), inverse(orientation)), pixels)


@pytest.mark.parametrize("orientation", ALL)
def test_hash_and_miniature_of_a_laid_picture_follow_from_its_own(orientation: Orientation) -> None:
    greys = [small_grey(picture(seed)) for seed in range(20)]
    turned = [np.ascontiguousarray(laid(grey, orientation)) for grey in greys]
    assert np.array_equal(oriented_hashes(perceptual_hashes(greys), orientation), perceptual_hashes(turned))
    miniatures = np.stack([miniature_of(grey) for grey in greys])
    assert np.array_equal(
        oriented_miniatures(miniatures, orientation), np.stack([miniature_of(grey) for grey in turned])
    )


def test_miniature_is_the_rounded_mean_of_four() -> None:
    grey = np.zeros((32, 32), np.uint8)
    grey[:2, 2:4] = [[1, 2], [3, 4]]  # mean 2.5, rounded up
    grey[2:4, :2] = 255
    small = miniature_of(grey)
    assert small.shape == (256,)
    assert [small[1], small[16], small.sum()] == [3, 255, 258]


def recompressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=40)
    return Image.open(buffer)


def halved(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


@pytest.mark.parametrize("change", [recompressed, halved, ImageOps.grayscale])
def test_recompression_scaling_and_grey_stay_near(change: Callable[[Image.Image], Image.Image]) -> None:
    greys = [[small_grey(image), small_grey(change(image))] for image in map(picture, range(30))]
    first, second = (perceptual_hashes([pair[side] for pair in greys]) for side in (0, 1))
    assert distances(first, second).max() <= 4
    miniatures = [np.stack([miniature_of(pair[side]) for pair in greys]) for side in (0, 1)]
    assert correlations(*miniatures).min() > 0.98


def test_different_pictures_are_far() -> None:
    hashes = perceptual_hashes([small_grey(picture(seed)) for seed in range(30)])
    first, second = np.triu_indices(30, 1)
    for orientation in ALL:
        assert distances(hashes[first], oriented_hashes(hashes, orientation)[second]).min() > 8


def test_correlation_is_that_of_numpy_and_does_not_see_brightness_and_contrast() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 256, (2, 50, 256), dtype=np.uint8)
    expected = [np.corrcoef(one, other)[0, 1] for one, other in zip(first, second, strict=True)]
    assert correlations(first, second) == pytest.approx(expected)
    assert correlations(first, 255 - first) == pytest.approx(-np.ones(50))
    assert correlations(first // 2 + 60, first).min() > 0.999
    assert correlations(first, np.full((50, 256), 9, np.uint8)).tolist() == [0.0] * 50


def test_flat_picture_has_no_bits() -> None:
    assert perceptual_hashes([small_grey(Image.new("RGB", (50, 50), (9, 9, 9)))]).tolist() == [0]
