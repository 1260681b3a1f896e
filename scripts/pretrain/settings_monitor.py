"""The shape of `pretrain.monitor` in config.yaml: what a run's encoder is tried on while it is trained."""

from __future__ import annotations

from pydantic import Field, model_validator

from scripts.lib.recipe import Settings
from scripts.pretrain.run_base import Name, Positive


class MonitorSettings(Settings):
    """Before the first step, every so many epochs and at the end; it changes no bit of the training."""

    # A labelled set of evaluate.tasks, of whose train split alone a sample is taken; null: a sample of the images that
    # the run is trained on, without labels, so that only the features' spread and rank are known.
    task: Name | None
    classes: Positive | None  # of the task, a seeded choice; null = all
    images: Positive
    every_epochs: Positive
    neighbours: Positive
    temperature: float = Field(gt=0)

    @model_validator(mode="after")
    def _classes_have_images(self) -> MonitorSettings:
        if self.classes is not None and self.images < 2 * self.classes:
            raise ValueError(f"images {self.images} of {self.classes} classes: each needs two, or it has no neighbour")
        return self
