from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from scripts.filter.detectors.torchvision import build_network, load_detector
from scripts.filter.settings import DetectSettings, TorchvisionDetector
from scripts.lib.errors import UserError
from tests.filter.made import detector_recipe, picture


def settings_of(model: str, **values: object) -> TorchvisionDetector:
    recipe = detector_recipe("torchvision", model=model, **{"min_side": 64, "max_side": 96, **values})
    detector = DetectSettings.model_validate(json.loads(recipe)).detector
    assert isinstance(detector, TorchvisionDetector)
    return detector


def made_weights(path: Path, settings: TorchvisionDetector) -> Path:
    torch.manual_seed(0)
    network = build_network(settings)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if re.search(r"(cls_score|classification_head\.module_list\.\d\.1)\.bias$", name):
                value.view(-1, 91)[:, 1] += 1.5  # makes people likelier than other classes
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.parametrize("model", ["fasterrcnn_mobilenet_v3_large_320_fpn", "ssdlite320_mobilenet_v3_large"])
def test_people_are_those_of_the_plain_model(tmp_path: Path, model: str):
    settings = settings_of(model, score_floor=0.012)
    weights = made_weights(tmp_path / "weights.pth", settings)
    images = [picture(name, 60, 80) for name in "ab"]
    detector = load_detector(settings, weights, 1)
    found = detector.detect(images)
    plain = torchvision.models.get_model(model, weights=None, weights_backbone=None).eval()
    plain.load_state_dict(torch.load(weights, weights_only=True))
    if model.startswith("fasterrcnn"):
        plain.transform.min_size, plain.transform.max_size, plain.roi_heads.score_thresh = (64,), 96, 0.012
    else:
        plain.score_thresh = 0.012
    for image, boxes in zip(images, found, strict=True):
        with torch.no_grad():
            result = plain([torch.from_numpy(image.transpose(2, 0, 1) / np.float32(255))])[0]
        mine = result["labels"] == 1
        assert 0 < len(boxes) == int(mine.sum())
        assert np.allclose(boxes[:, 4], result["scores"][mine].numpy(), atol=1e-5)
        assert np.allclose(boxes[:, :4], result["boxes"][mine].numpy(), atol=0.05)
        assert boxes[:, 4].min() >= np.float32(0.012)
        assert (boxes[:, :4] >= 0).all()
        assert (boxes[:, [0, 2]] <= 80).all()
        assert (boxes[:, [1, 3]] <= 60).all()
        assert np.allclose(detector.detect([image])[0], boxes, atol=1e-3)


def test_a_model_that_torchvision_lacks_is_named_with_those_it_has():
    with pytest.raises(UserError, match=r"no detector yolo .*fasterrcnn_resnet50_fpn_v2"):
        build_network(settings_of("yolo"))
    with pytest.raises(UserError, match="no detector resnet18"):  # a model, and no detector
        build_network(settings_of("resnet18"))


def test_weights_of_another_model_are_refused(tmp_path: Path):
    weights = made_weights(tmp_path / "weights.pth", settings_of("ssdlite320_mobilenet_v3_large"))
    with pytest.raises(UserError, match="not those of torchvision's fasterrcnn_mobilenet_v3_large_320_fpn"):
        load_detector(settings_of("fasterrcnn_mobilenet_v3_large_320_fpn"), weights, 1)


def test_the_detector_of_the_shipped_config_exists_and_takes_its_sides():
    network = build_network(settings_of("fasterrcnn_resnet50_fpn_v2", min_side=800, max_side=1333))
    assert network.transform.min_size == (800,)
    assert network.transform.max_size == 1333
