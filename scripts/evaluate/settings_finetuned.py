"""The shape of `evaluate.finetuned:` in config.yaml: labelled sets with boxes or masks, and recipes that train all."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from scripts.evaluate.settings_annotated import AnnotatedTask, SemanticTask
from scripts.lib.recipe import Settings

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=1)]


class StepSchedule(Settings):
    """SGD by steps: a linear rise, then a rate that is multiplied at milestones."""

    steps: Positive
    batch_size: Positive  # of all processes together
    learning_rate: PositiveFloat  # at this batch size
    warm_up_steps: Annotated[int, Field(ge=0)]
    warm_up_factor: Share  # of the rate, at the first step
    milestones: tuple[Positive, ...]  # steps
    factor: Share
    momentum: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)

    @model_validator(mode="after")
    def _milestones_fit(self) -> StepSchedule:
        if self.milestones and (
            list(self.milestones) != sorted(set(self.milestones)) or self.milestones[-1] >= self.steps
        ):
            raise ValueError(f"milestones {self.milestones} must rise and end before the {self.steps} steps do")
        return self


class DenseRecipe(Settings):
    """What every recipe on annotated pictures has."""

    machine_fields: ClassVar[tuple[str, ...]] = ("devices",)

    name: Name
    tasks: tuple[Name, ...]  # of `finetuned.tasks`
    encoders: tuple[str, ...] | None  # names of encoders; None: all ResNets
    seeds: tuple[int, ...] = Field(min_length=1)  # of new weights, order and views; a job for each
    schedule: StepSchedule
    # The backbone's BatchNorm. synchronised: trained, statistics over the whole batch of a step; per_process: over each
    # process's part of it; frozen: the encoder's own statistics and weights.
    norm: Literal["synchronised", "per_process", "frozen"]
    devices: Positive  # processes, one for each GPU
    checkpoint_every_steps: Positive

    @model_validator(mode="after")
    def _batch_divides(self) -> DenseRecipe:
        if self.schedule.batch_size % self.devices:
            raise ValueError(f"batch_size {self.schedule.batch_size} does not divide among {self.devices} devices")
        return self


class DetectorRecipe(DenseRecipe):
    """Faster, Mask or Keypoint R-CNN with a feature pyramid, as torchvision builds them."""

    head: Literal["box", "mask", "keypoint"]
    metric: Literal["coco", "voc"]  # voc: also AP50 at 11 points
    fpn_norm: bool  # BatchNorm in the pyramid, of the backbone's kind
    fpn_channels: Positive
    train_short_sides: tuple[Positive, ...] = Field(min_length=1)  # pixels; one is drawn for each picture and step
    test_short_side: Positive
    max_side: Positive
    flip_probability: float = Field(ge=0, le=1)
    anchor_sizes: tuple[Positive, ...] = Field(min_length=5, max_length=5)  # pixels, one for each level
    proposals_train: Positive  # kept of each picture after non-maximum suppression
    proposals_test: Positive
    rois_per_image: Positive  # that train the heads
    box_width: Positive  # of the box head's two layers
    mask_layers: tuple[Positive, ...] = Field(min_length=1)  # channels of the mask head's convolutions
    keypoint_layers: tuple[Positive, ...] = Field(min_length=1)
    precise_norm_steps: Positive | None  # batches whose statistics replace the running ones before the test


class SegmenterRecipe(DenseRecipe):
    """A fully convolutional head on the last stage."""

    output_stride: Literal[8, 16, 32]  # below 32 the last stages are dilated; ResNet-50 and larger
    head_channels: Positive
    head_dilation: Positive
    crop: Positive  # pixels
    scales: tuple[PositiveFloat, PositiveFloat]  # of the picture, uniform between
    flip_probability: float = Field(ge=0, le=1)


class ClassifierRecipe(Settings):
    """The encoder and a linear layer trained together on (a part of) the train split."""

    name: Name
    tasks: tuple[Name, ...] | None  # of `evaluate.tasks`; None = all
    encoders: tuple[str, ...] | None  # names; None = all
    seeds: tuple[int, ...] = Field(min_length=1)  # of part, layer, order and views; a job for each
    share: Share  # of the train images of each class, at least one
    epochs: Positive | None  # either these or `steps`
    steps: Positive | None
    batch_size: Positive
    learning_rates: tuple[PositiveFloat, ...] = Field(min_length=1)  # several: chosen on a held-out part of train
    head_factor: PositiveFloat  # of the linear layer's rate
    weight_decays: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=1)
    decay_over_rate: bool  # weight decays are divided by the learning rate
    holdout_share: float = Field(gt=0, lt=1)
    momentum: float = Field(ge=0, lt=1)
    nesterov: bool
    milestones: tuple[Positive, ...] | None  # epochs; None = cosine to 0 by steps
    factor: Share
    checkpoint_every_steps: Positive

    @model_validator(mode="after")
    def _length_fits(self) -> ClassifierRecipe:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        if self.milestones and (self.epochs is None or self.milestones[-1] >= self.epochs):
            raise ValueError(f"milestones {self.milestones} are epochs and must end before the last")
        return self


class FinetunedSettings(Settings):
    """`evaluate.finetuned:`"""

    tasks: tuple[AnnotatedTask, ...]
    classifiers: tuple[ClassifierRecipe, ...]
    detectors: tuple[DetectorRecipe, ...]
    segmenters: tuple[SegmenterRecipe, ...]

    @model_validator(mode="after")
    def _names_fit(self) -> FinetunedSettings:
        recipes: list[ClassifierRecipe | DenseRecipe] = [*self.classifiers, *self.detectors, *self.segmenters]
        for where, names in (
            ("tasks", [task.name for task in self.tasks]),
            ("classifiers, detectors and segmenters", [recipe.name for recipe in recipes]),
        ):
            if twice := [name for name, times in Counter(names).items() if times > 1]:
                raise ValueError(f"{where}: the name {twice[0]} is used more than once")
        kinds = {task.name: task.kind for task in self.tasks}
        for group, dense, fitting in (
            ("detectors", self.detectors, {"box": ("coco", "voc", "yolo"), "mask": ("coco",), "keypoint": ("coco",)}),
            ("segmenters", self.segmenters, {"": ("semantic",)}),
        ):
            for recipe in dense:
                for task in recipe.tasks:
                    allowed = fitting[getattr(recipe, "head", "")]
                    if kinds.get(task) not in allowed:
                        raise ValueError(
                            f"{group}.{recipe.name}.tasks: finetuned.tasks has no task {task} of kind "
                            f"{' or '.join(allowed)}"
                        )
        return self


class FinetuneDetectorSettings(Settings):
    """Recipe of `finetune_detector`."""

    task: AnnotatedTask
    recipe: DetectorRecipe
    seed: int


class FinetuneSegmenterSettings(Settings):
    """Recipe of `finetune_segmenter`."""

    task: SemanticTask
    recipe: SegmenterRecipe
    seed: int
