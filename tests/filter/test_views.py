from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
import torchvision
from pydantic import ValidationError

from scripts.filter.boxes import Boxes, as_boxes, suppress
from scripts.filter.detectors import hog, onnx, retinaface
from scripts.filter.detectors import torchvision as torchvision_detector
from scripts.filter.settings import DetectSettings, Views
from scripts.filter.views import ManyViews, cut_tiles, merge, resized, tile_starts
from scripts.lib.errors import UserError
from scripts.lib.images import Pixels
from tests.filter.made import detector_recipe, picture

PLAIN: dict[str, Any] = {"scales": [1.0], "tiles": 1, "overlap": 0.2, "nms": 0.5}


def views_of(**values: Any) -> Views:
    return Views.model_validate_json(json.dumps({**PLAIN, **values}))


def settings_of(kind: str, **values: Any) -> Any:
    return DetectSettings.model_validate_json(detector_recipe(kind, **values)).detector


class WhiteSquare:
    """Finds the white of a picture when it is seen at least `least` pixels wide; the score grows with its width.

    `fixed` is the longer side to which every picture is scaled before it is seen; None is native size.
    """

    def __init__(self, least: float, fixed: int | None = None) -> None:
        self.least, self.fixed = least, fixed
        self.seen: list[tuple[int, ...]] = []

    def detect(self, images: list[Pixels], scale: float) -> list[Boxes]:
        assert len({image.shape for image in images}) == 1
        found = []
        for image in images:
            self.seen.append((image.shape[0], image.shape[1]))
            rows, columns = np.nonzero(image[:, :, 0] == 255)
            factor = scale * (1 if self.fixed is None else self.fixed / max(image.shape[:2]))
            if len(rows) and (wide := (columns.max() + 1 - columns.min()) * factor) >= self.least:
                corners = [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]
                found.append(as_boxes(corners, [wide / 100], 0.0))
            else:
                found.append(as_boxes([], [], 0.0))
        return found


def white_at(x: int, y: int, side: int, height: int = 100, width: int = 160) -> Pixels:
    image = np.zeros((height, width, 3), np.uint8)
    image[y : y + side, x : x + side] = 255
    return image


def naive_suppress(boxes: Boxes, overlap: float) -> list[int]:
    kept: list[int] = []
    for index, box in enumerate(boxes):
        for other in (boxes[each] for each in kept):
            wide = min(box[2], other[2]) - max(box[0], other[0])
            tall = min(box[3], other[3]) - max(box[1], other[1])
            shared = max(wide, 0) * max(tall, 0)
            both = (box[2] - box[0]) * (box[3] - box[1]) + (other[2] - other[0]) * (other[3] - other[1]) - shared
            if both > 0 and float(shared / both) > overlap:  # 32 bits against 64, as torchvision
                break
        else:
            kept.append(index)
    return kept


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 1.0])
def test_suppression_is_that_of_a_naive_loop_and_of_torchvision(overlap: float):
    draws = np.random.default_rng(0)
    corners = draws.integers(0, 12, (200, 2)).astype(np.float32)
    corners = np.concatenate([corners, corners + draws.integers(0, 8, (200, 2))], axis=1)  # some are empty
    boxes = as_boxes(corners, draws.random(200), 0.0)
    kept = suppress(boxes, overlap)
    assert kept.tolist() == naive_suppress(boxes, overlap)
    full = boxes[(boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])]
    theirs = torchvision.ops.nms(torch.from_numpy(full[:, :4]), torch.from_numpy(full[:, 4]), overlap)
    assert suppress(full, overlap).tolist() == theirs.tolist()
    assert suppress(as_boxes([], [], 0.0), overlap).shape == (0,)


