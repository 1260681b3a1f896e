from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import albumentations
import numpy as np
import pytest
import torch
from retinaface.predict_single import Model
from retinaface.prior_box import priorbox
from torchvision.ops import nms

from scripts.filter.convert_weights import main as convert_weights
from scripts.filter.detectors.retinaface import Engine, RetinaFaceRunner, keep_found, load_detector, priors_of
from scripts.filter.retinaface_network import MobileRetinaFace, PixelsToFaces, build_network, load_network
from scripts.filter.settings import DetectSettings, RetinaFaceDetector
from scripts.lib.errors import UserError
from scripts.lib.images import Pixels, decode_image
from tests.conftest import ROOT
from tests.filter.made import detector_recipe, flags, picture, png, write_part


def settings_of(backbone: str, **values: object) -> RetinaFaceDetector:
    made = {"nms": 0.4, "max_side": None, "engine": "torch", **values}
    recipe = detector_recipe("retinaface", backbone=backbone, **made)
    detector = DetectSettings.model_validate(json.loads(recipe), strict=False).detector
    assert isinstance(detector, RetinaFaceDetector)
    return detector


def seeded(backbone: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network(backbone).eval()


def plain_engine(network: torch.nn.Module, backbone: str) -> Engine:
    """Return the network as it is, without a file in between."""
    whole = PixelsToFaces(network, backbone).eval()

    def run(pixels: np.ndarray, floor: float) -> list:
        with torch.no_grad():
            offsets, scores = whole(torch.from_numpy(pixels))
        return keep_found(offsets.numpy(), scores.numpy(), floor)

    return run


def weights_file(folder: Path, backbone: str, engine: str) -> Path:
    """Write the seeded network as the file that the engine reads."""
    network = seeded(backbone)
    torch.save(network.state_dict(), folder / "weights.pth")
    if engine == "torch":
        return folder / "weights.pth"
    recipe, out = json.dumps({"backbone": backbone}), folder / "weights.onnx"
    convert_weights(["--recipe", recipe, "--weights", str(folder / "weights.pth"), "--out", str(out)])
    return out


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
    runner = RetinaFaceRunner(
        settings_of("mobilenet0.25", nms=1.0, score_floor=0.02), plain_engine(network, "mobilenet0.25")
    )
    found = runner.detect([image])[0]
    assert len(found) == len(expected) > 100
    # Scores may tie within rounding, so boxes are compared as a set, ordered by their corners.
    assert found[:, 4].std() > 1e-3
    order = [np.lexsort(boxes[:, :4].round(1).T) for boxes in (found, expected)]
    assert np.allclose(found[order[0], :4], expected[order[1], :4], rtol=1e-4, atol=1e-2)
    assert np.allclose(found[order[0], 4], expected[order[1], 4], atol=1e-4)
    settings = settings_of("mobilenet0.25", score_floor=0.02)
    thinned = RetinaFaceRunner(settings, plain_engine(network, "mobilenet0.25")).detect([image])[0]
    kept = nms(torch.from_numpy(found[:, :4]), torch.from_numpy(found[:, 4]), 0.4)
    assert np.array_equal(thinned, found[kept.numpy()])


def test_priors_are_those_of_the_package():
    for height, width in ((64, 96), (375, 500), (33, 1)):
        theirs = priorbox([[16, 32], [64, 128], [256, 512]], [8, 16, 32], clip=False, image_size=(height, width))
        assert np.allclose(priors_of(height, width), theirs.numpy() * [width, height, width, height], atol=1e-3)


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
@pytest.mark.parametrize("backbone", ["mobilenet0.25", "resnet50"])
def test_a_batch_scores_as_its_images_one_by_one_and_as_the_plain_network(tmp_path: Path, backbone: str, engine: str):
    settings = settings_of(backbone, nms=1.0, engine=engine)
    runner = load_detector(settings, weights_file(tmp_path, backbone, engine), 1)
    plain = RetinaFaceRunner(settings, plain_engine(seeded(backbone), backbone))
    images = [picture(name, 64, 96) for name in "abc"]
    for index, together in enumerate(runner.detect(images)):
        for alone in (runner.detect([images[index]])[0], plain.detect([images[index]])[0]):
            assert len(together) == len(alone) > 50
            assert np.allclose(together[:, 4], alone[:, 4], atol=1e-4)  # decisions.md#49


def test_engines_agree_on_real_photos_with_the_weights_of_pass(tmp_path: Path, shared: Path):
    weights = shared / "weights" / "retinaface_mobilenet0.25.pth"
    onnx = tmp_path / "weights.onnx"
    convert_weights(["--recipe", '{"backbone":"mobilenet0.25"}', "--weights", str(weights), "--out", str(onnx)])
    exact = load_detector(settings_of("mobilenet0.25", score_floor=0.02), weights, 1)
    fast = load_detector(settings_of("mobilenet0.25", score_floor=0.02, engine="onnxruntime"), onnx, 1)
    best = []
    for path in sorted((shared / "photos").glob("*.jpg"))[::60]:
        image = decode_image(path.read_bytes())
        ours, theirs = fast.detect([image])[0], exact.detect([image])[0]
        # A box of the floor's height may be in one table alone.
        ours, theirs = (boxes[boxes[:, 4] > 0.021] for boxes in (ours, theirs))
        assert np.allclose(ours, theirs, atol=0.01, rtol=1e-4)
        assert np.allclose(ours[:, 4], theirs[:, 4], atol=1e-4)
        best.append(ours[:1, 4].max(initial=0))
    assert min(best) < 0.1 < 0.9 < max(best)


def test_the_same_weights_give_the_same_onnx_file_without_paths(tmp_path: Path):
    first = weights_file(tmp_path, "mobilenet0.25", "onnxruntime").read_bytes()
    assert weights_file(tmp_path, "mobilenet0.25", "onnxruntime").read_bytes() == first
    assert str(ROOT).encode() not in first
    assert b"site-packages" not in first


def test_resnet50_measures_as_the_package_does():
    network = seeded("resnet50")
    model = Model(max_size=128)
    model.load_state_dict(network.state_dict())
    model.eval()
    runner = RetinaFaceRunner(settings_of("resnet50", max_side=128, score_floor=0.3), plain_engine(network, "resnet50"))
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
    network = load_network("mobilenet0.25", tmp_path / "prefixed").network
    assert not network.training
    assert all(torch.equal(network.state_dict()[name], value) for name, value in state.items())
    state.pop("LandmarkHead.2.conv1x1.bias")
    torch.save(state, tmp_path / "short")
    with pytest.raises(
        UserError, match=r"short are not those of RetinaFace mobilenet0.25.*LandmarkHead.2.conv1x1.bias"
    ):
        load_detector(settings_of("mobilenet0.25"), tmp_path / "short", 1)
    for engine in ("torch", "onnxruntime"):
        with pytest.raises(UserError, match="needs a weights file"):
            load_detector(settings_of("mobilenet0.25", engine=engine), None, 1)
    with pytest.raises(UserError, match="ONNX Runtime cannot load"):
        load_detector(settings_of("mobilenet0.25", engine="onnxruntime"), tmp_path / "short", 1)


def test_the_zip_that_the_package_publishes_is_read_in_place(tmp_path: Path):
    network = seeded("resnet50")
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    with zipfile.ZipFile(tmp_path / "weights.zip", "w") as archive:
        archive.write(tmp_path / "weights.pth", "../retinaface_resnet50.pth")
    read = load_network("resnet50", tmp_path / "weights.zip").network
    assert torch.equal(read.state_dict()["body.conv1.weight"], network.state_dict()["body.conv1.weight"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["weights.pth", "weights.zip"]
    with pytest.raises(UserError, match="not those of RetinaFace mobilenet"):
        load_detector(settings_of("mobilenet0.25"), tmp_path / "weights.zip", 1)


def test_pass_weights_load_strictly(shared: Path):
    network = load_network("mobilenet0.25", shared / "weights" / "retinaface_mobilenet0.25.pth").network
    assert isinstance(network, MobileRetinaFace)
    assert sum(value.numel() for value in network.parameters()) == 426608


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_a_network_that_answers_nan_is_a_failure(tmp_path: Path, engine: str):
    network = seeded("mobilenet0.25")
    with torch.no_grad():
        network.ClassHead[0].conv1x1.weight.fill_(float("nan"))
    weights = tmp_path / "weights"
    torch.save(network.state_dict(), weights)
    if engine == "onnxruntime":
        recipe = ["--recipe", '{"backbone":"mobilenet0.25"}', "--weights", str(weights)]
        weights = tmp_path / "onnx"
        convert_weights([*recipe, "--out", str(weights)])
    runner = load_detector(settings_of("mobilenet0.25", engine=engine), weights, 1)
    with pytest.raises(ValueError, match="not finite"):
        runner.detect([picture("a", 64, 64)])


def test_the_engine_onnxruntime_does_not_load_torch(tmp_path: Path):
    weights = weights_file(tmp_path, "mobilenet0.25", "onnxruntime")
    recipe = detector_recipe("retinaface", backbone="mobilenet0.25", engine="onnxruntime", nms=0.4, max_side=None)
    paths = write_part(tmp_path, {"a": png(picture("a", 64, 96))}, {"a": (64, 96)})
    flagged = ["--recipe", recipe, *flags(paths), "--weights", str(weights), "--threads", "1", "--out", "out.parquet"]
    program = (
        "import sys; from scripts.filter.detect_faces import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, *flagged]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert run.stdout.strip() == "False"
    assert (tmp_path / "out.parquet").is_file()
