from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from scripts.filter.batches import BATCH_PIXELS, Item, list_items, load_ahead, make_batches
from scripts.filter.boxes import Boxes, as_boxes, cut_at_edges
from scripts.filter.detection import FAILURES_AT_END, detect_items, files_of, read_settings
from scripts.lib.errors import UserError
from scripts.lib.files import table_of
from scripts.lib.images import Pixels
from scripts.lib.tables import DOWNLOADS, INSPECTIONS
from tests.filter.made import detector_recipe, download, inspection, items_of, picture, png


class Brightness:
    """A detector whose score is the mean level; refuses batches that hold a picture darker than `floor`."""

    def __init__(self, floor: float = -1.0) -> None:
        self.floor = floor
        self.calls: list[int] = []

    def detect(self, images: list[Pixels], scale: float = 1.0) -> list[Boxes]:
        self.calls.append(len(images))
        assert len({image.shape for image in images}) == 1
        means = [float(image.mean()) / 255 for image in images]
        if min(means) < self.floor:
            raise RuntimeError("too dark\nsecond line")
        return [
            as_boxes([[0, 0, image.shape[1], image.shape[0]]], [mean], 0.0)
            for image, mean in zip(images, means, strict=True)
        ]


def stored(pictures: dict[str, Pixels]) -> tuple[list[Item], Callable[[int, int], bytes]]:
    """Return items whose offset is the index of their file, and the function that reads them."""
    files = [png(pixels) for pixels in pictures.values()]
    items = [
        Item(image_id, index, len(files[index]), *pixels.shape[:2])
        for index, (image_id, pixels) in enumerate(pictures.items())
    ]
    return items, lambda offset, size: files[offset][:size]


def flat(level: int, height: int = 8, width: int = 10) -> Pixels:
    return np.full((height, width, 3), level, np.uint8)


