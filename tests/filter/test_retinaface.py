from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path

import albumentations
import numpy as np
import pytest
import torch
from retinaface.predict_single import Model
from torchvision.ops import nms

from scripts.filter.detectors.retinaface import MobileRetinaFace, RetinaFaceRunner, build_network, load_detector
from scripts.filter.settings import DetectSettings, RetinaFaceDetector
from scripts.lib.errors import UserError
from scripts.lib.images import Pixels
from tests.filter.made import detector_recipe, picture


def settings_of(backbone: str, **values: object) -> RetinaFaceDetector:
    recipe = detector_recipe("retinaface", backbone=backbone, **{"nms": 0.4, "max_side": None, **values})
    detector = DetectSettings.model_validate(json.loads(recipe), strict=False).detector
    assert isinstance(detector, RetinaFaceDetector)
    return detector


def seeded(backbone: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network(backbone).eval()


def naive_boxes(network: torch.nn.Module, image: Pixels, floor: float) -> list[list[float]]:
    """PASSify's detection loop from its description: one prior after the other, no suppression."""
    height, width = image.shape[:2]
    bgr = image[:, :, ::-1].astype(np.float32) - np.array([104, 117, 123], np.float32)
    with torch.no_grad():
        offsets, logits = network(torch.from_numpy(bgr.transpose(2, 0, 1).copy())[None])
    offsets, logits = offsets[0].double().numpy(), logits[0].double().numpy()
    found, index = [], 0
    for stride, sizes in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512))):
        for row in range(math.ceil(height / stride)):
            for column in range(math.ceil(width / stride)):
                for size in sizes:
                    score = math.exp(logits[index][1]) / (math.exp(logits[index][0]) + math.exp(logits[index][1]))
                    x = (column + 0.5) * stride + offsets[index][0] * 0.1 * size
                    y = (row + 0.5) * stride + offsets[index][1] * 0.1 * size
                    w, h = size * math.exp(offsets[index][2] * 0.2), size * math.exp(offsets[index][3] * 0.2)
                    if score >= floor:
                        found.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2, score])
                    index += 1
    assert index == len(logits)
    return sorted(found, key=lambda box: -box[4])


def test_boxes_are_those_of_a_naive_loop_over_priors():
    network = seeded("mobilenet0.25")
    assert isinstance(network, MobileRetinaFace)
    with torch.no_grad():
        for head in network.ClassHead:
            head.conv1x1.weight.mul_(500)  # untrained scores hardly depend on the picture
    image = picture("faces", 70, 101)
    expected = np.array(naive_boxes(network, image, 0.02))
    # Suppression at an overlap of 1 takes nothing away.
    runner = RetinaFaceRunner(settings_of("mobilenet0.25", nms=1.0, score_floor=0.02), network, torch.device("cpu"))
    found = runner.detect([image])[0]
    assert len(found) == len(expected) > 100
    # Scores may tie within rounding, so boxes are compared as a set, ordered by their corners.
    assert found[:, 4].std() > 1e-3
    order = [np.lexsort(boxes[:, :4].round(1).T) for boxes in (found, expected)]
    assert np.allclose(found[order[0], :4], expected[order[1], :4], rtol=1e-4, atol=1e-2)
    assert np.allclose(found[order[0], 4], expected[order[1], 4], atol=1e-4)
    thinned = RetinaFaceRunner(settings_of("mobilenet0.25", score_floor=0.02), network, torch.device("cpu")).detect(
        [image]
    )[0]
    kept = nms(torch.from_numpy(found[:, :4]), torch.from_numpy(found[:, 4]), 0.4)
    assert np.array_equal(thinned, found[kept.numpy()])


@pytest.mark.parametrize("backbone", ["mobilenet0.25", "resnet50"])
def test_a_batch_scores_as_its_images_one_by_one(backbone: str):
    runner = RetinaFaceRunner(settings_of(backbone, nms=1.0), seeded(backbone), torch.device("cpu"))
    images = [picture(name, 64, 96) for name in "abc"]
    for together, alone in zip(runner.detect(images), [runner.detect([image])[0] for image in images], strict=True):
        assert len(together) == len(alone)
        assert np.allclose(together[:, 4], alone[:, 4], atol=1e-5)


def test_resnet50_measures_as_the_package_does():
    network = seeded("resnet50")
    model = Model(max_size=128)
    model.load_state_dict(network.state_dict())
    model.eval()
    runner = RetinaFaceRunner(settings_of("resnet50", max_side=128, score_floor=0.3), network, torch.device("cpu"))
    assert albumentations.__version__
    for height, width in ((128, 96), (48, 64)):  # as it is; enlarged
        image = picture("package", height, width)
        found = runner.detect([image])[0]
        theirs = model.predict_jsons(image, confidence_threshold=0.3, nms_threshold=0.4)
        assert len(theirs) == len(found) > 3
        # Theirs are rounded to 2 digits, and leave out boxes outside of the picture.
        assert np.allclose([box["score"] for box in theirs], found[:, 4], atol=0.006)
        assert np.allclose([box["bbox"] for box in theirs], found[:, :4], atol=1.0)


def test_weights_load_strictly_with_and_without_the_prefix_of_data_parallel(tmp_path: Path):
    state = seeded("mobilenet0.25").state_dict()
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "prefixed")
    runner = load_detector(settings_of("mobilenet0.25"), tmp_path / "prefixed", 1)
    assert not runner.network.training
    assert all(torch.equal(runner.network.state_dict()[name], value) for name, value in state.items())
    state.pop("LandmarkHead.2.conv1x1.bias")
    torch.save(state, tmp_path / "short")
    with pytest.raises(
        UserError, match=r"short are not those of RetinaFace mobilenet0.25.*LandmarkHead.2.conv1x1.bias"
    ):
        load_detector(settings_of("mobilenet0.25"), tmp_path / "short", 1)
    with pytest.raises(UserError, match="needs a weights file"):
        load_detector(settings_of("mobilenet0.25"), None, 1)


def test_the_zip_that_the_package_publishes_is_read_in_place(tmp_path: Path):
    network = seeded("resnet50")
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    with zipfile.ZipFile(tmp_path / "weights.zip", "w") as archive:
        archive.write(tmp_path / "weights.pth", "../retinaface_resnet50.pth")
    runner = load_detector(settings_of("resnet50"), tmp_path / "weights.zip", 1)
    assert torch.equal(runner.network.state_dict()["body.conv1.weight"], network.state_dict()["body.conv1.weight"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["weights.pth", "weights.zip"]
    with pytest.raises(UserError, match="not those of RetinaFace mobilenet"):
        load_detector(settings_of("mobilenet0.25"), tmp_path / "weights.zip", 1)


def test_pass_weights_load_strictly(shared: Path):
    runner = load_detector(settings_of("mobilenet0.25"), shared / "weights" / "retinaface_mobilenet0.25.pth", 1)
    assert isinstance(runner.network, MobileRetinaFace)
    assert sum(value.numel() for value in runner.network.parameters()) == 426608


def test_a_network_that_answers_nan_is_a_failure():
    network = seeded("mobilenet0.25")
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    runner = RetinaFaceRunner(settings_of("mobilenet0.25"), network, torch.device("cpu"))
    with pytest.raises(ValueError, match="not finite"):
        runner.detect([picture("a", 64, 64)])