@pytest.mark.parametrize(("length", "tiles", "overlap"), [(100, 2, 0.2), (101, 3, 0.0), (7, 2, 0.9), (1, 3, 0.5)])
def test_tiles_cover_the_side_and_share_what_they_should(length: int, tiles: int, overlap: float):
    starts, side = tile_starts(length, tiles, overlap)
    assert starts[0] == 0
    assert starts[-1] + side == length
    shared = [first + side - second for first, second in pairwise(starts)]
    assert min(shared) >= min(side, overlap * side) - 1
    assert len(starts) == tiles


def test_tiles_are_of_one_size_and_one_is_none():
    assert list(cut_tiles(90, 180, views_of())) == []
    tiles = list(cut_tiles(90, 180, views_of(tiles=2)))
    assert tiles == [
        (slice(top, top + 50), slice(left, left + 100)) for top in (0, 40) for left in (0, 80)
    ]  # 180 / 1.8 = 100 and 90 / 1.8 = 50


def test_one_look_is_what_the_detector_finds():
    detector = WhiteSquare(10)
    images = [white_at(20, 30, 12), white_at(0, 0, 5)]
    plain = detector.detect(images, 1.0)
    seen = ManyViews(detector, views_of()).detect(images)
    assert all(np.array_equal(one, other) for one, other in zip(plain, seen, strict=True))


def test_what_only_a_larger_look_finds_is_found_in_the_pictures_own_pixels():
    image = white_at(20, 30, 6)
    assert len(ManyViews(WhiteSquare(10), views_of()).detect([image])[0]) == 0
    found = ManyViews(WhiteSquare(10), views_of(scales=[1.0, 2.0])).detect([image])[0]
    assert np.allclose(found, [[20, 30, 26, 36, 0.12]])
    # Both looks find a larger one: it stays one box, with the higher of the two scores.
    found = ManyViews(WhiteSquare(10), views_of(scales=[1.0, 2.0])).detect([white_at(20, 30, 12)])[0]
    assert np.allclose(found, [[20, 30, 32, 42, 0.24]])


def test_what_only_a_tile_shows_large_enough_is_found_in_the_pictures_own_pixels():
    images = [white_at(130, 70, 6), white_at(3, 4, 6)]  # in the last tile, in the first
    detector = WhiteSquare(10, fixed=160)
    assert [len(boxes) for boxes in ManyViews(detector, views_of()).detect(images)] == [0, 0]
    found = ManyViews(detector, views_of(tiles=2)).detect(images)
    wide = 6 * 160 / 89  # a tile of 160 / 1.8, rounded up
    assert np.allclose(found[0], [[130, 70, 136, 76, wide / 100]])
    assert np.allclose(found[1], [[3, 4, 9, 10, wide / 100]])
    assert set(detector.seen) == {(100, 160), (56, 89)}


def test_merging_keeps_the_best_of_each_place():
    looks = [as_boxes([[0, 0, 10, 10], [50, 50, 60, 60]], [0.4, 0.9], 0.0), as_boxes([[1, 0, 10, 10]], [0.6], 0.0)]
    assert np.allclose(merge(looks, 0.5), [[50, 50, 60, 60, 0.9], [1, 0, 10, 10, 0.6]])
    assert len(merge(looks, 0.95)) == 3


def test_scaling_keeps_at_least_a_pixel():
    assert resized(picture("a", 3, 40), 0.1).shape == (1, 4, 3)
    assert resized(picture("a", 3, 40), 2.5).shape == (8, 100, 3)
    image = picture("a", 3, 40)
    assert resized(image, 1.0) is image


@pytest.mark.parametrize("wrong", [{"scales": []}, {"scales": [0.0]}, {"tiles": 0}, {"overlap": 1.0}])
def test_views_that_make_no_sense_are_refused(wrong: dict[str, Any]):
    with pytest.raises(ValidationError):
        views_of(**wrong)


def astronaut_at(size: int, height: int, width: int) -> Pixels:
    """Return smooth noise with the astronaut in it, `size` pixels wide."""
    image = picture("ground", height, width)
    image[40 : 40 + size, 60 : 60 + size] = resized(skimage.data.astronaut(), size / 512)
    return image


