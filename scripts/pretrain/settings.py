"""The shape of `pretrain:` in config.yaml. Each method adds its own entry to `Run`."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from scripts.lib.recipe import Settings
from scripts.pretrain.run_base import SHARDS, Positive, Range, ReferenceLoss, RunBase, Share
from scripts.pretrain.settings_images import DecodeLimits, ImageSet
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


class MomentumRun(RunBase):
    """What methods of the MoCo family have (scripts/pretrain/momentum.py)."""

    method: str
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
    def _batches_fit(self) -> MomentumRun:
        if self.queue_size % self.batch_size:
            raise ValueError(f"queue_size {self.queue_size} is not a multiple of batch_size {self.batch_size}")
        if self.batch_size % self.bn_splits:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of bn_splits {self.bn_splits}")
        if self.bn_splits > 1 and self.micro_batch == self.bn_group:
            raise ValueError(
                f"accumulation_steps {self.accumulation_steps} leaves one of {self.bn_splits} bn_splits to a micro-"
                "batch, so that keys have no other group to be shuffled into; take at most half as many steps"
            )
        return self

    @property
    def bn_group(self) -> int:
        """Return how many images share BatchNorm's statistics."""
        return max(1, self.batch_size // self.bn_splits)

    @property
    def indivisible(self) -> int:
        """BatchNorm's group, unless it is the batch: then statistics are synchronised."""
        return self.bn_group if self.bn_splits > 1 else 1


class MocoV2Run(MomentumRun):
    """Momentum Contrast v2 (Chen et al. 2020)."""

    method: Literal["moco_v2"]


class MocoV2CldRun(MomentumRun):
    """MoCo-v2 with cross-level discrimination (Wang et al. 2021)."""

    method: Literal["moco_v2_cld"]
    clusters: Positive
    cluster_iterations: Positive
    cluster_temperature: float = Field(gt=0)
    cluster_weight: float = Field(ge=0)
    # k-means over batch_size / cluster_splits images at a time: on one device this is what the official code does over
    # that many GPUs, each by itself. 1 = clusters of the whole batch. decisions.md#32
    cluster_splits: Positive

    @property
    def reference_loss(self) -> ReferenceLoss:
        """MoCo's, and that of clusters when one holds all images and the others are empty, with a cosine of 0."""
        groups = self.cluster_weight * math.log1p((self.clusters - 1) * math.exp(-1 / self.cluster_temperature))
        return ReferenceLoss(math.log1p(self.queue_size) + groups, f"ln(1 + K) + {groups:.2f}, K = {self.queue_size:,}")

    @model_validator(mode="after")
    def _clusters_fit(self) -> MocoV2CldRun:
        if self.batch_size % self.cluster_splits:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of cluster_splits {self.cluster_splits}")
        return self

    @property
    def cluster_group(self) -> int:
        """Return how many images are clustered together."""
        return max(1, self.batch_size // self.cluster_splits)

    @property
    def indivisible(self) -> int:
        """The least number of images that holds whole groups of BatchNorm and of k-means."""
        return math.lcm(super().indivisible, self.cluster_group if self.cluster_splits > 1 else 1)


class SimclrRun(RunBase):
    """SimCLR (Chen et al. 2020)."""

    method: Literal["simclr"]
    learning_rate: float = Field(gt=0)
    warmup_epochs: int = Field(ge=0)
    sgd_momentum: Share
    weight_decay: float = Field(ge=0)
    trust_coefficient: float = Field(gt=0)  # of LARS: share of a weight's length
    feature_dim: Positive
    temperature: float = Field(gt=0)
    augmentation: MocoAugmentation

    @property
    def image_size(self) -> int:
        """Side of both views."""
        return self.augmentation.image_size

    @property
    def reference_loss(self) -> ReferenceLoss:
        """One right answer among the 2N - 1 other views, all equal."""
        return ReferenceLoss(math.log(2 * self.micro_batch - 1), f"ln(2N - 1), N = {self.micro_batch:,}")

    @model_validator(mode="after")
    def _warmup_ends(self) -> SimclrRun:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs {self.warmup_epochs} is not less than epochs {self.epochs}")
        return self


Run = Annotated[MocoV2Run | MocoV2CldRun | SimclrRun | SwavRun | DinoRun, Field(discriminator="method")]


class TrainSettings(Settings):
    """Recipe of `train` for one run."""

    run: Run


class PretrainSettings(Settings):
    """`pretrain:`"""

    image_sets: tuple[ImageSet, ...]
    index_images: DecodeLimits
    runs: tuple[Run, ...]

    @model_validator(mode="after")
    def _image_sets_exist(self) -> PretrainSettings:
        known = [SHARDS, *(images.name for images in self.image_sets)]
        for run in self.runs:
            if run.images not in known:
                raise ValueError(
                    f"runs.{run.name}: there is no image set {run.images}; images is one of {', '.join(known)}"
                )
        return self