def test_boxes_are_sorted_cut_at_the_floor_and_ties_keep_their_order():
    boxes = as_boxes([[1, 1, 2, 2], [3, 3, 4, 4], [5, 5, 6, 6], [7, 7, 8, 8]], [0.3, 0.9, 0.1, 0.9], 0.3)
    assert boxes.dtype == np.float32
    assert boxes[:, 0].tolist() == [3, 7, 1]
    assert as_boxes([], [], 0.0).shape == (0, 5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_not_finite_is_a_failure_and_not_an_empty_list(bad: float):
    with pytest.raises(ValueError, match="not finite"):
        as_boxes([[0, 0, 1, 1]], [bad], 0.5)
    with pytest.raises(ValueError, match="not finite"):
        as_boxes([[0, 0, bad, 1]], [0.1], 0.5)


def test_boxes_end_where_the_image_does():
    boxes = np.array([[-3, 2, 25, 7, 0.9], [1, -1, 9, 30, 0.5]], np.float32)
    cut = cut_at_edges(boxes, flat(0, height=8, width=10))
    assert cut[:, :4].tolist() == [[0, 2, 10, 7], [1, 0, 9, 8]]
    assert np.array_equal(cut[:, 4], boxes[:, 4])


def test_batches_hold_one_size_and_come_largest_first():
    sizes = {"a": (10, 20), "b": (30, 30), "c": (10, 20), "d": (20, 10), "e": (10, 20), "f": (30, 30)}
    batches = [[item.image_id for item in batch] for batch in make_batches(items_of(sizes), 2)]
    assert batches == [["b", "f"], ["d"], ["a", "c"], ["e"]]


def test_a_batch_of_large_pictures_is_bounded_by_pixels():
    side = int((BATCH_PIXELS / 2.5) ** 0.5)
    batches = make_batches(items_of(dict.fromkeys("abcde", (side, side))), 8)
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert [len(batch) for batch in make_batches(items_of({"a": (9000, 9000), "b": (9000, 9000)}), 8)] == [1, 1]


def test_a_batch_that_is_looked_at_larger_is_smaller():
    side = int((BATCH_PIXELS / 4) ** 0.5)
    items = items_of(dict.fromkeys("abcd", (side, side)))
    assert [len(batch) for batch in make_batches(items, 8)] == [4]
    assert [len(batch) for batch in make_batches(items, 8, scale=2.0)] == [1, 1, 1, 1]


def test_a_long_run_says_how_long_it_still_takes(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("scripts.filter.detection.LOG_SECONDS", 0.0)
    caplog.set_level(logging.INFO)
    items, read = stored({f"{index}": flat(index) for index in range(4)})
    detect_items(Brightness(), items, 2, read)
    assert re.search(r"2 of 4 images, [\d.]+ images/s, about 0:00:\d\d left", caplog.text)


def test_a_detector_of_one_file_refuses_two():
    hog = read_settings(detector_recipe("hog", max_side=100), "person")
    assert files_of(hog, []) is None
    assert files_of(hog, [Path("a")]) == Path("a")
    with pytest.raises(UserError, match="made, got 2"):
        files_of(hog, [Path("a"), Path("b")])


def test_only_images_that_decode_are_listed_in_id_order():
    status = table_of(
        [download("b", offset=5, size=6), download("a", offset=1, size=2), download("c", reason="not_found")], DOWNLOADS
    )
    inspected = table_of([inspection("b", width=4, height=3), inspection("a", reason="undecodable")], INSPECTIONS)
    assert list_items(status, inspected) == [Item("b", 5, 6, 3, 4)]


def test_an_inspected_image_without_bytes_is_an_error():
    status = table_of([download("a", reason="not_found")], DOWNLOADS)
    with pytest.raises(UserError, match="first: a"):
        list_items(status, table_of([inspection("a")], INSPECTIONS))


def test_loading_ahead_keeps_the_order_and_raises_what_the_thread_raises():
    batches = [[item] for item in items_of(dict.fromkeys("abcd", (1, 1)))]
    loaded = load_ahead(batches, lambda batch: [(batch[0], "text")])
    assert [group[0][0].image_id for group in loaded] == list("abcd")

    def fail(batch: list[Item]) -> list[tuple[Item, Pixels | str]]:
        raise EOFError("short")

    with pytest.raises(EOFError):
        list(load_ahead(batches, fail))
    assert list(load_ahead([], fail)) == []


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_the_table_does_not_depend_on_the_batch_size(batch_size: int):
    pictures = {f"{index:02d}": picture(str(index), 12 + index % 3, 20) for index in range(13)}
    items, read = stored(pictures)
    table = detect_items(Brightness(), items, batch_size, read)
    assert table.equals(detect_items(Brightness(), items[::-1], 4, read))
    assert table["image_id"].to_pylist() == sorted(pictures)
    assert table["count"].to_pylist() == [1] * 13
    expected = [np.float32(pixels.mean() / 255) for pixels in pictures.values()]
    assert np.allclose(table["score"].to_numpy(), expected, atol=1e-6)


def test_a_picture_that_the_detector_fails_on_costs_itself_alone():
    pictures = {"a": flat(200), "b": flat(5), "c": flat(100), "d": flat(50)}
    items, read = stored(pictures)
    detector = Brightness(floor=0.1)
    table = detect_items(detector, items, 4, read)
    assert detector.calls == [4, 1, 1, 1, 1]
    assert table["reason"].to_pylist() == ["", "detector_failed", "", ""]
    assert table["detail"].to_pylist()[1] == "RuntimeError: too dark"
    assert table["score"].to_pylist()[1] == 0
    assert table["boxes"].to_pylist()[1] == []


def test_a_picture_that_does_not_decode_is_a_row():
    items, read = stored({"a": flat(1), "b": flat(2)})
    table = detect_items(Brightness(), items, 2, lambda offset, size: b"no picture" if offset else read(offset, size))
    assert table["reason"].to_pylist() == ["", "detector_failed"]
    assert table["detail"].to_pylist()[1].startswith("does not decode: UnidentifiedImageError")


def test_a_detector_that_fails_on_everything_stops_the_step():
    items, read = stored({f"{index}": flat(1) for index in range(FAILURES_AT_END)})
    with pytest.raises(UserError, match="machine"):
        detect_items(Brightness(floor=2.0), items, 4, read)
    few = detect_items(Brightness(floor=2.0), items[:-1], 4, read)
    assert set(few["reason"].to_pylist()) == {"detector_failed"}


def test_no_image_gives_an_empty_table():
    table = detect_items(Brightness(), [], 4, lambda offset, size: b"")
    assert isinstance(table, pa.Table)
    assert table.num_rows == 0


def test_a_detector_in_the_wrong_step_is_refused():
    with pytest.raises(UserError, match=r"filter\.person_detectors"):
        read_settings(detector_recipe("hog", max_side=100), "face")
    with pytest.raises(UserError, match=r"filter\.face_detectors"):
        read_settings(detector_recipe("centerface"), "person")
    onnx = {"layout": "yunet", "input_size": 640, "nms": 0.4, "target": "face"}
    with pytest.raises(UserError, match="finds a face"):
        read_settings(detector_recipe("onnx", **onnx), "person")
    assert read_settings(detector_recipe("onnx", **onnx), "face").detector.name == "made"
