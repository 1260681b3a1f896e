"""The pictures that `plant_hazards` plants: clean ones, a person, and files that are not what they seem."""

from __future__ import annotations

import io
import struct
import zlib
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from scripts.lib.draws import generator
from scripts.lib.fractals import encode_jpeg, hue_colours, make_ground, render_fractal
from scripts.lib.images import Pixels

POINTS_PER_PIXEL = 3  # of the chaos game
TEXTURES = ("brick", "coffee", "grass", "gravel", "hubble_deep_field", "rocket")  # scikit-image's, without people
TEXTURE_EVERY = 4  # one clean picture in so many is a piece of a texture, the others are fractals
# The head and shoulders in scikit-image's astronaut (NASA, public domain): left, upper, right, lower, in pixels.
PORTRAIT = (128, 0, 328, 224)
SHAPES = ((1.0, 1.0), (1.0, 0.75), (0.75, 1.0), (1.0, 0.667))  # width and height, of the long side
PLACEHOLDER_BYTES = 9218  # Flickr's "photo unavailable" picture has this size


def _shape(random: np.random.Generator, long_side: int) -> tuple[int, int]:
    width, height = SHAPES[random.integers(len(SHAPES))]
    return round(long_side * width), round(long_side * height)


def clean_picture(seed: int, purpose: str, index: int, long_side: int) -> Pixels:
    """Return an ordinary picture without people: a fractal on clouds, or a piece of a texture; [h, w, 3]."""
    random = generator(seed, "clean picture", purpose, index)
    width, height = _shape(random, long_side)
    if index % TEXTURE_EVERY == TEXTURE_EVERY - 1:
        return _texture(random, width, height)
    family = int(random.integers(2**31))
    pixels = render_fractal(family, index, 0, long_side, POINTS_PER_PIXEL * long_side**2)
    top, left = (long_side - height) // 2, (long_side - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


@lru_cache
def _sample(name: str) -> Image.Image:
    import skimage.data

    return Image.fromarray(np.asarray(getattr(skimage.data, name)())).convert("RGB")


def _texture(random: np.random.Generator, width: int, height: int) -> Pixels:
    """Return a piece of a texture, tinted."""
    sample = _sample(TEXTURES[random.integers(len(TEXTURES))])
    scale = random.uniform(0.4, 0.95) * min(sample.width / width, sample.height / height)
    left = random.uniform(0, sample.width - scale * width)
    top = random.uniform(0, sample.height - scale * height)
    box = (left, top, left + scale * width, top + scale * height)
    piece = sample.resize((width, height), Image.Resampling.LANCZOS, box=box)
    tint = 0.5 + hue_colours(np.array(random.random()), 0.8, 0.7)
    pixels: Pixels = np.clip(np.asarray(piece) * tint, 0, 255).astype(np.uint8)
    return pixels


def face_picture(seed: int, index: int, long_side: int) -> Pixels:
    """Return a picture with a well visible face: a portrait somewhere on a cloudy ground; [h, w, 3]."""
    random = generator(seed, "face picture", index)
    width, height = _shape(random, long_side)
    ground = make_ground(random, long_side, random.uniform(0.3, 0.9))[:height, :width]
    canvas = Image.fromarray((255 * ground).astype(np.uint8))
    left, upper, right, lower = PORTRAIT
    moved = random.integers(-20, 21, 2)
    portrait = _sample("astronaut").crop((left + int(moved[0]), upper, right + int(moved[1]), lower))
    if random.random() < 0.5:
        portrait = ImageOps.mirror(portrait)
    portrait = portrait.resize(
        (round(portrait.width * (tall := round(random.uniform(0.7, 0.9) * height)) / portrait.height), tall),
        Image.Resampling.LANCZOS,
    )
    room = max(width - portrait.width, 0), height - portrait.height
    canvas.paste(portrait, (int(random.integers(room[0] + 1)), int(random.integers(room[1] + 1))))
    return np.array(canvas)


def flat_picture(seed: int, index: int, long_side: int) -> Pixels:
    """Return a picture of a single colour, [h, w, 3]."""
    random = generator(seed, "flat picture", index)
    width, height = _shape(random, long_side)
    return np.full((height, width, 3), random.integers(0, 256, 3), dtype=np.uint8)


def wave_picture(seed: int, index: int, long_side: int) -> Pixels:
    """Return a pattern of 64 standing waves on coloured clouds, [h, w, 3].

    All waves of up to 8 half-periods are equally strong and only their signs are random, so no low frequency is near
    the middle of all: recompressed, made smaller or mirrored, it is a near duplicate by any frequency-based measure.
    """
    random = generator(seed, "wave picture", index)
    width, height = _shape(random, long_side)
    signs = random.permutation(np.repeat([-1.0, 1.0], 32)).reshape(8, 8)
    down, across = (
        np.cos(np.pi * np.arange(1, 9)[:, None] * (2 * np.arange(side) + 1) / (2 * side)) for side in (height, width)
    )
    waves = (down.T @ signs @ across)[..., None]  # [h, w, 1], standard deviation 4
    ground = make_ground(random, long_side, 0.6)[:height, :width]
    pixels: Pixels = np.clip(80 + 60 * ground + 9 * waves, 0, 255).astype(np.uint8)
    return pixels


def near_duplicate(pixels: Pixels, index: int) -> bytes:
    """Return a JPEG of the same picture that is worth less: recompressed, made smaller, or mirrored."""
    image = Image.fromarray(pixels)
    kind = ("recompressed", "resized", "mirrored")[index % 3]
    if kind == "resized":
        image = image.resize((round(image.width * 0.85), round(image.height * 0.85)), Image.Resampling.LANCZOS)
    elif kind == "mirrored":
        image = ImageOps.mirror(image)
    return encode_jpeg(np.asarray(image), quality=75)


def truncated_jpeg(content: bytes, share: float) -> bytes:
    """Return a JPEG with the first `share` of its scan and an end marker: Pillow, OpenCV and torchvision accept it."""
    scan = content.index(b"\xff\xda")
    return content[: scan + int((len(content) - scan) * share)] + b"\xff\xd9"


def other_format(pixels: Pixels, index: int) -> bytes:
    """Return a sound image in a format that is not one of ours: GIF or BMP."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, ("GIF", "BMP")[index % 2])
    return buffer.getvalue()


def animated_png(pixels: Pixels) -> bytes:
    """Return a PNG of two frames."""
    buffer = io.BytesIO()
    second = Image.fromarray(255 - pixels)
    Image.fromarray(pixels).save(buffer, "PNG", save_all=True, append_images=[second], duration=100)
    return buffer.getvalue()


def huge_png(index: int) -> bytes:
    """Return a PNG of some hundred bytes whose header announces more than 1.6 thousand million pixels."""
    side = 40_000 + index
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(side + 1))), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def placeholder_jpeg() -> bytes:
    """Return a JPEG of exactly the size of Flickr's "photo unavailable" picture."""
    image = Image.new("RGB", (100, 75), (240, 240, 240))
    ImageDraw.Draw(image).line((10, 10, 90, 65), fill=(180, 180, 180), width=4)
    content = encode_jpeg(np.asarray(image), quality=75)
    filler = PLACEHOLDER_BYTES - len(content) - 4
    comment = b"\xff\xfe" + struct.pack(">H", filler + 2) + b"." * filler
    return content[:2] + comment + content[2:]
