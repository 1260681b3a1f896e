"""What the settings of every run have, whatever its method."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field, model_validator

from scripts.lib.recipe import Settings

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Range = tuple[float, float]

SHARDS = "shards"  # the images that this project curated, as a run's `images`


class ReferenceLoss(NamedTuple):
    """The loss of an encoder that gives every image the same features: what a collapsed run shows."""

    value: float
    formula: str  # as the report prints it


class RunBase(Settings):
    """What every run has."""

    note_fields: ClassVar[tuple[str, ...]] = ("cost", "expected")
    machine_fields: ClassVar[tuple[str, ...]] = ("devices", "nodes", "threads")

    name: Name
    images: Name  # SHARDS, or an entry of pretrain.image_sets
    encoder: Literal["resnet18", "resnet50", "resnet18_cifar", "vit_small_16", "resnet_tiny_test", "vit_tiny_test"]
    seed: int
    epochs: Positive
    batch_size: Positive
    precision: Literal["fp32", "bf16", "fp16"]
    augmentation_backend: Literal["pil", "opencv", "device"]  # what makes the views' pixels; decisions.md#70, #78
    # Micro-batches of batch_size / accumulation_steps images, whose gradients make one step: what fits in memory.
    # Statistics over a batch (BatchNorm, Sinkhorn, SimCLR's negatives) are then those of a micro-batch; decisions.md#72
    accumulation_steps: Positive
    memory_format: Literal["channels_last", "contiguous"]
    compile: bool  # torch.compile of the networks
    checkpoint_every_steps: Positive
    # How many processes share a batch, on GPUs alone. A matter of the machine, not of the result: not in the recipe.
    devices: Positive  # of one node
    nodes: Positive
    threads: Positive  # of one device: its process and its loaders
    cost: str  # printed in the report: what the run costs on which hardware
    expected: str  # printed in the report: the figure to compare with

    @property
    def micro_batch(self) -> int:
        """Return how many images go through the networks at once, over all processes."""
        return self.batch_size // self.accumulation_steps

    @property
    def indivisible(self) -> int:
        """Return how many images of a batch must not be parted between micro-batches or processes."""
        return 1

    @property
    @abstractmethod
    def image_size(self) -> int:
        """Side of the square views that the encoder is trained for, pixels; the largest where there are several."""

    @property
    def interpolation(self) -> Literal["bilinear", "bicubic"]:
        """How its pictures are resized, in training and so in evaluation."""
        return "bilinear"

    @property
    @abstractmethod
    def reference_loss(self) -> ReferenceLoss:
        """The line that the loss has to leave downwards."""

    @model_validator(mode="after")
    def _micro_batches_fit(self) -> RunBase:
        if self.batch_size % self.accumulation_steps:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of accumulation_steps {self.accumulation_steps}"
            )
        return self
