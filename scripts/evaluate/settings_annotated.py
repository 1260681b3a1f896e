"""The shape of sets with boxes, masks or keypoints, `evaluate.finetuned.tasks` in config.yaml."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from scripts.evaluate.settings_split import HashSplit
from scripts.lib.recipe import Settings

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Positive = Annotated[int, Field(gt=0)]


class AnnotatedBase(Settings):
    """What every set of annotated pictures has."""

    name: Name
    max_train: Positive | None  # pictures, drawn by a seed; None = all
    max_test: Positive | None
    seed: int

    @property
    def figures(self) -> tuple[str, ...]:
        """Return the metrics that the field reports first: COCO's average precision of what the detector finds."""
        return ("box_ap", "mask_ap", "keypoint_ap")


class CocoTask(AnnotatedBase):
    """COCO's JSON: `instances_*` for boxes and masks, `person_keypoints_*` for keypoints."""

    path_fields: ClassVar[tuple[str, ...]] = ("train", "images", "test", "test_images")

    kind: Literal["coco"]
    train: str
    images: str
    image_prefix: str  # before the file names of the JSON
    test: str | HashSplit
    test_images: str | None  # None: `images`


class VocTask(AnnotatedBase):
    """Pascal VOC's folder: boxes of Annotations/*.xml; sets are `<year folder>/<name of the list>`."""

    path_fields: ClassVar[tuple[str, ...]] = ("root",)

    kind: Literal["voc"]
    root: str  # VOCdevkit
    train_sets: tuple[str, ...] = Field(min_length=1)
    test_sets: tuple[str, ...] = Field(min_length=1)

    @property
    def figures(self) -> tuple[str, ...]:
        """Return the metrics that the field reports first: AP at an overlap of one half."""
        return ("box_ap50",)


class YoloTask(AnnotatedBase):
    """One text file of boxes for each picture: class number, centre, width and height as shares of the picture."""

    path_fields: ClassVar[tuple[str, ...]] = ("labels", "images")

    kind: Literal["yolo"]
    labels: str
    images: str
    image_prefix: str
    classes: Positive
    test: HashSplit


class SemanticTask(AnnotatedBase):
    """A mask of class numbers for each picture, PNG of the same stem."""

    path_fields: ClassVar[tuple[str, ...]] = ("images", "masks", "train_list", "test")

    kind: Literal["semantic"]
    images: str
    image_prefix: str
    masks: str
    classes: Annotated[int, Field(ge=2, le=256)]
    ignore: int  # value of pixels that do not count; -1: none
    train_list: str | None  # text file of stems; None: what `test` leaves
    test: str | HashSplit

    @property
    def figures(self) -> tuple[str, ...]:
        """Return the metrics that the field reports first: mean intersection over union."""
        return ("miou",)


AnnotatedTask = Annotated[CocoTask | VocTask | YoloTask | SemanticTask, Field(discriminator="kind")]


class ListAnnotationsSettings(Settings):
    """Recipe of `list_annotations`."""

    task: AnnotatedTask
