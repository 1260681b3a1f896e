"""The shape of the runs that see an image in crops of several sizes: SwAV and DINO."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, field_validator, model_validator

from scripts.lib.recipe import Settings
from scripts.pretrain.run_base import Positive, Range, ReferenceLoss, RunBase, Share

Count = int  # from 0


class CropGroup(Settings):
    """Crops that are drawn alike: crop, flip, jitter, grey, blur, solarise, in this order (official SwAV and DINO)."""

    count: Positive
    image_size: Positive  # pixels
    crop_scale: Range  # share of the area
    interpolation: Literal["bilinear", "bicubic"]
    flip_probability: Share
    jitter: tuple[float, float, float, float]  # brightness, contrast, saturation, hue
    jitter_probability: Share
    grey_probability: Share
    blur_sigma: Range  # pixels at image_size
    blur_probability: Share
    solarise_probability: Share


class MultiCropAugmentation(Settings):
    """The crops of an image, in the order in which the method counts them."""

    crops: tuple[CropGroup, ...]

    @property
    def image_size(self) -> int:
        """Side of the largest crops, pixels."""
        return max(group.image_size for group in self.crops)

    @property
    def sizes(self) -> list[int]:
        """Side of each crop, pixels."""
        return [group.image_size for group in self.crops for _ in range(group.count)]

    @field_validator("crops")
    @classmethod
    def _first_two_are_a_pair(cls, crops: tuple[CropGroup, ...]) -> tuple[CropGroup, ...]:
        sizes = [group.image_size for group in crops for _ in range(group.count)]
        if len(sizes) < 2 or sizes[0] != sizes[1]:
            raise ValueError(f"the first two crops must have one size, for the targets come from them; sizes: {sizes}")
        return crops


class MultiCropRun(RunBase):
    """What both methods have. Rates rise linearly over the warm-up, then fall as half a cosine, step by step."""

    learning_rate: float = Field(gt=0)  # at the end of the warm-up
    first_learning_rate: float = Field(ge=0)  # at the beginning of the warm-up
    final_learning_rate: float = Field(ge=0)
    warm_up_epochs: Count = Field(ge=0)
    weight_decay: float = Field(ge=0)
    augmentation: MultiCropAugmentation

    @property
    def image_size(self) -> int:
        """Side of the largest crops."""
        return self.augmentation.image_size

    @property
    def interpolation(self) -> Literal["bilinear", "bicubic"]:
        """That of the first crops."""
        return self.augmentation.crops[0].interpolation

    @model_validator(mode="after")
    def _warm_up_ends(self) -> MultiCropRun:
        if self.warm_up_epochs >= self.epochs:
            raise ValueError(f"warm_up_epochs {self.warm_up_epochs} leaves nothing of epochs {self.epochs}")
        return self


class SwavRun(MultiCropRun):
    """Swapping assignments between views (Caron et al. 2020)."""

    method: Literal["swav"]
    sgd_momentum: Share
    larc_trust: float = Field(gt=0)
    hidden_dim: Positive
    feature_dim: Positive
    prototypes: Positive
    temperature: float = Field(gt=0)
    sinkhorn_epsilon: float = Field(gt=0)
    sinkhorn_iterations: Positive
    queue_size: Count = Field(ge=0)  # images; 0 = no queue
    queue_from_epoch: Count = Field(ge=0)  # the first epoch is 0
    freeze_prototypes_steps: Count = Field(ge=0)

    @property
    def reference_loss(self) -> ReferenceLoss:
        """All prototypes equally likely."""
        return ReferenceLoss(math.log(self.prototypes), f"ln(prototypes), {self.prototypes:,} of them")

    @model_validator(mode="after")
    def _batches_fit(self) -> SwavRun:
        if self.queue_size % self.batch_size:
            raise ValueError(f"queue_size {self.queue_size} is not a multiple of batch_size {self.batch_size}")
        return self


class DinoRun(MultiCropRun):
    """Self-distillation without labels (Caron et al. 2021)."""

    method: Literal["dino"]
    final_weight_decay: float = Field(ge=0)
    adam_betas: tuple[float, float]
    clip_norm: float = Field(gt=0)  # of the gradient of each tensor of parameters by itself
    hidden_dim: Positive
    bottleneck_dim: Positive
    output_dim: Positive
    norm_last_layer: bool  # the lengths of the last layer's rows stay 1
    freeze_last_layer_epochs: Count = Field(ge=0)
    drop_path: float = Field(ge=0, lt=1)  # of the student's last block; ViT only
    student_temperature: float = Field(gt=0)
    teacher_temperature: float = Field(gt=0)  # at the end of its warm-up
    first_teacher_temperature: float = Field(gt=0)
    teacher_temperature_warm_up_epochs: Count = Field(ge=0)
    centre_momentum: Share
    teacher_momentum: Share  # at first; 1 at the end

    @property
    def reference_loss(self) -> ReferenceLoss:
        """All outputs equally likely."""
        return ReferenceLoss(math.log(self.output_dim), f"ln(outputs), {self.output_dim:,} of them")

    @model_validator(mode="after")
    def _encoder_fits(self) -> DinoRun:
        if self.drop_path > 0 and not self.encoder.startswith("vit_"):
            raise ValueError(f"drop_path {self.drop_path} needs a ViT, {self.encoder} has no path to drop; set it to 0")
        return self
