"""The shape of `pretrain:` in config.yaml. Each method adds its own entry to `Run`."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from scripts.lib.recipe import Settings
from scripts.pretrain.run_base import Positive, Range, ReferenceLoss, RunBase, Share
from scripts.pretrain.settings_multicrop import DinoRun, SwavRun

__all__ = ["ReferenceLoss", "RunBase"]  # from here for those who ask for "the settings of pretrain"


class MocoAugmentation(Settings):
    """MoCo-v2's view: crop, jitter, grey, blur, flip, in this order (official `--aug-plus`)."""

    image_size: Positive  # pixels
    crop_scale: Range  # share of the area
    jitter: tuple[float, float, float, float]  # brightness, contrast, saturation, hue
    jitter_probability: Share
    grey_probability: Share
    blur_sigma: Range  # pixels at image_size
    blur_probability: Share
    flip_probability: Share


class MocoV2Run(RunBase):
    """Momentum Contrast v2 (Chen et al. 2020)."""

    method: Literal["moco_v2"]
    learning_rate: float = Field(gt=0)
    sgd_momentum: Share
    weight_decay: float = Field(ge=0)
    queue_size: Positive
    feature_dim: Positive
    key_momentum: Share
    temperature: float = Field(gt=0)
    # BatchNorm statistics over batch_size / bn_splits images, keys shuffled between the groups: on one device this is
    # what the official code does over that many GPUs. 1 = ordinary BatchNorm.
    bn_splits: Positive
    augmentation: MocoAugmentation

    @property
    def image_size(self) -> int:
        """Side of both views."""
        return self.augmentation.image_size

    @property
    def reference_loss(self) -> ReferenceLoss:
        """One right answer among 1 + K equal ones."""
        return ReferenceLoss(math.log1p(self.queue_size), f"ln(1 + K), K = {self.queue_size:,}")

    @model_validator(mode="after")
    def _batches_fit(self) -> MocoV2Run:
        if self.queue_size % self.batch_size:
            raise ValueError(f"queue_size {self.queue_size} is not a multiple of batch_size {self.batch_size}")
        if self.batch_size % self.bn_splits:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of bn_splits {self.bn_splits}")
        return self


Run = Annotated[MocoV2Run | SwavRun | DinoRun, Field(discriminator="method")]


class TrainSettings(Settings):
    """Recipe of `train` for one run."""

    run: Run


class PretrainSettings(Settings):
    """`pretrain:`"""

    runs: tuple[Run, ...]
