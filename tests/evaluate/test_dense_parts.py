"""Rates, order, views, networks and figures of fine-tuning on annotated pictures, by hand-computed values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from faster_coco_eval import mask as run_lengths
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from scripts.evaluate.dense.average_precision import average_precisions, detections_of, truth_of
from scripts.evaluate.dense.backbone import load_resnet
from scripts.evaluate.dense.detector import build_detector
from scripts.evaluate.dense.loop import endless_batch, step_rate
from scripts.evaluate.dense.pictures import Listed, mirror_pairs, scaled_size, target_of, thing_mask, useful
from scripts.evaluate.dense.segmenter import IGNORED, build_segmenter, confusion, constant_answer, mean_iou
from scripts.evaluate.settings_finetuned import SegmenterRecipe, StepSchedule
from scripts.lib.encoders import build_encoder, save_encoder
from scripts.lib.errors import UserError
from tests.evaluate.made_dense import KEYPOINTS, SCHEDULE, TINY

OFFICIAL = StepSchedule(
    steps=90000, batch_size=16, learning_rate=0.02, warm_up_steps=1000, warm_up_factor=0.001,
    milestones=(60000, 80000), factor=0.1, momentum=0.9, weight_decay=0.0001,
)  # fmt: skip
DESCRIPTION = {"encoder": "resnet18", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}


def thing(box: list[float], label: int = 1, **more: object) -> dict[str, object]:
    return {"box": box, "label": label, "crowd": 0, "area": box[2] * box[3], **more}


def picture(*things: dict[str, object], size: tuple[int, int] = (100, 50)) -> Listed:
    return Listed("train", "p.jpg", "", 1, *size, list(things))


def test_rates_of_the_official_schedule():
    steps = (0, 500, 999, 1000, 59999, 60000, 80000, 89999)
    rates = [0.00002, 0.01001, 0.01998002, 0.02, 0.02, 0.002, 0.0002, 0.0002]
    assert [step_rate(OFFICIAL, step) for step in steps] == pytest.approx(rates)


def test_milestones_must_end_before_the_steps_do():
    with pytest.raises(ValueError, match="must rise and end before the 4 steps"):
        StepSchedule(**{**SCHEDULE.model_dump(), "milestones": (4,)})


def test_each_epoch_holds_every_picture_once_and_batches_are_full():
    flat = [index for step in range(5) for index in endless_batch(10, 4, seed=1, step=step)]
    assert sorted(flat[:10]) == sorted(flat[10:]) == list(range(10)) and flat[:10] != flat[10:]
    assert endless_batch(3, 7, seed=1, step=0)[:3] != [0, 0, 0]  # a batch larger than the set
    assert endless_batch(10, 4, seed=2, step=0) != flat[:4]


@pytest.mark.parametrize(
    ("size", "short", "longest", "expected"),
    [((640, 480), 800, 1333, (1067, 800)), ((480, 640), 800, 1333, (800, 1067)), ((1000, 300), 800, 1333, (1333, 400))],
)
def test_sizes_are_detectron2s(size: tuple[int, int], short: int, longest: int, expected: tuple[int, int]):
    assert scaled_size(*size, short, longest) == expected


def test_left_and_right_swap():
    pairs = mirror_pairs(KEYPOINTS)
    assert pairs[:5] == [0, 2, 1, 4, 3] and sorted(pairs) == list(range(17))
    assert [pairs[place] for place in pairs] == list(range(17))
    assert mirror_pairs(["top", "left_end"]) == [0, 1]  # without its right end it stays


def test_boxes_and_points_are_scaled_and_mirrored():
    points = [0] * 51
    points[3:6] = [19, 9, 2]  # left eye: pixel 19, so place 19.5
    listed = picture(thing([10, 5, 30, 20], keypoints=points, segmentation=[[10, 5, 40, 5, 40, 25, 10, 25]]))
    plain = target_of(listed, (200, 100), False, "keypoint", mirror_pairs(KEYPOINTS))
    assert plain["boxes"].tolist() == [[20, 10, 80, 50]] and plain["labels"].tolist() == [1]
    assert plain["keypoints"][0, 1].tolist() == [39, 19, 2] and not plain["keypoints"][0, 2:].any()
    mirrored = target_of(listed, (200, 100), True, "keypoint", mirror_pairs(KEYPOINTS))
    assert mirrored["boxes"].tolist() == [[120, 10, 180, 50]]
    assert mirrored["keypoints"][0, 2].tolist() == [161, 19, 2] and not mirrored["keypoints"][0, 1].any()
    masks = target_of(listed, (200, 100), True, "mask", [])["masks"]
    assert masks.shape == (1, 100, 200) and masks.sum() == 60 * 40 and masks[0, 10:50, 120:180].all()


def test_crowds_and_things_too_thin_for_32_bits_train_nothing():
    listed = picture(thing([5, 5, 10, 10], crowd=1), thing([90, 5, 1e-9, 10]))
    assert len(target_of(listed, (100, 50), False, "box", [])["boxes"]) == 0
    assert not useful(picture(thing([5, 5, 10, 10], crowd=1)), "box")
    assert useful(picture(thing([5, 5, 10, 10])), "box") and not useful(picture(thing([5, 5, 10, 10])), "mask")
    hidden, seen = [0] * 51, [3, 3, 1, *[0] * 48]
    assert not useful(picture(thing([5, 5, 10, 10], keypoints=hidden)), "keypoint")
    assert useful(picture(thing([5, 5, 10, 10], keypoints=seen)), "keypoint")


def test_run_lengths_and_polygons_draw_the_same():
    polygon = [[10, 5, 40, 5, 40, 25, 10, 25]]
    drawn = thing_mask(polygon, (100, 50), (100, 50))
    code = run_lengths.encode(np.asfortranarray(drawn))
    code["counts"] = code["counts"].decode() if isinstance(code["counts"], bytes) else code["counts"]
    assert np.array_equal(thing_mask(code, (100, 50), (100, 50)), drawn) and drawn.sum() == 600
    assert thing_mask(code, (100, 50), (50, 100)).sum() == pytest.approx(600, rel=0.1)


def detection(image: int, box: list[float], score: float, label: int = 1) -> dict[str, object]:
    return {"image_id": image, "category_id": label, "score": score, "bbox": box}


def test_average_precision_by_hand():
    pictures = [picture(thing([0, 0, 40, 40])), picture(thing([0, 0, 40, 40]))]
    truth = truth_of(pictures, ["cat"])
    found = [detection(1, [0, 0, 40, 40], 0.9), detection(1, [60, 0, 30, 30], 0.8), detection(2, [0, 0, 40, 40], 0.7)]
    values = average_precisions(truth, found, "box", voc=True)
    # Recall 0.5 at precision 1, recall 1 at precision 2/3; 51 of COCO's 101 levels and 6 of VOC's 11 are at most 0.5.
    assert [values["box_ap"], values["box_ap50"]] == pytest.approx([100 * (51 + 50 * 2 / 3) / 101] * 2)
    assert values["box_ap50_11_point"] == pytest.approx(100 * (6 + 5 * 2 / 3) / 11)
    assert "box_ap_l" not in values and "box_ap_m" in values  # no thing is large, so nothing is said of large ones
    half = [detection(1, [0, 0, 40, 29], 0.9), detection(2, [0, 0, 40, 29], 0.9)]  # overlap 0.725: 5 of 10 thresholds
    assert average_precisions(truth, half, "box", voc=False)["box_ap"] == pytest.approx(50)
    assert average_precisions(truth, [], "box", voc=False)["box_ap"] == 0
    assert average_precisions(truth_of([picture()], ["cat"]), [], "box", voc=False) == {}


def test_crowds_are_neither_missed_nor_held_against_a_detection():
    truth = truth_of([picture(thing([0, 0, 40, 40]), thing([50, 0, 50, 50], crowd=1))], ["cat"])
    found = [detection(1, [0, 0, 40, 40], 0.5), detection(1, [55, 5, 20, 20], 0.9)]
    assert average_precisions(truth, found, "box", voc=False)["box_ap"] == 100


def test_detections_return_to_the_pixels_of_the_picture():
    points = [value for place in range(17) for value in (10 + place, 12, 2)]
    outline = [[10, 10, 40, 10, 40, 40, 10, 40]]
    listed = picture(thing([10, 10, 30, 30], keypoints=points, segmentation=outline))
    output = {
        "boxes": torch.tensor([[20.0, 20.0, 80.0, 80.0]]),
        "labels": torch.tensor([1]),
        "scores": torch.tensor([0.9]),
        "masks": torch.ones(1, 1, 28, 28),
        "keypoints": torch.tensor([[[2 * (10 + place) + 1.0, 25.0, 1.0] for place in range(17)]]),
    }
    found = detections_of(output, listed, 0, (200, 100))
    assert found[0]["bbox"] == [10, 10, 30, 30] and found[0]["keypoints"] == points[:2] + [1.0] + [
        value for place in range(1, 17) for value in (10 + place, 12, 1.0)
    ]
    for what, least in (("box", 100), ("mask", 75), ("keypoint", 100)):  # 28 x 28 cells blur the edge of a mask
        values = average_precisions(truth_of([listed], ["cat"]), found, what, voc=False)
        assert values[f"{what}_ap"] >= least and values[f"{what}_ap50"] == 100


@pytest.mark.parametrize(("norm", "frozen", "trained"), [("synchronised", 0, 20), ("frozen", 20, 0)])
def test_norms_are_trained_or_frozen_and_all_else_learns(norm: str, frozen: int, trained: int):
    encoder = build_encoder("resnet18", 3)
    first = encoder.state_dict()["layer4.1.bn2.running_mean"].clone() + 1
    encoder.load_state_dict({**encoder.state_dict(), "layer4.1.bn2.running_mean": first})
    recipe = TINY.model_copy(update={"norm": norm, "fpn_norm": False})
    model = build_detector((encoder, DESCRIPTION), recipe, (3, 0), 0, 1)
    assert sum(isinstance(each, FrozenBatchNorm2d) for each in model.modules()) == frozen
    assert sum(isinstance(each, nn.BatchNorm2d) for each in model.modules()) == trained
    assert torch.equal(model.state_dict()["backbone.body.layer4.1.bn2.running_mean"], first)
    assert all(each.requires_grad for each in model.parameters())  # FREEZE_AT 0
    assert "backbone.body.fc.weight" not in model.state_dict()


def test_new_weights_follow_the_seed_and_several_processes_synchronise():
    def state(seed: int, world: int = 1, **values: object) -> nn.Module:
        recipe = TINY.model_copy(update=values)
        return build_detector((build_encoder("resnet18", 0), DESCRIPTION), recipe, (3, 0), seed, world)

    one, same, other = (state(seed).state_dict()["roi_heads.box_head.fc6.weight"] for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    both = state(1, world=2)
    assert sum(isinstance(each, nn.SyncBatchNorm) for each in both.modules()) == 28  # 20 of R18, 8 of the pyramid
    assert not any(isinstance(each, nn.SyncBatchNorm) for each in state(1, 2, norm="per_process").modules())


def test_a_vision_transformer_is_refused_in_a_paragraph(tmp_path: Path):
    save_encoder(
        tmp_path / "v.safetensors", build_encoder("vit_tiny_test", 0), {**DESCRIPTION, "encoder": "vit_tiny_test"}
    )
    with pytest.raises(UserError, match=r"vit_tiny_test.*built on ResNets.*Leave this encoder out"):
        load_resnet(str(tmp_path / "v.safetensors"))


def segmenter_recipe(**values: object) -> SegmenterRecipe:
    base = {"name": "s", "tasks": ("t",), "encoders": None, "seeds": (0,), "schedule": SCHEDULE, "norm": "synchronised",
            "devices": 1, "checkpoint_every_steps": 2, "output_stride": 32, "head_channels": 8, "head_dilation": 1,
            "crop": 64, "scales": (0.5, 2.0), "flip_probability": 0.5}  # fmt: skip
    return SegmenterRecipe(**{**base, **values})


def test_a_segmenter_keeps_its_stride_and_the_encoders_weights():
    encoder = build_encoder("resnet50", 1)
    described = {**DESCRIPTION, "encoder": "resnet50"}
    for stride, side in ((32, 2), (16, 4), (8, 8)):
        model = build_segmenter((encoder, described), segmenter_recipe(output_stride=stride), 5, 0, 1).eval()
        image = torch.rand(1, 3, 64, 64)
        assert model.body(image).shape == (1, 2048, side, side)
        assert model(image).shape == (1, 5, 64, 64)
    own, other = encoder.layer4[2].conv3.weight, model.body[-1][2].conv3.weight
    assert torch.equal(own, other)
    with pytest.raises(UserError, match="set output_stride of the recipe to 32"):
        build_segmenter((build_encoder("resnet18", 0), DESCRIPTION), segmenter_recipe(output_stride=16), 5, 0, 1)


def test_mean_iou_by_hand():
    truth, answer = np.array([0, 0, 0, 1, 1, IGNORED]), np.array([0, 0, 1, 1, 1, 2])
    table = confusion(truth, answer, 4)
    assert table.tolist() == [[2, 1, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert mean_iou(table) == pytest.approx(100 * (2 / 3 + 2 / 3) / 2)  # classes 2 and 3 are nowhere
    assert mean_iou(constant_answer(table, 0)) == pytest.approx(100 * (3 / 5 + 0) / 2)
    assert mean_iou(constant_answer(table, 3)) == 0
