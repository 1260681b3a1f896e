"""The hash against a slow one written from its definition, and against what it must not see."""

from __future__ import annotations

import io
import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from scripts.curate.perceptual_hash import distances, perceptual_hashes, small_grey


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


def naive_hash(grey: npt.NDArray[np.uint8]) -> int:
    """Return the hash by the definition of the DCT-II, in floating point, one coefficient at a time."""
    block = []
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
            block.append(total)
    ordered = sorted(block)
    median = (ordered[31] + ordered[32]) / 2
    return int("".join("1" if value > median else "0" for value in block), 2)


def test_hash_is_the_defined_one() -> None:
    greys = [small_grey(picture(seed)) for seed in range(3)]
    hashes, _ = perceptual_hashes(greys)
    assert [int(value) for value in hashes] == [naive_hash(grey) for grey in greys]


def test_mirror_hash_is_the_hash_of_the_mirror_image() -> None:
    greys = np.stack([small_grey(picture(seed)) for seed in range(50)])
    hashes, mirrors = perceptual_hashes(greys)
    turned, turned_mirrors = perceptual_hashes(greys[:, :, ::-1])
    assert np.array_equal(mirrors, turned)
    assert np.array_equal(hashes, turned_mirrors)
    assert distances(hashes, mirrors).min() > 8


def test_recompression_scaling_and_grey_stay_near_and_others_far() -> None:
    pictures = [picture(seed) for seed in range(30)]
    hashes, _ = perceptual_hashes([small_grey(image) for image in pictures])
    for change in (_recompressed, _halved, ImageOps.grayscale):
        changed, _ = perceptual_hashes([small_grey(change(image)) for image in pictures])
        assert distances(hashes, changed).max() <= 4
    first, second = np.triu_indices(len(pictures), 1)
    assert distances(hashes[first], hashes[second]).min() > 8


def _recompressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=40)
    return Image.open(buffer)


def _halved(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


def test_flat_picture_has_no_bits() -> None:
    hashes, mirrors = perceptual_hashes([small_grey(Image.new("RGB", (50, 50), (9, 9, 9)))])
    assert hashes.tolist() == mirrors.tolist() == [0]
