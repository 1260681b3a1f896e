from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from scripts.filter.detectors.onnx import Canvas, load_detector, read_nanodet, read_rtmdet, read_yunet
from scripts.filter.settings import DetectSettings, OnnxDetector
from scripts.lib.errors import UserError
from tests.filter.made import detector_recipe, picture


def settings_of(layout: str, size: int, **values: object) -> OnnxDetector:
    target = "face" if layout == "yunet" else "person"
    made = {"layout": layout, "input_size": size, "nms": 0.5, "target": target, **values}
    detector = DetectSettings.model_validate(json.loads(detector_recipe("onnx", **made))).detector
    assert isinstance(detector, OnnxDetector)
    return detector


@pytest.mark.parametrize(("height", "width"), [(60, 120), (120, 60), (10, 10), (500, 333)])
@pytest.mark.parametrize("centred", [True, False])
def test_the_way_onto_the_canvas_and_back(height: int, width: int, centred: bool):
    canvas = Canvas(picture("a", height, width), 96, centred, 7)
    assert canvas.pixels.shape == (96, 96, 3)
    box = np.array([[1, 2, width - 1, height - 2]], np.float32)
    shift = np.array([canvas.left, canvas.top] * 2, np.float32)
    assert np.allclose(canvas.back(box * canvas.scale + shift), box, atol=1e-3)
    assert np.allclose(canvas.back(np.array([[-50, -50, 200, 200]], np.float32)), [[0, 0, width, height]])


def test_the_canvas_is_bgr_and_padded():
    red = np.full((20, 40, 3), (200, 100, 50), np.uint8)
    centred, cornered = Canvas(red, 80, True, 0).pixels, Canvas(red, 80, False, 114).pixels
    assert centred[40, 40].tolist() == [50, 100, 200]
    assert centred[5, 40].tolist() == [0, 0, 0]
    assert cornered[10, 40].tolist() == [50, 100, 200]
    assert cornered[75, 40].tolist() == [114] * 3


def test_nanodet_distances_are_the_expectation_over_bins():
    classes = {stride: np.zeros((1, (64 // stride) ** 2, 80), np.float32) for stride in (8, 16, 32)}
    bins = {stride: np.zeros((1, (64 // stride) ** 2, 32), np.float32) for stride in (8, 16, 32)}
    cell = 2 * 8 + 5  # row 2, column 5 at stride 8: centre (44, 20)
    classes[8][0, cell, 0] = 0.75
    classes[16][0, 3, 1] = 0.9  # a bicycle
    classes[32][0, 0, 0] = 0.19  # below the floor
    for side, place in enumerate((1, 2, 3, 0)):
        bins[8][0, cell, side * 8 + place] = 100.0
    bins[8][0, cell, 3 * 8 + 0] = bins[8][0, cell, 3 * 8 + 1] = 100.0  # halfway between two bins
    outputs = {f"c{stride}": array for stride, array in classes.items()}
    outputs |= {f"b{stride}": array for stride, array in bins.items()}
    corners, scores = read_nanodet(outputs, 64, 0.2)
    assert scores.tolist() == [0.75]
    assert np.allclose(corners, [[44 - 8, 20 - 16, 44 + 24, 20 + 4]], atol=1e-4)


def test_rtmdet_rows_of_other_labels_are_left_out():
    outputs = {
        "dets": np.array([[[1, 2, 3, 4, 0.9], [5, 6, 7, 8, 0.8]]], np.float32),
        "labels": np.array([[1, 0]], np.int64),
    }
    corners, scores = read_rtmdet(outputs, 320, 0.0)
    assert corners.tolist() == [[5, 6, 7, 8]]
    assert np.allclose(scores, 0.8)


def test_yunet_is_read_by_hand():
    outputs = {}
    for stride in (8, 16, 32):
        cells = (64 // stride) ** 2
        outputs |= {f"{name}_{stride}": np.zeros((1, cells, 1), np.float32) for name in ("cls", "obj")}
        outputs[f"bbox_{stride}"] = np.zeros((1, cells, 4), np.float32)
    cell = 1 * 4 + 2  # row 1, column 2 at stride 16
    outputs["cls_16"][0, cell], outputs["obj_16"][0, cell] = 0.64, 1.3  # the second is cut at 1
    outputs["bbox_16"][0, cell] = [0.5, 0.25, np.log(2), np.log(3)]
    corners, scores = read_yunet(outputs, 64, 0.5)
    assert np.allclose(scores, 0.8)
    assert np.allclose(corners, [[40 - 16, 20 - 24, 40 + 16, 20 + 24]], atol=1e-4)


def test_yunet_agrees_with_opencv(shared: Path):
    weights = shared / "weights" / "yunet_n_640.onnx"
    image = cv2.resize(skimage.data.astronaut(), (640, 640), interpolation=cv2.INTER_LINEAR)
    found = load_detector(settings_of("yunet", 640, score_floor=0.3, nms=0.3), weights, 1).detect([image])[0]
    # OpenCV reads the format from the file's name; at its native size no scaling comes in between.
    theirs = cv2.FaceDetectorYN.create(str(weights), "", (640, 640), score_threshold=0.3, nms_threshold=0.3)
    _, faces = theirs.detect(np.ascontiguousarray(image[:, :, ::-1]))
    assert len(found) == len(faces) >= 1
    assert np.allclose(found[:, 4], faces[:, 14], atol=1e-3)
    corners = np.concatenate([faces[:, :2], faces[:, :2] + faces[:, 2:4]], axis=1)
    assert np.allclose(found[:, :4], np.clip(corners, 0, 640), atol=1.0)


@pytest.mark.parametrize(
    ("layout", "size", "name"),
    [
        ("nanodet", 416, "nanodet_m_416.onnx"),
        ("rtmdet", 320, "rtmdet_nano_person.onnx"),
        ("yunet", 640, "yunet_n_640.onnx"),
    ],
)
def test_each_file_finds_the_astronaut_and_repeats_itself(shared: Path, layout: str, size: int, name: str):
    detector = load_detector(settings_of(layout, size), shared / "weights" / name, 1)
    image = skimage.data.astronaut()[:, 40:300]
    first, second = detector.detect([image, image])
    assert first[0, 4] > 0.5
    assert np.array_equal(first, second)
    # The head lies within what is found, in pixels of the picture given.
    assert first[0, 0] < 185
    assert first[0, 2] > 185
    assert first[0, 1] < 115


def test_a_file_of_another_layout_or_size_is_named(shared: Path):
    weights = shared / "weights" / "nanodet_m_416.onnx"
    for settings in (settings_of("yunet", 416), settings_of("rtmdet", 416), settings_of("nanodet", 320)):
        with pytest.raises(UserError, match=rf"made does not work as layout {settings.layout} .*input.1.*416"):
            load_detector(settings, weights, 1)
    with pytest.raises(UserError, match="needs a weights file"):
        load_detector(settings_of("nanodet", 416), None, 1)
