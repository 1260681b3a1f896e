from __future__ import annotations

import io
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from scripts.evaluate.items import Item
from scripts.evaluate.settings_tasks import FractalTask
from scripts.evaluate.views import ahead, load_pixels
from scripts.lib.errors import UserError
from scripts.lib.images import centre_view

TASK = FractalTask(
    name="toy",
    kind="fractal",
    resize=8,
    crop=8,
    max_train=None,
    max_test=None,
    seed=0,
    classes=2,
    train_per_class=1,
    test_per_class=1,
    image_size=8,
    iterations=10,
    fractal_seed=0,
)


@pytest.mark.parametrize(
    "shape", [(375, 500), (500, 375), (64, 64), (256, 300), (33, 100), (257, 256), (333, 500), (224, 224)]
)
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), (64, 64), (72, 63)])
def test_centre_view_is_torchvisions(shape: tuple[int, int], resize: int, crop: int):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    transform = v2.Compose([v2.Resize(resize), v2.CenterCrop(crop)])
    assert (centre_view(pixels, resize, crop) == np.asarray(transform(Image.fromarray(pixels)))).all()


class Store:
    """A reader of bytes in memory."""

    def __init__(self, content: bytes | OSError) -> None:
        self._content = content

    def read(self, item: Item) -> bytes:
        if isinstance(self._content, OSError):
            raise self._content
        return self._content


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def item_of(content: bytes) -> Item:
    return Item("test", "cat/1.jpg", "cat", -1, len(content))


def test_whole_picture_decodes():
    assert load_pixels(item_of(picture()), Store(picture()), TASK).shape == (40, 40, 3)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff no picture", picture()[:-200], b"<html>"])
def test_damaged_picture_is_named(content: bytes):
    with pytest.raises(UserError, match=r"the test image cat/1\.jpg of the task toy cannot be decoded"):
        load_pixels(item_of(content), Store(content), TASK)


def test_picture_that_changed_since_it_was_listed():
    with pytest.raises(UserError, match=r"cat/1.jpg .* is not what `list_task` listed \(4 bytes where 3 were listed\)"):
        load_pixels(item_of(b"abc"), Store(b"abcd"), TASK)
    with pytest.raises(UserError, match=r"is not what `list_task` listed .*No such file"):
        load_pixels(item_of(b"abc"), Store(FileNotFoundError(2, "No such file")), TASK)


def test_hostile_pictures_are_named_or_decoded(shared: Path):
    with tarfile.open(shared / "hostile_libjpeg_turbo.tar") as archive:
        contents = [archive.extractfile(info).read() for info in archive if info.isreg()]  # type: ignore[union-attr]
    refused = 0
    for content in contents[:150]:
        try:
            assert load_pixels(item_of(content), Store(content), TASK).dtype == np.uint8
        except UserError:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize("threads", [1, 3])
def test_ahead_keeps_order_and_runs_no_further_than_its_depth(threads: int):
    started: set[int] = set()
    lock = threading.Lock()

    def work(number: int) -> int:
        with lock:
            started.add(number)
        return number * number

    results = ahead(work, range(50), threads, depth=4)
    assert next(results) == 0
    assert max(started) <= 4  # four ahead, and the one that replaced the first
    assert list(results) == [number * number for number in range(1, 50)]
    assert started == set(range(50))


def test_ahead_raises_what_the_work_raises():
    def work(number: int) -> int:
        if number == 3:
            raise UserError("number 3")
        return number

    results = ahead(work, range(10), 2, depth=4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(UserError, match="number 3"):
        next(results)
