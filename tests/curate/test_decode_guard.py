"""The guarded decode on good, odd, broken and hostile files."""

from __future__ import annotations

import os
import signal
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.curate.decode_guard import DecodeGuard
from scripts.curate.measure_image import colour_std, measure_image
from scripts.lib.errors import UserError
from tests.curate.decoding import LIMITS, encoded, slow_jpeg
from tests.lib.test_perceptual_hash import picture


def png(width: int, height: int) -> bytes:
    """Return a PNG header of any size with hardly any data."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def guard() -> Iterator[DecodeGuard]:
    with DecodeGuard(LIMITS) as running:
        yield running


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGBA"), ("PNG", "P"), ("PNG", "1"), ("WEBP", "RGB")],
)
def test_usual_files_are_measured(guard: DecodeGuard, kind: str, mode: str) -> None:
    measured = guard.measure(encoded(picture(1).convert(mode), kind))
    assert (measured.reason, measured.format, measured.mode) == ("", kind, mode)
    assert (measured.width, measured.height, measured.orientation) == (240, 160, 1)
    assert measured.phash is not None
    assert measured.miniature is not None


def test_sixteen_bit_png(guard: DecodeGuard) -> None:
    levels = (np.arange(100 * 80, dtype=np.uint16).reshape(80, 100) * 8).astype(np.uint16)
    measured = guard.measure(encoded(Image.fromarray(levels), "PNG"))
    assert (measured.reason, measured.mode, measured.width) == ("", "I;16", 100)
    assert measured.colour_std is not None
    assert 60 < measured.colour_std < 80  # a ramp from 0 to 249 has 72


@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_that_of_the_turned_picture(guard: DecodeGuard, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    measured = guard.measure(encoded(picture(2), exif=exif))
    size = (240, 160) if orientation <= 4 else (160, 240)
    assert (measured.width, measured.height, measured.orientation) == (*size, orientation)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "unsupported_format"),
        (b"<html>", "unsupported_format"),
        (encoded(picture(1), "GIF"), "unsupported_format"),
        (encoded(picture(1), "BMP"), "unsupported_format"),
        (b"\xff\xd8\xff\xd9", "undecodable"),
        (b"\x89PNG\r\n\x1a\n", "undecodable"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "undecodable"),
        (encoded(picture(1), "PNG")[:-2000], "undecodable"),
        (encoded(picture(1), "WEBP")[:-200], "undecodable"),
        (png(50_000, 50_000), "too_many_pixels"),
        (png(2**31 - 1, 2**31 - 1), "too_many_pixels"),
        (encoded(Image.new("RGB", (2000, 1001)), "WEBP"), "too_many_pixels"),
        (encoded(Image.new("RGB", (2000, 1001)), "WEBP", lossless=True), "too_many_pixels"),
        (encoded(Image.new("RGBA", (2000, 1001)), "WEBP"), "too_many_pixels"),
        (encoded(Image.new("RGB", (2000, 1000))), ""),  # exactly the limit
        (bytes(LIMITS.max_bytes + 1), "file_too_large"),
        (encoded(picture(1), "PNG", save_all=True, append_images=[picture(2)]), "animated"),
        (encoded(picture(1), "WEBP", save_all=True, append_images=[picture(2)]), "animated"),
    ],
)
def test_reasons(guard: DecodeGuard, content: bytes, reason: str) -> None:
    assert guard.measure(content).reason == reason


def test_jpeg_with_a_second_picture_is_a_photograph(guard: DecodeGuard) -> None:
    measured = guard.measure(encoded(picture(1), "MPO", save_all=True, append_images=[picture(2)]))
    assert (measured.reason, measured.format) == ("", "JPEG")


@pytest.mark.parametrize("progressive", [False, True])
def test_cut_and_patched_jpegs_are_found_out(guard: DecodeGuard, progressive: bool) -> None:
    content = encoded(picture(3, 320, 240), quality=90, progressive=progressive)
    assert guard.measure(content).reason == ""
    for percent in range(1, 100, 3):
        for end in (b"", b"\xff\xd9"):
            cut = content[: len(content) * percent // 100] + end
            assert guard.measure(cut).reason != "", (percent, end)
    middle = len(content) // 2
    assert guard.measure(content[:middle] + bytes(2048) + content[middle + 2048 :]).reason == "undecodable"
    assert guard.measure(content[:middle] + content[middle // 2 :]).reason == "undecodable"


@pytest.mark.parametrize(("limit", "unit"), [("cpu_seconds", "s of processor time"), ("timeout_seconds", "s")])
def test_slow_file_is_a_timeout_and_the_next_one_is_measured(limit: str, unit: str) -> None:
    with DecodeGuard(LIMITS.model_copy(update={limit: 0.5})) as guard:
        slow = guard.measure(slow_jpeg(20_000))
        assert (slow.reason, slow.detail) == ("decoder_timeout", f"not decoded in 0.5 {unit}")
        assert guard.measure(encoded(picture(1))).reason == ""
        assert guard.starts == 2


def test_dead_worker_is_a_crash_of_one_image() -> None:
    with DecodeGuard(LIMITS) as guard:

        def shoot() -> None:
            while guard._served == 0:
                time.sleep(0.01)
            time.sleep(0.1)
            assert guard._worker is not None
            os.kill(guard._worker.pid, signal.SIGSEGV)

        shooter = threading.Thread(target=shoot)
        shooter.start()
        measured = guard.measure(slow_jpeg(20_000))
        shooter.join()
        assert (measured.reason, measured.detail, measured.format) == ("decoder_crash", "signal SIGSEGV", "JPEG")
        assert guard.measure(encoded(picture(1))).reason == ""


def test_worker_that_died_before_the_image_does_not_count_against_it() -> None:
    with DecodeGuard(LIMITS) as guard:
        assert guard.measure(encoded(picture(1))).reason == ""
        assert guard._worker is not None
        os.kill(guard._worker.pid, signal.SIGKILL)
        assert guard.measure(encoded(picture(2))).reason == ""
        assert guard.starts == 2


def test_processor_time_is_that_of_one_image() -> None:
    """Many images that take more than the limit together, and each far less."""
    with DecodeGuard(LIMITS.model_copy(update={"cpu_seconds": 0.4})) as guard:
        content = encoded(picture(1, 1600, 1200))
        for _ in range(500):
            assert guard.measure(content).reason == ""
            assert guard._worker is not None
            used = Path(f"/proc/{guard._worker.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
            if sum(map(int, used)) / os.sysconf("SC_CLK_TCK") > 1.5:
                return
        pytest.fail("500 images took no time at all")


def test_worker_that_does_not_read_is_a_timeout() -> None:
    """The pipe holds less than the image, so the guard must not wait for the worker while it writes."""
    with DecodeGuard(LIMITS.model_copy(update={"timeout_seconds": 0.5})) as guard:
        assert guard.measure(encoded(picture(1))).reason == ""
        assert guard._worker is not None
        os.kill(guard._worker.pid, signal.SIGSTOP)
        assert guard.measure(encoded(picture(2)) + bytes(1_000_000)).reason == "decoder_timeout"
        assert guard.measure(encoded(picture(1))).reason == ""


def test_worker_that_cannot_start_is_an_error_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(UserError, match=r"decoding process did not start.*exit status 1"):
        DecodeGuard(LIMITS).measure(encoded(picture(1)))


def test_colour_std_is_that_of_numpy() -> None:
    image = picture(5)
    assert colour_std(image) == pytest.approx(np.asarray(image, dtype=np.float64).std(axis=(0, 1)).max(), rel=1e-12)
    assert colour_std(Image.new("RGB", (7, 5), (3, 200, 77))) == 0.0


def test_details_name_no_memory_address() -> None:
    measured = measure_image(b"\x89PNG\r\n\x1a\n" + bytes(100), LIMITS)
    assert measured.reason == "undecodable"
    assert "0x" not in measured.detail
