"""Small runs of the methods with several crops, for the tests of this folder."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from scripts.lib.recipe import canonical_json
from tests.pretrain.made import ANY_RUN

CROP: dict[str, Any] = {
    "count": 2,
    "image_size": 32,
    "crop_scale": [0.3, 1.0],
    "interpolation": "bilinear",
    "flip_probability": 0.5,
    "jitter": [0.4, 0.4, 0.2, 0.1],
    "jitter_probability": 0.8,
    "grey_probability": 0.2,
    "blur_sigma": [0.1, 1.0],
    "blur_probability": 0.5,
    "solarise_probability": 0.0,
}
SMALL = {**CROP, "count": 3, "image_size": 16, "crop_scale": [0.05, 0.3]}
SHARED: dict[str, Any] = {
    **ANY_RUN,
    "final_learning_rate": 0.001,
    "first_learning_rate": 0.01,
    "warm_up_epochs": 1,
}
SWAV: dict[str, Any] = {
    **SHARED,
    "method": "swav",
    "learning_rate": 0.5,
    "weight_decay": 0.000001,
    "sgd_momentum": 0.9,
    "larc_trust": 0.001,
    "hidden_dim": 24,
    "feature_dim": 16,
    "prototypes": 30,
    "temperature": 0.1,
    "sinkhorn_epsilon": 0.05,
    "sinkhorn_iterations": 3,
    "queue_size": 24,
    "queue_from_epoch": 1,  # filled in the second epoch, used in the third
    "freeze_prototypes_steps": 2,
    "augmentation": {"crops": [CROP, SMALL]},
}
DINO: dict[str, Any] = {
    **SHARED,
    "method": "dino",
    "encoder": "vit_tiny_test",
    "learning_rate": 0.002,
    "first_learning_rate": 0.0,
    "weight_decay": 0.04,
    "final_weight_decay": 0.4,
    "adam_betas": [0.9, 0.999],
    "clip_norm": 3.0,
    "hidden_dim": 24,
    "bottleneck_dim": 16,
    "output_dim": 40,
    "norm_last_layer": False,
    "freeze_last_layer_epochs": 1,
    "drop_path": 0.1,
    "student_temperature": 0.1,
    "teacher_temperature": 0.07,
    "first_teacher_temperature": 0.04,
    "teacher_temperature_warm_up_epochs": 2,
    "centre_momentum": 0.9,
    "teacher_momentum": 0.9,
    "augmentation": {"crops": [{**CROP, "count": 1}, {**CROP, "count": 1, "solarise_probability": 0.2}, SMALL]},
}
RUNS = {"swav": SWAV, "dino": DINO}


def recipe(method: str, **changes: Any) -> str:
    """The recipe of a method's run, changed."""
    return canonical_json({"run": {**copy.deepcopy(RUNS[method]), **changes}})


def crops_of(count: int = 8, seed: int = 0, sizes: tuple[int, ...] = (32, 32, 16, 16, 16)) -> list[Tensor]:
    """A batch of noise, uint8 [count, 3, s, s] for each size."""
    numbers = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=numbers) for size in sizes]
