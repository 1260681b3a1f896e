"""The shape of `evaluate:` in config.yaml."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from scripts.lib.recipe import Settings

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Positive = Annotated[int, Field(gt=0)]


class HashSplit(Settings):
    """Train and test by a hash of each image's name: the share `test_share` is the test split."""

    test_share: float = Field(gt=0, lt=1)
    seed: int


class TaskBase(Settings):
    """What every labelled set has."""

    name: Name
    resize: Positive  # short side, pixels
    crop: Positive  # centre crop, pixels
    max_train: Positive | None  # take a seeded, class-balanced part; None = all
    max_test: Positive | None
    seed: int  # of that part

    @model_validator(mode="after")
    def _crop_fits(self) -> TaskBase:
        if self.crop > self.resize:
            raise ValueError(f"crop {self.crop} is larger than resize {self.resize}, the short side it is cut from")
        return self


class ImageFolderTask(TaskBase):
    """Two folders of class folders; or one, split by hash."""

    path_fields: ClassVar[tuple[str, ...]] = ("train", "test")

    kind: Literal["image_folder"]
    train: str
    test: str | HashSplit


class TarTask(TaskBase):
    """Two tars of class folders; or one, split by hash."""

    path_fields: ClassVar[tuple[str, ...]] = ("train", "test")

    kind: Literal["tar"]
    train: str
    test: str | HashSplit


class TableTask(TaskBase):
    """A CSV with a column of file names and one of labels; rows with an empty label are left out."""

    path_fields: ClassVar[tuple[str, ...]] = ("table", "root")

    kind: Literal["table"]
    table: str
    root: str  # file names are relative to it
    file_column: str
    label_column: str
    test: HashSplit


class FractalTask(TaskBase):
    """Generated: each iterated function system is a class."""

    kind: Literal["fractal"]
    classes: Positive
    train_per_class: Positive
    test_per_class: Positive
    image_size: Positive
    iterations: Positive
    fractal_seed: int


Task = Annotated[ImageFolderTask | TarTask | TableTask | FractalTask, Field(discriminator="kind")]


class ListTaskSettings(Settings):
    """Recipe of `list_task`."""

    task: Task


class EmbedSettings(Settings):
    """Recipe of `embed` for one encoder and task."""

    task: Task
    batch_size: Positive


class KnnSettings(Settings):
    """Weighted kNN (Wu et al. 2018; DINO's protocol)."""

    neighbours: tuple[Positive, ...] = Field(min_length=1)
    temperature: float = Field(gt=0)


class LinearProbeSettings(Settings):
    """Multinomial logistic regression by L-BFGS; the regularisation is chosen on a held-out part of train."""

    c_values: tuple[float, ...] = Field(min_length=1)  # inverse regularisation strengths
    holdout_share: float = Field(gt=0, lt=1)
    max_iterations: Positive
    seeds: tuple[int, ...] = Field(min_length=1)  # of the held-out part


class EvaluateSettings(Settings):
    """`evaluate:`"""

    tasks: tuple[Task, ...]
    batch_size: Positive
    untrained: bool  # also evaluate each run's encoder as it was before its first step
    knn: KnnSettings
    linear_probe: LinearProbeSettings
