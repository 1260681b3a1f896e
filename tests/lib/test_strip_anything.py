"""Whatever the file, stripped it decodes to the same picture, or the refusal says why."""

from __future__ import annotations

import io
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from scripts.lib.embedded.parts import MAX_PIECES, UnwalkableError
from scripts.lib.embedded.strip import strip_metadata
from scripts.lib.images import decode_image, open_image, sniff_format
from tests.lib.made_embedded import (
    encoded,
    exif_block,
    photo,
    png_chunk,
    with_chunks,
    with_segments,
)
from tests.lib.strip_checks import WIDE, check, secrets_of_jpeg

# Pillow's, of the odd files that are made here
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GIF89a", "not JPEG, PNG or WebP"),
        (b"\xff\xd8\xff", "no end marker"),
        (encoded(photo())[:-2], "no marker after the last scan"),
        (encoded(photo())[:300], "does not end within the file"),
        (encoded(photo())[:20] + b"x" + encoded(photo())[20:], "byte 20 is no marker"),
        (encoded(photo())[:20] + b"\xff\xf0\x00\x02" + encoded(photo())[20:], "marker f0 at byte 20"),
        (encoded(photo())[:20] + b"\xff\xe5\x00\x01" + encoded(photo())[20:], "does not end within the file"),
        (b"\xff\xd8" + b"\xff\x01" * (MAX_PIECES + 1), "more than 100000 segments"),
        (encoded(photo(), "PNG")[:-3], "before its IEND"),
        (encoded(photo(), "PNG")[:500], "does not end within the file"),
        (encoded(photo(), "PNG")[:33] + png_chunk(b"teXt", b"") * MAX_PIECES, "more than 100000 chunks"),
        (encoded(photo(), "WEBP")[:-3], "shorter than its header says"),
        (b"RIFF\x04\x00\x00\x00WEBP", "no chunk holds a picture"),
        (b"RIFF\x0c\x00\x00\x00WEBPVP8 \x01\x00\x00\x00", "does not end within the file"),
        (WIDE[:30] + b"abcd\x00\x00\x00\x00" * (MAX_PIECES + 1), "more than 100000 chunks"),
    ],
)  # fmt: skip
def test_damaged_containers_are_named(content: bytes, message: str) -> None:
    if content.startswith(b"RIFF") and len(content) > 100_000:
        content = content[:4] + (len(content) - 8).to_bytes(4, "little") + content[8:]
    with pytest.raises(UnwalkableError, match=message):
        strip_metadata(content)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.integers(0, 100_000), st.binary(max_size=6), st.integers(0, 6))
def test_damaged_files_decode_the_same_or_are_refused(kind: str, at: int, patch: bytes, gone: int) -> None:
    content = {
        "JPEG": with_segments(encoded(photo(size=(24, 16))), *secrets_of_jpeg(6)),
        "PNG": with_chunks(encoded(photo(size=(24, 16)), "PNG"), png_chunk(b"eXIf", exif_block(orientation=6))),
        "WEBP": encoded(photo(size=(24, 16)), "WEBP", exif=exif_block(orientation=6)),
    }[kind]
    at %= len(content)
    damaged = content[:at] + patch + content[at + gone :]
    try:
        pixels = decode_image(damaged)
    except Exception:  # noqa: BLE001 - decoders raise nearly everything
        return  # inspection refuses it
    try:
        stripped = strip_metadata(damaged)
    except UnwalkableError:
        return  # likewise
    assert np.array_equal(decode_image(stripped), pixels)
    assert strip_metadata(stripped) == stripped


def decodable(files: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Yield the files that `inspect_images` would let pass, more or less."""
    for name, content in files:
        kind = sniff_format(content)
        if kind is None:
            continue
        try:
            image = open_image(content)
            if image.width * image.height > 4_000_000 or (kind != "JPEG" and getattr(image, "n_frames", 1) > 1):
                continue
            if kind == "JPEG":
                space = simplejpeg.decode_jpeg_header(content)[2]
                simplejpeg.decode_jpeg(content, "CMYK" if space in ("CMYK", "YCCK") else "GRAY", strict=True)
            decode_image(content)
        except Exception:  # noqa: BLE001 - likewise
            continue
        yield name, content


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as tar:
        for member in tar:
            handle = tar.extractfile(member) if member.isreg() else None
            if handle is not None:
                yield f"{path.name}:{member.name}", handle.read()


def check_all(files: Iterator[tuple[str, bytes]]) -> int:
    count = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of odd files
        for name, content in decodable(files):
            try:
                check(content)
            except (AssertionError, UnwalkableError) as error:
                raise AssertionError(name) from error
            count += 1
    return count


def test_sample_of_hostile_files_and_photographs(shared: Path) -> None:
    hostile = (item for path in sorted(shared.glob("hostile_*.tar")) for item in members(path))
    assert check_all(item for index, item in enumerate(hostile) if index % 12 == 0) > 40
    assert check_all((path.name, path.read_bytes()) for path in sorted((shared / "photos").iterdir())[::40]) == 25


@pytest.mark.slow
def test_all_hostile_files_and_photographs(shared: Path) -> None:
    paths = [*sorted(shared.glob("hostile_*.tar")), shared / "near_duplicates.tar"]
    assert check_all(item for path in paths for item in members(path)) > 600
    assert check_all((path.name, path.read_bytes()) for path in sorted((shared / "photos").iterdir())) == 978


def test_stripped_files_open_where_others_read_them() -> None:
    cv2 = pytest.importorskip("cv2")
    for content in (
        with_segments(encoded(photo()), *secrets_of_jpeg()),
        encoded(photo(), "PNG"),
        encoded(photo(), "WEBP"),
    ):
        before, after = (cv2.imdecode(np.frombuffer(each, np.uint8), 1) for each in (content, strip_metadata(content)))
        assert np.array_equal(before, after)
        with Image.open(io.BytesIO(strip_metadata(content))) as image:
            image.verify()
