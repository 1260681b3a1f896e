"""COCO's average precision of boxes, masks and keypoints, by faster-coco-eval (Apache-2.0), and VOC's at 11 points."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from faster_coco_eval import COCO, COCOeval_faster
from faster_coco_eval import mask as run_lengths
from torchvision.models.detection.roi_heads import paste_masks_in_image

from scripts.evaluate.dense.pictures import PIXEL_CENTRE, Listed

log = logging.getLogger(__name__)

MASK_LEVEL = 0.5
COCO_KEYPOINTS = 17  # whose tolerances are published
IOU = {"box": "bbox", "mask": "segm", "keypoint": "keypoints"}
AREAS = {"small": "s", "medium": "m", "large": "l"}

Detection = dict[str, Any]


def truth_of(pictures: Sequence[Listed], classes: Sequence[str]) -> dict[str, Any]:
    """Return the annotations of `pictures` in COCO's form; picture i has the id i + 1."""
    annotations: list[dict[str, Any]] = []
    for number, picture in enumerate(pictures):
        for thing in picture.things:
            found = {
                "id": len(annotations) + 1,
                "image_id": number + 1,
                "category_id": thing["label"],
                "bbox": list(thing["box"]),
                "area": thing["area"],
                "iscrowd": thing["crowd"],
            }
            if "segmentation" in thing:
                found["segmentation"] = thing["segmentation"]
            if "keypoints" in thing:
                found["keypoints"] = thing["keypoints"]
                found["num_keypoints"] = sum(value > 0 for value in thing["keypoints"][2::3])
            annotations.append(found)
    return {
        "images": [
            {"id": number + 1, "width": each.width, "height": each.height} for number, each in enumerate(pictures)
        ],
        "annotations": annotations,
        "categories": [{"id": number + 1, "name": name} for number, name in enumerate(classes)],
    }


def detections_of(
    output: Mapping[str, torch.Tensor], picture: Listed, number: int, shown: tuple[int, int]
) -> list[Detection]:
    """Return what a detector found in a picture, in the picture's own pixels.

    Args:
        output: boxes [n, 4], labels [n], scores [n], and masks [n, 1, 28, 28] or keypoints [n, k, 3].
        picture: that was shown.
        number: its place among the test pictures.
        shown: width and height that it was shown in.
    """
    factors = torch.tensor([picture.width / shown[0], picture.height / shown[1]] * 2)
    boxes = output["boxes"].float().cpu() * factors
    found: list[Detection] = []
    labels, scores = output["labels"].tolist(), output["scores"].tolist()
    for box, label, score in zip(boxes.tolist(), labels, scores, strict=True):
        left, top, right, bottom = box
        where = [left, top, right - left, bottom - top]
        found.append({"image_id": number + 1, "category_id": label, "score": score, "bbox": where})
    if "masks" in output:
        for each, box, mask in zip(found, boxes, output["masks"].float().cpu(), strict=True):
            pasted = paste_masks_in_image(mask[None], box[None], (picture.height, picture.width))[0, 0] > MASK_LEVEL
            each["segmentation"] = run_lengths.encode(np.asfortranarray(pasted.numpy().astype(np.uint8)))
    if "keypoints" in output:
        points = output["keypoints"].float().cpu().clone()
        points[..., :2] = points[..., :2] * factors[:2] - PIXEL_CENTRE
        for each, own in zip(found, points.reshape(len(points), -1).tolist(), strict=True):
            each["keypoints"] = own
    return found


def average_precisions(
    truth: dict[str, Any], detections: Sequence[Detection], what: str, voc: bool
) -> dict[str, float]:
    """Return metric → per cent, those that the test pictures define.

    Args:
        truth: of `truth_of`.
        detections: of all test pictures.
        what: box, mask or keypoint.
        voc: also AP50 as VOC 2007 counts it, the mean of the best precision at 11 levels of recall.
    """
    reference = COCO(truth, use_deepcopy=True)
    keep = {"box": (), "mask": ("segmentation",), "keypoint": ("keypoints",)}[what]
    own = [{key: each[key] for key in ("image_id", "category_id", "score", "bbox", *keep)} for each in detections]
    if what == "mask":
        own = [{key: value for key, value in each.items() if key != "bbox"} for each in own]
    evaluation = COCOeval_faster(
        reference, reference.loadRes(own), IOU[what], print_function=log.debug, separate_eval=True
    )
    evaluation.evaluate()
    evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"])  # [overlap, recall, class, area, most detections]
    labels = evaluation.params.areaRngLbl
    everything = precision[:, :, :, 0, -1]
    found = {"ap": everything, "ap50": everything[:1], "ap75": everything[5:6]}
    found |= {f"ap_{AREAS[name]}": precision[:, :, :, labels.index(name), -1] for name in labels if name in AREAS}
    if voc:
        found["ap50_11_point"] = everything[:1, ::10]
    return {f"{what}_{name}": 100 * float(part[part > -1].mean()) for name, part in found.items() if (part > -1).any()}
