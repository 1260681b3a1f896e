from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.filter.detectors.hog import MAX_UPSCALE, load_detector, scaled, sigmoid
from scripts.filter.settings import DetectSettings, HogDetector
from scripts.lib.errors import UserError
from tests.filter.made import detector_recipe, picture


def settings_of(**values: object) -> HogDetector:
    recipe = detector_recipe("hog", **{"max_side": 200, "score_floor": 0.2, **values})
    detector = DetectSettings.model_validate(json.loads(recipe)).detector
    assert isinstance(detector, HogDetector)
    return detector


@pytest.mark.parametrize(
    ("size", "max_side", "expected", "scale"),
    [
        ((400, 300), 200, (200, 150), 0.5),
        ((100, 75), 200, (200, 150), 2.0),
        ((300, 400), 200, (150, 200), 0.5),
        ((10, 10), 400, (128, 64), MAX_UPSCALE),  # then continued to the window
        ((50, 400), 200, (128, 200), 0.5),
    ],
)
def test_scaling(size: tuple[int, int], max_side: int, expected: tuple[int, int], scale: float):
    image = picture("a", *size)
    result, used = scaled(image, max_side)
    assert result.shape == (*expected, 3)
    assert used == scale


def test_sigmoid():
    assert np.allclose(sigmoid(np.array([0.0, np.log(3), -np.log(3)])), [0.5, 0.75, 0.25])


def test_a_lower_floor_only_adds_boxes_and_boxes_are_in_pixels_of_the_picture():
    image = picture("b", 240, 320)
    low, high = (load_detector(settings_of(score_floor=floor), None, 1).detect([image])[0] for floor in (0.2, 0.4))
    assert len(low) > 0
    assert low[0, 4] == (high[0, 4] if len(high) else low[0, 4])
    assert low[:, 4].min() >= np.float32(0.2)
    assert np.allclose(
        (low[:, 3] - low[:, 1]) / (low[:, 2] - low[:, 0]), 2.0, atol=0.3
    )  # the window's shape, cut at the edge
    assert low[:, 2].max() > 200  # wider than the scaled picture: scaled back


def test_weights_are_refused():
    with pytest.raises(UserError, match="part of OpenCV"):
        load_detector(settings_of(), Path("x"), 1)