def test_a_tiny_face_is_found_by_a_larger_look_alone(shared: Path):
    settings = settings_of("retinaface", backbone="mobilenet0.25", engine="torch", nms=0.4, max_side=None)
    detector = retinaface.load_detector(settings, shared / "weights" / "retinaface_mobilenet0.25.pth", 1)
    image = astronaut_at(52, 240, 320)  # the face is 9 pixels wide
    once = ManyViews(detector, views_of()).detect([image])[0]
    assert once[:1, 4].max(initial=0) < 0.3
    found = ManyViews(detector, views_of(scales=[1.0, 2.0, 4.0])).detect([image])[0]
    assert found[0, 4] > 0.9
    x0, y0, x1, y1 = found[0, :4]
    assert 75 < x0 < x1 < 90
    assert 40 < y0 < y1 < 60


def test_a_tiny_person_is_found_in_a_tile_alone(shared: Path):
    settings = settings_of("onnx", layout="nanodet", input_size=416, nms=0.6, target="person")
    detector = onnx.load_detector(settings, shared / "weights" / "nanodet_m_416.onnx", 1)
    image = astronaut_at(60, 900, 1200)
    once = ManyViews(detector, views_of()).detect([image])[0]
    found = ManyViews(detector, views_of(tiles=4)).detect([image])[0]
    assert once[:1, 4].max(initial=0) < 0.3
    assert found[0, 4] > 0.5
    assert 50 < found[0, 0] < found[0, 2] < 130
    assert 30 < found[0, 1] < found[0, 3] < 110


def test_files_of_a_free_size_take_scales_and_others_say_so(shared: Path):
    free = settings_of(
        "onnx", layout="rtmdet", input_size=320, nms=0.6, target="person", views={**PLAIN, "scales": [1.0, 1.5]}
    )
    detector = onnx.load_detector(free, shared / "weights" / "rtmdet_nano_person.onnx", 1)
    assert len(detector.detect([skimage.data.astronaut()], 1.5)[0]) >= 1
    fixed = settings_of(
        "onnx", layout="nanodet", input_size=416, nms=0.6, target="person", views={**PLAIN, "scales": [1.0, 2.0]}
    )
    with pytest.raises(UserError, match=r"scales 1\.0, 2\.0.*give it tiles"):
        onnx.load_detector(fixed, shared / "weights" / "nanodet_m_416.onnx", 1)


def test_torchvision_and_hog_see_a_picture_as_large_as_asked(tmp_path: Path):
    small, large = (
        settings_of(
            "torchvision", model="fasterrcnn_mobilenet_v3_large_320_fpn", min_side=side, max_side=96 * side // 64
        )
        for side in (64, 128)
    )
    torch.manual_seed(0)
    network = torchvision_detector.build_network(small.model_copy(update={"score_floor": 0.008}))
    device = torch.device("cpu")
    image = picture("a", 60, 80)
    scaled = torchvision_detector.TorchvisionRunner(small, network.eval(), device).detect([image], 2.0)[0]
    plain = torchvision_detector.TorchvisionRunner(large, network, device).detect([image])[0]
    assert np.array_equal(scaled, plain)
    ssd = settings_of(
        "torchvision",
        model="ssdlite320_mobilenet_v3_large",
        min_side=64,
        max_side=96,
        views={**PLAIN, "scales": [2.0]},
    )
    torch.save(torchvision_detector.build_network(ssd).state_dict(), tmp_path / "ssd")
    with pytest.raises(UserError, match=r"views\.scales can only be"):
        torchvision_detector.load_detector(ssd, tmp_path / "ssd", 1)
    people = [hog.HogRunner(settings_of("hog", max_side=side)) for side in (200, 400)]
    tall = skimage.data.astronaut()
    assert np.array_equal(people[0].detect([tall], 2.0)[0], people[1].detect([tall])[0])
