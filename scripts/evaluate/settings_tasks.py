"""The shape of `evaluate.tasks` in config.yaml: labelled sets, how they are split, which figure is theirs."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from scripts.evaluate.settings_split import HashSplit, PerClassSplit
from scripts.lib.recipe import Settings

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Positive = Annotated[int, Field(gt=0)]

# Metrics of an answer for each test image. Results have all that apply; one of them is the figure of the task.
Metric = Literal["top1", "mean_per_class", "real_top1", "map_area", "map_11_point"]
# The figure that the field reports of a named set (Kornblith, Shlens & Le 2019, table 1); top1 of all others.
FIELD: dict[str, Metric] = {
    "caltech101": "mean_per_class",
    "fgvc_aircraft": "mean_per_class",
    "flowers102": "mean_per_class",
    "oxford_iiit_pet": "mean_per_class",
    "voc2007": "map_11_point",
    "voc2012": "map_area",
    "coco2017": "map_area",
}


class TaskBase(Settings):
    """What every labelled set has."""

    name: Name
    resize: Positive  # short side, pixels
    crop: Positive  # centre crop, pixels
    max_train: Positive | None  # take a seeded, class-balanced part; None = all
    max_test: Positive | None
    seed: int  # of that part
    metric: Metric | None = None  # the figure of the task; null: the field's of a set by name, else top1

    @model_validator(mode="after")
    def _crop_fits(self) -> TaskBase:
        if self.crop > self.resize:
            raise ValueError(f"crop {self.crop} is larger than resize {self.resize}, the short side it is cut from")
        return self

    @property
    def figure(self) -> Metric:
        """Return the metric that is reported first."""
        return self.metric or FIELD.get(getattr(self, "dataset", ""), "top1")


class ImageFolderTask(TaskBase):
    """Two folders of class folders; or one, split by hash."""

    path_fields: ClassVar[tuple[str, ...]] = ("train", "test", "real_labels")

    kind: Literal["image_folder"]
    train: str
    test: str | HashSplit
    real_labels: str | None = None  # of ImageNet's val: real.json (scripts/evaluate/real_labels.py)


class TarTask(TaskBase):
    """Two tars of class folders; or one, split by hash."""

    path_fields: ClassVar[tuple[str, ...]] = ("train", "test")

    kind: Literal["tar"]
    train: str
    test: str | HashSplit


class ColumnSplit(Settings):
    """Train and test by the values of a column; rows of other values are left out."""

    split_column: str
    train_values: tuple[str, ...] = Field(min_length=1)
    test_values: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _differ(self) -> ColumnSplit:
        if both := sorted(set(self.train_values) & set(self.test_values)):
            raise ValueError(f"{', '.join(both)} cannot be train and test")
        return self


class TableTask(TaskBase):
    """A CSV with a column of file names and one of labels; rows with an empty label are left out."""

    path_fields: ClassVar[tuple[str, ...]] = ("table", "root")

    kind: Literal["table"]
    table: str
    root: str  # file names are relative to it
    file_column: str
    label_column: str
    label_separator: Annotated[str, Field(min_length=1)] | None  # between the labels of an image; null: it has one
    test: HashSplit | ColumnSplit


UNSPLIT = ("caltech101", "eurosat")  # published without train and test


class TorchvisionTask(TaskBase):
    """A published set by name, where torchvision puts it, with its official splits (scripts/evaluate/layouts)."""

    path_fields: ClassVar[tuple[str, ...]] = ("root", "real_labels")

    kind: Literal["torchvision"]
    dataset: Literal[
        "caltech101", "cifar10", "cifar100", "coco2017", "dtd", "eurosat", "fgvc_aircraft", "flowers102", "food101",
        "imagenet", "oxford_iiit_pet", "places205", "places365", "voc2007", "voc2012",
    ]  # fmt: skip
    root: str
    test: HashSplit | PerClassSplit | None  # of sets without a split of their own
    real_labels: str | None = None  # of ImageNet: real.json (scripts/evaluate/real_labels.py)

    @model_validator(mode="after")
    def _split_is_needed(self) -> TorchvisionTask:
        if (self.test is None) == (self.dataset in UNSPLIT):
            given = "its own splits: give null" if self.test else "no splits: give a hash split or one per class"
            raise ValueError(f"test: {self.dataset} has {given}")
        if self.real_labels is not None and self.dataset != "imagenet":
            raise ValueError(f"real_labels: they are ImageNet's, and {self.dataset} has none")
        return self


class FractalTask(TaskBase):
    """Generated: each iterated function system is a class."""

    kind: Literal["fractal"]
    classes: Positive
    train_per_class: Positive
    test_per_class: Positive
    image_size: Positive
    iterations: Positive
    fractal_seed: int


Task = Annotated[ImageFolderTask | TarTask | TableTask | TorchvisionTask | FractalTask, Field(discriminator="kind")]
