"""Small annotated sets, encoders and recipes for the tests of fine-tuning on annotated pictures."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scripts.evaluate.settings_finetuned import DetectorRecipe, StepSchedule
from scripts.lib.encoders import IMAGENET_MEAN, IMAGENET_STD, build_encoder, save_encoder

KEYPOINTS = [
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
]  # fmt: skip
SCHEDULE = StepSchedule(
    steps=4, batch_size=2, learning_rate=0.01, warm_up_steps=2, warm_up_factor=0.1, milestones=(3,), factor=0.1,
    momentum=0.9, weight_decay=0.0001,
)  # fmt: skip
TINY = DetectorRecipe(
    name="tiny", tasks=("t",), encoders=None, seeds=(0,), schedule=SCHEDULE, norm="synchronised", devices=1,
    checkpoint_every_steps=2, head="box", metric="coco", fpn_norm=True, fpn_channels=16, train_short_sides=(48, 64),
    test_short_side=64, max_side=96, flip_probability=0.5, anchor_sizes=(8, 16, 32, 64, 128), proposals_train=50,
    proposals_test=50, rois_per_image=16, box_width=32, mask_layers=(16, 16), keypoint_layers=(16, 16),
    precise_norm_steps=None,
)  # fmt: skip


def save_resnet18(path: Path, seed: int = 0) -> Path:
    """Save a fresh ResNet-18."""
    description = {"encoder": "resnet18", "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)}
    save_encoder(path, build_encoder("resnet18", seed), description)
    return path


def made_set(folder: Path, pictures: int = 6, seed: int = 0) -> dict[str, Any]:
    """Write pictures with one or two coloured blocks, and return COCO's JSON of them with outlines and keypoints."""
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number in range(pictures):
        pixels = random.integers(90, 110, (60, 80, 3)).astype(np.uint8)
        for _ in range(1 + number % 2):
            label = int(random.integers(2))
            x, y, width, height = (int(random.integers(*each)) for each in ((0, 40), (0, 30), (15, 40), (15, 30)))
            pixels[y : y + height, x : x + width] = (220, 30, 30) if label else (30, 30, 220)
            points = [
                value for place in range(17) for value in (x + width * place // 17, y + height // 2, 2 if place else 0)
            ]
            annotations.append({
                "id": len(annotations) + 1, "image_id": number + 1, "category_id": 10 + label, "iscrowd": 0,
                "bbox": [x, y, width, height], "area": width * height, "keypoints": points, "num_keypoints": 16,
                "segmentation": [[x, y, x + width, y, x + width, y + height, x, y + height]],
            })  # fmt: skip
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        images.append({"id": number + 1, "file_name": f"{number}.png", "width": 80, "height": 60})
    categories = [{"id": 10 + label, "name": name, "keypoints": KEYPOINTS} for label, name in enumerate(("a", "b"))]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def coco_task(**values: Any) -> dict[str, Any]:
    """Return the settings of a set in COCO's form with a file for each split."""
    task = {"name": "t", "max_train": None, "max_test": None, "seed": 0, "kind": "coco", "train": "", "images": "",
            "image_prefix": "", "test": "", "test_images": None}  # fmt: skip
    return {**task, **values}


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))
